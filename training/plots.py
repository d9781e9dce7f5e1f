"""Plots: those that ship in the bundle are drawn from ``bundle.json`` alone; the one with pictures stays beside it.

`Figure` is used without pyplot: no window system is touched, and nothing is kept alive. The colours are those of
Okabe and Ito, which people with a colour vision deficiency can tell apart.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from training.dataset import Dataset

Details = dict[str, Any]

BLUE: Final = "#0072B2"
ORANGE: Final = "#D55E00"
SKY: Final = "#56B4E9"
GREY: Final = "#767676"
PALE: Final = "#BBBBBB"
WIDTH: Final = 7.6
"""Inches; the report shows a plot about as wide."""


def draw(details: Details) -> dict[str, bytes]:
    """Every plot there are figures for.

    Args:
        details: all of ``bundle.json``.

    Returns:
        file name -> PNG; the same details give the same bytes.
    """
    missing = {"stages.png"} if not details.get("stages") else set()
    return {name: _png(make(details)) for name, make in PLOTS.items() if name not in missing}


def draw_balance(details: Details) -> Figure:
    """Images per label."""
    counts = details["training"]["per_label"]
    figure, axes = _rows(len(counts))
    bars = axes.barh(list(counts), list(counts.values()), color=BLUE, height=0.7)
    axes.bar_label(bars, padding=3)
    axes.invert_yaxis()
    axes.set(xlabel="images")
    axes.margins(x=0.08)
    return figure


def draw_stages(details: Details) -> Figure:
    """Top-1 and top-3 of each stage, with intervals."""
    stages = details["stages"]
    figure = Figure(figsize=(WIDTH, 1.1 + 0.42 * len(stages)), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    names = [stage["stage"] for stage in stages]
    for axes, name, title in zip(panels, ("top_1", "top_3"), ("Top-1", "Top-3"), strict=True):
        entries = [stage["figures"][name] for stage in stages]
        colours = [PALE] * (len(stages) - 1) + [SKY]
        axes.barh(range(len(names)), [100 * entry["value"] for entry in entries], color=colours, height=0.65)
        for row, entry in enumerate(entries):
            axes.plot([100 * entry["low"], 100 * entry["high"]], [row, row], color="black", linewidth=1.4)
            axes.annotate(
                f"{100 * entry['value']:.0f}",
                (100 * entry["high"], row),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            )
        axes.set_yticks(range(len(names)), names)
        axes.set(xlim=(0, 100), xlabel="% of images", title=title)
        _soften(axes)
    panels[0].invert_yaxis()
    return figure


def draw_confusion(details: Details) -> Figure:
    """Images by true label (rows) and by what the model says (columns); shaded by row."""
    labels, table = details["labels"], np.array(details["metrics"]["confusion"], np.float64)
    figure = Figure(figsize=(max(WIDTH, 0.5 * len(labels) + 2.6), 0.44 * len(labels) + 1.9), layout="constrained")
    axes = figure.subplots()
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1e-9)
    most, fractions = max(0.2, float(shares.max())), bool((table % 1).any())
    image = axes.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100 * most)
    axes.set_xticks(range(len(labels)), labels, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(labels)), labels)
    for row, column in np.argwhere(table >= 0.05):
        count = table[row, column]
        axes.text(
            column,
            row,
            f"{count:.1f}" if fractions and count < 9.95 else f"{count:.0f}",
            ha="center",
            va="center",
            color="white" if shares[row, column] > 0.55 * most else "black",
            fontweight="bold" if row == column else "normal",
        )
    axes.set(xlabel="the model says", ylabel="the folder says")
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, shrink=0.8, label="% of the row")
    return figure


def draw_reliability(details: Details) -> Figure:
    """How often the label is right, by confidence, before and after calibration; below, how many images that is."""
    figure = Figure(figsize=(WIDTH, 4.8), layout=ConstrainedLayoutEngine(wspace=0.06))
    grid = figure.subplots(2, 2, sharex=True, sharey="row", height_ratios=(3, 1))
    for column, (when, colour) in enumerate((("before", ORANGE), ("after", BLUE))):
        bins = details["metrics"]["reliability"][when]
        upper, lower = grid[:, column]
        upper.plot([0, 100], [0, 100], color=GREY, linestyle="--", linewidth=1, label="as confident as right")
        centres = [100 * one["confidence"] for one in bins]
        right = [100 * one["right"] for one in bins]
        upper.vlines(
            centres, [100 * one["low"] for one in bins], [100 * one["high"] for one in bins], color=colour, alpha=0.6
        )
        upper.plot(centres, right, "o-", color=colour, markersize=5, label="share that is right, 95 % interval")
        upper.set(xlim=(0, 100), ylim=(0, 102), title=f"{when.capitalize()} calibration")
        upper.legend(loc="upper left", fontsize=8, frameon=False)
        middles = [50 * (one["from"] + one["to"]) for one in bins]
        bars = lower.bar(middles, [one["images"] for one in bins], width=9, color=colour)
        lower.bar_label(bars, fmt="%.0f", padding=1, fontsize=7)
        lower.margins(y=0.25)
        lower.set(xlabel="confidence, %")
        _soften(upper)
        _soften(lower)
    grid[0, 0].set_ylabel("right, %")
    grid[1, 0].set_ylabel("images")
    return figure


def draw_risk_coverage(details: Details) -> Figure:
    """Error among the images that are left when the least confident are put aside."""
    curve = details["metrics"]["risk_coverage"]
    kept = [100 * point["kept"] for point in curve["points"]]
    error = curve["area_random"]
    figure = Figure(figsize=(WIDTH, 3.9), layout="constrained")
    axes = figure.subplots()
    axes.axhline(100 * error, color=GREY, linestyle="--", linewidth=1, label=f"no order (area {error:.3f})")
    axes.plot(
        kept,
        [100 * point["error"] for point in curve["points"]],
        color=BLUE,
        linewidth=2,
        label=f"by confidence (area {curve['area']:.3f})",
    )
    best = np.linspace(0.005, 1, 200)
    axes.plot(
        100 * best,
        100 * np.maximum(0, best - (1 - error)) / best,
        color=GREY,
        linestyle=":",
        linewidth=1.5,
        label=f"all errors last (area {curve['area_oracle']:.3f})",
    )
    axes.set(xlim=(0, 100), ylim=(0, 100), xlabel="images kept, most confident first, %", ylabel="wrong among them, %")
    axes.legend(frameon=False, loc="upper left")
    _soften(axes)
    return figure


def draw_recall(details: Details) -> Figure:
    """Per label: the share of its images that get it, with interval, and the share of those named that carry it."""
    table = {label: row for label, row in details["metrics"]["per_label"].items() if row["recall"]}
    names = sorted(table, key=lambda label: -table[label]["recall"]["value"])
    figure, axes = _rows(len(names))
    for place, label in enumerate(names):
        recall, precision = table[label]["recall"], table[label]["precision"]
        axes.plot([100 * recall["low"], 100 * recall["high"]], [place, place], color=BLUE, linewidth=2)
        axes.plot(
            100 * recall["value"],
            place,
            "o",
            color=BLUE,
            markersize=7,
            label=None if place else "recall, 95 % interval",
        )
        if precision is not None:
            axes.plot(
                100 * precision, place, "D", color=ORANGE, markersize=6, fillstyle="none",
                label=None if place else "precision",
            )  # fmt: skip
    axes.set_yticks(range(len(names)), names)
    axes.margins(y=0.08)
    axes.invert_yaxis()
    axes.set(xlim=(0, 100), xlabel="%")
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, fontsize=8)
    return figure


def draw_set_sizes(details: Details) -> Figure:
    """How many labels the prediction sets hold."""
    shares = details["metrics"]["set_sizes"]
    mean = details["metrics"]["mean_set_size"]
    figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
    axes = figure.subplots()
    bars = axes.bar(range(1, len(shares) + 1), [100 * share for share in shares], color=BLUE, width=0.7)
    axes.bar_label(bars, fmt="%.0f", padding=2)
    axes.axvline(mean, color=ORANGE, linestyle="--", linewidth=1.5, label=f"mean {mean:.1f}")
    axes.set_xticks(range(1, len(shares) + 1))
    axes.set(xlabel=f"labels in the set (of {len(shares)})", ylabel="% of images")
    axes.margins(y=0.15)
    axes.legend(frameon=False)
    _soften(axes)
    return figure


PLOTS: Final[dict[str, Callable[[Details], Figure]]] = {
    "class-balance.png": draw_balance,
    "stages.png": draw_stages,
    "recall.png": draw_recall,
    "confusion.png": draw_confusion,
    "reliability.png": draw_reliability,
    "set-sizes.png": draw_set_sizes,
    "risk-coverage.png": draw_risk_coverage,
}


def write_sample_grid(folder: Path, data: Dataset, columns: int = 6) -> None:
    """``samples.png`` beside the bundle: pictures of each label as the network sees them; not for sharing."""
    figure = Figure(figsize=(columns * 1.3, len(data.labels) * 1.45), layout="constrained")
    grid = figure.subplots(len(data.labels), columns, squeeze=False)
    for target, row in enumerate(grid):
        members = np.flatnonzero(data.targets == target)
        for axes in row:
            axes.axis("off")
        for axes, member in zip(row, members, strict=False):
            axes.imshow(data.pixels[member], cmap="gray", vmin=0, vmax=255)
        row[0].set_title(data.labels[target], fontsize=8, loc="left")
    (folder / "samples.png").write_bytes(_png(figure))


def _rows(count: int) -> tuple[Figure, Any]:
    """A figure with one row for each label."""
    figure = Figure(figsize=(WIDTH, 1.0 + 0.34 * count), layout="constrained")
    axes = figure.subplots()
    _soften(axes)
    return figure, axes


def _soften(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    # No metadata: the same run gives the same file.
    figure.savefig(stream, format="png", dpi=130, metadata={"Software": None})
    return stream.getvalue()
