"""Charts as pictures in the page's colours. Each needs words that tell the same to whoever cannot see it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from dashboard.markup import element, text

# A picture of its own does not know the page's style sheet.
_STYLE: Final = (
    "text{fill:#9fadb9;font:12px/1 system-ui,sans-serif}.small{font-size:10.5px}.strong{fill:#dbe2e8}"
    "line{stroke:#45525d}.grid{stroke:#252d34}.even{stroke:#9fadb9;stroke-dasharray:5}"
    ".span{stroke:#86a3bb;stroke-width:2}circle{fill:#e0a83c}.few{fill:#0e1216;stroke:#e0a83c;stroke-width:1.5}"
    "rect{fill:#86a3bb}.before{stroke:#dbe2e8;stroke-width:2.5}.shift{stroke:#826b3c;stroke-width:2}"
    ".opens{fill:none;stroke:#9fadb9;stroke-width:1.5}.bounded{fill:#86a3bb}"
)
WIDTH, HEIGHT = 420, 200
_LEFT, _RIGHT, _TOP, _BELOW = 44, 6, 12, 46


@dataclass(frozen=True)
class Point:
    """What was found for a week.

    Attributes:
        value: where the dot stands.
        low: where the line through it begins.
        high: where it ends.
        few: it stands for few, so that the dot is hollow.
    """

    value: float
    low: float
    high: float
    few: bool


def picture(drawn: str, width: float, height: float, said: str, class_: str = "diagram") -> str:
    """An SVG as an image. Streamlit removes drawings from HTML, and leaves pictures.

    Args:
        drawn: what stands in the SVG.
        width: in pixels.
        height: in pixels.
        said: the same in words.
        class_: for the style sheet.
    """
    whole = element(
        "svg",
        element("style", _STYLE) + drawn,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:g} {height:g}",
        width=f"{width:g}",
        height=f"{height:g}",
    )
    source = "data:image/svg+xml;base64," + base64.b64encode(whole.encode()).decode()
    size = f'width="{width:g}" height="{height:g}"'  # so that nothing moves when the picture is there
    return f'<img class="{class_}" src="{source}" {size} alt="{text(said)}">'


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A line from one point to another, in pixels."""
    ends = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    return element("line", "", class_=kind, **{name: f"{value:.1f}" for name, value in ends.items()})


def label(x: float, y: float, said: str, anchor: str = "start", kind: str = "") -> str:
    """Words at a point, in pixels."""
    return element("text", text(said), x=f"{x:.1f}", y=f"{y:.1f}", class_=kind, **{"text-anchor": anchor})


def dot(x: float, y: float, kind: str = "") -> str:
    """A dot around a point, in pixels."""
    return element("circle", "", cx=f"{x:.1f}", cy=f"{y:.1f}", r="4", class_=kind)


def dots_by_week(
    weeks: Sequence[str],
    counts: Sequence[str],
    points: Sequence[Point | None],
    *,
    top: float,
    written: Callable[[float], str],
    reference: float | None,
    said: str,
) -> str:
    """A dot for each week with the line of its interval. Nothing joins them: between them nobody looked.

    Args:
        weeks: their names.
        counts: how many each stands for, written below it.
        points: None: there is nothing.
        top: the value at the upper end; the lower one is 0.
        written: a value as it stands beside the axis.
        reference: a dashed line across; None: there is none.
        said: the chart in words.
    """
    drawn = _frame(weeks, counts, top, written)
    if reference is not None:
        drawn += line(_LEFT, _up(reference / top), WIDTH - _RIGHT, _up(reference / top), "even")
    for number, point in enumerate(points):
        if point is not None:
            x = _across(number, len(points))
            drawn += line(x, _up(point.low / top), x, _up(point.high / top), "span")
            drawn += dot(x, _up(point.value / top), "few" if point.few else "")
    return picture(drawn, WIDTH, HEIGHT, said)


def bars_by_week(weeks: Sequence[str], counts: Sequence[int], written: Callable[[int], str], said: str) -> str:
    """A bar for each week."""
    top = max(*counts, 1)
    drawn = _frame(weeks, [written(count) for count in counts], top, None)
    for number, count in enumerate(counts):
        height = (HEIGHT - _TOP - _BELOW) * count / top
        corner = {"x": _across(number, len(counts)) - 9, "y": HEIGHT - _BELOW - height, "width": 18, "height": height}
        drawn += element("rect", "", **{name: f"{value:.1f}" for name, value in corner.items()})
    return picture(drawn, WIDTH, HEIGHT, said)


def _frame(weeks: Sequence[str], counts: Sequence[str], top: float, written: Callable[[float], str] | None) -> str:
    drawn = ""
    for share in (0.25, 0.5, 0.75, 1) if written is not None else ():
        drawn += line(_LEFT, _up(share), WIDTH - _RIGHT, _up(share), "grid")
        drawn += label(_LEFT - 6, _up(share) + 4, written(share * top) if written else "", "end")
    drawn += line(_LEFT, _up(0), WIDTH - _RIGHT, _up(0), "axis")
    for number, (week, count) in enumerate(zip(weeks, counts, strict=True)):
        x = _across(number, len(weeks))
        drawn += label(x, HEIGHT - _BELOW + 14, count, "middle", "small")
        if (len(weeks) - number) % 2:
            drawn += label(x, HEIGHT - _BELOW + 34, week, "middle", "small")
    return drawn


def _across(number: int, count: int) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * (number + 0.5) / count


def _up(share: float) -> float:
    return _TOP + (HEIGHT - _TOP - _BELOW) * (1 - min(max(share, 0.0), 1.0))
