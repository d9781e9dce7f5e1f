"""Bytes to a checked 8-bit greyscale picture: the one way this program sees an X-ray.

Folder, upload, training and the dashboard all come through here, so that what the network was trained on,
what it is shown and what a person looks at cannot drift apart. Whatever cannot be shown correctly is refused
by name with `ImageRejected`; nothing is shown wrongly in silence.

Behind it, each file format has a module of its own: `triage.jpeg`, `triage.png`, and `triage.dicom`, which is
imported only when a DICOM file turns up: a clinic that drops JPEGs does not pay for pydicom.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from triage.headers import DICOM, HEAD_BYTES, JPEG, PNG, Exam, Header, refuse_unknown, sniff
from triage.jpeg import decode_jpeg
from triage.jpeg_segments import check_jpeg_kind, read_jpeg_frame
from triage.orientation import upright, upright_size
from triage.png import decode_png, read_png_start
from triage.rejections import REJECTION_CODES, ImageRejected, Limits, as_rejection

__all__ = [
    "DICOM",
    "JPEG",
    "PNG",
    "REJECTION_CODES",
    "Exam",
    "Header",
    "ImageRejected",
    "Limits",
    "Picture",
    "decode",
    "encode_png",
    "network_input",
    "read_for_network",
    "read_header",
    "same_pixel_data",
    "sniff",
]


@dataclass(frozen=True)
class Picture:
    """A decoded radiograph.

    Attributes:
        pixels: (height, width) uint8, C-contiguous, upright; 0 is black.
        media_type: of the bytes it came from.
        rendered: True when those bytes cannot be shown by a browser (DICOM), so that a PNG of `pixels` has to
            be kept.
        burned_in_annotation: True when the file says that text is part of the picture.
    """

    pixels: npt.NDArray[np.uint8]
    media_type: str
    rendered: bool
    burned_in_annotation: bool = False


def read_header(source: Path | bytes, limits: Limits) -> Header:
    """What the file says about itself, and whether it is worth decoding. Decodes no pixels.

    Args:
        source: a path, of which only the parts that matter are read, or the bytes.
        limits: how large it may be.

    Returns:
        The header. Width and height are those of `decode` at full size.

    Raises:
        ImageRejected: it is known already that `decode` will refuse it.
        OSError: the path cannot be read.
    """
    if isinstance(source, bytes):
        limits.check_bytes(len(source))
        return _read_header(io.BytesIO(source), limits)
    limits.check_bytes(source.stat().st_size)
    with source.open("rb") as stream:
        return _read_header(stream, limits)


def _read_header(stream: BinaryIO, limits: Limits) -> Header:
    with as_rejection():
        head = stream.read(HEAD_BYTES)
        stream.seek(0)
        media_type = sniff(head)
        if media_type == DICOM:
            from triage import dicom

            return dicom.read_header(stream, limits)
        if media_type == JPEG:
            frame = read_jpeg_frame(stream)
            limits.check_size(frame.width, frame.height)
            check_jpeg_kind(frame)
            return Header(JPEG, *upright_size(frame.width, frame.height, frame.orientation))
        if media_type == PNG:
            png = read_png_start(stream)
            limits.check_size(png.width, png.height)
            return Header(PNG, *upright_size(png.width, png.height, png.orientation))
    raise refuse_unknown(head)


def same_pixel_data(first: Path, second: Path) -> bool | None:
    """Whether two DICOM files carry the same pixel data, byte for byte. Decodes no pixels.

    Returns:
        None where they cannot be compared: one of them is unreadable, or they are compressed differently.
    """
    from triage import dicom

    try:
        with as_rejection(), first.open("rb") as one, second.open("rb") as other:
            return dicom.same_pixel_data(one, other)
    except (ImageRejected, OSError):
        return None


def decode(data: bytes, limits: Limits, *, at_least: int | None = None) -> Picture:
    """Decode a file completely.

    Args:
        data: the file's bytes.
        limits: how large it may be; checked before anything is decoded.
        at_least: the caller only needs a shorter side of this many pixels. A JPEG is then decoded at a half,
            quarter or eighth of its size, never below `at_least`, which is several times faster. (What is seen at
            224 pixels then differs by half a grey level on average; training decodes in the same way.)

    Returns:
        The picture; smaller than the header says where `at_least` allowed it.

    Raises:
        ImageRejected: the file cannot be shown correctly.
    """
    limits.check_bytes(len(data))
    media_type = sniff(data[:HEAD_BYTES])
    with as_rejection():
        if media_type == JPEG:
            frame = read_jpeg_frame(io.BytesIO(data))
            limits.check_size(frame.width, frame.height)
            check_jpeg_kind(frame)
            grey = decode_jpeg(data, frame, at_least=at_least)
            return Picture(upright(grey, frame.orientation), JPEG, rendered=False)
        if media_type == PNG:
            png = read_png_start(io.BytesIO(data))
            limits.check_size(png.width, png.height)
            return Picture(upright(decode_png(data, png), png.orientation), PNG, rendered=False)
        if media_type == DICOM:
            from triage import dicom

            grey, annotated = dicom.render(data, limits)
            return Picture(grey, DICOM, rendered=True, burned_in_annotation=annotated)
    raise refuse_unknown(data[:HEAD_BYTES])


def network_input(pixels: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """The picture as the network takes it: stretched to a square, antialiased.

    Stretched and not padded: measured better on this task.

    Args:
        pixels: (height, width) uint8.
        side: of the square, in pixels.

    Returns:
        (side, side) uint8.
    """
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR))


def read_for_network(data: bytes, limits: Limits, side: int) -> tuple[Picture, npt.NDArray[np.uint8]]:
    """Decode a file as large as the network needs it: the one path for serving and for training.

    Args:
        data: the file's bytes.
        limits: how large it may be.
        side: of the network's input, in pixels.

    Returns:
        The picture, and its (side, side) uint8 network input. A picture that is `rendered` has its full size.

    Raises:
        ImageRejected: the file cannot be shown correctly.
    """
    picture = decode(data, limits, at_least=side)
    return picture, network_input(picture.pixels, side)


def encode_png(pixels: npt.NDArray[np.uint8], *, compress_level: int = 1) -> bytes:
    """An 8-bit grey PNG.

    Args:
        pixels: (height, width) uint8.
        compress_level: zlib's, 0 to 9; 1 is several times faster than the usual 6 and little larger.
    """
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=compress_level)
    return buffer.getvalue()
