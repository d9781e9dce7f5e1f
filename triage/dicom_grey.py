"""Stored values of a DICOM picture to the grey that is shown (PS3.3, C.11).

They go through the standard's pipeline: stored value -> Modality LUT or rescale -> VOI LUT or window ->
display. All steps work on single values, and there are at most 65,536 stored values: the pipeline is computed
once on a table of those and then looked up per pixel, which is exact and fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from triage.dicom_attributes import first_item, is_empty, read_code, read_number, read_words, unsupported
from triage.dicom_file import Coding
from triage.dicom_layout import Layout
from triage.dicom_look_up import look_up, values_alone
from triage.dicom_window import (
    Window,
    apply_window,
    count_levels,
    full_range,
    least_width,
    own_windows,
    robust_range,
    window_of_range,
)

_LARGEST = 1e12
"""Beyond any unit in use; still far from where differences of numbers are lost."""

ShownBy = Literal["file", "table", "full", "robust"]

_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


@dataclass(frozen=True)
class Windows:
    """Which windows there are to look at a picture with; all in the units of the values that its machine means.

    Attributes:
        shown_by: what a picture is shown with if nobody chooses: the `file`'s first window, its VOI `table`, the
            `full` range that it could store, or its `robust` range, without the extremes.
        shown: the same as a window; None for a table, which no window is the same as.
        own: those that the file names itself.
        full: from the lowest value in the picture to the highest, without its padding.
        robust: from its 0.5th to its 99.5th percentile.
        least_width: the narrowest window that there is.
        inverted: whether the lowest value is white (MONOCHROME1).
    """

    shown_by: ShownBy
    shown: Window | None
    own: tuple[Window, ...]
    full: Window
    robust: Window
    least_width: float
    inverted: bool


@dataclass(frozen=True)
class Monochrome:
    """A picture with one sample per pixel, read as far as the choice of its window.

    Attributes:
        index: (rows, columns) uint8 or uint16, the stored values as unsigned numbers.
        values: (levels,) float64, what the machine means by each stored value.
        padding: (levels,) bool, which of them are no part of the picture.
        table: (levels,) float64, 0 to 1, the file's VOI LUT; None where it has none, or a window comes before it.
        own: windows that the file names.
        function: LINEAR, LINEAR_EXACT or SIGMOID; or what the file says instead, where that matters to nobody.
        stored_bits: of each sample.
        inverted: whether the lowest value is white (MONOCHROME1, PS3.3 C.7.6.3.1.2).
    """

    index: npt.NDArray[Any]
    values: npt.NDArray[np.float64]
    padding: npt.NDArray[np.bool_]
    table: npt.NDArray[np.float64] | None
    own: tuple[Window, ...]
    function: str
    stored_bits: int
    inverted: bool

    def render(self, window: Window | None = None) -> npt.NDArray[np.uint8]:
        """Grey as it is meant to be seen.

        Args:
            window: what to show it with; None: as the file says.

        Returns:
            (rows, columns) uint8; 0 is black.

        Raises:
            ImageRejected: `dicom_unsupported_encoding`, another VOI LUT function.
        """
        grey = self._as_the_file_says() if window is None else self._windowed(window)
        if self.inverted:
            grey = 1 - grey
        table = np.floor(255 * grey + 0.5).astype(np.uint8)
        table[self.padding] = 0
        shown: npt.NDArray[np.uint8] = table[self.index]
        return shown

    def windows(self) -> Windows:
        """Which windows there are to choose."""
        function = self._chosen_function
        robust = window_of_range(*robust_range(self.values, self._counts, self.padding), function)
        shown_by: ShownBy
        shown: Window | None
        if self.own:
            shown_by, shown = "file", self.own[0]
        elif self.table is not None:
            shown_by, shown = "table", None
        elif self.stored_bits <= 8:
            shown_by, shown = "full", window_of_range(float(self.values.min()), float(self.values.max()), function)
        else:
            shown_by, shown = "robust", robust
        return Windows(
            shown_by=shown_by,
            shown=shown,
            own=self.own,
            full=window_of_range(*full_range(self.values, self._counts, self.padding), function),
            robust=robust,
            least_width=least_width(function),
            inverted=self.inverted,
        )

    @cached_property
    def _counts(self) -> npt.NDArray[np.intp]:
        return count_levels(self.index, len(self.values))

    @property
    def _chosen_function(self) -> str:
        # A file without a window may say anything here: nothing was shown with it.
        return self.function if self.own or self.function in _FUNCTIONS else "LINEAR"

    def _windowed(self, window: Window) -> npt.NDArray[np.float64]:
        function = self._chosen_function
        return apply_window(self.values, window.centre, max(window.width, least_width(function)), function)

    def _as_the_file_says(self) -> npt.NDArray[np.float64]:
        """Values to grey from 0 to 1 (PS3.3 C.11.2): the first window; without one the VOI LUT; without that a
        range.

        The range is the whole one for up to 8 bits, which are made for display, and else from the 0.5th to the
        99.5th percentile of the picture without its padding.
        """
        if self.own:
            return apply_window(self.values, self.own[0].centre, self.own[0].width, self.function)
        if self.table is not None:
            return self.table
        if self.stored_bits <= 8:
            low, high = float(self.values.min()), float(self.values.max())
        else:
            low, high = robust_range(self.values, self._counts, self.padding)
        if high <= low:
            return np.zeros(self.values.shape)
        return np.asarray(np.clip((self.values - low) / (high - low), 0, 1))


def read_monochrome(samples: npt.NDArray[Any], dataset: Dataset, coding: Coding, layout: Layout) -> Monochrome:
    """What is needed to show a picture with one sample per pixel, with any window.

    Args:
        samples: (rows, columns) uint8 or uint16, as stored.
        dataset: where the attributes are.
        coding: of the data set.
        layout: of the samples.

    Raises:
        ImageRejected: `dicom_unsupported_encoding`.
    """
    index = values_alone(samples, layout)
    levels = 1 << layout.stored
    stored = np.arange(levels)
    if layout.signed:
        stored[levels // 2 :] -= levels

    padding = _padding(dataset, coding, stored, layout)
    values = _modality_values(dataset, coding, stored, layout)
    function = read_code(dataset, "VOILUTFunction") or "LINEAR"
    own = own_windows(dataset, function)
    table = None
    if not own and (item := first_item(dataset, "VOILUTSequence")) is not None:
        entries, bits = look_up(item, "LUT", coding, values, signed=bool(values.min() < 0))
        table = np.asarray(entries / (2**bits - 1))
    inverted = layout.photometric == "MONOCHROME1"
    return Monochrome(index, values, padding, table, own, function, layout.stored, inverted)


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
        return look_up(item, "LUT", coding, stored, signed=layout.signed)[0]
    slope, intercept = read_number(dataset, "RescaleSlope"), read_number(dataset, "RescaleIntercept")
    if slope == 0:
        raise unsupported("its rescale slope is zero")
    values = stored * (1.0 if slope is None else slope) + (intercept or 0.0)
    if not np.abs(values).max() < _LARGEST:
        raise unsupported("its rescale slope and intercept lead to numbers without bound")
    return np.asarray(values, np.float64)
