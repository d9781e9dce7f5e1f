"""PNG as a person sees it: expected values are written out, not computed again."""

import struct
import zlib
from typing import Any

import numpy as np
import pytest
from decoding import array, chunk, png, rejected, saved, shown
from PIL import Image

pytest_plugins = ["radiographs"]


def test_grey() -> None:
    assert shown(saved(Image.fromarray(array([[0, 7], [128, 255]], "u1")), "PNG")) == [[0, 7], [128, 255]]


def test_16_bit_is_scaled_and_not_clipped() -> None:
    data = png(4, 1, 16, 0, b"\0" + struct.pack(">4H", 0, 257, 32896, 65535))
    assert shown(data) == [[0, 1, 128, 255]]


def test_1_bit() -> None:
    assert shown(png(4, 1, 1, 0, b"\0\xa0")) == [[255, 0, 255, 0]]


def test_2_and_4_bit() -> None:
    assert shown(png(4, 1, 2, 0, b"\0\x1b")) == [[0, 85, 170, 255]]
    assert shown(png(2, 1, 4, 0, b"\0\x1f")) == [[17, 255]]


def test_palette() -> None:
    palette = chunk(b"PLTE", bytes([0, 0, 0, 255, 255, 255, 255, 0, 0]))
    assert shown(png(3, 1, 8, 3, b"\0\x00\x01\x02", palette)) == [[0, 255, 76]]


def test_palette_with_a_transparent_entry() -> None:
    palette = chunk(b"PLTE", bytes([200, 200, 200, 255, 255, 255]))
    assert shown(png(2, 1, 8, 3, b"\0\x00\x01", palette, chunk(b"tRNS", b"\x00"))) == [[0, 255]]


def test_alpha_is_shown_on_black() -> None:
    grey_alpha = array([[[200, 255], [200, 0], [200, 128]]], "u1")
    assert shown(saved(Image.fromarray(grey_alpha, "LA"), "PNG")) == [[200, 0, 100]]
    colour_alpha = array([[[255, 0, 0, 255], [255, 255, 255, 0]]], "u1")
    assert shown(saved(Image.fromarray(colour_alpha), "PNG")) == [[76, 0]]


@pytest.mark.parametrize(
    ("depth", "row", "expected"),
    [(2, b"\x1b", [0, 0, 170, 255]), (8, b"\x00\x01\x02\x03", [0, 0, 2, 3])],
)
def test_transparent_grey(depth: int, row: bytes, expected: list[int]) -> None:
    assert shown(png(4, 1, depth, 0, b"\0" + row, chunk(b"tRNS", b"\x00\x01"))) == [expected]


def test_colour_is_shown_as_luma() -> None:
    rgb = array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], "u1")
    assert shown(saved(Image.fromarray(rgb), "PNG")) == [[76, 150, 29, 255]]


def test_16_bit_colour() -> None:
    assert shown(png(1, 1, 16, 2, b"\0" + struct.pack(">3H", 51400, 51400, 51400))) == [[200]]


def test_16_bit_colour_key_is_refused() -> None:
    data = png(1, 1, 16, 2, b"\0" * 7, chunk(b"tRNS", b"\0" * 6))
    assert rejected(data).code == "unsupported_type"


def test_cut_short(radiograph: np.ndarray[Any, Any]) -> None:
    whole = saved(Image.fromarray(radiograph), "PNG")
    for length in (20, 60, len(whole) // 2, len(whole) - 12, len(whole) - 1):
        assert rejected(whole[:length]).code == "truncated", length


def test_a_flipped_bit_in_the_pixels(radiograph: np.ndarray[Any, Any]) -> None:
    whole = bytearray(saved(Image.fromarray(radiograph), "PNG"))
    whole[len(whole) // 2] ^= 1
    assert rejected(bytes(whole)).code == "damaged"


def test_rows_missing_inside_sound_chunks() -> None:
    assert rejected(png(4, 9, 8, 0, b"\0" * 44)).code == "truncated"
    assert shown(png(4, 9, 8, 0, b"\0" * 45)) == [[0] * 4] * 9


def test_interlaced() -> None:
    # The seven passes of a 3 x 3 picture: 1, 0, 0, 1, 2 (one row), 2 and 3 pixels.
    rows = b"\0\x01" + b"\0\x03" + b"\0\x07\x09" + b"\0\x02" + b"\0\x08" + b"\0\x04\x05\x06"
    start = chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 3, 8, 0, 0, 0, 1))
    body = b"\x89PNG\r\n\x1a\n" + start
    end = chunk(b"IEND", b"")
    assert shown(body + chunk(b"IDAT", zlib.compress(rows)) + end) == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert rejected(body + chunk(b"IDAT", zlib.compress(rows[:-1])) + end).code == "truncated"
