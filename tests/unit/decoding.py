"""What the tests of decoding share: files made by hand, and the two ways decoding may end."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from triage.pixels import REJECTION_CODES, ImageRejected, Limits, decode, read_header

LIMITS = Limits(max_bytes=50_000_000, max_pixels=20_000_000, max_side=10_000)
MakeDicom = Callable[..., bytes]


def rejected(data: bytes, limits: Limits = LIMITS) -> ImageRejected:
    with pytest.raises(ImageRejected) as caught:
        decode(data, limits)
    assert caught.value.code in REJECTION_CODES
    assert caught.value.detail.endswith(".")
    return caught.value


def shown(data: bytes) -> list[list[int]]:
    picture = decode(data, LIMITS)
    assert picture.pixels.dtype == np.uint8
    assert picture.pixels.flags.c_contiguous
    header = read_header(data, LIMITS)
    assert (header.height, header.width) == picture.pixels.shape
    rows: list[list[int]] = picture.pixels.tolist()
    return rows


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def array(rows: list[Any], kind: str) -> np.ndarray[Any, Any]:
    return np.array(rows, dtype=kind)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *extra: bytes) -> bytes:
    start = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + start + b"".join(extra) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
