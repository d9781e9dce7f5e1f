"""The two buttons that turn the page of a list."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import wording
from dashboard.markup import element, text

Turn = Callable[[], None]
WORDS = (wording.PREVIOUS, wording.NEXT)


def show(back: Turn | None, on: Turn | None, *, words: tuple[str, str] = WORDS, position: str = "") -> DeltaGenerator:
    """Draw them, in a row that more can be put into.

    Args:
        back: turns to the page before; None: there is none.
        on: turns to the page after; None: there is none.
        words: what the buttons say.
        position: which page it is, between the buttons.

    Returns:
        The row.
    """
    row = st.container(horizontal=True, vertical_alignment="center", key="paging")
    row.button(words[0], icon=":material/chevron_left:", disabled=back is None, on_click=back)
    if position:
        row.html(element("p", text(position), class_="position"))
    row.button(words[1], icon=":material/chevron_right:", icon_position="right", disabled=on is None, on_click=on)
    return row
