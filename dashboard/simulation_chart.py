"""The mean wait of each type, by order, a panel for each load."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from dashboard import chart, wording_simulation
from dashboard.chart import label, line
from dashboard.markup import element
from triage.simulation import BOUNDED, FIRST_COME, URGENCY, WORKLIST, Wait

_PANEL, _GAP, _NAMES, _ROW, _TOP, _BELOW = 330, 26, 190, 24, 34, 76
_STEPS: Final = (1, 2, 5)

Waits = Mapping[str, Mapping[str, Wait]]


def draw(waits: Mapping[float, Waits], names: Mapping[str, str], longest: float) -> str:
    """The chart.

    Args:
        waits: by load, order and type.
        names: of the types, from the top down.
        longest: minutes that an image waits at most in the bounded order.
    """
    bottom = _TOP + _ROW * len(names)
    width = _NAMES + len(waits) * (_PANEL + _GAP)
    drawn = "".join(
        label(_NAMES - 12, _TOP + _ROW * (row + 0.5) + 4, name, "end", "strong")
        for row, name in enumerate(names.values())
    )
    for number, (load, found) in enumerate(waits.items()):
        left = _NAMES + number * (_PANEL + _GAP)
        drawn += label(left, 16, wording_simulation.PANEL.format(load=load), kind="strong")
        drawn += _panel(left, bottom, found, list(names))
    drawn += _legend(bottom + 60, longest)
    return chart.picture(drawn, width, bottom + _BELOW, _said(waits, names), class_="diagram simulation")


def _panel(left: float, bottom: float, waits: Waits, labels: Sequence[str]) -> str:
    most = max(waits[order][each].mean for order in waits for each in labels)
    step = next(step for step in _steps() if most / step <= 6)
    top = step * -(-most // step)

    def across(minutes: float) -> float:
        return left + _PANEL * minutes / top

    drawn = ""
    mark = 0.0
    while mark <= top:
        drawn += line(across(mark), _TOP, across(mark), bottom, "grid" if mark else "axis")
        drawn += label(across(mark), bottom + 16, f"{mark:g}", "middle")
        mark += step
    drawn += label(left + _PANEL, bottom + 34, wording_simulation.MINUTES, "end")
    for row, each in enumerate(labels):
        drawn += _row(across, _TOP + _ROW * (row + 0.5), {order: waits[order][each].mean for order in waits})
    return drawn


def _row(across: Callable[[float], float], y: float, means: Mapping[str, float]) -> str:
    """Drawn one over the other: what matters most comes last."""
    first, urgent = across(means[FIRST_COME]), across(means[URGENCY])
    return (
        line(first, y, urgent, y, "shift")
        + _mark(WORKLIST, across(means[WORKLIST]), y)
        + _mark(BOUNDED, across(means[BOUNDED]), y)
        + _mark(FIRST_COME, first, y)
        + _mark(URGENCY, urgent, y)
    )


def _mark(order: str, x: float, y: float) -> str:
    """Orders differ by shape as well as by colour."""
    if order == FIRST_COME:
        return line(x, y - 8, x, y + 8, "before")
    if order == BOUNDED:
        corner = {"x": x - 3.5, "y": y - 3.5, "width": 7, "height": 7}
        turned = {"transform": f"rotate(45 {x:.1f} {y:.1f})"}
        return element(
            "rect", "", class_="bounded", **{name: f"{value:.1f}" for name, value in corner.items()}, **turned
        )
    return chart.dot(x, y, "opens" if order == WORKLIST else "")


def _legend(y: float, longest: float) -> str:
    drawn, x = "", _NAMES + 6.0
    for order in (FIRST_COME, URGENCY, BOUNDED, WORKLIST):
        said = wording_simulation.order(order, longest)
        drawn += _mark(order, x, y) + label(x + 12, y + 4, said)
        x += 50 + 6.6 * len(said)
    return drawn


def _steps() -> Sequence[float]:
    return [base * 10.0**power for power in range(-1, 7) for base in _STEPS]


def _said(waits: Mapping[float, Waits], names: Mapping[str, str]) -> str:
    panels = []
    for load, found in waits.items():
        said = "; ".join(
            wording_simulation.ALT_TYPE.format(
                label=each,
                before=wording_simulation.minutes(found[FIRST_COME][each].mean),
                after=wording_simulation.minutes(found[URGENCY][each].mean),
            )
            for each in names
        )
        panels.append(wording_simulation.ALT.format(panel=wording_simulation.PANEL.format(load=load), waits=said))
    return ". ".join(panels)
