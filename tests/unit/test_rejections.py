"""Each code that a file can be refused with: a file that is refused with it, by `decode` itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import imagecodecs
import numpy as np
import pytest
from decoding import LIMITS, MakeDicom, saved
from PIL import Image
from pydicom import uid

from triage.codecs import HELPER
from triage.pixels import REJECTION_CODES, ImageRejected, decode
from triage.rejections import Limits

pytest_plugins = ["radiographs"]

LARGE = np.zeros((3000, 3000), np.uint16)


def jpeg_2000(dicom: MakeDicom) -> bytes:
    codestream = bytes(imagecodecs.jpeg2k_encode(LARGE, reversible=True, codecformat="j2k"))
    return dicom(LARGE, "u2", transfer_syntax=uid.JPEG2000Lossless, codestream=codestream)


Case = tuple[Callable[[MakeDicom], bytes], dict[str, Any]]
CASES: dict[str, Case] = {
    "empty_file": (lambda dicom: b"", {}),
    "too_large": (lambda dicom: dicom([[1, 2]]), {"max_bytes": 100}),
    "too_many_pixels": (lambda dicom: dicom([[1, 2]], Rows=30_000, Columns=30_000), {}),
    "unknown_type": (lambda dicom: b"This is no picture." * 20, {}),
    "unsupported_type": (lambda dicom: b"PK\x03\x04" + bytes(200), {}),
    "truncated": (lambda dicom: saved(Image.new("L", (64, 64)), "PNG")[:-20], {}),
    "damaged": (lambda dicom: b"\xff\xd8\xff\xd8" + bytes(200), {}),
    "dicom_no_pixels": (lambda dicom: dicom(None), {}),
    "dicom_multi_frame": (lambda dicom: dicom([[1, 2]], NumberOfFrames=2), {}),
    "dicom_not_a_radiograph": (lambda dicom: dicom([[1, 2]], Modality="CT"), {}),
    "dicom_unsupported_syntax": (
        lambda dicom: dicom([[1, 2]], transfer_syntax=uid.MPEG2MPML, codestream=b"x"), {},
    ),
    "dicom_unsupported_photometric": (lambda dicom: dicom([[1, 2]], PhotometricInterpretation="HSV"), {}),
    "dicom_unsupported_encoding": (lambda dicom: dicom([[1, 2]], BitsAllocated=32), {}),
    "decoder_crashed": (jpeg_2000, {}),
    "decoder_too_slow": (jpeg_2000, {"decode_seconds": 0.0}),
    "decoder_out_of_memory": (jpeg_2000, {"decode_megabytes": 16}),
}  # fmt: skip


def test_each_code_has_a_file() -> None:
    assert CASES.keys() == REJECTION_CODES.keys()


@pytest.mark.parametrize("code", CASES)
def test_a_file_is_refused_with(code: str, dicom: MakeDicom, monkeypatch: pytest.MonkeyPatch) -> None:
    make, options = CASES[code]
    data = make(dicom)
    limits: Limits = replace(LIMITS, **options)
    if code == "decoder_crashed":
        started = HELPER.started

        def crashing(megabytes: int) -> Any:
            process = started(megabytes)
            os.kill(process.pid, signal.SIGSEGV)
            return process

        monkeypatch.setattr(HELPER, "started", crashing)
    with pytest.raises(ImageRejected) as refused:
        decode(data, limits)
    assert refused.value.code == code
    # It says what to do.
    assert any(word in refused.value.detail for word in ("Send", "Export", "Only radiographs", "send", "export"))
