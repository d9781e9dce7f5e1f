from pathlib import Path

import numpy as np
import pytest

from triage.pixels import ImageRejected, Limits, decode, read_header
from triage.samples import draw_radiograph, write_samples

LIMITS = Limits(max_bytes=50_000_000, max_pixels=20_000_000, max_side=10_000)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_samples(tmp_path_factory.mktemp("samples"))


def test_a_dozen_can_be_read_and_look_like_radiographs(samples: list[Path]) -> None:
    good = [path for path in samples if not path.name.startswith("broken")]
    assert sorted(path.suffix for path in good) == [".dcm"] * 3 + [".jpg"] * 5 + [".png"] * 4
    for path in good:
        picture = decode(path.read_bytes(), LIMITS).pixels
        assert picture.shape == (1250, 1000)
        assert picture[:20].mean() < 30  # outside the collimator
        assert np.percentile(picture, 97) > 120  # bone


def test_the_broken_ones_say_why(samples: list[Path]) -> None:
    codes = {}
    for path in samples:
        try:
            decode(path.read_bytes(), LIMITS)
        except ImageRejected as refusal:
            codes[path.name] = refusal.code
    assert codes == {
        "broken-truncated.jpg": "truncated",
        "broken-text.jpg": "unknown_type",
        "broken-no-pixels.dcm": "dicom_no_pixels",
    }


def test_two_dicoms_are_one_study(samples: list[Path]) -> None:
    headers = [read_header(path, LIMITS) for path in samples if path.suffix == ".dcm" and "broken" not in path.name]
    assert len({header.study_instance_uid for header in headers}) == 2
    assert len({header.sop_instance_uid for header in headers}) == 3


def test_one_seed_gives_the_same_bytes(samples: list[Path], tmp_path: Path) -> None:
    again = write_samples(tmp_path)
    assert [path.name for path in again] == [path.name for path in samples]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(again, samples, strict=True))


def test_another_seed_gives_other_files(samples: list[Path], tmp_path: Path) -> None:
    drawn = [path for path in samples if "text" not in path.name]
    others = {path.name: path.read_bytes() for path in write_samples(tmp_path, seed=1)}
    assert all(path.read_bytes() != others[path.name] for path in drawn)


@pytest.mark.parametrize(("height", "width"), [(1250, 1000), (64, 64), (300, 700)])
def test_draws_at_any_size(height: int, width: int) -> None:
    for seed in range(3):
        one, two = (draw_radiograph(np.random.default_rng(seed), height, width) for _ in range(2))
        assert one.shape == (height, width)
        assert one.dtype == np.uint8
        assert np.array_equal(one, two)
