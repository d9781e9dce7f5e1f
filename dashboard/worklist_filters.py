"""What is above the worklist: order, search, filters, and the lanes with how many studies they have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import streamlit as st

from dashboard import connections, paging, wording, wording_worklist
from dashboard.choice import STATUSES, Choice
from dashboard.paging import Place
from dashboard.whereabouts import go, here
from triage import worklist
from triage.records import LANES
from triage.urgency import WEIGHTS
from triage.worklist import View

_SORT = "worklist_sort"
_SEARCH = "worklist_search"
_LANE = "worklist_lane"
SOURCES = ("folder", "upload", "once")


def show() -> None:
    """Order, search and filters. The address is what counts: the controls show it, and write it when they are used."""
    place = here()
    with st.container(horizontal=True, vertical_alignment="center", key="worklist_controls"):
        _show_order(place)
        _show_search(place)
        with st.popover(wording_worklist.filters(place.choice.set_count()), icon=":material/filter_list:"):
            _show_filters(place)


def _show_order(place: Place) -> None:
    st.session_state[_SORT] = place.sort

    def changed() -> None:
        go(replace(here().at_start(), sort=st.session_state[_SORT]))

    st.selectbox(
        wording_worklist.SORT_LABEL,
        paging.SORTS,
        format_func=lambda sort: wording_worklist.SORTS[sort],
        key=_SORT,
        on_change=changed,
        label_visibility="collapsed",
        width=225,
    )


def _show_search(place: Place) -> None:
    st.session_state[_SEARCH] = place.choice.search

    def changed() -> None:
        _choose(search=str(st.session_state[_SEARCH]).strip())

    st.text_input(
        wording_worklist.SEARCH,
        key=_SEARCH,
        on_change=changed,
        placeholder=wording_worklist.SEARCH_SHORT,
        help=wording_worklist.SEARCH_HELP,
        label_visibility="collapsed",
        icon=":material/search:",
    )


def _choose(**changed: Any) -> None:
    place = here()
    go(replace(place.at_start(), choice=replace(place.choice, **changed)))


def _show_filters(place: Place) -> None:
    choice = place.choice
    parts = _body_parts(choice.status)
    _select("status", STATUSES, choice.status, wording_worklist.STATUSES.get)
    _select("label", _with(sorted(WEIGHTS), choice.label), choice.label)
    _select("body_part", _with(parts, choice.body_part), choice.body_part)
    _select("source", _with(SOURCES, choice.source), choice.source, wording.SOURCES.get)
    _select("reviewed", (None, False, True), choice.reviewed, wording_worklist.REVIEWED_OR_NOT.get)
    first, last = st.columns(2)
    with first:
        _day("first", choice.first)
    with last:
        _day("last", choice.last)
    st.button(wording_worklist.SHOW_ALL, on_click=lambda: _choose(**vars(Choice(search=choice.search))))


# The page runs at each click, and a body part that was never seen before can wait a moment.
@st.cache_resource(ttl=30, show_spinner=False)
def _body_parts(status: str) -> list[str]:
    with connections.reading() as session:
        return worklist.body_parts(session, status)


def _with(options: Sequence[str], chosen: str | None) -> list[str | None]:
    """The options, none of them, and what the address asks for."""
    known: list[str | None] = [None, *options]
    return known if chosen in known else [*known, chosen]


def _select(name: str, options: Sequence[Any], chosen: Any, says: Callable[[Any], str | None] = str) -> None:
    key = f"worklist_filter_{name}"
    st.session_state[key] = chosen
    st.selectbox(
        wording_worklist.FILTERS[name],
        options,
        format_func=lambda value: (value is not None and says(value)) or wording_worklist.ANY,
        key=key,
        on_change=lambda: _choose(**{name: st.session_state[key]}),
    )


def _day(name: str, chosen: date | None) -> None:
    key = f"worklist_filter_{name}"
    st.session_state[key] = chosen
    st.date_input(
        wording_worklist.FILTERS[name],
        key=key,
        format="YYYY-MM-DD",
        on_change=lambda: _choose(**{name: st.session_state[key]}),
    )


def show_lanes(place: Place, view: View) -> None:
    """The lanes, with how many studies that fit stand in each; one of them can be looked at alone."""
    # Part of what comes in by itself, so that a lane is offered as soon as it has anything.
    if len(view.lanes) < len(LANES):
        return
    st.session_state[_LANE] = place.choice.lane

    def changed() -> None:
        _choose(lane=st.session_state[_LANE])

    st.segmented_control(
        wording_worklist.LANE_LABEL,
        (None, *LANES),
        format_func=lambda lane: wording_worklist.lane(lane, view.total if lane is None else view.lanes[lane]),
        key=_LANE,
        on_change=changed,
        label_visibility="collapsed",
    )
