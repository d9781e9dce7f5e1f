"""Damaged files without end: every one is a picture or `ImageRejected`, and memory stays bounded.

A short run is part of the tests. ``TRIAGE_FUZZ=20000 make test ARGS="tests/unit/test_fuzz.py -s"`` is the long one; it
prints what became of the files.
"""

from __future__ import annotations

import os
import random
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import psutil
import pytest
from decoding import saved
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from triage.codecs import HELPER
from triage.pixels import ImageRejected, Limits, decode, read_header
from triage.samples import draw_radiograph, write_dicom

FILES = int(os.environ.get("TRIAGE_FUZZ", "500"))
LIMITS = Limits(
    max_bytes=2_000_000, max_pixels=4_000_000, max_side=4_000, decode_seconds=10, decode_megabytes=256,
)  # fmt: skip
EXTREMES = (
    b"\x00\x00",
    b"\xff\xff",
    b"\x00\x00\x00\x00",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\x00\x80",
    b"\x01",
)
MEMORY_BYTES = 600_000_000
"""Twenty frames of the largest picture that the limits let through, and the helper with what it is allowed."""


def make_seeds(folder: Path) -> dict[str, bytes]:
    """Small files of every kind that is read."""
    grey = draw_radiograph(np.random.default_rng(1), 60, 50)
    colour = np.stack([grey, grey // 2, 255 - grey], -1)
    deep = (grey.astype(np.uint16) * 16 + 3).astype(np.uint16)
    picture, tinted = Image.fromarray(grey), Image.fromarray(colour)
    exif = Image.Exif()
    exif[0x0112] = 6
    seeds = {
        "jpeg": saved(picture, "JPEG", exif=exif),
        "jpeg colour": saved(tinted, "JPEG", progressive=True),
        "jpeg cmyk": saved(tinted.convert("CMYK"), "JPEG"),
        "png": saved(picture, "PNG"),
        "png 16": saved(Image.fromarray(deep), "PNG"),
        "png palette": saved(picture.convert("P"), "PNG", transparency=3),
        "png alpha": saved(tinted.convert("RGBA"), "PNG"),
    }
    twelve: dict[str, Any] = {"BitsStored": 12, "HighBit": 11}
    lut = Dataset()
    lut.LUTDescriptor, lut.LUTData = [4, 0, 12], [0, 1, 2, 3]
    lut["LUTDescriptor"].VR = lut["LUTData"].VR = "US"
    nested = Dataset()
    for _ in range(80):
        nested, inner = Dataset(), nested
        nested.RequestAttributesSequence = Items([inner])

    def dicom(name: str, pixels: np.ndarray[Any, Any], syntax: str = uid.ExplicitVRLittleEndian, **more: Any) -> None:
        seeds[name] = write_dicom(folder / "seed.dcm", pixels, transfer_syntax=syntax, **more).read_bytes()

    for syntax in (
        uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian,
        uid.DeflatedExplicitVRLittleEndian, uid.RLELossless,
    ):  # fmt: skip
        dicom(syntax, deep, syntax, **twelve, WindowCenter=2000, WindowWidth=3000)
    dicom("colour", colour)
    dicom("tables", deep, VOILUTSequence=Items([lut]), ModalityLUTSequence=Items([lut]), **twelve)
    dicom("nested", grey, ReferencedImageSequence=Items([nested]))
    for syntax, codestream in {
        uid.JPEGBaseline8Bit: saved(picture, "JPEG"),
        uid.JPEGLosslessSV1: imagecodecs.jpeg8_encode(grey, lossless=True, predictor=1, bitspersample=8),
        uid.JPEGLSLossless: imagecodecs.jpegls_encode(grey),
        uid.JPEG2000Lossless: imagecodecs.jpeg2k_encode(grey, reversible=True, codecformat="j2k"),
        uid.HTJ2KLossless: imagecodecs.htj2k_encode(grey, reversible=True),
    }.items():
        dicom(syntax, grey, syntax, codestream=bytes(codestream))
    dicom(
        uid.JPEGExtended12Bit, deep, uid.JPEGExtended12Bit,
        codestream=bytes(imagecodecs.jpeg8_encode(deep, level=90, bitspersample=12)), **twelve,
    )  # fmt: skip
    return seeds


def mutate(data: bytes, rng: random.Random) -> bytes:
    """One to four damages: cut, flipped, overwritten with extremes, cut out, doubled, lengths and sizes exchanged."""
    damaged = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        if not damaged:
            break
        # Most of what matters is written before the pixels.
        at = rng.randrange(rng.choice((len(damaged), min(len(damaged), 900))))
        kind = rng.randrange(7)
        if kind == 0:
            del damaged[at:]
        elif kind == 1:
            damaged[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            damaged[at] = rng.randrange(256)
        elif kind == 3:
            extreme = rng.choice(EXTREMES)
            damaged[at : at + len(extreme)] = extreme
        elif kind == 4:
            del damaged[at : at + rng.randint(1, 64)]
        elif kind == 5:
            damaged[at:at] = damaged[at : at + rng.randint(1, 64)] * rng.randint(1, 20)
        else:
            order = rng.choice("<>")
            form, most = rng.choice((("H", 0xFFFF), ("I", 0xFFFFFFFF)))
            number = struct.pack(order + form, rng.choice((0, 1, most, most // 2, rng.randint(0, most))))
            damaged[at : at + len(number)] = number
    return bytes(damaged)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return make_seeds(tmp_path_factory.mktemp("seeds"))


@pytest.fixture(scope="module")
def ends() -> Iterator[Counter[str]]:
    found: Counter[str] = Counter()
    yield found
    width = max(map(len, found), default=0)
    sys.stdout.write("\n" + "\n".join(f"{code:{width}}  {count}" for code, count in found.most_common()) + "\n")


def resident() -> int:
    """Bytes of this process and the decoders'."""
    own = psutil.Process()
    return sum(process.memory_info().rss for process in (own, *own.children(recursive=True)))


def test_the_seeds_are_whole(seeds: dict[str, bytes]) -> None:
    for name, data in seeds.items():
        assert decode(data, LIMITS).pixels.shape in ((60, 50), (50, 60)), name


@pytest.mark.timeout(max(180, FILES // 20))
def test_every_damaged_file_is_a_picture_or_is_refused(seeds: dict[str, bytes], ends: Counter[str]) -> None:
    before, most, slowest = resident(), 0, 0.0

    @settings(
        max_examples=FILES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(name=st.sampled_from(sorted(seeds)), seed=st.integers(0, 2**32 - 1), at_least=st.sampled_from((None, 16)))
    def run(name: str, seed: int, at_least: int | None) -> None:
        nonlocal most, slowest
        damaged = mutate(seeds[name], random.Random(seed))
        started = time.monotonic()
        for read in (lambda: read_header(damaged, LIMITS), lambda: decode(damaged, LIMITS, at_least=at_least)):
            try:
                read()
                end = "a picture"
            except ImageRejected as refused:
                end = refused.code
        slowest = max(slowest, time.monotonic() - started)
        ends[end] += 1
        if ends.total() % 50 == 0:
            most = max(most, resident())

    run()
    HELPER.stop()
    grown = f"memory grew by at most {(most - before) / 1e6:.0f} MB"
    sys.stdout.write(f"\n{ends.total()} files; slowest {slowest:.2f} s; {grown}\n")
    assert ends.total() >= FILES * 0.9
    assert most - before < MEMORY_BYTES
