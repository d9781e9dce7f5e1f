"""The pixel data of a DICOM data set to samples as they are stored (PS3.5): uncompressed, RLE, or a codestream."""

from __future__ import annotations

import io
import struct
import time
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom import uid
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import generate_fragments, parse_basic_offsets

from triage.codecs import JPEG, JPEG_LS
from triage.dicom_attributes import is_empty, raw_value, unsupported
from triage.dicom_codestreams import decode_codestream
from triage.dicom_file import CODECS, NATIVE_SYNTAXES, Coding
from triage.dicom_layout import Layout, no_pixels, several_frames
from triage.rejections import Limits, cut_short, too_slow

_UNDEFINED_LENGTH = 0xFFFFFFFF
_FULL_RANGE = np.clip(np.floor((np.arange(256) - 16) * 255 / 219 + 0.5), 0, 255).astype(np.uint8)


def read_samples(dataset: Dataset, coding: Coding, layout: Layout, limits: Limits) -> npt.NDArray[Any]:
    """The samples of the picture.

    Returns:
        (rows, columns) uint8 or uint16, as they are stored; of a picture in colour its luma, uint8.

    Raises:
        ImageRejected: `dicom_no_pixels`, `dicom_multi_frame`, `dicom_unsupported_encoding`, `truncated`, `damaged` or
            one of the `decoder_` codes.
    """
    if is_empty(dataset, "PixelData"):
        if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
            raise unsupported("its pixels are floating point numbers")
        raise no_pixels()
    value, element = raw_value(dataset, "PixelData")
    encapsulated = element.length == _UNDEFINED_LENGTH
    if encapsulated is (coding.syntax is None or coding.syntax in NATIVE_SYNTAXES):
        raise unsupported("its pixels are not stored the way its transfer syntax says")
    if not encapsulated:
        if len(value) < element.length:
            raise cut_short("DICOM file")
        samples = _native_samples(value, element, coding, layout)
    else:
        frame = _only_frame(value, coding)
        if coding.syntax == uid.RLELossless:
            samples = _planes(_rle_samples(frame, layout, limits), layout, planar=True)
        else:
            samples = decode_codestream(frame, CODECS[str(coding.syntax)], layout, limits)
    return samples if samples.ndim == 2 else _luma(samples, layout)


def _only_frame(value: bytes, coding: Coding) -> bytes:
    """The codestream in encapsulated pixel data, whose fragments it may be spread over (PS3.5, A.4).

    Raises:
        ImageRejected: `dicom_multi_frame`, a further fragment begins with another one. The attributes did not say so.
    """
    stream = io.BytesIO(value)
    parse_basic_offsets(stream)
    first, *more = generate_fragments(stream)
    # A JPEG's start cannot occur inside of one; of others, what comes next is the same in each frame too.
    start = first[: 3 if CODECS.get(str(coding.syntax)) in (JPEG, JPEG_LS) else 8]
    further = sum(fragment.startswith(start) for fragment in more)
    if further:
        raise several_frames(further + 1)
    return b"".join((first, *more)) if more else first


def _luma(samples: npt.NDArray[Any], layout: Layout) -> npt.NDArray[np.uint8]:
    """(rows, columns, 3) of RGB or YBR to (rows, columns) uint8: ITU-R BT.601, as YBR has it (PS3.3 C.7.6.3.1.2)."""
    if layout.photometric.startswith("YBR_FULL"):
        return np.ascontiguousarray(samples[..., 0])
    if layout.stored != 8:
        levels = (1 << layout.stored) - 1
        scaled = (samples >> (layout.high_bit + 1 - layout.stored) & levels).astype(np.uint32) * 510 + levels
        samples = (scaled // (2 * levels)).astype(np.uint8)
    return np.array(Image.fromarray(np.ascontiguousarray(samples)).convert("L"))


def _native_samples(value: bytes, element: RawDataElement, coding: Coding, layout: Layout) -> npt.NDArray[Any]:
    """Uncompressed pixels (PS3.5, 8.1.1 and 8.2)."""
    halved = layout.photometric.endswith("_422")
    count = layout.rows * layout.columns * (2 if halved else layout.samples)
    expected = count * layout.allocated // 8
    if len(value) < expected:
        raise cut_short("DICOM file")
    if len(value) >= expected + max(expected // 2, 1024):
        raise unsupported("there are more pixels than rows and columns say")
    if layout.allocated == 16:
        words = np.frombuffer(value, "<u2" if coding.little_endian else ">u2", count)
        return _planes(words, layout, planar=layout.planar)
    octets = np.frombuffer(value, np.uint8)
    if not coding.little_endian and element.VR == "OW":
        # Two 8-bit samples share each 16-bit word, and the bytes of words are swapped (PS3.5, 8.1.2 and 7.3).
        octets = octets[: len(octets) // 2 * 2].reshape(-1, 2)[:, ::-1].reshape(-1)
    if halved:
        return _luma_of_422(octets[:count], layout)
    return _planes(octets[:count], layout, planar=layout.planar)


def _luma_of_422(octets: npt.NDArray[np.uint8], layout: Layout) -> npt.NDArray[np.uint8]:
    """Of Y Y Cb Cr for two pixels each, the Y; from 16 to 235 in the partial range (PS3.3 C.7.6.3.1.2)."""
    if layout.columns % 2:
        raise unsupported(f"{layout.photometric} with an odd number of columns")
    luma = octets.reshape(-1, 4)[:, :2].reshape(layout.rows, layout.columns)
    if layout.photometric == "YBR_PARTIAL_422":
        luma = _FULL_RANGE[luma]
    return luma


def _planes(flat: npt.NDArray[Any], layout: Layout, *, planar: bool) -> npt.NDArray[Any]:
    if layout.samples == 1:
        return flat.reshape(layout.rows, layout.columns)
    if planar:
        return np.moveaxis(flat.reshape(layout.samples, layout.rows, layout.columns), 0, -1)
    return flat.reshape(layout.rows, layout.columns, layout.samples)


def _rle_samples(frame: bytes, layout: Layout, limits: Limits) -> npt.NDArray[Any]:
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
    until = time.monotonic() + limits.decode_seconds
    planes = np.stack(
        [
            np.frombuffer(unpack_bits(frame[start:end], plane, until), np.uint8)
            for start, end in zip(offsets[:segments], ends, strict=True)
        ]
    )
    if per_sample == 2:
        return (planes[0::2].astype(np.uint16) << 8 | planes[1::2]).reshape(-1)
    return planes.reshape(-1)


def unpack_bits(segment: bytes, expected: int, until: float) -> bytearray:
    """Decode one RLE segment to exactly `expected` bytes (PS3.5, G.3.2).

    Raises:
        ImageRejected: `truncated`; or `decoder_too_slow` after `until`, on the clock of `time.monotonic`: a hundred
            megabytes of runs of one byte, or of none, take a minute.
    """
    unpacked = bytearray()
    position = runs = 0
    while len(unpacked) < expected:
        runs += 1
        if runs % 65536 == 0 and time.monotonic() > until:
            raise too_slow()
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
