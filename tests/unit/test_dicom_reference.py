"""Rendered beside DCMTK, which is written by others: within one grey level wherever both follow the standard.

Skipped where its tools are missing (Debian: ``apt install dcmtk``). Known differences, and why:

- No window and more than 8 bits: the standard leaves the choice to the viewer. This program takes a robust range, and
  DCMTK all values that could occur.
- Padding: DCMTK shows it by its value; here it is black, so that a white border hides nothing and stretches no range.
- Non-square pixels: DCMTK leaves them unless it is told to scale, and then interpolates in another way.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from decoding import LIMITS, saved
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from triage.pixels import decode
from triage.samples import draw_radiograph, write_dicom

pytestmark = pytest.mark.skipif(
    shutil.which("dcmj2pnm") is None, reason="DCMTK is not installed: rendering was not compared with it"
)

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(11)
GREY = draw_radiograph(RNG, 120, 100)


def deep(bits: int, signed: bool = False) -> Array:
    """The radiograph with so many bits."""
    values = (GREY.astype(np.int64) << (bits - 8)) | RNG.integers(0, 1 << (bits - 8), GREY.shape)
    return (values - (1 << (bits - 1))).astype(np.int16) if signed else values.astype(np.uint16)


def bits(stored: int, signed: bool = False) -> dict[str, Any]:
    return {"BitsStored": stored, "HighBit": stored - 1, "PixelRepresentation": int(signed)}


def window(centre: float, width: float, function: str | None = None) -> dict[str, Any]:
    return {"WindowCenter": centre, "WindowWidth": width, "VOILUTFunction": function}


def table(entries: list[int], first: int, depth: int, **attributes: Any) -> Items:
    item = Dataset()
    item.LUTDescriptor, item.LUTData = [len(entries), first, depth], entries
    item["LUTDescriptor"].VR = item["LUTData"].VR = "US"
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return Items([item])


def palette() -> dict[str, Any]:
    found: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, shift in (("Red", 0), ("Green", 40), ("Blue", 90)):
        found[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        shades = ((np.arange(256) + shift) % 256 * 257).astype("<u2")
        found[f"{name}PaletteColorLookupTableData"] = shades.tobytes()
    return found


CASES: dict[str, tuple[Array, dict[str, Any], list[str]]] = {
    "8 bits": (GREY, {}, ["-W"]),
    "8 bits, MONOCHROME1": (GREY, {"PhotometricInterpretation": "MONOCHROME1"}, ["-W"]),
    "8 bits, window": (GREY, window(100, 120), ["+Wi", "1"]),
    "10 bits, window": (deep(10), bits(10) | window(500, 700), ["+Wi", "1"]),
    "12 bits, window": (deep(12), bits(12) | window(2000, 3000), ["+Wi", "1"]),
    "12 bits, window, MONOCHROME1": (
        deep(12), bits(12) | window(2000, 3000) | {"PhotometricInterpretation": "MONOCHROME1"}, ["+Wi", "1"],
    ),
    "14 bits, several windows": (
        deep(14), bits(14) | {"WindowCenter": [7000, 3000], "WindowWidth": [9000, 100]}, ["+Wi", "1"],
    ),
    "16 bits, window": (deep(16), bits(16) | window(30000, 40000), ["+Wi", "1"]),
    "12 bits signed, window": (deep(12, True), bits(12, True) | window(0, 3000), ["+Wi", "1"]),
    "16 bits signed, window": (deep(16, True), bits(16, True) | window(-1000, 30000), ["+Wi", "1"]),
    "rescaled": (
        deep(12), bits(12) | window(1000, 2500) | {"RescaleSlope": 0.8, "RescaleIntercept": -300}, ["+Wi", "1"],
    ),
    "rescaled downwards": (
        deep(12), bits(12) | window(-2000, 3000) | {"RescaleSlope": -1, "RescaleIntercept": 0}, ["+Wi", "1"],
    ),
    "sigmoid": (deep(12), bits(12) | window(2000, 1500, "SIGMOID"), ["+Wi", "1", "+Wfs"]),
    "high bit 15": (
        (deep(12).astype(np.uint16) << 4), {"BitsStored": 12, "HighBit": 15} | window(2000, 3000), ["+Wi", "1"],
    ),
    "modality table": (
        deep(10),
        bits(10)
        | window(30000, 50000)
        | {
            "ModalityLUTSequence": table(
                (np.arange(1024) ** 2 // 17).clip(0, 65535).tolist(), 0, 16, ModalityLUTType="US"
            )
        },
        ["+Wi", "1"],
    ),
    "VOI table": (
        deep(10),
        bits(10) | {"VOILUTSequence": table((np.sqrt(np.arange(1024) / 1023) * 4095).astype(int).tolist(), 0, 12)},
        ["+Wl", "1"],
    ),
    "big endian": (
        deep(12), bits(12) | window(2000, 3000) | {"transfer_syntax": uid.ExplicitVRBigEndian}, ["+Wi", "1"],
    ),
    "RLE": (deep(12), bits(12) | window(2000, 3000) | {"transfer_syntax": uid.RLELossless}, ["+Wi", "1"]),
    "RGB": (np.stack([GREY, GREY // 2, 255 - GREY], -1), {}, ["+G"]),
    "palette": (GREY, palette(), ["+G"]),
    "JPEG baseline": (
        GREY, {"transfer_syntax": uid.JPEGBaseline8Bit, "codestream": saved(Image.fromarray(GREY), "JPEG")}, ["-W"],
    ),
    "JPEG lossless, 12 bits": (
        deep(12),
        bits(12)
        | window(2000, 3000)
        | {
            "transfer_syntax": uid.JPEGLosslessSV1,
            "codestream": bytes(imagecodecs.jpeg8_encode(deep(12), lossless=True, predictor=1, bitspersample=12)),
        },
        ["+Wi", "1"],
    ),
    "JPEG extended, 12 bits": (
        deep(12),
        bits(12)
        | window(2000, 3000)
        | {
            "transfer_syntax": uid.JPEGExtended12Bit,
            "codestream": bytes(imagecodecs.jpeg8_encode(deep(12), level=95, bitspersample=12)),
        },
        ["+Wi", "1"],
    ),
    "JPEG-LS": (
        deep(12),
        bits(12)
        | window(2000, 3000)
        | {"transfer_syntax": uid.JPEGLSLossless, "codestream": bytes(imagecodecs.jpegls_encode(deep(12)))},
        ["+Wi", "1"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_as_dcmtk_renders_it(name: str, tmp_path: Path) -> None:
    pixels, attributes, options = CASES[name]
    file = write_dicom(tmp_path / "x.dcm", pixels, **attributes)
    tool = "dcml2pnm" if "JPEG-LS" in name else "dcmj2pnm"
    subprocess.run([tool, "-q", "-O", *options, "+op", file, tmp_path / "x.pgm"], check=True, timeout=60)
    with Image.open(tmp_path / "x.pgm") as image:
        theirs = np.asarray(image.convert("L")).astype(int)
    ours = decode(file.read_bytes(), LIMITS).pixels.astype(int)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 1
    assert len(np.unique(ours)) > 20, "a flat picture shows nothing"
