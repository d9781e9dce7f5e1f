"""Quarantine: files that could not be read, with the reason, to be tried again or taken off the list."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import streamlit as st

from dashboard import connections, page_buttons, paging, reader, wording
from dashboard.markup import element, text
from dashboard.paging import Place
from dashboard.permission import Action
from dashboard.picture import can_preview, preview_url
from triage import queries
from triage.database import sessions
from triage.intake import utc_now
from triage.quarantine import hindrance, retry
from triage.records import QUARANTINED, Image
from triage.worklist import Sort

REFRESH_SECONDS = 2.0
SORTS: tuple[Sort, ...] = ("newest",)
_SEEN_KEY = "quarantine_seen"
_PREVIEW = "quarantine_preview"


def show() -> None:
    """A page of quarantined files, newest first.

    The rows do not move by themselves: a button must not come to stand for another file while somebody is
    about to press it. That there are more is said, and shown on request.
    """
    place = paging.read_place(st.query_params, SORTS)
    with connections.reading() as session:
        page = queries.quarantined_page(session, size=paging.PAGE_SIZE, after=place.after, before=place.before)
        if not page.images and place != place.at_start():
            place = place.at_start()
            page = queries.quarantined_page(session, size=paging.PAGE_SIZE)
        total = queries.capped_counts(session)[QUARANTINED]
    _go(place)
    st.session_state[_SEEN_KEY] = total
    intro, news = st.columns([4, 1], gap="medium")
    intro.html(element("p", text(wording.QUARANTINE_INTRO), class_="hint"))
    with news:
        _say_news()
    if not page.images:
        st.html(element("p", text(wording.QUARANTINE_EMPTY), class_="empty"))
    for image in page.images:
        _show_row(image)
    _show_paging(page)


def _go(place: Place) -> None:
    paging.write_place(st.query_params, place, SORTS)


@st.fragment(run_every=REFRESH_SECONDS)
def _say_news() -> None:
    with connections.reading() as session:
        total = queries.capped_counts(session)[QUARANTINED]
    more = total - st.session_state.get(_SEEN_KEY, total)
    with st.container(horizontal=True, vertical_alignment="center", key="news"):
        said = wording.QUARANTINE_NEW.format(count=more) if more > 0 else ""
        st.html(element("p", text(said) or "&nbsp;", class_="position", role="status"))
        if more > 0 and st.button(wording.SHOW, icon=":material/refresh:"):
            _go(Place(sort=SORTS[0]))
            st.rerun()


def _show_row(image: Image) -> None:
    sha = wording.SHA.format(prefix=image.sha256[:12]) if image.sha256 else wording.NEVER_READ
    when = wording.full_moment(image.finished_at or image.received_at, reader.time_zone())
    with st.container(horizontal=True, vertical_alignment="center", key=f"refused_{image.id}"):
        st.html(
            element("b", text(wording.error_title(image.error_code)))
            + element("p", text(image.error_detail or ""))
            + element(
                "p",
                element("bdi", text(image.source_name), class_="name")
                + text(f" · {when} · {sha} · ")
                + element("a", text(wording.HISTORY), href=f"./?image={image.id}"),
                class_="origin",
            )
        )
        hindrance = _cannot_be_retried(image)
        if can_preview(image):
            st.button(
                wording.PREVIEW_CLOSE if st.session_state.get(_PREVIEW) == image.id else wording.PREVIEW,
                key=f"preview_{image.id}",
                icon=":material/image:",
                on_click=_preview,
                args=(image.id,),
            )
        st.button(
            wording.RETRY,
            key=f"retry_{image.id}",
            icon=":material/replay:",
            on_click=_retry,
            args=(image.id,),
            disabled=hindrance is not None or not reader.may(Action.RETRY),
            help=hindrance,
        )
        with st.popover(wording.DISCARD, disabled=not reader.may(Action.DISCARD)):
            st.html(element("p", text(wording.DISCARD_SURE)))
            st.button(wording.DISCARD_YES, key=f"discard_{image.id}", on_click=_discard, args=(image.id,))

    if st.session_state.get(_PREVIEW) == image.id and reader.may_see(image.id):
        url = preview_url(image)
        note = element("p", text(wording.PREVIEW_NOTE), class_="hint small")
        st.html(element("div", element("img", "", src=url or "", alt=wording.PREVIEW_NOTE) + note, class_="preview"))


def _preview(image_id: int) -> None:
    """Open the preview of an image, or close it."""
    st.session_state[_PREVIEW] = None if st.session_state.get(_PREVIEW) == image_id else image_id


def _cannot_be_retried(image: Image) -> str | None:
    return wording.CANNOT_BE_RETRIED.get(hindrance(image) or "")


def _retry(image_id: int) -> None:
    """Send a quarantined file to the worker again."""
    with connections.answering():
        queued, sent = retry(
            sessions(connections.engine()),
            connections.publisher().publish,
            [image_id],
            actor=reader.actor(),
            clock=utc_now,
        )
    said = wording.RETRIED if sent else wording.RETRIED_UNSENT
    if not queued:
        said = wording.GONE_MEANWHILE
    st.toast(said.format(id=image_id))


def _discard(image_id: int) -> None:
    with connections.writing() as session:
        image = queries.image_with_all(session, image_id)
        found = image is not None and image.status == QUARANTINED
        if image is not None and found:
            queries.discard(session, image, actor=reader.actor(), at=utc_now())
    said = wording.DISCARDED_DONE if found else wording.GONE_MEANWHILE
    st.toast(said.format(id=image_id))


def _show_paging(page: queries.Page) -> None:
    if page.previous is None and page.next is None:
        return
    start = Place(sort=SORTS[0])
    page_buttons.show(
        None if page.previous is None else partial(_go, replace(start, before=page.previous)),
        None if page.next is None else partial(_go, replace(start, after=page.next)),
    )
