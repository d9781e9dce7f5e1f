"""JPEG to grey: what its segments say, whether it is complete, and its luma."""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import ImageChops
from PIL.JpegImagePlugin import JpegImageFile

from triage.orientation import read_orientation
from triage.rejections import ImageRejected, cut_short, read_exactly

_ENTROPY_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # a marker that is no stuffed byte, restart or fill
_MOST_SCANS = 100  # a progressive JPEG has about ten; thousands of empty ones are a way to burn a worker's time
_MOST_JUNK = 65536


@dataclass(frozen=True)
class JpegFrame:
    """What a JPEG says about itself before its first scan.

    Attributes:
        width: as stored, before `orientation`, in pixels.
        height: as stored, in pixels.
        precision: bits per sample.
        process: the SOF marker's second byte: 0xC0 baseline, 0xC1 extended, 0xC2 progressive, 0xC3 lossless,
            ...
        components: their identifiers; 1, 3 or 4 of them.
        adobe_transform: 0 none, 1 YCbCr, 2 YCCK; None without an Adobe marker.
        orientation: EXIF, 1 to 8.
        data_start: where the first scan begins, in bytes.
    """

    width: int
    height: int
    precision: int
    process: int
    components: tuple[int, ...]
    adobe_transform: int | None
    orientation: int
    data_start: int


def read_jpeg_frame(stream: BinaryIO) -> JpegFrame:
    """Walk a JPEG's segments up to its first scan (ITU-T T.81, annex B).

    Args:
        stream: at the start of the JPEG; other segments are skipped by seeking.

    Raises:
        ImageRejected: `truncated` or `damaged`.
    """
    damaged = ImageRejected("damaged", "The JPEG's structure is broken. Export the X-ray again from its source.")
    frame: tuple[int, int, int, int, tuple[int, ...]] | None = None
    transform: int | None = None
    orientation = 1
    junk = 0
    if read_exactly(stream, 2, "JPEG") != b"\xff\xd8":
        raise damaged
    while True:
        if read_exactly(stream, 1, "JPEG") != b"\xff":
            junk += 1
            if junk > _MOST_JUNK:
                raise damaged
            continue
        while (marker := read_exactly(stream, 1, "JPEG")[0]) == 0xFF:
            pass
        if marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD7:
            continue
        if marker in (0xD8, 0xD9):
            raise damaged
        length = int.from_bytes(read_exactly(stream, 2, "JPEG"), "big") - 2
        if length < 0:
            raise damaged
        if marker == 0xDA:
            if frame is None:
                raise damaged
            process, precision, height, width, components = frame
            position = stream.tell() + length
            return JpegFrame(width, height, precision, process, components, transform, orientation, position)
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            body = read_exactly(stream, length, "JPEG")
            if frame is not None or length < 6 or length < 6 + 3 * body[5]:
                raise damaged
            precision, height, width, count = struct.unpack_from(">BHHB", body)
            frame = (marker, precision, height, width, tuple(body[6 : 6 + 3 * count : 3]))
        elif marker == 0xE1:
            body = read_exactly(stream, length, "JPEG")
            if body.startswith(b"Exif\x00"):
                orientation = read_orientation(body[6:])
        elif marker == 0xEE:
            body = read_exactly(stream, length, "JPEG")
            if body.startswith(b"Adobe") and length >= 12:
                transform = body[11]
        else:
            stream.seek(length, io.SEEK_CUR)


def check_jpeg_kind(frame: JpegFrame) -> None:
    """Refuse by name the kinds of JPEG that are not decoded.

    Raises:
        ImageRejected: `unsupported_type`.
    """
    names = {
        0xC3: "lossless",
        0xC5: "differential",
        0xC6: "differential",
        0xC7: "differential lossless",
        0xF7: "JPEG-LS",
    }
    ask = "Send it as an ordinary (baseline or progressive) JPEG, PNG or DICOM."
    if frame.precision != 8:
        raise ImageRejected("unsupported_type", f"This is a JPEG with {frame.precision} bits per sample. {ask}")
    if frame.process not in (0xC0, 0xC1, 0xC2, 0xC9, 0xCA):
        name = names.get(frame.process, "rare")
        raise ImageRejected("unsupported_type", f"This is a JPEG of the {name} kind. {ask}")
    if len(frame.components) not in (1, 3, 4):
        raise ImageRejected("unsupported_type", f"This JPEG has {len(frame.components)} colour components. {ask}")


def _check_jpeg_end(data: bytes, position: int) -> None:
    """Refuse a JPEG without its end marker: half written, or given its length in advance and filled with
    zeros.

    The decoder would not complain: it fills what is missing with grey.
    """
    scans = 1
    while match := _ENTROPY_END.search(data, position):
        marker = data[match.start() + 1]
        if marker == 0xD9:
            return
        scans += marker == 0xDA
        if scans > _MOST_SCANS:
            raise ImageRejected("damaged", f"The JPEG has more than {_MOST_SCANS} scans. Export the X-ray again.")
        position = match.end() + int.from_bytes(data[match.end() : match.end() + 2], "big")
    raise cut_short("JPEG")


def decode_jpeg(data: bytes, frame: JpegFrame, *, at_least: int | None = None) -> npt.NDArray[np.uint8]:
    """Decode a JPEG to grey as it is stored, without turning it upright.

    Args:
        data: the JPEG.
        frame: what `read_jpeg_frame` found; its size is within the limits.
        at_least: see `triage.pixels.decode`.

    Returns:
        (height, width) uint8: the luma of a colour picture.

    Raises:
        ImageRejected: `truncated` or `damaged`.
    """
    _check_jpeg_end(data, frame.data_start)
    # The plugin's class, not Image.open: nothing else may look at these bytes, and Pillow's own guard against
    # large pictures (a warning, or an error) does not come before the limits that were checked above.
    with JpegImageFile(io.BytesIO(data)) as image:
        if image.size != (frame.width, frame.height):
            raise ValueError("two sizes in one JPEG")
        # Grey is taken from the decoder's luma plane: no colour conversion, no chroma to decode.
        image.draft("L", (2 * at_least, 2 * at_least) if at_least else None)
        image.load()
        if image.mode == "CMYK":
            inverted = image if frame.adobe_transform is not None else ImageChops.invert(image)
            # Pillow always takes CMYK as Adobe writes it, upside down; undone where no Adobe marker says so.
            return np.array(inverted.convert("RGB").convert("L"))
        return np.array(image.convert("L"))
