"""Whether the images that come in still look like those that the active model was tested on, week by week."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import pairwise

import streamlit as st

from dashboard import by_week, chart, markup, reader, wording_drift, wording_model
from dashboard.chart import Point
from dashboard.markup import element, text
from triage.agreement import interval
from triage.bundle import Bundle
from triage.drift import LEAST_IMAGES, Judged, Reference, body_parts, judged, reference
from triage.intake import utc_now

_DEEPEST = 0.5

Weeks = Sequence[tuple[date, Judged]]


def show(bundle: Bundle) -> None:
    """What a version said of the images of the last weeks, and which body parts they show."""
    weeks = by_week.last_weeks(utc_now(), reader.time_zone())
    asked = f"drift {bundle.version} {bundle.thresholds.get('unlike_training_data')}"
    found: list[Judged] = by_week.read(
        weeks, asked, lambda session, moments: [judged(session, bundle, *span) for span in pairwise(moments)]
    )
    parts: list[dict[str | None, int]] = by_week.read(
        weeks, "body_parts", lambda session, moments: [body_parts(session, *span) for span in pairwise(moments)]
    )
    days = [week.monday for week in weeks]
    title = element("h3", text(wording_drift.DRIFT))
    if not any(week.images for week in found):
        nothing = element("b", text(wording_drift.NONE_TITLE)) + element("p", text(wording_drift.NONE))
        st.html(element("div", title + element("div", nothing, class_="empty") + _parts(days, parts), class_="panel"))
        return
    known = _reference(bundle)
    said = list(zip(days, found, strict=True))
    shown = title + element("p", text(wording_drift.help_text()), class_="hint small")
    shown += "".join(_notes(said, known)) + _charts(said, known) + _numbers(said, known) + _parts(days, parts)
    st.html(element("div", shown, class_="panel"))


def _reference(bundle: Bundle) -> Reference:
    return _read_reference(str(bundle.path), bundle.digests.get("images.csv", ""), bundle)


@st.cache_resource(show_spinner=False, max_entries=4)
def _read_reference(path: str, digest: str, _bundle: Bundle) -> Reference:
    return reference(_bundle)


def _notes(weeks: Weeks, known: Reference) -> list[str]:
    """What stands out in the newest week of which something can be said; or why nothing can."""
    enough = [(day, found) for day, found in weeks if found.images >= LEAST_IMAGES]
    if not enough:
        return [element("p", text(wording_drift.TOO_FEW.format(least=LEAST_IMAGES)), class_="done")]
    if known == Reference():
        return [element("p", text(wording_drift.NO_REFERENCE), class_="done")]
    day, found = enough[-1]
    said = []
    for words, count, total, expected in (
        (wording_drift.MORE_UNLIKE, found.unlike, found.measured, known.unlike),
        (wording_drift.MORE_REVIEW, found.review, found.images, known.review),
    ):
        if expected is not None and total and interval(count, total)[0] > expected:
            shares = {"share": wording_drift.share(count, total), "reference": wording_model.share(expected)}
            said.append(markup.alert(words.format(week=wording_model.week(day), count=count, total=total, **shares)))
    if not said:
        nothing = wording_drift.NOTHING_STANDS_OUT.format(week=wording_model.week(day), total=found.images)
        said.append(element("p", text(nothing), class_="done"))
    return said


def _charts(weeks: Weeks, known: Reference) -> str:
    names = [wording_model.week(day) for day, _ in weeks]
    bars = chart.bars_by_week(
        names, [found.images for _, found in weeks], wording_model.count, wording_drift.images_alt(weeks)
    )
    confidence = chart.dots_by_week(
        names,
        [wording_model.count(found.images) for _, found in weeks],
        [_middle(found) for _, found in weeks],
        top=1.0,
        written=wording_model.whole_percent,
        reference=known.quartiles[1] if known.quartiles else None,
        said=wording_drift.confidence_alt(weeks),
    )
    unlike = _shares([(day, found.unlike, found.measured) for day, found in weeks], known.unlike)
    review = _shares([(day, found.review, found.images) for day, found in weeks], known.review)
    pairs = (
        (wording_drift.IMAGES, bars),
        (wording_drift.CONFIDENCE, confidence),
        (wording_drift.UNLIKE, unlike),
        (wording_drift.REVIEW, review),
    )
    figures = (element("figure", element("figcaption", text(name)) + drawn) for name, drawn in pairs if drawn)
    return element("div", "".join(figures), class_="charts")


def _middle(found: Judged) -> Point | None:
    if found.quartiles is None:
        return None
    low, median, high = found.quartiles
    return Point(median, low, high, found.images < LEAST_IMAGES)


def _shares(weeks: Sequence[tuple[date, int, int]], expected: float | None) -> str:
    """Shares by week; nothing if of no week something is known. Small ones are drawn large."""
    points = [
        Point(count / total, *interval(count, total), total < LEAST_IMAGES) if total else None
        for _, count, total in weeks
    ]
    highest = max((point.value for point in points if point is not None), default=None)
    if highest is None:
        return ""
    top = next(top for top in (0.1, 0.2, 0.4, 1.0) if top >= max(highest, expected or 0.0))
    return chart.dots_by_week(
        [wording_model.week(day) for day, _, _ in weeks],
        [wording_model.count(total) for _, _, total in weeks],
        points,
        top=top,
        written=lambda value: f"{value * 100:.3g}%",
        reference=expected,
        said=wording_drift.shares_alt(weeks),
    )


def _numbers(weeks: Weeks, known: Reference) -> str:
    rows = [wording_drift.numbers(day, found) for day, found in reversed(weeks) if found.images]
    if known != Reference():
        rows.append(wording_drift.tested_on(known))
    table = markup.table(wording_drift.COLUMNS, rows)
    return element("details", element("summary", text(wording_drift.NUMBERS)) + table)


def _parts(days: Sequence[date], parts: Sequence[dict[str | None, int]]) -> str:
    """Shares of the body parts, a column for each week in which there were images."""
    columns = [(day, counts) for day, counts in zip(days, parts, strict=True) if counts]
    if not columns:
        return ""
    totals: dict[str | None, int] = {}
    for _, counts in columns:
        for part, count in counts.items():
            totals[part] = totals.get(part, 0) + count
    named = sorted((part for part in totals if part is not None), key=lambda part: (-totals[part], part))
    kept, rest = named[: wording_drift.PARTS_SHOWN], named[wording_drift.PARTS_SHOWN :]
    rows = [(part, [counts.get(part, 0) for _, counts in columns]) for part in kept]
    if rest:
        rows.append((wording_drift.OTHER_PARTS, [sum(counts.get(part, 0) for part in rest) for _, counts in columns]))
    if None in totals:
        rows.append((wording_drift.NOT_TOLD, [counts.get(None, 0) for _, counts in columns]))
    heads = [wording_model.week(day) for day, _ in columns]
    whole = [sum(counts.values()) for _, counts in columns]
    body = "".join(
        element(
            "tr",
            element("th", text(part), scope="row")
            + "".join(_cell(part, head, count, total) for head, count, total in zip(heads, row, whole, strict=True)),
        )
        for part, row in rows
    )
    sums = element("th", text(wording_drift.ALL_IMAGES), scope="row")
    sums += "".join(element("td", text(f"{total:,}")) for total in whole)
    head = "".join(element("th", text(name), scope="col") for name in (wording_drift.PART, *heads))
    table = element("thead", element("tr", head)) + element("tbody", body + element("tr", sums))
    said = element("p", text(wording_drift.PARTS_HELP), class_="hint small")
    return element("h3", text(wording_drift.PARTS)) + said + element("table", table, class_="confusion parts")


def _cell(part: str, week: str, count: int, total: int) -> str:
    share = count / total
    return element(
        "td",
        text(f"{share:.0%}" if count else ""),
        title=wording_drift.CELL.format(part=part, week=week, count=count, total=total),
        style=f"background-color:rgba(134,163,187,{share * _DEEPEST:.3f})",
    )
