"""Where the reader is in the worklist: the address says it, and this decides who is right when it lags behind."""

from __future__ import annotations

import time
from dataclasses import dataclass

import streamlit as st

from dashboard import paging
from dashboard.paging import Place

ECHO_SECONDS = 2.0
"""How long a browser may still send the address of before along."""

_PLACE = "worklist_place"
_LEFT = "worklist_left"
_MOVED = "worklist_moved"


@dataclass(frozen=True)
class _Moved:
    """Where the reader was, until when."""

    before: Place
    at: float


def here() -> Place:
    """Where the reader is.

    The address says so. But the browser may ask for something before it has heard that the reader has moved on, and
    then sends the address of before along: what was decided here last counts.
    """
    place = paging.read_place(st.query_params)
    moved: _Moved | None = st.session_state.get(_MOVED)
    if moved is not None and place == moved.before and time.monotonic() - moved.at < ECHO_SECONDS:
        place = st.session_state[_PLACE]
        paging.write_place(st.query_params, place)
    return place


def go(place: Place) -> None:
    """Have the address say where the reader is from now on."""
    before = paging.read_place(st.query_params)
    if place != before:
        st.session_state[_MOVED] = _Moved(before, time.monotonic())
    st.session_state[_PLACE] = place
    paging.write_place(st.query_params, place)


def leave() -> None:
    """Note, on every other page, where the reader was in the list."""
    st.session_state[_LEFT] = st.session_state.get(_LEFT) or st.session_state.get(_PLACE)


def come_back() -> None:
    """Go on where the reader left the list for another page: the menu's link carries no place."""
    left = st.session_state.pop(_LEFT, None)
    if isinstance(left, Place) and not st.query_params:
        go(left)
