"""The pictures that are likely to be opened next: the browser fetches and decodes them while nobody waits for it.

They are not shown: what is shown is noted in the audit trail first (`reader.may_see`), then taken from what is there.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard import connections, reader
from dashboard.browser import part
from dashboard.picture import picture_url
from dashboard.viewer import FETCHING
from triage.records import Image

_ORDER = "worklist_order"
_STEPS = (1, -1, 2)
"""Which rows, from the open one on: most go down the list, some go back."""


def note_order(image_ids: Sequence[int]) -> None:
    """Note which images a list shows, top to bottom."""
    st.session_state[_ORDER] = list(image_ids)


def fetch(image_id: int) -> None:
    """Have the browser fetch the pictures around the open one. Called last: the open one comes first."""
    order: list[int] = st.session_state.get(_ORDER, [])
    if image_id not in order or reader.name() is None:
        return
    at = order.index(image_id)
    wanted = [order[at + step] for step in _STEPS if 0 <= at + step < len(order)]
    with connections.reading() as session:
        images = [session.get(Image, each) for each in wanted]
    urls = [url for image in images if image is not None and (url := picture_url(image)) is not None]
    with st.container(key="unseen_ahead"):
        part("ahead", FETCHING, "ahead.js")(data={"urls": urls}, key="ahead")
