"""The worklist: classified images in the order in which to look at them, and the one that is open beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import streamlit as st
from sqlalchemy.orm import Session

from dashboard import connections, detail, markup, paging, reader, wording
from dashboard.paging import Place
from dashboard.worklist_rows import row_of, show_rows
from triage import queries
from triage.intake import utc_now
from triage.records import DONE, PROCESSING, QUEUED
from triage.settings import get_settings

REFRESH_SECONDS = 2.0
_SORT_KEY = "worklist_sort"
_PLACE_KEY = "worklist_place"
_LEFT_KEY = "worklist_left"


@dataclass(frozen=True)
class _Shown:
    """A page as it was read, and where the reader is by now."""

    page: queries.Page
    place: Place
    rows_before: int


def show() -> None:
    """List on the left, the open image on the right."""
    _come_back()
    list_side, image_side = st.columns([6, 8], gap="medium")
    with list_side:
        _show_sorts()
        _show_list()
    with image_side, st.container(key="opened"):
        image_id = paging.read_place(st.query_params).image_id
        if image_id is None:
            st.html(markup.element("p", markup.text(wording.NOTHING_OPEN), class_="hint"))
        else:
            detail.show(image_id)


def _come_back() -> None:
    """Go on where the reader left the list for another page: the menu's link carries no place."""
    left = st.session_state.pop(_LEFT_KEY, None)
    if isinstance(left, Place) and not st.query_params:
        _go(left)


def leave() -> None:
    """Note, on every other page, where the reader was in the list."""
    st.session_state[_LEFT_KEY] = st.session_state.get(_LEFT_KEY) or st.session_state.get(_PLACE_KEY)


def _go(place: Place) -> None:
    st.session_state[_PLACE_KEY] = place
    paging.write_place(st.query_params, place)


def _show_sorts() -> None:
    # The address is what counts: the control shows it, and writes it when it is used.
    st.session_state[_SORT_KEY] = paging.read_place(st.query_params).sort

    def changed() -> None:
        place = paging.read_place(st.query_params)
        # A click on the order that is chosen already takes the choice away; then it stays what it was.
        _go(replace(place.at_start(), sort=st.session_state[_SORT_KEY] or place.sort))

    st.segmented_control(
        wording.SORT_LABEL,
        paging.SORTS,
        format_func=lambda sort: wording.SORTS[sort],
        key=_SORT_KEY,
        on_change=changed,
        label_visibility="collapsed",
    )


@st.fragment(run_every=REFRESH_SECONDS)
def _show_list() -> None:
    with connections.reading() as session:
        shown = _read_page(session, paging.read_place(st.query_params))
        counts = queries.counts(session)
    _go(shown.place)
    if not shown.page.images:
        _show_empty(counts[QUEUED] + counts[PROCESSING])
        return
    now, zone = utc_now(), reader.time_zone()
    rows = [
        row_of(image, shown.rows_before + position, now, zone)
        for position, image in enumerate(shown.page.images, start=1)
    ]
    place = shown.place
    chosen = show_rows(rows, place.image_id, f"{place.sort} {place.after} {place.before}")
    _show_paging(shown, counts[DONE])
    if chosen is not None and chosen != place.image_id:
        _go(replace(place, image_id=chosen))
        st.rerun()


def _read_page(session: Session, place: Place) -> _Shown:
    """The page of a place; the first page where that has run empty, or begins only a few rows further down.

    The latter is what paging back gives after new images came in above: the top of the list matters most.
    """
    page = _list(session, place)
    before = queries.rows_before(session, place.sort, page.images[0]) if page.images else 0
    paged_back_to_top = place.before is not None and before < paging.PAGE_SIZE // 2
    if place != place.at_start() and (not page.images or paged_back_to_top):
        place = place.at_start()
        return _Shown(_list(session, place), place, 0)
    return _Shown(page, place, before if place != place.at_start() else 0)


def _list(session: Session, place: Place) -> queries.Page:
    return queries.list_page(session, place.sort, size=paging.PAGE_SIZE, after=place.after, before=place.before)


def _show_paging(shown: _Shown, total: int) -> None:
    place, page = shown.place, shown.page
    last = shown.rows_before + len(page.images)
    position = wording.PAGE_POSITION.format(first=shown.rows_before + 1, last=last, total=max(total, last))
    with st.container(horizontal=True, vertical_alignment="center", key="paging"):
        st.button(
            wording.PREVIOUS,
            icon=":material/chevron_left:",
            disabled=page.previous is None,
            on_click=_go,
            args=(replace(place, after=None, before=page.previous),),
        )
        st.html(markup.element("p", markup.text(position), class_="position"))
        st.button(
            wording.NEXT,
            icon=":material/chevron_right:",
            icon_position="right",
            disabled=page.next is None,
            on_click=_go,
            args=(replace(place, after=page.next, before=None),),
        )


def _show_empty(waiting: int) -> None:
    said = wording.EMPTY_WAITING.format(waiting=waiting) if waiting else wording.EMPTY
    inbox = markup.element("code", markup.text(get_settings().inbox_dir))
    what_to_do = f"{markup.text(wording.EMPTY_HOW)} {inbox}"
    st.html(
        markup.element("div", markup.element("b", markup.text(said)) + markup.element("p", what_to_do), class_="empty")
    )
