"""What a report is made of, whether it becomes a page or a card: sections of text, lists, tables and plots.

All of it is plain text, where `...` in backticks is a name from code. Each writer escapes for its own format, so
nothing that comes from data can become markup.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Details: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Text:
    """A paragraph; ``lead`` comes first, in bold."""

    text: str
    lead: str = ""


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table: the first column names the row, the ``words`` after it are text too, all others are figures.

    Attributes:
        header: of each column.
        rows: as many cells each.
        title: above it, or empty.
        words: how many columns from the left hold text.
        strong: numbers of the rows to stress.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    words: int = 1
    strong: tuple[int, ...] = ()


@dataclass(frozen=True)
class Plot:
    """A picture by its file name, and what it shows."""

    file: str
    caption: str


Block: TypeAlias = Text | Bullets | Table | Plot


@dataclass(frozen=True)
class Section:
    """A part of the report with its own heading; ``key`` is its anchor."""

    key: str
    title: str
    blocks: tuple[Block, ...]


# -- figures as text ---------------------------------------------------------------------------------------------------

NONE = "–"
DECIMALS = {"calibration_error": 3, "brier": 3, "log_loss": 3, "auroc": 3, "set_size": 1}
"""Figures that are no share; all others are shown in per cent."""

NAMES = {
    "top_1": "Top-1: the label is right",
    "top_2": "Top-2: it is among the first two",
    "top_3": "Top-3: it is among the first three",
    "balanced_accuracy": "Balanced accuracy",
    "macro_f1": "Macro-F1",
    "auroc": "AUROC, one label against the rest",
    "calibration_error": "Expected calibration error",
    "brier": "Brier score (0 to 2)",
    "log_loss": "Log loss (nats)",
    "set_size": "Labels in a prediction set",
}


def show(name: str, value: float | None, signed: bool = False) -> str:
    """A figure as it is read: per cent to a tenth, or decimals for what is no share."""
    if value is None:
        return NONE
    sign = "+" if signed else ""
    text = f"{value:{sign}.{DECIMALS[name]}f}" if name in DECIMALS else f"{100 * value:{sign}.1f} %"
    return text.replace("-", "−")


def show_interval(name: str, entry: Mapping[str, float], signed: bool = False) -> str:
    """The interval of a figure, without its value."""
    low, high = show(name, entry["low"], signed), show(name, entry["high"], signed)
    return f"{low.removesuffix(' %')} to {high}"


def show_both(name: str, entry: Mapping[str, float] | float | None, signed: bool = False) -> str:
    """A figure with its interval in brackets; a bare number without."""
    if not isinstance(entry, Mapping):
        return show(name, entry, signed)
    return f"{show(name, entry['value'], signed)} ({show_interval(name, entry, signed).removesuffix(' %')})"


def count_of(number: int, one: str, many: str = "") -> str:
    """``1 image``, ``2 images``, ``1,234 images``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
