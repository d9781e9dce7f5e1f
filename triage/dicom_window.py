"""Windows of a DICOM picture: which values become black and white (PS3.3 C.11.2), and which there are to choose."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from triage.dicom_attributes import read_number, unsupported
from triage.rejections import LIBRARY_ERRORS

ROBUST_RANGE: Final = (0.005, 0.995)
"""Without a window: the quantiles of the picture that become black and white."""

_MOST_WINDOWS = 6
"""Of those that a file names itself."""


@dataclass(frozen=True)
class Window:
    """A window, in the units of the values that the machine means: after rescale (PS3.3 C.11.2.1.2).

    Attributes:
        centre: of the window.
        width: of the window, above 0.
        name: what the file calls it; empty where it says nothing.
    """

    centre: float
    width: float
    name: str = ""


def apply_window(
    values: npt.NDArray[np.float64], centre: float, width: float, function: str
) -> npt.NDArray[np.float64]:
    """Apply a window (PS3.3 C.11.2.1.2.1 LINEAR, C.11.2.1.3.1 SIGMOID, C.11.2.1.3.2 LINEAR_EXACT).

    Args:
        values: of any shape.
        centre: of the window.
        width: of the window; at least 1 for LINEAR, above 0 for the others.
        function: LINEAR, LINEAR_EXACT or SIGMOID.

    Returns:
        Grey from 0 to 1, float64, of the same shape.

    Raises:
        ImageRejected: `dicom_unsupported_encoding`, another function.
    """
    if function == "LINEAR":
        if width == 1:
            return (values > centre - 0.5).astype(np.float64)
        return np.asarray(np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1))
    if function == "LINEAR_EXACT":
        return np.asarray(np.clip((values - centre) / width + 0.5, 0, 1))
    if function == "SIGMOID":
        # tanh form of 1 / (1 + exp(-4 (x - c) / w)): it cannot overflow.
        return np.asarray(0.5 + 0.5 * np.tanh(2 * (values - centre) / width))
    raise unsupported("its VOI LUT function is none of LINEAR, LINEAR_EXACT and SIGMOID")


def window_of_range(low: float, high: float, function: str) -> Window:
    """The window that turns `low` black and `high` white, and is the straight line between (PS3.3 C.11.2.1.2)."""
    if function == "LINEAR":
        return Window((low + high) / 2 + 0.5, high - low + 1)
    return Window((low + high) / 2, max(high - low, 1e-9))


def least_width(function: str) -> float:
    """The narrowest window that a function allows."""
    return 1.0 if function == "LINEAR" else 1e-9


def own_windows(dataset: Dataset, function: str) -> tuple[Window, ...]:
    """The windows that a file names itself, in its order; the first is the one that it is shown with.

    A window whose width makes no sense (0 is what some machines write for none) is taken as none; if the first one is
    such, so are all: they go with it.

    Raises:
        ImageRejected: `dicom_unsupported_encoding`, the first is no finite number.
    """
    centre, width = read_number(dataset, "WindowCenter"), read_number(dataset, "WindowWidth")
    least = least_width(function)
    if centre is None or width is None or width < least:
        return ()
    found = [Window(centre, width, _name_of(dataset, 0))]
    rest = zip(_several(dataset, "WindowCenter")[1:], _several(dataset, "WindowWidth")[1:], strict=False)
    for number, pair in enumerate(list(rest)[: _MOST_WINDOWS - 1], start=1):
        # The first alone decides how the file is shown: a further one that is no window is left out.
        with contextlib.suppress(*LIBRARY_ERRORS):
            further = Window(float(pair[0]), float(pair[1]), _name_of(dataset, number))
            if np.isfinite(further.centre) and least <= further.width < np.inf:
                found.append(further)
    return tuple(found)


def _several(dataset: Dataset, keyword: str) -> list[Any]:
    value = dataset.get(keyword)
    if isinstance(value, list | MultiValue):
        return list(value)
    return [] if value is None else [value]


def _name_of(dataset: Dataset, number: int) -> str:
    # Free text: what is no short plain name stays where it is, for it may be anything.
    with contextlib.suppress(*LIBRARY_ERRORS):
        names = _several(dataset, "WindowCenterWidthExplanation")
        if number < len(names) and re.fullmatch(r"[A-Za-z0-9 _.+/-]{1,24}", said := str(names[number]).strip()):
            return said
    return ""


def _strips(pixels: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    rows = max(1, 500_000 // pixels.shape[1])
    for start in range(0, len(pixels), rows):
        yield pixels[start : start + rows]


def robust_range(
    values: npt.NDArray[np.float64], counts: npt.NDArray[np.intp], padding: npt.NDArray[np.bool_]
) -> tuple[float, float]:
    """The values at the quantiles of `ROBUST_RANGE` in a picture that has `counts` pixels of each."""
    counts = np.where(padding, 0, counts)
    order = np.argsort(values, kind="stable")
    below = np.cumsum(counts[order])
    if below[-1] == 0:
        return 0.0, 0.0
    low, high = (int(np.searchsorted(below, quantile * below[-1])) for quantile in ROBUST_RANGE)
    if values[order[high]] <= values[order[low]]:  # nearly flat: whatever differs at all
        present = values[counts > 0]
        return float(present.min()), float(present.max())
    return float(values[order[low]]), float(values[order[high]])


def full_range(
    values: npt.NDArray[np.float64], counts: npt.NDArray[np.intp], padding: npt.NDArray[np.bool_]
) -> tuple[float, float]:
    """The lowest and the highest value in a picture that has `counts` pixels of each, without its padding."""
    present = values[(counts > 0) & ~padding]
    return (float(present.min()), float(present.max())) if present.size else (0.0, 0.0)


def count_levels(index: npt.NDArray[Any], levels: int) -> npt.NDArray[np.intp]:
    """How many pixels have each stored value; (levels,) of the (rows, columns) unsigned numbers in `index`."""
    # In strips: bincount makes 8 bytes of each pixel.
    total = np.zeros(levels, np.intp)
    for strip in _strips(index):
        total += np.bincount(strip.ravel(), minlength=levels)
    return total
