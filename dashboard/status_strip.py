"""The strip on top of every page: how much there is, and what is wrong if something is."""

from __future__ import annotations

import streamlit as st

from dashboard import connections, markup, wording
from triage import NOTICE, queries, worklist
from triage.intake import utc_now
from triage.records import DONE, NEEDS_REVIEW, PROCESSING, QUARANTINED, QUEUED

REFRESH_SECONDS = 2.0


@st.fragment(run_every=REFRESH_SECONDS)
def show_strip() -> None:
    """Counts, the oldest wait, and whether queue and workers are there; keeps itself up to date."""
    with connections.reading("strip") as session:
        counts = queries.capped_counts(session)
        needing_review = worklist.count_in_lane(session, NEEDS_REVIEW)
        oldest = queries.oldest_waiting(session)
    if connections.is_back():
        st.rerun()  # the whole page: it ended where the database did not answer
    wait = "–" if oldest is None else wording.duration(utc_now() - oldest)
    figures: list[tuple[int | str, str]] = [
        (counts[QUEUED], wording.COUNTS[QUEUED]),
        (counts[PROCESSING], wording.COUNTS[PROCESSING]),
        (wait, wording.OLDEST_WAIT),
        (counts[DONE], wording.COUNTS[DONE]),
        (needing_review, wording.COUNTS["needs_review"]),
        (counts[QUARANTINED], wording.COUNTS[QUARANTINED]),
    ]
    shown = "".join(
        markup.element("li", markup.element("b", markup.text(_grouped(value))) + " " + markup.text(name))
        for value, name in figures
    )
    state = connections.queue_state()
    problem = trouble(state.reachable, state.children)
    said = markup.element(
        "p",
        markup.text(problem or wording.workers(state.children)),
        class_="trouble" if problem else "well",
        role="status",
    )
    st.html(markup.element("div", markup.element("ul", shown) + said, class_="strip"))


def show_notice() -> None:
    """What this program is, and what it is not; on every page."""
    st.html(markup.element("p", markup.text(NOTICE), class_="notice"))


def trouble(reachable: bool, children: int) -> str | None:
    """What keeps images from being classified, if anything does."""
    if not reachable:
        return wording.BROKER_AWAY
    return None if children else wording.NO_WORKER


def _grouped(value: int | str) -> str:
    if not isinstance(value, int):
        return value
    return wording.more_than(queries.COUNT_LIMIT) if value > queries.COUNT_LIMIT else f"{value:,}"
