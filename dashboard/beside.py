"""Two images of a study side by side: each with its own tools, and with a head that says which it is."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from dashboard import connections, reader, wording_viewer
from dashboard.markup import element, text
from dashboard.viewer import Slot, show_picture
from triage import queries
from triage.records import DONE, Image


@dataclass(frozen=True)
class Pair:
    """The image that is shown beside the open one.

    Attributes:
        beside_id: of the image beside.
        open_says: what the open one is: its number, and what is known of it.
        beside_says: the same of the one beside.
    """

    beside_id: int
    open_says: str
    beside_says: str


def show(image: Image, pair: Pair) -> bool:
    """Draw both. Whether they could be: both have to be there, and classified.

    Args:
        image: the open one, which the reader may see; with its predictions loaded.
        pair: which is beside it.
    """
    with connections.reading() as session:
        other = queries.image_with_all(session, pair.beside_id)
    if other is None or other.status != DONE or not other.predictions or not reader.may_see(other.id, "beside"):
        return False
    shown: tuple[tuple[Slot, Image, str], ...] = (("open", image, pair.open_says), ("beside", other, pair.beside_says))
    for column, (slot, each, says) in zip(st.columns(2, gap="small"), shown, strict=True):
        with column:
            head = element("span", text(f"{wording_viewer.WHICH[slot]} · ")) + element("b", text(says))
            st.html(element("p", head, class_="which", title=wording_viewer.WHICH_HELP[slot]))
            show_picture(each, slot=slot, compact=True)
    return True
