"""What clinicians say of a version: by the type that it named, and week by week."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from dashboard import by_week, chart, connections, markup, reader, wording_model
from dashboard.by_week import Week
from dashboard.chart import Point
from dashboard.markup import element, text
from triage.agreement import Agreement, agreement, agreement_by_span, interval
from triage.intake import utc_now
from triage.records import VERDICTS


def show(version: str) -> None:
    """The verdicts that stand on what a version said."""
    weeks = by_week.last_weeks(utc_now(), reader.time_zone())
    recent: list[list[Agreement]] = by_week.read(
        weeks, f"agreement {version}", lambda session, moments: agreement_by_span(session, version, moments)
    )
    found = _add_up([_before(version, weeks[0].begin), *recent])
    title = element("h3", text(wording_model.AGREEMENT))
    if not found:
        nothing = element("b", text(wording_model.NO_VERDICTS_TITLE)) + element("p", text(wording_model.NO_VERDICTS))
        st.html(element("div", title + element("div", nothing, class_="empty"), class_="panel"))
        return
    title += element("p", text(wording_model.AGREEMENT_HELP), class_="hint small") + _verdicts(found)
    st.html(element("div", title + _by_week(weeks, recent), class_="panel"))


# All verdicts but the last: where there are very many that takes seconds, and hardly one of them changes any more.
@st.cache_resource(ttl=86_400, show_spinner=False, max_entries=4)
def _before(version: str, end: datetime) -> list[Agreement]:
    with connections.reading() as session:
        return agreement(session, version, end=end)


def _add_up(parts: Sequence[Sequence[Agreement]]) -> list[Agreement]:
    """Several spans of time as one, by type."""
    labels = sorted({row.label for rows in parts for row in rows})
    return [_together([row for rows in parts for row in rows if row.label == label], label) for label in labels]


def _verdicts(found: Sequence[Agreement]) -> str:
    rows = [*found, _together(found)]
    columns = (
        wording_model.NAMED,
        *(wording_model.VERDICTS[verdict] for verdict in VERDICTS),
        wording_model.AGREED,
    )
    cells = [
        (row.label, *(f"{row.counts.get(verdict, 0):,}" for verdict in VERDICTS), wording_model.agreed(row))
        for row in rows
    ]
    return markup.table(columns, cells)


def _together(found: Sequence[Agreement], name: str = wording_model.ALL) -> Agreement:
    return Agreement(name, {verdict: sum(row.counts.get(verdict, 0) for row in found) for verdict in VERDICTS})


def _by_week(weeks: Sequence[Week], found: Sequence[Sequence[Agreement]]) -> str:
    title = element("h3", text(wording_model.BY_WEEK))
    if not any(found):
        return title + element("p", text(wording_model.NO_RECENT_VERDICTS), class_="empty")
    totals = [_together(rows) for rows in found]
    drawn = chart.dots_by_week(
        [wording_model.week(week.monday) for week in weeks],
        [wording_model.count(total.total) for total in totals],
        [_point(total) for total in totals],
        top=1.0,
        written=wording_model.whole_percent,
        reference=None,
        said=wording_model.agreed_by_week(
            [(week.monday, t.agreed, t.total) for week, t in zip(weeks, totals, strict=True)]
        ),
    )
    help_ = element("p", text(wording_model.BY_WEEK_HELP), class_="hint small")
    more = element("summary", text(wording_model.BY_TYPE_AND_WEEK)) + _types(weeks, found)
    drawn = element("div", element("figure", drawn), class_="charts")
    return title + help_ + drawn + element("details", more)


def _point(total: Agreement) -> Point | None:
    if not total.total:
        return None
    few = total.total < wording_model.FEW
    return Point(total.agreed / total.total, *interval(total.agreed, total.total), few)


def _types(weeks: Sequence[Week], found: Sequence[Sequence[Agreement]]) -> str:
    labels = sorted({row.label for rows in found for row in rows})
    by_label = [{row.label: row for row in rows} for rows in found]
    cells = [(label, *(wording_model.agreed_of(rows.get(label)) for rows in by_label)) for label in labels]
    return markup.table((wording_model.NAMED, *(wording_model.week(week.monday) for week in weeks)), cells)
