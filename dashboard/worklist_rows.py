"""The rows of the worklist as a small browser component: compact, drawn as text, and stable while it refreshes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Literal, TypedDict

import streamlit as st

from dashboard import markup, wording, wording_worklist
from dashboard.browser import part
from triage.records import DONE, OVERDUE, REVIEWED, WorklistEntry

_KEY = "worklist_rows"
_CHOSEN = "worklist_chosen"

Turn = Literal["next", "previous"]


class Row(TypedDict):
    """What one row shows; all texts are ready to be read."""

    id: int
    study: int
    number: str
    label: str
    badge: str | None
    seen: bool
    why: str
    confidence: float | None
    percent: str
    urgency: str
    name: str
    more: str
    when: str


def row_of(entry: WorklistEntry, number: int | None, now: datetime, zone: tzinfo) -> Row:
    """The row of a study, by its worst image.

    Args:
        entry: with image and predictions loaded.
        number: its place in the whole list, from 1; None: too far down to be counted.
        now: the time now.
        zone: of the reader.
    """
    image = entry.image
    done = entry.status == DONE
    reasons = image.predictions[-1].reasons if done and image.predictions else []
    said = ", ".join(wording.reason(code, short=True) for code in reasons)
    more = [markup.legible(entry.body_part)] if entry.body_part else []
    if entry.images > 1:
        more.append(wording_worklist.IMAGES.format(count=entry.images))
    return Row(
        id=image.id,
        study=entry.study_id,
        number="" if number is None else f"{number:,}",
        label=markup.legible(entry.label or "") if done else wording_worklist.STATUS_ROW[entry.status],
        badge=_badge(entry) if done else None,
        seen=entry.lane == REVIEWED,
        why=said if image.needs_review else "",
        confidence=entry.confidence if done else None,
        percent=wording.percent(entry.confidence) if done else "",
        urgency=wording_worklist.URGENCY.format(percent=wording.percent(entry.urgency)) if done else "",
        name=markup.legible(image.source_name),
        more=" · ".join(more),
        when=wording.moment(entry.received_at, now, zone),
    )


def _badge(entry: WorklistEntry) -> str | None:
    if entry.lane == OVERDUE:
        return wording_worklist.OVERDUE_BADGE
    if entry.lane == REVIEWED:
        return wording_worklist.REVIEWED_BADGE
    return wording.NEEDS_REVIEW if entry.image.needs_review else None


def show_rows(rows: Sequence[Row], opened: int | None, page: str) -> Turn | None:
    """Draw the rows.

    Args:
        rows: top to bottom.
        opened: the study that is marked as open.
        page: anything that changes when the reader turns the page; the list then starts at its top.

    Returns:
        Whether a key went on beyond the end of the page; only in the one run that follows.
    """
    data = {"rows": list(rows), "opened": opened, "page": page, "title": wording.WORKLIST}
    rows_part = part("worklist_rows", "piece.js", "worklist_rows.js", html="<ol></ol>", style="worklist_rows.css")
    turned = rows_part(data=data, key=_KEY, on_opened_change=_choose, on_turned_change=lambda: None).turned
    return "next" if turned == "next" else "previous" if turned == "previous" else None


def take_chosen() -> int | None:
    """The image that was just chosen from the rows; only in the one run that follows."""
    chosen = st.session_state.pop(_CHOSEN, None)
    return chosen if isinstance(chosen, int) else None


def _choose() -> None:
    st.session_state[_CHOSEN] = st.session_state[_KEY].get("opened")
