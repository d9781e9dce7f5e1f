"""Whom sorting by the active model helps, and whom it makes wait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import streamlit as st

from dashboard import connections, markup, simulation_chart, wording_simulation
from dashboard.markup import element, text
from triage.bundle import Bundle, BundleError
from triage.settings import get_settings
from triage.simulation import ALL, BOUNDED, FIRST_COME, URGENCY, WORKLIST, Wait, held_out_images, simulate
from triage.urgency import UNKNOWN
from triage.urgency_weights import current_weights

LOADS: Final = (0.5, 0.8, 0.95)
ORDERS: Final = (FIRST_COME, WORKLIST, URGENCY, BOUNDED)
IMAGES: Final = 50_000
LONGEST_MINUTES: Final = 60.0
LEAST_HELD_OUT: Final = 50
# A wait is called longer from here on; less is chance, for a rare type at least.
_LONGER: Final = 1.1

Waits = Mapping[str, Mapping[str, Wait]]


@dataclass(frozen=True)
class Simulated:
    """Waits by load, order and type, drawn from so many images that were held out."""

    held_out: int
    waits: Mapping[float, Waits]


def show(bundle: Bundle) -> None:
    """The chart, and where sorting does not help."""
    title = element("h3", text(wording_simulation.SIMULATION))
    with connections.reading() as session:
        weights = dict(current_weights(session).weights)
    with st.spinner(wording_simulation.COMPUTING):
        found = _simulated(str(bundle.path), bundle.digests.get("images.csv", ""), sorted(weights.items()), bundle)
    if found is None:
        st.html(element("div", title + element("p", text(wording_simulation.UNKNOWN), class_="empty"), class_="panel"))
        return
    labels = sorted(bundle.labels, key=lambda label: (-weights.get(label, UNKNOWN), label))
    labels = [label for label in labels if label in found.waits[LOADS[0]][FIRST_COME]]
    names = {label: wording_simulation.TYPE.format(label=label, weight=weights.get(label, UNKNOWN)) for label in labels}
    shown = title + element("p", text(wording_simulation.help_text(IMAGES, found.held_out)), class_="hint small")
    shown += simulation_chart.draw(found.waits, names, LONGEST_MINUTES)
    shown += _where_not(found.waits, labels) + _numbers(found.waits, names)
    st.html(element("div", shown, class_="panel"))


# Two seconds of work: once for each version, set of weights, and longest wait of the worklist.
@st.cache_resource(show_spinner=False, max_entries=4)
def _simulated(path: str, digest: str, weights: list[tuple[str, float]], _bundle: Bundle) -> Simulated | None:
    try:
        images = held_out_images(_bundle, dict(weights))
    except BundleError:
        return None
    if len(images.labels) < LEAST_HELD_OUT:
        return None
    usual = get_settings().max_wait_minutes
    return Simulated(
        len(images.labels),
        {
            load: simulate(images, load, count=IMAGES, longest=LONGEST_MINUTES, usual=usual, orders=ORDERS)
            for load in LOADS
        },
    )


def _where_not(waits: Mapping[float, Waits], labels: list[str]) -> str:
    first_load, usual, last = LOADS
    minutes = wording_simulation.minutes
    middle, busiest = waits[usual], waits[last]
    most = max(abs(middle[WORKLIST][label].mean / middle[FIRST_COME][label].mean - 1) for label in labels)
    best = min(labels, key=lambda label: busiest[URGENCY][label].mean)
    points = [
        wording_simulation.NOT_ALL.format(
            first=minutes(middle[FIRST_COME][ALL].mean), urgent=minutes(middle[URGENCY][ALL].mean), load=usual
        ),
        wording_simulation.NOT_LITTLE.format(load=first_load, first=minutes(waits[first_load][FIRST_COME][ALL].mean)),
        wording_simulation.NOT_WORKLIST.format(load=usual, most=most),
        wording_simulation.NOT_BOUNDED.format(
            longest=LONGEST_MINUTES,
            load=last,
            best=minutes(busiest[BOUNDED][best].mean),
            first=minutes(busiest[FIRST_COME][best].mean),
            urgent=minutes(busiest[URGENCY][best].mean),
        ),
        wording_simulation.LONGEST.format(hours=busiest[URGENCY][ALL].longest / 60, load=last),
    ]
    rows = [
        (label, *(_longer(waits[load], label) for load in LOADS))
        for label in labels
        if any(_longer(waits[load], label) for load in LOADS)
    ]
    said = element("h3", text(wording_simulation.NOT_TITLE))
    said += element("ul", "".join(element("li", text(point)) for point in points), class_="points")
    if rows:
        columns = ("", *(wording_simulation.PANEL.format(load=load) for load in LOADS))
        said += element("p", text(wording_simulation.NOT_LONGER), class_="hint small") + markup.table(columns, rows)
    return said


def _longer(waits: Waits, label: str) -> str:
    before, after = waits[FIRST_COME][label], waits[URGENCY][label]
    return wording_simulation.longer(before, after) if after.mean > _LONGER * before.mean else ""


def _numbers(waits: Mapping[float, Waits], names: Mapping[str, str]) -> str:
    columns = [
        wording_simulation.LOADED.format(order=wording_simulation.order(order, LONGEST_MINUTES), load=load)
        for load in LOADS
        for order in ORDERS
    ]
    rows = [
        (name, *(wording_simulation.wait(waits[load][order][label]) for load in LOADS for order in ORDERS))
        for label, name in [(ALL, wording_simulation.ALL), *names.items()]
    ]
    table = element("div", markup.table(("", *columns), rows), class_="wide")
    return element("details", element("summary", text(wording_simulation.NUMBERS)) + table)
