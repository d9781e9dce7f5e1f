"""Fixtures: a radiograph, as a JPEG, and DICOM files of any kind. Test modules name this in `pytest_plugins`."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from decoding import MakeDicom, saved
from PIL import Image

from triage.samples import draw_radiograph, write_dicom


@pytest.fixture
def dicom(tmp_path: Path) -> MakeDicom:
    def make(rows: list[Any] | np.ndarray[Any, Any] | None, kind: str = "u1", **options: Any) -> bytes:
        stored = None if rows is None else np.asarray(rows, dtype=kind)
        return write_dicom(tmp_path / "made.dcm", stored, **options).read_bytes()

    return make


@pytest.fixture(scope="session")
def radiograph() -> np.ndarray[Any, Any]:
    return draw_radiograph(np.random.default_rng(5), 1250, 1000)


@pytest.fixture(scope="session")
def jpeg(radiograph: np.ndarray[Any, Any]) -> bytes:
    return saved(Image.fromarray(radiograph), "JPEG", quality=90)
