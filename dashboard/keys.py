"""The list of keys, over whatever page is open: by ``?`` or its button."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard import wording_keys

_HTML = (
    '<button class="open" type="button" aria-haspopup="dialog"></button>'
    '<dialog role="dialog" aria-modal="true" aria-labelledby="title">'
    '<header><h2 id="title"></h2><button class="close" type="button"></button></header><div class="groups"></div>'
    "</dialog>"
)


@cache
def _component() -> Any:
    here = Path(__file__)
    return st.components.v2.component(
        "triage_keys",
        html=_HTML,
        css=here.with_suffix(".css").read_text(encoding="utf-8"),
        js=here.with_suffix(".js").read_text(encoding="utf-8"),
    )


def show() -> None:
    """Draw the button; the list itself is drawn when it is asked for."""
    data = {
        "button": wording_keys.BUTTON,
        "title": wording_keys.TITLE,
        "close": wording_keys.CLOSE,
        "groups": wording_keys.GROUPS,
    }
    with st.container(key="keys"):
        _component()(data=data, key="keys_list")
