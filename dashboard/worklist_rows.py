"""The rows of the worklist as a small browser component: compact, drawn as text, and stable while it refreshes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from functools import cache
from pathlib import Path
from typing import Any, TypedDict

import streamlit as st

from dashboard import markup, wording
from triage.records import Image


class Row(TypedDict):
    """What one row shows; all texts are ready to be read."""

    id: int
    number: str
    label: str
    badge: str | None
    why: str
    confidence: float
    percent: str
    name: str
    when: str


def row_of(image: Image, number: int, now: datetime, zone: tzinfo) -> Row:
    """The row of a classified image.

    Args:
        image: with its predictions loaded.
        number: its place in the whole list, from 1.
        now: the time now.
        zone: of the reader.
    """
    reasons = image.predictions[-1].reasons if image.predictions else []
    said = ", ".join(wording.reason(code, short=True) for code in reasons)
    confidence = image.confidence or 0.0
    return Row(
        id=image.id,
        number=f"{number:,}",
        label=markup.legible(image.label or ""),
        badge=wording.NEEDS_REVIEW if image.needs_review else None,
        why=said if image.needs_review else "",
        confidence=confidence,
        percent=wording.percent(confidence),
        name=markup.legible(image.source_name),
        when=wording.moment(image.received_at, now, zone) + wording.IN_STUDY.format(id=image.study_id),
    )


@cache
def _component() -> Any:
    here = Path(__file__)
    return st.components.v2.component(
        "triage_worklist_rows",
        html="<ol></ol>",
        css=here.with_suffix(".css").read_text(encoding="utf-8"),
        js=here.with_suffix(".js").read_text(encoding="utf-8"),
    )


def show_rows(rows: Sequence[Row], opened: int | None, page: str) -> int | None:
    """Draw the rows.

    Args:
        rows: top to bottom.
        opened: the image that is marked as open.
        page: anything that changes when the reader turns the page; the list then starts at its top.

    Returns:
        The image that was just chosen, in the one run that follows the click; else None.
    """
    data = {"rows": list(rows), "opened": opened, "page": page, "title": wording.WORKLIST}
    result = _component()(data=data, key="worklist_rows", on_opened_change=lambda: None)
    chosen = result.opened
    return chosen if isinstance(chosen, int) else None
