"""JPEG as a person sees it: expected values are written out, not computed again."""

import base64
from typing import Any

import imagecodecs
import numpy as np
import pytest
from decoding import LIMITS, array, rejected, saved, shown
from PIL import Image

from triage import pixels
from triage.pixels import decode, read_for_network, read_header

pytest_plugins = ["radiographs"]


def test_grey_and_colour_give_the_same_picture(radiograph: np.ndarray[Any, Any], jpeg: bytes) -> None:
    colour = saved(Image.fromarray(radiograph).convert("RGB"), "JPEG", quality=90)
    assert np.abs(np.array(shown(jpeg)) - shown(colour)).max() <= 1


def test_progressive(radiograph: np.ndarray[Any, Any], jpeg: bytes) -> None:
    progressive = saved(Image.fromarray(radiograph), "JPEG", quality=90, progressive=True)
    assert np.abs(np.array(shown(jpeg)) - shown(progressive)).max() <= 1


@pytest.mark.parametrize(
    ("rgb", "luma"), [((255, 255, 255), 255), ((0, 0, 0), 0), ((255, 0, 0), 76), ((0, 0, 255), 29)]
)
def test_colour_is_shown_as_luma(rgb: tuple[int, int, int], luma: int) -> None:
    assert shown(saved(Image.new("RGB", (8, 8), rgb), "JPEG", quality=100))[4][4] == pytest.approx(luma, abs=2)


@pytest.mark.parametrize(("cmyk", "luma"), [((0, 0, 0, 0), 255), ((0, 0, 0, 255), 0), ((0, 0, 0, 55), 200)])
def test_cmyk_as_adobe_writes_it(cmyk: tuple[int, int, int, int], luma: int) -> None:
    data = saved(Image.new("CMYK", (8, 8), cmyk), "JPEG", quality=100)
    assert b"Adobe" in data
    assert shown(data)[4][4] == pytest.approx(luma, abs=2)


def test_ycck() -> None:
    # The same samples, said to be YCCK: with neutral chroma, Y stands for the (inverted) C, M and Y.
    data = saved(Image.new("CMYK", (8, 8), (255 - 128, 255 - 128, 255 - 128, 0)), "JPEG", quality=100)
    at = data.index(b"Adobe")
    ycck = data[: at + 11] + b"\x02" + data[at + 12 :]
    assert shown(ycck)[4][4] == pytest.approx(128, abs=2)


def test_cmyk_without_an_adobe_marker_is_not_inverted() -> None:
    data = saved(Image.new("CMYK", (8, 8), (255, 255, 255, 200)), "JPEG", quality=100)
    at = data.index(b"\xff\xee")
    plain = data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]
    # Stored 0, 0, 0, 55: hardly any ink.
    assert shown(plain)[4][4] == pytest.approx(200, abs=2)


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (1, ["ab", "cd", "ef"]),
        (2, ["ba", "dc", "fe"]),
        (3, ["fe", "dc", "ba"]),
        (4, ["ef", "cd", "ab"]),
        (5, ["ace", "bdf"]),
        (6, ["eca", "fdb"]),
        (7, ["fdb", "eca"]),
        (8, ["bdf", "ace"]),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_orientation(orientation: int, expected: list[str], kind: str) -> None:
    level = {letter: 20 + 40 * place for place, letter in enumerate("abcdef")}
    blocks = np.kron(array([[level[c] for c in row] for row in ("ab", "cd", "ef")], "u1"), np.ones((64, 64), "u1"))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(blocks), kind, exif=exif)
    for at_least in (None, 8):  # 8: decoded scaled down
        seen = decode(data, LIMITS, at_least=at_least).pixels
        step = seen.shape[0] // len(expected)
        centres = seen[step // 2 :: step, step // 2 :: step]
        assert np.abs(centres.astype(int) - [[level[c] for c in row] for row in expected]).max() <= 2
    header = read_header(data, LIMITS)
    assert (header.width, header.height) == (64 * len(expected[0]), 64 * len(expected))


def test_broken_exif_is_ignored_without_a_warning(radiograph: np.ndarray[Any, Any]) -> None:
    for exif in (b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\0\0"):
        assert len(shown(saved(Image.fromarray(radiograph), "JPEG", exif=exif))) == 1250


def test_scaled_decoding_gives_nearly_the_same_network_input(jpeg: bytes) -> None:
    picture, scaled = read_for_network(jpeg, LIMITS, 224)
    full = pixels.network_input(decode(jpeg, LIMITS).pixels, 224)
    assert picture.pixels.shape == (313, 250)  # a quarter: an eighth would be below 224
    assert scaled.shape == (224, 224)
    difference = np.abs(scaled.astype(int) - full)
    assert difference.mean() < 0.7
    assert np.percentile(difference, 99) <= 8  # more at the edges of the lead marker alone


def test_cut_short(jpeg: bytes) -> None:
    for length in (10, 200, len(jpeg) // 2, len(jpeg) - 2, len(jpeg) - 1):
        assert rejected(jpeg[:length]).code == "truncated", length


def test_preallocated_and_half_filled(jpeg: bytes) -> None:
    half = len(jpeg) // 2
    assert rejected(jpeg[:half] + b"\0" * (len(jpeg) - half)).code == "truncated"


def test_cut_short_with_a_whole_thumbnail_inside(radiograph: np.ndarray[Any, Any]) -> None:
    thumbnail = saved(Image.new("L", (16, 16)), "JPEG")
    whole = saved(Image.fromarray(radiograph), "JPEG", exif=b"Exif\0\0" + thumbnail)
    assert rejected(whole[: len(whole) // 2]).code == "truncated"


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
def test_cut_short_and_given_an_end(radiograph: np.ndarray[Any, Any], progressive: bool, share: float) -> None:
    """As a program does that mends files: decoders show it without a word, grey from where it was cut."""
    whole = saved(Image.fromarray(radiograph), "JPEG", quality=90, progressive=progressive)
    refusal = rejected(whole[: int(share * len(whole))].rstrip(b"\xff") + b"\xff\xd9")
    assert refusal.code == "truncated"


def test_a_hole_in_the_middle(radiograph: np.ndarray[Any, Any], jpeg: bytes) -> None:
    half = len(jpeg) // 2
    assert rejected(jpeg[:half] + jpeg[half + 2000 :]).code in ("truncated", "damaged")
    assert rejected(jpeg[:half] + b"\0" * 2000 + jpeg[half + 2000 :]).code in ("truncated", "damaged")


def test_progressive_without_its_last_scan(radiograph: np.ndarray[Any, Any]) -> None:
    whole = saved(Image.fromarray(radiograph), "JPEG", quality=90, progressive=True)
    assert rejected(whole[: whole.rindex(b"\xff\xda")] + b"\xff\xd9").code == "truncated"


def test_filler_before_the_end_does_no_harm(jpeg: bytes) -> None:
    assert shown(jpeg[:-2] + b"\0" * 500 + jpeg[-2:]) == shown(jpeg)
    assert rejected(jpeg[:-2] + b"\x12\x34" * 250 + jpeg[-2:]).code == "damaged"


def test_an_unknown_jfif_revision_does_no_harm(jpeg: bytes) -> None:
    at = jpeg.index(b"JFIF\0") + 5
    assert shown(jpeg[:at] + b"\x03" + jpeg[at + 1 :]) == shown(jpeg)


def test_chroma_sampled_in_an_unusual_way() -> None:
    # Red, 16 x 16, by ImageMagick with -sampling-factor 3x1,1x1,1x1.
    data = base64.b64decode(
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgHBwcJCQgKDBQNDAsLDBkSEw8UHRofHh0aHBwgJC4nICIsIxwcKDcpLDAx"
        "NDQ0Hyc5PTgyPC4zNDL/2wBDAQkJCQwLDBgNDRgyIRwhMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIy"
        "MjIyMjIyMjL/wAARCAAQABADATEAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAb/xAAUEAEAAAAAAAAAAAAAAAAAAAAA/8QA"
        "FgEBAQEAAAAAAAAAAAAAAAAAAAYH/8QAFBEBAAAAAAAAAAAAAAAAAAAAAP/aAAwDAQACEQMRAD8AiwTLcQAf/9k="
    )
    assert shown(data)[8][8] == pytest.approx(76, abs=1)
    assert decode(data, LIMITS, at_least=8).pixels.shape == (8, 8)


def test_stored_as_rgb() -> None:
    picture = array([[[255, 0, 0]] * 16] * 16, "u1")
    data = bytes(imagecodecs.jpeg8_encode(picture, level=100, colorspace="RGB", outcolorspace="RGB"))
    assert shown(data)[8][8] == pytest.approx(76, abs=1)


def test_bytes_after_the_end_do_no_harm(jpeg: bytes) -> None:
    assert shown(jpeg + b"\0" * 100) == shown(jpeg)


def test_damaged_tables(jpeg: bytes) -> None:
    at = jpeg.index(b"\xff\xc4")
    assert rejected(jpeg[: at + 5] + b"\xff" * 16 + jpeg[at + 21 :]).code == "damaged"


def test_thousands_of_scans() -> None:
    data = saved(Image.new("L", (8, 8)), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    assert rejected(data[:-2] + scan * 2000 + data[-2:]).code == "damaged"
