"""Plots beside an audit. Two of them hold pictures: they are for whoever owns the data, and never ship."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from training.duplicates import EXACT
from training.inspection import Inspection

CELL: Final = 150
TEXT: Final = 26
COLUMNS: Final = 4
MOST_ROWS: Final = 60
"""Pairs or groups on one sheet: it stays small enough to open."""


def write_sizes(folder: Path, found: Inspection) -> None:
    """``image-sizes.png``: width and height of each file."""
    figure = Figure(figsize=(6, 5.5), layout="constrained")
    axes = figure.subplots()
    axes.plot([file.width for file in found.files], [file.height for file in found.files], ".", alpha=0.3)
    axes.set(xlabel="width in pixels", ylabel="height in pixels", title="Image sizes", xscale="log", yscale="log")
    # No metadata: the same folder gives the same file.
    figure.savefig(folder / "image-sizes.png", dpi=100, metadata={"Software": None})


def write_duplicates(folder: Path, found: Inspection) -> None:
    """``duplicates.png``: pairs that are not equal byte for byte, those found by landmarks alone first.

    They are the ones to look at: a pair that was joined wrongly is among them.
    """
    near = sorted((link for link in found.links if EXACT not in link.methods), key=lambda link: len(link.methods))
    rows = []
    for start in range(0, min(len(near), MOST_ROWS * COLUMNS // 2), COLUMNS // 2):
        row: list[tuple[int, str]] = []
        for link in near[start : start + COLUMNS // 2]:
            how = " + ".join(link.methods) + (", mirrored" if link.mirrored else "")
            row += [(link.one, how), (link.other, "")]
        rows.append(row)
    _write_sheet(folder / "duplicates.png", found, rows)


def write_conflicts(folder: Path, found: Inspection) -> None:
    """``conflicts.png``: each picture that carries more than one label, a row for each."""
    rows = []
    for picture in found.conflicts:
        first = {found.files[index].label: index for index in reversed(picture)}  # one of each label must be seen
        order = sorted(picture, key=lambda index: (index not in first.values(), index))
        rows.append([(index, found.files[index].label) for index in order[:COLUMNS]])
    _write_sheet(folder / "conflicts.png", found, rows[:MOST_ROWS])


def _write_sheet(file: Path, found: Inspection, rows: Sequence[Sequence[tuple[int, str]]]) -> None:
    sheet = Image.new("L", (COLUMNS * CELL, max(len(rows), 1) * (CELL + TEXT)), 40)
    draw = ImageDraw.Draw(sheet)
    if not rows:
        draw.text((8, 8), "None were found.", fill=255)
    for down, row in enumerate(rows):
        for across, (index, text) in enumerate(row):
            picture = Image.fromarray(found.files[index].thumbnail)
            picture.thumbnail((CELL - 6, CELL - 6))
            place = (across * CELL, down * (CELL + TEXT))
            sheet.paste(picture, place)
            draw.text((place[0] + 2, place[1] + CELL), text, fill=255)
    sheet.save(file)
