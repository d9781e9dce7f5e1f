"""The pixel data of a DICOM data set to samples as they are stored (PS3.5): uncompressed, RLE, 8-bit JPEG."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import uid
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame

from triage.dicom_attributes import raw_value, unsupported
from triage.dicom_file import NATIVE_SYNTAXES, Coding
from triage.dicom_layout import Layout, no_pixels
from triage.jpeg import decode_jpeg, read_jpeg_frame
from triage.rejections import ImageRejected, cut_short

_UNDEFINED_LENGTH = 0xFFFFFFFF


def read_samples(dataset: Dataset, coding: Coding, layout: Layout) -> npt.NDArray[Any]:
    """The samples as they are stored: (rows, columns) uint8 or uint16, or (rows, columns, 3) uint8.

    Of a colour JPEG, the luma: (rows, columns) uint8.

    Raises:
        ImageRejected: `dicom_no_pixels`, `dicom_unsupported_encoding`, `dicom_unsupported_syntax`, `truncated` or
            `damaged`.
    """
    if "PixelData" not in dataset:
        if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
            raise unsupported("its pixels are floating point numbers")
        raise no_pixels()
    value, element = raw_value(dataset, "PixelData")
    if not value:
        raise no_pixels()
    encapsulated = element.length == _UNDEFINED_LENGTH
    if encapsulated is (coding.syntax is None or coding.syntax in NATIVE_SYNTAXES):
        raise unsupported("its pixels are not stored the way its transfer syntax says")
    if not encapsulated:
        if len(value) < element.length:
            raise cut_short("DICOM file")
        return _native_samples(value, element, coding, layout)
    frame = get_frame(value, 0, number_of_frames=1)
    if coding.syntax == uid.RLELossless:
        return _planes(_rle_samples(frame, layout), layout, planar=True)
    return _jpeg_samples(frame, layout)


def _native_samples(value: bytes, element: RawDataElement, coding: Coding, layout: Layout) -> npt.NDArray[Any]:
    """Uncompressed pixels (PS3.5, 8.1.1 and 8.2)."""
    count = layout.rows * layout.columns * layout.samples
    expected = count * layout.allocated // 8
    if len(value) < expected:
        raise cut_short("DICOM file")
    if len(value) >= expected + max(expected // 2, 1024):
        raise unsupported("there are more pixels than rows and columns say")
    if layout.allocated == 16:
        words = np.frombuffer(value, "<u2" if coding.little_endian else ">u2", count)
        return words.reshape(layout.rows, layout.columns)
    octets = np.frombuffer(value, np.uint8)
    if not coding.little_endian and element.VR == "OW":
        # Two 8-bit samples share each 16-bit word, and the bytes of words are swapped (PS3.5, 8.1.2 and 7.3).
        octets = octets[: len(octets) // 2 * 2].reshape(-1, 2)[:, ::-1].reshape(-1)
    return _planes(octets[:count], layout, planar=layout.planar)


def _planes(flat: npt.NDArray[Any], layout: Layout, *, planar: bool) -> npt.NDArray[Any]:
    if layout.samples == 1:
        return flat.reshape(layout.rows, layout.columns)
    if planar:
        return np.moveaxis(flat.reshape(layout.samples, layout.rows, layout.columns), 0, -1)
    return flat.reshape(layout.rows, layout.columns, layout.samples)


def _rle_samples(frame: bytes, layout: Layout) -> npt.NDArray[Any]:
    """Run length encoded pixels (PS3.5, annex G), plane after plane: one segment per byte of a sample, high
    byte first.

    Not pydicom's decoder: that one expands whatever the segments say, 64 times their size, before it looks.
    """
    plane = layout.rows * layout.columns
    per_sample = layout.allocated // 8
    header = struct.unpack_from("<16I", frame)
    segments, offsets = header[0], header[1:]
    if segments != layout.samples * per_sample:
        raise unsupported("its number of RLE segments does not fit its samples")
    ends = (*offsets[1:segments], len(frame))
    planes = np.stack(
        [
            np.frombuffer(unpack_bits(frame[start:end], plane), np.uint8)
            for start, end in zip(offsets[:segments], ends, strict=True)
        ]
    )
    if per_sample == 2:
        words: npt.NDArray[np.uint16] = planes[0].astype(np.uint16) << 8 | planes[1]
        return words
    return planes.reshape(-1)


def unpack_bits(segment: bytes, expected: int) -> bytearray:
    """Decode one RLE segment to exactly `expected` bytes (PS3.5, G.3.2)."""
    unpacked = bytearray()
    position = 0
    while len(unpacked) < expected:
        if position >= len(segment):
            raise cut_short("DICOM file")
        control = segment[position]
        if control < 128:
            unpacked += segment[position + 1 : position + 2 + control]
            position += 2 + control
        elif control > 128:
            unpacked += segment[position + 1 : position + 2] * (257 - control)
            position += 2
        else:
            position += 1
    del unpacked[expected:]
    return unpacked


def _jpeg_samples(frame: bytes, layout: Layout) -> npt.NDArray[np.uint8]:
    """An 8-bit JPEG; of a colour one, the luma (PS3.5, 8.2.1)."""
    jpeg = read_jpeg_frame(io.BytesIO(frame))
    if jpeg.precision != 8 or jpeg.process not in (0xC0, 0xC1):
        raise ImageRejected(
            "dicom_unsupported_syntax",
            f"The picture is a {jpeg.precision}-bit JPEG (JPEG Extended, {uid.JPEGExtended12Bit}), "
            "which is not supported. "
            "Export the X-ray uncompressed (Explicit VR Little Endian), as PNG or as JPEG.",
        )
    if (jpeg.height, jpeg.width) != (layout.rows, layout.columns) or len(jpeg.components) != layout.samples:
        raise unsupported("its rows, columns or samples are not those of the JPEG inside")
    if layout.allocated != 8:
        raise unsupported("it has an 8-bit JPEG where 16 bits are announced")
    if layout.samples == 3:
        # What the decoder will take the components for; it must be what the DICOM file says.
        stored_rgb = jpeg.adobe_transform == 0 or jpeg.components == (0x52, 0x47, 0x42)
        if stored_rgb is not (layout.photometric == "RGB"):
            raise unsupported(f"{layout.photometric} and the colours of the JPEG inside contradict each other")
    return decode_jpeg(frame, jpeg)
