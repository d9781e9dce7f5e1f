"""A study on one sheet of paper: what came in, what the model says of it, and what a clinician said."""

from __future__ import annotations

from collections.abc import Collection

import streamlit as st

from dashboard import connections, detail, markup, reader, wording_summary
from dashboard.browser import HERE, part
from dashboard.markup import element, text
from dashboard.summary_sheet import FIT_ON_A_PAGE, sheet
from triage import queries
from triage.records import Study

MOST_IMAGES = 20
POLL_SECONDS = 2.0


def show() -> None:
    """The sheet of the study that the address names; its style sheet makes it fit for paper."""
    st.html(HERE / "summary.css")
    named = st.query_params.get("study", "")
    if not (named.isascii() and named.isdigit() and len(named) < 19):
        st.html(markup.alert(wording_summary.NO_STUDY_NAMED.format(link=wording_summary.LINK)))
        return
    with connections.reading() as session:
        study = session.get(Study, int(named))
        images = [] if study is None else queries.images_of_study(session, study.id, MOST_IMAGES + 1, with_all=True)
    if study is None:
        st.html(markup.alert(wording_summary.NO_SUCH_STUDY.format(id=named)))
    elif not images:
        st.html(markup.element("p", text(wording_summary.ALL_DISCARDED), class_="empty"))
    elif reader.may_see_all([image.id for image in images[:MOST_IMAGES]]):
        _show_bar(len(images))
        waiting = {image.id for image in images if image.status in detail.WAITING}
        if waiting:
            st.fragment(_look_again, run_every=POLL_SECONDS)(waiting)
        st.html(sheet(study, images[:MOST_IMAGES]))


def _show_bar(count: int) -> None:
    said = wording_summary.HOW
    if count > FIT_ON_A_PAGE:
        said += " " + wording_summary.MANY.format(fit=FIT_ON_A_PAGE)
    if count > MOST_IMAGES:
        said += " " + wording_summary.CUT.format(most=MOST_IMAGES)
    with st.container(horizontal=True, vertical_alignment="center", key="print"):
        button = part("print", "print_button.js", html='<button type="button"></button>', style="summary_print.css")
        button(data={"says": wording_summary.PRINT}, key="print_button", width="content")
        st.html(element("span", text(said), class_="hint"))


def _look_again(waiting: Collection[int]) -> None:
    """Draw the sheet anew once an image that waited has its result."""
    with connections.reading() as session:
        if queries.still_waiting(session, waiting) != set(waiting):
            st.rerun()
