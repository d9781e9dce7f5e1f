"""What the segments of a JPEG say, and whether all of it is there (ITU-T T.81, annex B; T.87, annex C)."""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass
from typing import BinaryIO

from triage.orientation import read_orientation
from triage.rejections import ImageRejected, cut_short, read_exactly

_ENTROPY_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # a marker that is no stuffed byte, restart or fill
_LS_ENTROPY_END = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")  # JPEG-LS stuffs a bit, and no byte (ITU-T T.87, A.1)
_MOST_SCANS = 100  # a progressive JPEG has about ten; thousands of empty ones are a way to burn a worker's time
_MOST_JUNK = 65536
_PROGRESSIVE = (0xC2, 0xCA)
_JPEG_LS = 0xF7


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
        first_scan: where the marker of the first scan is, in bytes.
    """

    width: int
    height: int
    precision: int
    process: int
    components: tuple[int, ...]
    adobe_transform: int | None
    orientation: int
    first_scan: int


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
            position = stream.tell() - 4
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


def check_jpeg_end(data: bytes, frame: JpegFrame) -> int:
    """Refuse a JPEG without its end marker, half written or given its length in advance; or without all of its scans.

    The decoder would not complain: it fills what is missing with grey, or leaves it without detail. That of JPEG-LS
    does, after many seconds.

    Args:
        data: the JPEG.
        frame: what `read_jpeg_frame` found in it.

    Returns:
        Where its end marker is, in bytes.

    Raises:
        ImageRejected: `truncated` or `damaged`.
    """
    pattern = _LS_ENTROPY_END if frame.process == _JPEG_LS else _ENTROPY_END
    missing = {component: _parts(frame) for component in frame.components}
    scans, position = 0, frame.first_scan
    while True:
        marker = data[position + 1]
        if marker == 0xD9:
            if any(missing.values()):
                raise cut_short("JPEG")
            return position
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        if position + 2 + length > len(data):
            raise cut_short("JPEG")
        if marker == 0xDA:
            scans += 1
            if scans > _MOST_SCANS:
                raise ImageRejected("damaged", f"The JPEG has more than {_MOST_SCANS} scans. Export the X-ray again.")
            for component, parts in _scanned(data[position + 4 : position + 2 + length], frame):
                missing.get(component, set()).difference_update(parts)
        found = pattern.search(data, position + 2 + length)
        if found is None:
            raise cut_short("JPEG")
        position = found.start()


def _parts(frame: JpegFrame) -> set[int]:
    """What scans must bring of a component: its coefficients where it is progressive, else all at once."""
    return set(range(64)) if frame.process in _PROGRESSIVE else {0}


def _scanned(header: bytes, frame: JpegFrame) -> list[tuple[int, range]]:
    """The components of a scan, and what becomes complete of them (ITU-T T.81, B.2.3 and G.1.1.1)."""
    count = header[0]
    components = header[1 : 1 + 2 * count : 2]
    first, last, approximation = header[1 + 2 * count : 4 + 2 * count]
    if frame.process not in _PROGRESSIVE:
        first, last = 0, 0
    elif approximation & 0x0F:  # lower bits follow in a later scan
        return []
    return [(component, range(first, last + 1)) for component in components]
