"""Plots: those that ship in the bundle hold figures only; the one with pictures stays beside it.

`Figure` is used without pyplot: no window system is touched, and nothing is kept alive.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from training.dataset import Dataset

Bools = npt.NDArray[np.bool_]


def plot_balance(folder: Path, data: Dataset, holdout: Bools) -> None:
    """``class-balance.png``: images per label on both sides of the split."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    rows = range(len(data.labels))
    train = [int(((data.targets == row) & ~holdout).sum()) for row in rows]
    held = [int(((data.targets == row) & holdout).sum()) for row in rows]
    axes.barh(data.labels, train, label="training")
    axes.barh(data.labels, held, left=train, label="hold-out")
    axes.invert_yaxis()
    axes.set(xlabel="images", title="Images per label")
    axes.legend()
    _save(figure, folder / "class-balance.png")


def plot_confusion(folder: Path, labels: tuple[str, ...], table: npt.NDArray[np.int64]) -> None:
    """``confusion.png``: counts on the hold-out, rows are the truth."""
    figure = Figure(figsize=(8, 7), layout="constrained")
    axes = figure.subplots()
    axes.imshow(table / np.maximum(table.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    for row, column in np.argwhere(table):
        dark = table[row, column] > table[row].sum() / 2
        axes.text(column, row, table[row, column], ha="center", va="center", color="white" if dark else "black")
    axes.set(xlabel="model", ylabel="truth", title="Hold-out images")
    _save(figure, folder / "confusion.png")


def plot_reliability(folder: Path, probabilities: npt.NDArray[np.float64], targets: npt.NDArray[np.int64]) -> None:
    """``reliability.png``: how often the label is right, by confidence, with the number of images."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    figure = Figure(figsize=(5.5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", label="as confident as right")
    place = np.minimum((confidence * 10).astype(int), 9)
    for bin_ in np.unique(place):
        x, y = confidence[place == bin_].mean(), right[place == bin_].mean()
        axes.plot(x, y, "o", color="tab:blue")
        axes.annotate(f"{(place == bin_).sum()} images", (x, y), xytext=(6, -4), textcoords="offset points", fontsize=8)
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1.02),
        xlabel="confidence",
        ylabel="share right",
        title="Reliability on the hold-out",
    )
    axes.legend(loc="upper left")
    _save(figure, folder / "reliability.png")


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
    _save(figure, folder / "samples.png")


def _save(figure: Figure, file: Path) -> None:
    # No metadata: the same run gives the same file.
    figure.savefig(file, dpi=100, metadata={"Software": None})
