"""What a bundle says of how good its model is, drawn. Whatever an older or imported bundle lacks is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from dashboard import chart, wording_model
from dashboard.markup import element, text
from triage.bundle import Bundle

# Where a figure stands in the metrics of a bundle.
_PLACES: Final = {"coverage": ("cross_fit", "coverage"), "set_size": ("cross_fit", "set_size")}
# The shade of a whole row: light text on it has a contrast of more than 5 to 1.
_DEEPEST: Final = 0.5
# The diagram: side of its square, and room for what stands around it.
_SIDE, _LEFT, _RIGHT, _BELOW = 260, 46, 16, 40


@dataclass(frozen=True)
class Figure:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


def figure(metrics: Mapping[str, Any], *path: str) -> Figure | None:
    """A figure of a bundle, if it has that."""
    found: Any = metrics
    try:
        for name in path:
            found = found[name]
        return Figure(float(found["value"]), float(found["low"]), float(found["high"]))
    except (KeyError, TypeError, ValueError):
        return None


def cards(bundle: Bundle) -> list[tuple[str, str, str]]:
    """Every figure that the bundle has: value, name, interval."""
    found = []
    for name, said in wording_model.FIGURES.items():
        known = figure(bundle.metrics, *_PLACES.get(name, ("figures", name)))
        if known is not None:
            value, interval = wording_model.figure(name, known.value, known.low, known.high)
            found.append((value, said, interval))
    return found


def confusion(bundle: Bundle) -> str | None:
    """What is taken for what as a table, with the recall of each type; None if the bundle does not say."""
    try:
        rows = [[float(count) for count in row] for row in bundle.metrics["confusion"]]
    except (KeyError, TypeError, ValueError):
        return None
    if {len(rows), *map(len, rows)} != {len(bundle.labels)}:
        return None
    head = "".join(element("th", text(label), scope="col") for label in bundle.labels)
    head = (
        element("th", text(wording_model.TYPE), scope="col")
        + element("th", text(wording_model.RECALL), scope="col", class_="number")
        + head
    )
    body = "".join(
        element(
            "tr",
            element("th", text(label), scope="row")
            + element("td", _recall(bundle.metrics, label), class_="number")
            + "".join(_cell(bundle.labels, row, true, named) for named in range(len(row))),
        )
        for true, (label, row) in enumerate(zip(bundle.labels, rows, strict=True))
    )
    return element("table", element("thead", element("tr", head)) + element("tbody", body), class_="confusion")


def _recall(metrics: Mapping[str, Any], label: str) -> str:
    known = figure(metrics, "per_label", label, "recall")
    if known is None:
        return ""
    value, interval = wording_model.figure("top_1", known.value, known.low, known.high)
    return text(value) + element("small", text(interval))


def _cell(labels: tuple[str, ...], row: list[float], true: int, named: int) -> str:
    share = row[named] / sum(row) if sum(row) else 0.0
    return element(
        "td",
        text(f"{row[named]:.0f}"),
        title=wording_model.CELL.format(true=labels[true], named=labels[named], share=share),
        style=f"background-color:rgba(134,163,187,{share * _DEEPEST:.3f})",
        class_="right" if true == named else "",
    )


def reliability(bundle: Bundle) -> str | None:
    """How often the model is right by how sure it is, as a picture; None if the bundle does not say."""
    try:
        bins = [
            {name: float(found[name]) for name in ("confidence", "right", "low", "high", "images")}
            for found in bundle.metrics["reliability"]["after"]
        ]
    except (KeyError, TypeError, ValueError):
        return None
    if not bins:
        return None
    drawn = "".join(
        _line(found["confidence"], found["low"], found["confidence"], found["high"], "span")
        + chart.dot(_across(found["confidence"]), _up(found["right"]))
        for found in bins
    )
    said = wording_model.reliability([(found["confidence"], found["right"], found["images"]) for found in bins])
    return chart.picture(_axes() + drawn, _LEFT + _SIDE + _RIGHT, 10 + _SIDE + _BELOW, said)


def _axes() -> str:
    drawn = _line(0, 0, 1, 0, "axis") + _line(0, 0, 0, 1, "axis") + _line(0, 0, 1, 1, "even")
    for mark in (0, 0.2, 0.4, 0.6, 0.8, 1):
        drawn += chart.label(_across(mark), _up(0) + 17, f"{mark:.0%}", "middle")
        drawn += chart.label(_LEFT - 6, _up(mark) + 4, f"{mark:.0%}", "end")
    drawn += chart.label(_across(1), _up(0) + 34, wording_model.SURE, "end")
    return drawn + chart.label(_across(0) + 8, 20, wording_model.RIGHT)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return chart.line(_across(x1), _up(y1), _across(x2), _up(y2), kind)


def _across(share: float) -> float:
    return _LEFT + _SIDE * share


def _up(share: float) -> float:
    return 10 + _SIDE * (1 - share)
