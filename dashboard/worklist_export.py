"""The list as it is filtered and sorted, to take away as CSV or JSON."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Literal

import streamlit as st
from sqlalchemy import Engine

from dashboard import connections, reader, wording_worklist
from dashboard.paging import Place
from dashboard.permission import Action
from triage import queries, worklist
from triage.database import reading_sessions, sessions
from triage.export import write_csv, write_json
from triage.intake import utc_now
from triage.trail import note_export
from triage.worklist import Filters, Sort

Kind = Literal["csv", "json"]

MOST_STUDIES = 20_000
"""More than anybody reads; the whole database is exported by ``triage export``."""

_KINDS: dict[Kind, str] = {"csv": "text/csv", "json": "application/json"}


def show(place: Place) -> None:
    """A menu of the two formats."""
    with st.popover(wording_worklist.EXPORT, icon=":material/download:", disabled=not reader.may(Action.EXPORT)):
        st.caption(wording_worklist.EXPORT_HELP.format(most=MOST_STUDIES))
        for kind, media_type in _KINDS.items():
            st.download_button(
                wording_worklist.EXPORT_AS[kind],
                _writer(place, kind),
                file_name=f"worklist-{utc_now():%Y%m%d-%H%M}.{kind}",
                mime=media_type,
                key=f"export_{kind}",
                on_click="ignore",
            )


def _writer(place: Place, kind: Kind) -> Callable[[], bytes]:
    """Makes the file when it is asked for, outside the page's run: what that knows is taken along."""
    filters, actor, engine = place.choice.filters(reader.time_zone()), reader.actor(), connections.engine()
    return lambda: listed(engine, filters, place.sort, kind, actor)


def listed(engine: Engine, filters: Filters, sort: Sort, kind: Kind, actor: str) -> bytes:
    """All images of the studies that fit, study by study in order; the audit trail says who took them away."""
    target = io.StringIO(newline="")
    with reading_sessions(engine)() as session:
        studies = worklist.read_ids(session, filters, sort, MOST_STUDIES)
        images = queries.images_of_studies(session, studies)
        (write_csv if kind == "csv" else write_json)(images, target)
    with sessions(engine).begin() as session:
        note_export(session, len(studies), kind, actor=actor, at=utc_now())
    # A byte order mark tells a spreadsheet that it is UTF-8.
    return target.getvalue().encode("utf-8-sig" if kind == "csv" else "utf-8")
