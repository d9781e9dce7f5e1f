"""The worklist: studies in the order in which to look at them, and the image that is open beside it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import streamlit as st
from sqlalchemy.orm import Session

from dashboard import (
    ahead,
    connections,
    detail,
    markup,
    page_buttons,
    paging,
    reader,
    study_images,
    whereabouts,
    wording_worklist,
    worklist_export,
    worklist_filters,
)
from dashboard.choice import Choice
from dashboard.paging import Place
from dashboard.whereabouts import go, here
from dashboard.worklist_rows import Turn, row_of, show_rows, take_chosen
from triage import queries, worklist
from triage.intake import utc_now
from triage.records import PROCESSING, QUEUED
from triage.settings import get_settings
from triage.worklist import View

REFRESH_SECONDS = 2.0
_TURNED_KEY = "worklist_turned"


def show() -> None:
    """List on the left, the open image on the right: drawn first, because somebody waits for it."""
    whereabouts.come_back()
    list_side, image_side = st.columns([6, 8], gap="medium")
    image_id = here().image_id
    with image_side, st.container(key="opened"):
        if image_id is None:
            st.html(markup.element("p", markup.text(wording_worklist.NOTHING_OPEN), class_="empty"))
        else:
            detail.show(image_id, study_images.show(image_id))
    with list_side:
        worklist_filters.show()
        _show_list()
    if image_id is not None:
        ahead.fetch(image_id)


@st.fragment(run_every=REFRESH_SECONDS)
def _show_list() -> None:
    chosen = take_chosen()
    if chosen is not None and chosen != here().image_id:
        # Before anything is read or drawn here: the run that comes draws all of it.
        go(here().opening(chosen))
        st.rerun()
    zone = reader.time_zone()
    with connections.reading() as session:
        place, view = _read_page(session, here())
        opened = None if place.image_id is None else queries.study_of(session, place.image_id)
        waiting = 0
        if not view.entries:
            counts = queries.capped_counts(session)
            waiting = counts[QUEUED] + counts[PROCESSING]
    turned: Turn | None = st.session_state.pop(_TURNED_KEY, None)
    if turned is not None and view.entries:
        # A key went on beyond the end of the page before: the next study is the first of this one.
        entry = view.entries[0 if turned == "next" else -1]
        place = place.opening(entry.image_id)
        go(place)
        st.rerun()
    go(place)
    worklist_filters.show_lanes(place, view)
    if not view.entries:
        _show_empty(place.choice, waiting)
        return
    now = utc_now()
    rows = [
        row_of(entry, view.before.number + position if view.before.is_exact else None, now, zone)
        for position, entry in enumerate(view.entries, start=1)
    ]
    ahead.note_order([entry.image_id for entry in view.entries])
    turn = show_rows(rows, opened, f"{place.sort} {place.after} {place.before} {place.choice}")
    _show_paging(place, view)
    if turn is not None:
        cursor = view.next if turn == "next" else view.previous
        if cursor is not None:
            st.session_state[_TURNED_KEY] = turn
            _go_on(place, view, turn)
            st.rerun(scope="fragment")


def _go_on(place: Place, view: View, turn: Turn) -> None:
    if turn == "next":
        go(replace(place, after=view.next, before=None))
    else:
        go(replace(place, after=None, before=view.previous))


def _read_page(session: Session, place: Place) -> tuple[Place, View]:
    """A place and its page; the first page where that has run empty, or begins only a few rows further down.

    The latter is what paging back gives after new studies came in above: the top of the list matters most.
    """
    view = _read(session, place)
    close = view.before.is_exact and view.before.number < paging.PAGE_SIZE // 2
    if place != place.at_start() and (not view.entries or (place.before is not None and close)):
        place = place.at_start()
        return place, _read(session, place)
    return place, view


def _read(session: Session, place: Place) -> View:
    filters = place.choice.filters(reader.time_zone())
    return worklist.read_page(
        session, filters, place.sort, size=paging.PAGE_SIZE, after=place.after, before=place.before
    )


def _show_paging(place: Place, view: View) -> None:
    row = page_buttons.show(
        None if view.previous is None else partial(_go_on, place, view, "previous"),
        None if view.next is None else partial(_go_on, place, view, "next"),
        position=wording_worklist.position(view, place.choice.lane),
    )
    with row:
        worklist_export.show(place)


def _show_empty(choice: Choice, waiting: int) -> None:
    if choice != Choice():
        st.html(markup.element("div", markup.element("b", markup.text(wording_worklist.NOTHING_FITS)), class_="empty"))
        st.button(wording_worklist.SHOW_ALL, on_click=lambda: go(Place()))
        return
    said = wording_worklist.EMPTY_WAITING.format(waiting=waiting) if waiting else wording_worklist.EMPTY
    inbox = markup.element("code", markup.text(get_settings().inbox_dir))
    what_to_do = f"{markup.text(wording_worklist.EMPTY_HOW)} {inbox}"
    st.html(
        markup.element("div", markup.element("b", markup.text(said)) + markup.element("p", what_to_do), class_="empty")
    )
