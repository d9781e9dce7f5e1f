"""DICOM to a checked 8-bit greyscale picture: the part of `triage.pixels` that needs pydicom.

Not applied, because most viewers do not either and they hide nothing here: overlays and display shutters.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom import errors, uid

from triage.dicom_attributes import raw_value, read_code, read_exam, read_uid
from triage.dicom_file import NATIVE_SYNTAXES, read_data_set
from triage.dicom_grey import Monochrome, read_monochrome
from triage.dicom_layout import Layout, examine
from triage.dicom_look_up import render_palette
from triage.dicom_samples import read_samples
from triage.dicom_window import Window
from triage.headers import DICOM, Header
from triage.rejections import Limits

_MOST_INFLATED_BYTES = 500_000_000
"""Where no limits are given: what a data set is inflated to at most."""


@contextmanager
def _broken_is_value_error() -> Iterator[None]:
    """Pydicom's own errors derive from plain `Exception`, so that nothing else could tell them from a time limit."""
    try:
        yield
    except (errors.BytesLengthException, errors.InvalidDicomError):
        raise ValueError("broken DICOM") from None


@_broken_is_value_error()
def read_header(stream: BinaryIO, limits: Limits) -> Header:
    """What `triage.pixels.read_header` answers for DICOM.

    Args:
        stream: at the start of the file; nothing is read of elements that are not needed.
        limits: how large the picture may be.

    Raises:
        ImageRejected: see there.
    """
    dataset, coding = read_data_set(stream, limits, with_pixels=False)
    layout = examine(dataset, coding, limits)
    return Header(
        DICOM,
        layout.shown_width,
        layout.shown_height,
        read_uid(dataset, "StudyInstanceUID"),
        read_uid(dataset, "SOPInstanceUID"),
        read_exam(dataset),
    )


@_broken_is_value_error()
def same_pixel_data(first: BinaryIO, second: BinaryIO) -> bool | None:
    """What `triage.pixels.same_pixel_data` answers, for two files at their start."""
    limits = Limits(max_bytes=_MOST_INFLATED_BYTES, max_pixels=0, max_side=0)
    found = []
    for stream in (first, second):
        dataset, coding = read_data_set(stream, limits, with_pixels=True)
        if "PixelData" not in dataset:
            return None
        # Uncompressed, little endian pixels are the same bytes, whatever the data set around them is like.
        plain = coding.syntax is None or coding.syntax in NATIVE_SYNTAXES - {uid.ExplicitVRBigEndian}
        found.append(("plain" if plain else coding.syntax, raw_value(dataset, "PixelData")[0]))
    (one, one_pixels), (other, other_pixels) = found
    return one_pixels == other_pixels if one == other else None


@dataclass(frozen=True)
class StoredValues:
    """A radiograph of one sample per pixel, decoded, before anybody has chosen a window.

    Attributes:
        monochrome: the values.
        layout: how they are shown.
    """

    monochrome: Monochrome
    layout: Layout

    def render(self, window: Window | None = None) -> npt.NDArray[np.uint8]:
        """(height, width) uint8, C-contiguous, with square pixels; 0 is black. Without a window as the file says."""
        return _square(self.monochrome.render(window), self.layout)


@_broken_is_value_error()
def read_stored_values(data: bytes, limits: Limits) -> StoredValues | None:
    """Decode a DICOM radiograph as far as the choice of its window.

    Returns:
        None for a picture in colour, which has no window.

    Raises:
        ImageRejected: see `triage.pixels.decode`.
    """
    dataset, coding = read_data_set(io.BytesIO(data), limits, with_pixels=True)
    layout = examine(dataset, coding, limits)
    if layout.samples != 1 or layout.photometric == "PALETTE COLOR":
        return None
    samples = read_samples(dataset, coding, layout, limits)
    return StoredValues(read_monochrome(samples, dataset, coding, layout), layout)


@_broken_is_value_error()
def render(data: bytes, limits: Limits) -> tuple[npt.NDArray[np.uint8], bool]:
    """Render a DICOM radiograph as it is meant to be seen.

    Args:
        data: the file's bytes.
        limits: how large the picture may be.

    Returns:
        (height, width) uint8, C-contiguous, with square pixels; 0 is black. And whether the file says that text
        is burned into them (PS3.3 C.7.6.1.1.5).

    Raises:
        ImageRejected: see `triage.pixels.decode`.
    """
    dataset, coding = read_data_set(io.BytesIO(data), limits, with_pixels=True)
    layout = examine(dataset, coding, limits)
    grey = read_samples(dataset, coding, layout, limits)
    if layout.photometric == "PALETTE COLOR":
        grey = render_palette(grey, dataset, coding, layout)
    elif layout.samples == 1:
        grey = read_monochrome(grey, dataset, coding, layout).render()
    return _square(grey, layout), read_code(dataset, "BurnedInAnnotation") == "YES"


def _square(grey: npt.NDArray[np.uint8], layout: Layout) -> npt.NDArray[np.uint8]:
    if (layout.shown_height, layout.shown_width) != grey.shape:
        size = (layout.shown_width, layout.shown_height)
        grey = np.array(Image.fromarray(np.ascontiguousarray(grey)).resize(size, Image.Resampling.BILINEAR))
    return np.ascontiguousarray(grey)
