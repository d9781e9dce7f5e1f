"""The audit trail, searched and paged by key."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from functools import partial

import streamlit as st

from dashboard import connections, days, markup, page_buttons, reader, wording, wording_system
from dashboard.markup import element, text
from triage.records import AuditEvent
from triage.trail import PEOPLE, TrailFilter, TrailPage, search

PAGE_SIZE = 50
_PAGE = "trail_page"
_KINDS: dict[str, tuple[str, ...]] = {"people": PEOPLE, "all": ()}
# Shown in words already, or of no use to a person.
_LEFT_OUT = {"code", "verdict", "label", "model_version"}


def show() -> None:
    """The search, and a page of what it finds. A further page is asked for; nothing moves by itself."""
    st.html(
        element(
            "div",
            element("h3", text(wording_system.TRAIL)) + element("p", text(wording_system.TRAIL_INTRO), class_="hint"),
        )
    )
    wanted = _ask()
    if wanted is None:
        return
    older_than, newer_than = st.session_state.get(_PAGE, (None, None))
    with connections.reading() as session:
        page = search(session, wanted, size=PAGE_SIZE, older_than=older_than, newer_than=newer_than)
    if not page.events:
        st.html(element("p", text(wording_system.TRAIL_NONE), class_="empty"))
        return
    st.html(_table(page.events))
    _show_paging(page)


def _ask() -> TrailFilter | None:
    with st.container(key="trail_search"):
        who, what, image, since, until = st.columns([3, 3, 2, 2, 2], gap="small")
        actor = who.text_input(wording_system.TRAIL_WHO, key="trail_who", max_chars=100, on_change=_first_page)
        kind = what.selectbox(
            wording_system.TRAIL_WHAT,
            [*_KINDS, *wording.EVENTS],
            format_func=_name_of_kind,
            key="trail_what",
            on_change=_first_page,
        )
        number = image.text_input(wording_system.TRAIL_IMAGE, key="trail_image", max_chars=18, on_change=_first_page)
        first = since.date_input(wording_system.TRAIL_SINCE, value=None, key="trail_since", on_change=_first_page)
        last = until.date_input(wording_system.TRAIL_UNTIL, value=None, key="trail_until", on_change=_first_page)
    number = number.strip()
    if number and not (number.isascii() and number.isdigit()):
        st.html(markup.alert(wording_system.TRAIL_NO_NUMBER))
        return None
    zone = reader.time_zone()
    return TrailFilter(
        actor=actor.strip(),
        events=_KINDS.get(kind, (kind,)),
        image_id=int(number) if number else None,
        since=days.begin(first if isinstance(first, date) else None, zone),
        until=days.end(last if isinstance(last, date) else None, zone),
    )


def _name_of_kind(kind: str) -> str:
    if kind == "people":
        return wording_system.TRAIL_PEOPLE
    return wording_system.TRAIL_ALL if kind == "all" else wording.EVENTS[kind]


def _first_page() -> None:
    st.session_state.pop(_PAGE, None)


def _turn(older_than: int | None, newer_than: int | None) -> None:
    st.session_state[_PAGE] = (older_than, newer_than)


def _table(events: Sequence[AuditEvent]) -> str:
    zone = reader.time_zone()
    rows = "".join(
        element(
            "tr",
            element("td", text(wording.full_moment(event.at, zone)), class_="number")
            + element("td", element("bdi", text(event.actor)), class_="actor")
            + element("td", text(wording.event(event.event, event.detail)))
            + element("td", _link(event.image_id), class_="number")
            + element("td", text(_more(event)), class_="more"),
        )
        for event in events
    )
    head = "".join(element("th", text(name), scope="col") for name in wording_system.TRAIL_HEAD)
    return element("table", element("thead", element("tr", head)) + element("tbody", rows), class_="plain trail")


def _link(image_id: int | None) -> str:
    return "" if image_id is None else element("a", text(image_id), href=f"./?image={image_id}")


def _more(event: AuditEvent) -> str:
    """What else an event keeps, as `name: value`, without what the words say already."""
    kept = {name: value for name, value in event.detail.items() if name not in _LEFT_OUT and value is not None}
    return "; ".join(
        f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in kept.items()
    )


def _show_paging(page: TrailPage) -> None:
    if page.newer is None and page.older is None:
        return
    page_buttons.show(
        None if page.newer is None else partial(_turn, None, page.newer),
        None if page.older is None else partial(_turn, page.older, None),
        words=(wording_system.NEWER, wording_system.OLDER),
    )
