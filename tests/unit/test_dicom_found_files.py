"""The test files that come inside pydicom's wheel: each is rendered, or refused by name."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pydicom.data
from decoding import LIMITS

from triage.pixels import DICOM, ImageRejected, decode, read_header, sniff

FOLDER = Path(pydicom.data.__file__).parent


def test_every_file_is_rendered_or_refused() -> None:
    files = sorted(file for file in FOLDER.rglob("*") if file.is_file() and file.suffix not in (".py", ".pyc"))
    ends: Counter[str] = Counter()
    for file in files:
        data = file.read_bytes()
        try:
            picture = decode(data, LIMITS)
        except ImageRejected as refused:
            ends[refused.code] += 1
        else:
            ends["rendered"] += 1
            assert picture.pixels.ndim == 2
            header = read_header(data, LIMITS)
            assert (header.height, header.width) == picture.pixels.shape, file.name
    assert len(files) > 100
    assert sum(sniff(file.read_bytes()[:256]) == DICOM for file in files) > 80
    assert ends["rendered"] >= 20, ends
