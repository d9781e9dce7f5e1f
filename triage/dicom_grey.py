"""Stored values of a DICOM picture to the grey that is shown (PS3.3, C.11).

They go through the standard's pipeline: stored value -> Modality LUT or rescale -> VOI LUT or window ->
display. All steps work on single values, and there are at most 65,536 stored values: the pipeline is computed
once on a table of those and then looked up per pixel, which is exact and fast.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom.dataset import Dataset

from triage.dicom_attributes import first_item, is_empty, raw_value, read_code, read_number, read_words, unsupported
from triage.dicom_file import Coding
from triage.dicom_layout import Layout

_ROBUST_RANGE = (0.005, 0.995)
"""Without a window: the quantiles of the picture that become black and white."""


_LARGEST = 1e12
"""Beyond any unit in use; still far from where differences of numbers are lost."""


def render_monochrome(
    samples: npt.NDArray[Any], dataset: Dataset, coding: Coding, layout: Layout
) -> npt.NDArray[np.uint8]:
    """Grey as it is meant to be seen, of a picture with one sample per pixel.

    Args:
        samples: (rows, columns) uint8 or uint16, as stored.
        dataset: where the attributes are.
        coding: of the data set.
        layout: of the samples.

    Returns:
        (rows, columns) uint8; 0 is black.

    Raises:
        ImageRejected: `dicom_unsupported_encoding`.
    """
    index = _values_alone(samples, layout)
    levels = 1 << layout.stored
    stored = np.arange(levels)
    if layout.signed:
        stored[levels // 2 :] -= levels

    padding = _padding(dataset, coding, stored, layout)
    values = _modality_values(dataset, coding, stored, layout)
    grey = _voi_grey(dataset, coding, values, index, padding, layout)
    if layout.photometric == "MONOCHROME1":  # PS3.3 C.7.6.3.1.2: the lowest value is white
        grey = 1 - grey
    table = np.floor(255 * grey + 0.5).astype(np.uint8)
    table[padding] = 0
    shown: npt.NDArray[np.uint8] = table[index]
    return shown


def _values_alone(samples: npt.NDArray[Any], layout: Layout) -> npt.NDArray[Any]:
    """PS3.5, 8.1.1: the value lies below the high bit; bits around it may be overlays and are no part of it."""
    shift = layout.high_bit + 1 - layout.stored
    values = samples >> shift if shift else samples
    return values & ((1 << layout.stored) - 1) if layout.stored < layout.allocated else values


def render_palette(
    samples: npt.NDArray[Any], dataset: Dataset, coding: Coding, layout: Layout
) -> npt.NDArray[np.uint8]:
    """The luma of a picture whose samples are numbers of colours (PS3.3 C.7.6.3.1.5 and C.7.9).

    Args:
        samples: (rows, columns) uint8 or uint16, as stored.
        dataset: where the three look-up tables are; those in segments are not read.
        coding: of the data set.
        layout: of the samples.

    Returns:
        (rows, columns) uint8.

    Raises:
        ImageRejected: `dicom_unsupported_encoding`.
    """
    stored = np.arange(1 << layout.stored)
    if layout.signed:
        stored[len(stored) // 2 :] -= len(stored)
    colours = np.empty((1, len(stored), 3), np.uint8)
    for number, colour in enumerate(("Red", "Green", "Blue")):
        name = f"{colour}PaletteColorLookupTable"
        shades, bits = _look_up(dataset, name, coding, stored, signed=layout.signed)
        colours[0, :, number] = shades.astype(np.int64) >> (bits - 8)
    table = np.asarray(Image.fromarray(colours).convert("L"))[0]
    shown: npt.NDArray[np.uint8] = table[_values_alone(samples, layout)]
    return shown


def _padding(dataset: Dataset, coding: Coding, stored: npt.NDArray[Any], layout: Layout) -> npt.NDArray[np.bool_]:
    """Which stored values are padding (PS3.3 C.7.5.1.1.2): left out of any range, and shown black."""

    def bound(keyword: str) -> int | None:
        if is_empty(dataset, keyword):
            return None
        words = read_words(dataset, keyword, coding)
        if len(words) != 1:
            raise unsupported(f"the attribute {keyword} is no single number")
        word = int(words[0])
        return word - 65536 if layout.signed and word >= 32768 else word

    first, last = bound("PixelPaddingValue"), bound("PixelPaddingRangeLimit")
    if first is None:
        return np.zeros(stored.shape, np.bool_)
    last = first if last is None else last
    padding: npt.NDArray[np.bool_] = (stored >= min(first, last)) & (stored <= max(first, last))
    return padding


def _modality_values(
    dataset: Dataset, coding: Coding, stored: npt.NDArray[Any], layout: Layout
) -> npt.NDArray[np.float64]:
    """Stored values to those the machine means (PS3.3 C.11.1): by table, or slope * stored + intercept."""
    if (item := first_item(dataset, "ModalityLUTSequence")) is not None:
        return _look_up(item, "LUT", coding, stored, signed=layout.signed)[0]
    slope, intercept = read_number(dataset, "RescaleSlope"), read_number(dataset, "RescaleIntercept")
    if slope == 0:
        raise unsupported("its rescale slope is zero")
    values = stored * (1.0 if slope is None else slope) + (intercept or 0.0)
    if not np.abs(values).max() < _LARGEST:
        raise unsupported("its rescale slope and intercept lead to numbers without bound")
    return np.asarray(values, np.float64)


def _voi_grey(
    dataset: Dataset,
    coding: Coding,
    values: npt.NDArray[np.float64],
    index: npt.NDArray[Any],
    padding: npt.NDArray[np.bool_],
    layout: Layout,
) -> npt.NDArray[np.float64]:
    """Values to grey from 0 to 1 (PS3.3 C.11.2): the first window; without one the VOI LUT; without that a
    range.

    The range is the whole one for up to 8 bits, which are made for display, and else from the 0.5th to the
    99.5th percentile of the picture without its padding. A window whose width makes no sense (0 is what some
    machines write for none) is taken as none.
    """
    centre, width = read_number(dataset, "WindowCenter"), read_number(dataset, "WindowWidth")
    function = read_code(dataset, "VOILUTFunction") or "LINEAR"
    if centre is not None and width is not None and width >= (1 if function == "LINEAR" else 1e-9):
        return window(values, centre, width, function)
    if (item := first_item(dataset, "VOILUTSequence")) is not None:
        signed = bool(values.min() < 0)
        grey, bits = _look_up(item, "LUT", coding, values, signed=signed)
        return np.asarray(grey / (2**bits - 1))
    if layout.stored <= 8:
        low, high = float(values.min()), float(values.max())
    else:
        # In strips: bincount makes 8 bytes of each pixel.
        counts = sum(np.bincount(strip.ravel(), minlength=len(values)) for strip in _strips(index))
        low, high = _robust_range(values, np.asarray(counts), padding)
    if high <= low:
        return np.zeros(values.shape)
    return np.asarray(np.clip((values - low) / (high - low), 0, 1))


def window(values: npt.NDArray[np.float64], centre: float, width: float, function: str) -> npt.NDArray[np.float64]:
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


def _strips(pixels: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    rows = max(1, 500_000 // pixels.shape[1])
    for start in range(0, len(pixels), rows):
        yield pixels[start : start + rows]


def _robust_range(
    values: npt.NDArray[np.float64], counts: npt.NDArray[np.intp], padding: npt.NDArray[np.bool_]
) -> tuple[float, float]:
    """The values at the quantiles of `_ROBUST_RANGE` in a picture that has `counts` pixels of each."""
    counts = np.where(padding, 0, counts)
    order = np.argsort(values, kind="stable")
    below = np.cumsum(counts[order])
    if below[-1] == 0:
        return 0.0, 0.0
    low, high = (int(np.searchsorted(below, quantile * below[-1])) for quantile in _ROBUST_RANGE)
    if values[order[high]] <= values[order[low]]:  # nearly flat: whatever differs at all
        present = values[counts > 0]
        return float(present.min()), float(present.max())
    return float(values[order[low]]), float(values[order[high]])


def _look_up(
    item: Dataset, name: str, coding: Coding, values: npt.NDArray[Any], *, signed: bool
) -> tuple[npt.NDArray[np.float64], int]:
    """Apply the table in the attributes `name`Descriptor and `name`Data (PS3.3 C.11.1.1.1, C.11.2.1.1, C.7.6.3.1.5).

    Its descriptor: number of entries (0 means 65,536), the value mapped to the first entry (signed if the
    input is), bits per entry. Values before the first and after the last entry get those entries.

    Returns:
        The entries, float64, and their number of bits.
    """
    descriptor = read_words(item, f"{name}Descriptor", coding) if f"{name}Descriptor" in item else ()
    if len(descriptor) != 3:
        raise unsupported("the descriptor of its look-up table is broken")
    entries, first, bits = (int(word) for word in descriptor)
    entries = entries or 65536
    if signed and first >= 32768:
        first -= 65536
    raw, _ = raw_value(item, f"{name}Data")
    if not 8 <= bits <= 16 or len(raw) not in (2 * entries, entries, entries + 1):
        raise unsupported("its look-up table has not the size it says")
    if len(raw) == 2 * entries:
        table = read_words(item, f"{name}Data", coding)
    elif bits == 8:  # two entries in each word, the first in its lower byte
        table = read_words(item, f"{name}Data", coding).astype("<u2").view(np.uint8)[:entries].astype(np.int64)
    else:
        raise unsupported("its look-up table has not the size it says")
    if table.max() >= 2**bits:
        raise unsupported("its look-up table has entries beyond the bits it says")
    position = np.clip(np.floor(values + 0.5).astype(np.int64) - first, 0, entries - 1)
    return table[position].astype(np.float64), bits
