"""How unlike the training images a picture is: numbers that can be checked by hand, and files that are refused."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from triage.bundle import BundleError
from triage.familiarity import Familiarity, load_familiarity


def write(path: Path, **arrays: object) -> Path:
    np.savez(path, **{name: np.asarray(array) for name, array in arrays.items()})
    return path


def test_the_distance_is_the_root_of_the_mean_square_of_whitened_features() -> None:
    found = Familiarity(mean=np.array([1.0, 2.0]), whiten=np.array([[0.5, 0.0], [0.0, 2.0]]))
    features = np.array([[1, 2], [3, 2], [1, 3], [-5, 6]], np.float32)
    # Whitened: (0, 0), (1, 0), (0, 2), (-3, 8).
    np.testing.assert_allclose(found.distances(features), [0, np.sqrt(0.5), np.sqrt(2), np.sqrt(36.5)])


def test_fewer_dimensions_than_features_are_fine() -> None:
    found = Familiarity(mean=np.zeros(3), whiten=np.array([[1.0], [1.0], [0.0]]))
    np.testing.assert_allclose(found.distances(np.array([[1, 2, 100]], np.float32)), [3.0])


def test_the_score_of_other_pictures_is_positive_on_their_side() -> None:
    found = Familiarity(np.zeros(2), np.eye(2), radiograph_weights=np.array([1.0, -2.0]), radiograph_bias=0.5)
    scores = found.other_picture_scores(np.array([[0, 0], [1, 1], [2, 0]], np.float32))
    assert scores is not None
    assert scores.tolist() == [0.5, -0.5, 2.5]


def test_without_a_plane_there_is_no_score() -> None:
    assert Familiarity(np.zeros(2), np.eye(2)).other_picture_scores(np.zeros((1, 2), np.float32)) is None


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = write(
        tmp_path / "features.npz",
        mean=np.zeros(2, np.float32), whiten=np.eye(2, dtype=np.float32),
        radiograph_weights=np.ones(2, np.float32), radiograph_bias=np.float32(-1),
    )  # fmt: skip
    found = load_familiarity(path)
    assert (found.width, found.radiograph_bias) == (2, -1.0)
    assert found.mean.dtype == np.float64


@pytest.mark.parametrize(
    "arrays",
    [
        {"mean": [0.0, 0.0]},
        {"mean": [0.0], "whiten": [[1.0]], "radiograph_weights": [1.0]},
        {"mean": [0.0], "whiten": [[1.0]], "radiograph_bias": 1.0},
    ],
    ids=["no whiten", "weights without bias", "bias without weights"],
)
def test_a_file_that_lacks_something_is_refused(tmp_path: Path, arrays: dict[str, object]) -> None:
    with pytest.raises(BundleError, match="must hold mean and whiten"):
        load_familiarity(write(tmp_path / "features.npz", **arrays))


@pytest.mark.parametrize(
    "arrays",
    [
        {"mean": [0.0, 0.0], "whiten": [[1.0]]},
        {"mean": [[0.0]], "whiten": [[1.0]]},
        {"mean": [0.0], "whiten": [1.0]},
        {"mean": [], "whiten": np.zeros((0, 1))},
        {"mean": [0.0], "whiten": np.zeros((1, 0))},
        {"mean": [0.0], "whiten": [[1.0]], "radiograph_weights": [1.0, 1.0], "radiograph_bias": 0.0},
        {"mean": [0.0], "whiten": [[1.0]], "radiograph_weights": [1.0], "radiograph_bias": [0.0]},
    ],
    ids=["width", "mean", "whiten", "empty", "no dimension", "weights", "bias"],
)
def test_shapes_that_do_not_fit_are_refused(tmp_path: Path, arrays: dict[str, object]) -> None:
    with pytest.raises(BundleError, match="shapes do not fit"):
        load_familiarity(write(tmp_path / "features.npz", **arrays))


def test_values_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not finite"):
        load_familiarity(write(tmp_path / "features.npz", mean=[np.nan], whiten=[[1.0]]))


@pytest.mark.parametrize("data", [b"", b"not an archive", b"PK\x03\x04 half"])
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "features.npz").write_bytes(data)
    with pytest.raises(BundleError, match="cannot be read"):
        load_familiarity(tmp_path / "features.npz")


def test_an_archive_that_would_run_code_is_refused(tmp_path: Path) -> None:
    target = io.BytesIO()
    np.savez(target, mean=np.array([print], dtype=object), whiten=np.eye(1))
    (tmp_path / "features.npz").write_bytes(target.getvalue())
    with pytest.raises(BundleError, match="cannot be read"):
        load_familiarity(tmp_path / "features.npz")
