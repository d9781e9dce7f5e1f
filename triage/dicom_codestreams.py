"""What a codestream inside a DICOM file says about itself, held against what the file says; then its samples.

JPEG and JPEG-LS: ITU-T T.81 and T.87, annexes B and C. JPEG 2000 and HTJ2K: ITU-T T.800, annex A, and T.814.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from triage.codecs import HELPER, JPEG, JPEG_LS
from triage.dicom_attributes import unsupported
from triage.dicom_layout import Layout
from triage.jpeg import decode_jpeg
from triage.jpeg_segments import JpegFrame, check_jpeg_end, read_jpeg_frame
from triage.rejections import Limits, cut_short, damaged

_SOC_SIZ = b"\xff\x4f\xff\x51"
_MOST_BEFORE_CODESTREAM = 4096
_OVERSHOOT = 8
"""Lossy codecs overshoot at edges: by up to this fraction of the range. More are other bits than the file says."""

_BASELINE, _EXTENDED, _PROGRESSIVE, _LOSSLESS, _LS = 0xC0, 0xC1, 0xC2, 0xC3, 0xF7


@dataclass(frozen=True)
class Codestream:
    """What a codestream says before its samples.

    Attributes:
        height: in pixels.
        width: in pixels.
        samples: per pixel.
        precision: bits per sample.
        signed: whether samples are in two's complement.
        transformed: JPEG 2000 only: colours were rotated for compression, and the decoder undoes it, to RGB.
    """

    height: int
    width: int
    samples: int
    precision: int
    signed: bool = False
    transformed: bool = False


def decode_codestream(data: bytes, codec: bytes, layout: Layout, limits: Limits) -> npt.NDArray[Any]:
    """The samples in a codestream.

    Args:
        data: the frame.
        codec: from `triage.dicom_file.CODECS`.
        layout: what the DICOM file says of it.
        limits: of the decoder.

    Returns:
        (rows, columns) uint8 or uint16, as they are stored; or (rows, columns, 3), of RGB or of YBR as the layout's
        photometric interpretation is (RGB where that is YBR_RCT or YBR_ICT). Of an 8-bit JPEG in colour the luma,
        (rows, columns) uint8.

    Raises:
        ImageRejected: `dicom_unsupported_encoding`, `damaged`, `truncated` or one of the `decoder_` codes.
    """
    if codec in (JPEG, JPEG_LS):
        frame = read_jpeg_frame(io.BytesIO(data))
        lossy = frame.process in (_BASELINE, _EXTENDED, _PROGRESSIVE)
        if not (lossy or frame.process == _LOSSLESS) if codec == JPEG else frame.process != _LS:
            raise unsupported("the compression inside is not the one that its transfer syntax says")
        found = Codestream(frame.height, frame.width, len(frame.components), frame.precision)
        _check(found, layout)
        if codec == JPEG and lossy:
            if found.precision < layout.stored:
                raise unsupported(f"it has {found.precision} bits per sample where {layout.stored} are announced")
            if layout.samples == 3:
                _check_jpeg_colours(frame, layout)
            if frame.precision == 8:
                return decode_jpeg(data, frame)
        data = data[: check_jpeg_end(data, frame) + 2]
    else:
        found = read_jpeg_2000(data)
        _check(found, layout)
    samples = HELPER.decode(codec, data, layout.rows * layout.columns * layout.samples * 2, limits)
    shape = (layout.rows, layout.columns) if layout.samples == 1 else (layout.rows, layout.columns, layout.samples)
    if samples.shape != shape:
        raise damaged()
    octets = samples.dtype.itemsize
    # Most encoders know no sign: they compress the words as they lie, and negative ones have all their upper bits set.
    values = samples.view(f"i{octets}") if layout.signed else samples
    if layout.stored < 8 * octets:
        samples = _within_bits(values, layout)
    # The bits are the same, and what is above those stored is masked where they are read.
    return samples.view(f"u{octets}")


def _within_bits(values: npt.NDArray[Any], layout: Layout) -> npt.NDArray[Any]:
    """What a lossy codec put a little beyond the bits stored, put back: the upper bits are masked later."""
    least, most = (-(1 << (layout.stored - 1)) if layout.signed else 0), (1 << layout.stored) - 1
    # The decoder of some signed samples leaves the upper bits clear: then all bits stored are used.
    if values.max() <= most and values.min() >= least:
        return values
    most = most >> 1 if layout.signed else most
    beyond = max(int(values.max()) - most, least - int(values.min()))
    if beyond > (most - least) // _OVERSHOOT:
        raise unsupported(f"it has values of more than the {layout.stored} bits that it says")
    return values.clip(least, most)


def read_jpeg_2000(data: bytes) -> Codestream:
    """Read the main header of a JPEG 2000 codestream, which some writers wrap into the boxes of a JP2 file.

    Its tile parts must all be there: the decoders make up what is missing.

    Raises:
        ImageRejected: `damaged`, `truncated` or `dicom_unsupported_encoding`.
    """
    start = data.find(_SOC_SIZ, 0, _MOST_BEFORE_CODESTREAM)
    if start < 0:
        raise damaged()
    (length, _, x1, y1, x0, y0, *_, count) = struct.unpack_from(">HHIIIIIIIIH", data, start + 4)
    depths = data[start + 42 : start + 42 + 3 * count : 3]
    factors = set(data[start + 43 : start + 42 + 3 * count : 3] + data[start + 44 : start + 42 + 3 * count : 3])
    if not 1 <= count <= 4 or len(depths) != count or len(set(depths)) != 1 or factors != {1}:
        raise unsupported("the parts of its JPEG 2000 picture are not alike")
    transformed = False
    position = start + 4 + length
    while position + 4 <= len(data):
        marker, length = struct.unpack_from(">HH", data, position)
        if marker == 0xFF90 or marker < 0xFF00 or length < 2:  # the first tile begins, or this is no header
            break
        if marker == 0xFF52 and position + 9 <= len(data):
            transformed = data[position + 8] == 1
        position += 2 + length
    _check_tile_parts(data, position)
    return Codestream(y1 - y0, x1 - x0, count, (depths[0] & 0x7F) + 1, bool(depths[0] & 0x80), transformed)


def _check_tile_parts(data: bytes, position: int) -> None:
    """Go from tile part to tile part by the lengths they say (T.800, A.4.2) to the end marker, if one was written."""
    while data[position : position + 2] == b"\xff\x90":
        if position + 12 > len(data):
            raise cut_short("DICOM file")
        (length,) = struct.unpack_from(">I", data, position + 6)
        if length == 0:  # the last one: up to the end marker
            if not data.rstrip(b"\0").endswith(b"\xff\xd9"):
                raise cut_short("DICOM file")
            return
        if length < 14:
            raise damaged()
        position += length
    if position > len(data):
        raise cut_short("DICOM file")


def _check(found: Codestream, layout: Layout) -> None:
    if (found.height, found.width, found.samples) != (layout.rows, layout.columns, layout.samples):
        raise unsupported("its rows, columns or samples are not those of the picture inside")
    if found.precision > layout.allocated:
        raise unsupported(f"it has {found.precision} bits per sample where {layout.allocated} are announced")
    if layout.high_bit != layout.stored - 1:
        raise unsupported("its high bit is not the one below which compressed samples lie")
    if found.signed and not layout.signed:
        raise unsupported("its samples are signed, and it says that they are not")
    if layout.photometric in ("YBR_RCT", "YBR_ICT") and not found.transformed:
        raise unsupported(f"{layout.photometric} and the colours of the picture inside contradict each other")
    if found.transformed and layout.photometric not in ("RGB", "YBR_RCT", "YBR_ICT"):
        raise unsupported(f"{layout.photometric} and the colours of the picture inside contradict each other")


def _check_jpeg_colours(frame: JpegFrame, layout: Layout) -> None:
    """What the decoder will take the components for must be what the DICOM file says."""
    stored_rgb = frame.adobe_transform == 0 or frame.components == (0x52, 0x47, 0x42)
    if stored_rgb is not (layout.photometric == "RGB"):
        raise unsupported(f"{layout.photometric} and the colours of the JPEG inside contradict each other")
