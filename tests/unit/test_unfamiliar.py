"""The checks for pictures that the model should not judge: fitted, given thresholds, counted."""

import importlib.util

import numpy as np
import pytest

if importlib.util.find_spec("sklearn") is None:
    pytest.skip("needs the train extra", allow_module_level=True)

from training.unfamiliar import (
    count_flagged,
    fit_familiarity,
    flag,
    flag_across,
    read_other_pictures,
    set_thresholds,
)
from triage.pixels import Limits
from triage.samples import write_samples
from triage.settings import Settings


def draw(count: int, at: float, seed: int) -> np.ndarray:
    """Features of width 6, the first three of them small and correlated."""
    generator = np.random.default_rng(seed)
    plain = generator.normal(0, 1, (count, 6))
    plain[:, 1] = 0.01 * plain[:, 0] + 0.001 * plain[:, 1]
    return (plain + at).astype(np.float32)


def test_distance_is_about_one_for_what_is_alike_whatever_the_scale():
    familiarity = fit_familiarity(draw(2000, 0.0, 1))

    assert np.median(familiarity.distances(draw(2000, 0.0, 2))) == pytest.approx(0.95, abs=0.1)
    assert familiarity.distances(draw(100, 5.0, 3)).min() > 3
    assert familiarity.other_picture_scores(draw(1, 0.0, 4)) is None


def test_distance_looks_at_the_chosen_columns_only():
    familiarity = fit_familiarity(draw(500, 0.0, 1), columns=slice(3, 6))
    strange = draw(1, 0.0, 2)
    before = familiarity.distances(strange)
    strange[:, 0] = 100

    assert familiarity.distances(strange) == pytest.approx(before)


def test_further_radiographs_become_familiar():
    others = draw(800, 4.0, 5)

    alone = fit_familiarity(draw(800, 0.0, 1)).distances(draw(200, 4.0, 6))
    together = fit_familiarity(draw(800, 0.0, 1), others).distances(draw(200, 4.0, 6))

    assert alone.min() > 2
    assert np.median(together) < 1.5


def test_the_plane_parts_radiographs_from_photos():
    familiarity = fit_familiarity(draw(400, 0.0, 1), photos=draw(40, 6.0, 2))
    scores = familiarity.other_picture_scores

    assert (scores(draw(200, 0.0, 3)) < 0).all()  # type: ignore[operator]
    assert (scores(draw(200, 6.0, 4)) > 0).all()  # type: ignore[operator]


def test_thresholds_keep_to_their_budgets():
    distances, scores = np.arange(1000) / 1000, np.arange(1000) / 1000 - 2

    thresholds = set_thresholds(distances, scores)

    assert thresholds == {
        "unlike_training_data": pytest.approx(0.984, abs=1e-3),
        "not_an_xray": pytest.approx(-1.006, abs=1e-3),
    }
    found = flag(distances, scores, thresholds)
    assert found["unlike_training_data"].sum() == 15
    assert found["not_an_xray"].sum() == 5
    assert set_thresholds(distances, scores + 5)["not_an_xray"] == 0.0
    assert set(set_thresholds(distances, None)) == {"unlike_training_data"}


def test_a_fold_is_judged_by_thresholds_of_the_others():
    # The second fold lies far out: by its own threshold hardly any of it would be flagged.
    distances = np.concatenate([np.linspace(0, 1, 100), np.linspace(5, 6, 100)])[np.newaxis]
    folds = np.repeat([0, 1], 100)[np.newaxis]

    found = flag_across(distances, None, folds)["unlike_training_data"]

    assert found[0, :100].sum() == 0
    assert found[0, 100:].sum() == 100


def test_an_image_counts_once_however_many_checks_flag_it():
    flags = {
        "unlike_training_data": np.array([True, True, False, False]),
        "not_an_xray": np.array([True, False, False, False]),
    }

    row = count_flagged("photos", flags, wanted=True)

    assert (row["images"], row["flagged"], row["share"]) == (4, 2, 0.5)
    assert row["by_reason"] == {"unlike_training_data": 0.5, "not_an_xray": 0.25}
    assert row["low"] == pytest.approx(0.15, abs=0.01)


def test_versions_of_one_picture_go_to_one_half(tmp_path):
    made = write_samples(tmp_path / "made")
    folder = tmp_path / "others"
    folder.mkdir()
    content = next(file for file in made if file.suffix == ".png").read_bytes()
    for source in range(20):
        for copy in range(3):
            (folder / f"image{source}_png.rf.{copy}.png").write_bytes(content)
    (folder / "notes.txt").write_text("no picture")
    (folder / "broken_png.rf.0.png").write_bytes(b"\x89PNG half")

    found = read_other_pictures("further radiographs", folder, Limits.of(Settings(_env_file=None)), 32)

    assert len(found.fit) % 3 == 0
    assert len(found.fit) + len(found.trial) == 60
    assert len(found.fit) > 0
    assert len(found.trial) > 0
