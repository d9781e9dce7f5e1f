"""PNG to grey: what its chunks say, whether it is complete and unaltered, and its luma."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops
from PIL.PngImagePlugin import PngImageFile

from triage.headers import PNG_SIGNATURE
from triage.orientation import read_orientation
from triage.rejections import ImageRejected, cut_short, read_exactly

_MOST_CHUNKS_BEFORE_DATA = 1000
_MOST_EXIF_BYTES = 65536
_INFLATE_STEP = 1 << 18
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


@dataclass(frozen=True)
class PngStart:
    """What a PNG says about itself before its pixels.

    Attributes:
        width: as stored, before `orientation`, in pixels.
        height: as stored, in pixels.
        bit_depth: bits per sample: 1, 2, 4, 8 or 16.
        colour_type: 0 grey, 2 colour, 3 palette, 4 grey with alpha, 6 colour with alpha.
        interlaced: whether the rows come in the seven passes of Adam7.
        orientation: EXIF, 1 to 8.
    """

    width: int
    height: int
    bit_depth: int
    colour_type: int
    interlaced: bool
    orientation: int

    def inflated_bytes(self) -> int:
        """Size of the filtered rows: each has one byte before its samples (PNG specification, sections 7.2 and 8)."""
        bits = self.bit_depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[self.colour_type]
        passes = _ADAM7 if self.interlaced else ((0, 0, 1, 1),)
        size = 0
        for x, y, step_x, step_y in passes:
            columns, rows = -(-(self.width - x) // step_x), -(-(self.height - y) // step_y)
            size += rows * (1 + -(-columns * bits // 8)) if columns > 0 and rows > 0 else 0
        return size


def read_png_start(stream: BinaryIO) -> PngStart:
    """Walk a PNG's chunks up to its first pixel data (PNG specification, section 5).

    Args:
        stream: of the whole PNG; other chunks are skipped by seeking.

    Raises:
        ImageRejected: `truncated` or `damaged`.
    """
    stream.seek(len(PNG_SIGNATURE))
    start = read_exactly(stream, 25, "PNG")
    if start[:8] != b"\x00\x00\x00\rIHDR" or zlib.crc32(start[4:21]) != int.from_bytes(start[21:], "big"):
        raise ImageRejected("damaged", "The PNG's header is broken. Export the X-ray again from its source.")
    width, height, bit_depth, colour_type, _, _, interlace = struct.unpack_from(">IIBBBBB", start, 8)
    orientation = 1
    for _ in range(_MOST_CHUNKS_BEFORE_DATA):
        length, kind = struct.unpack(">I4s", read_exactly(stream, 8, "PNG"))
        if kind in (b"IDAT", b"IEND"):
            return PngStart(width, height, bit_depth, colour_type, interlace == 1, orientation)
        if kind == b"eXIf" and length <= _MOST_EXIF_BYTES:
            orientation = read_orientation(read_exactly(stream, length, "PNG"))
            length = 0
        stream.seek(length + 4, io.SEEK_CUR)
    raise ImageRejected("damaged", "The PNG has too many chunks before its pixels. Export the X-ray again.")


def _check_png_chunks(data: bytes, start: PngStart) -> None:
    """Refuse a PNG that is cut short, has too few rows, or whose checksums do not match.

    The decoder looks at none of that: it leaves what is missing black.
    """
    view = memoryview(data)
    position = len(PNG_SIGNATURE)
    missing = start.inflated_bytes()
    inflater = zlib.decompressobj()
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            break
        critical = not kind[0] & 0x20
        if critical and zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise ImageRejected(
                "damaged",
                "A checksum in the PNG does not match: the file was altered on its way. Send it again.",
            )
        if kind == b"acTL" and data[position + 8 : position + 12] > b"\x00\x00\x00\x01":
            raise ImageRejected("unsupported_type", "This is an animated PNG. Send each X-ray as a file of its own.")
        if kind == b"IDAT" and missing > 0:
            waiting: bytes | memoryview = view[position + 8 : end - 4]
            while waiting and missing > 0 and not inflater.eof:
                missing -= len(inflater.decompress(waiting, _INFLATE_STEP))
                waiting = inflater.unconsumed_tail
        if kind == b"IEND":
            if missing > 0:
                raise cut_short("PNG")
            return
        position = end
    raise cut_short("PNG")


def decode_png(data: bytes, start: PngStart) -> npt.NDArray[np.uint8]:
    """Decode a PNG to grey as it is stored, without turning it upright.

    Args:
        data: the PNG.
        start: what `read_png_start` found; its size is within the limits.

    Returns:
        (height, width) uint8: the luma of a colour picture, on black where it is transparent.

    Raises:
        ImageRejected: `truncated`, `damaged` or `unsupported_type`.
    """
    _check_png_chunks(data, start)
    with PngImageFile(io.BytesIO(data)) as image:
        if image.size != (start.width, start.height):
            raise ValueError("two sizes in one PNG")
        image.load()
        key: Any = image.info.get("transparency")
        if start.colour_type == 0:
            return _grey_png(image, start.bit_depth, key)
        if key is not None and start.colour_type == 2 and start.bit_depth == 16:
            raise ImageRejected(
                "unsupported_type",
                "This is a 16-bit colour PNG with a transparent colour. Send it as a grey PNG.",
            )
        if key is None and image.mode in ("RGB", "P"):
            return np.array(image.convert("RGB").convert("L"))
        # Alpha, and transparent palette entries or colours: on black, as the viewer's background is.
        rgba = image.convert("RGBA")
        return np.array(ImageChops.multiply(rgba.convert("RGB").convert("L"), rgba.getchannel("A")))


def _grey_png(image: Image.Image, bit_depth: int, key: int | None) -> npt.NDArray[np.uint8]:
    """A grey PNG; the one sample value `key`, if any, is transparent and so becomes black."""
    if bit_depth < 16:
        grey = np.array(image.convert("L"))
        if key is not None:
            grey[grey == key * 255 // (2**bit_depth - 1)] = 0
        return grey
    samples = np.asarray(image).astype(np.uint32)  # little endian 16 bit in Pillow; Pillow's own convert("L") clips
    if key is not None:
        samples[samples == key] = 0
    # round(v * 255 / 65535) without a division: 0 -> 0, 65535 -> 255.
    return ((samples * 255 + 32895) >> 16).astype(np.uint8)
