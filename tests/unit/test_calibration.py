import json

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs the train extra")

from measured import make_held, make_logits

from training import assessment, calibration
from training.calibration import Calibration
from training.evaluation import HeldOut, softmax

# -- what is fitted ----------------------------------------------------------------------------------------------------


def test_temperature_undoes_overconfidence():
    logits, targets = make_logits(20_000, 1.5, 1)

    assert calibration.fit_temperature(logits * 2.5, targets) == pytest.approx(2.5, rel=0.03)
    assert calibration.fit_temperature(logits, targets) == pytest.approx(1.0, rel=0.03)


def test_temperature_is_one_for_all_repeats():
    logits, targets = make_logits(2000, 1.5, 1)

    found = calibration.fit_temperature(np.stack([logits * 2, logits * 2]), targets)

    assert found == pytest.approx(calibration.fit_temperature(logits * 2, targets), abs=1e-3)


def test_lac_quantile_by_hand():
    # Scores are 1 - p(true): 0.1 ... 0.9.
    probabilities = np.stack([np.arange(1, 10) / 10, 1 - np.arange(1, 10) / 10], axis=1)
    targets = np.zeros(9, np.int64)

    assert calibration.lac_quantile(probabilities, targets, 0.9) == pytest.approx(0.9)  # the 9th of 9
    assert calibration.lac_quantile(probabilities, targets, 0.5) == pytest.approx(0.5)  # the 5th of 9
    assert calibration.lac_quantile(probabilities, targets, 0.95) == 1.0  # would be the 10th of 9


def test_repeats_do_not_make_the_conformal_quantile_less_careful():
    probabilities = np.stack([np.arange(1, 10) / 10, 1 - np.arange(1, 10) / 10], axis=1)
    targets = np.zeros(9, np.int64)
    thrice = np.stack([probabilities] * 3)

    assert calibration.lac_quantile(thrice, targets, 0.5) == pytest.approx(0.5)
    assert calibration.lac_quantile(thrice, targets, 0.95) == 1.0  # 27 scores, but 9 images


def test_prediction_sets_hold_the_truth_as_often_as_promised():
    logits, targets = make_logits(20_000, 1.5, 2)
    probabilities = softmax(logits)
    quantile = calibration.lac_quantile(probabilities[:10_000], targets[:10_000])

    sets = calibration.prediction_sets(probabilities[10_000:], quantile)

    assert sets[np.arange(10_000), targets[10_000:]].mean() == pytest.approx(0.9, abs=0.015)
    assert sets.any(axis=1).all()


def test_the_first_label_is_in_every_set():
    found = calibration.prediction_sets(np.array([[[0.4, 0.35, 0.25], [0.7, 0.2, 0.1]]]), 0.5)

    assert found.tolist() == [[[True, False, False], [True, False, False]]]


def test_the_threshold_is_where_labels_begin_to_be_right():
    confidence = np.linspace(0.99, 0.51, 40)
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    targets = np.array([0] * 20 + [1] * 20)  # the twenty surest are right, no other is

    assert calibration.trusted_from(probabilities, targets, 0.5) == pytest.approx(0.51)
    assert calibration.trusted_from(probabilities, targets, 1.0) == pytest.approx(confidence[19], abs=1e-4)
    assert calibration.trusted_from(probabilities, 1 - targets, 1.0) == 0.5  # the surest one is wrong


# -- cross-fitting -----------------------------------------------------------------------------------------------------


def test_no_image_calibrates_itself():
    # The labels of one fold are changed: what calibrates that fold stays as it was.
    held = make_held(images=200, repeats=2)
    before = calibration.fit_across(held, 0)
    inside = held.folds[0] == 0
    targets = held.targets.copy()
    targets[inside] = (targets[inside] + 1) % 10

    after = calibration.fit_across(HeldOut(held.logits, targets, held.groups, held.folds), 0)

    np.testing.assert_array_equal(after.probabilities[0, inside], before.probabilities[0, inside])
    np.testing.assert_array_equal(after.sets[0, inside], before.sets[0, inside])
    assert not np.array_equal(after.probabilities[0, ~inside], before.probabilities[0, ~inside])


def test_halves_of_a_holdout_keep_groups_whole_and_leave_the_order_of_labels_alone():
    held = make_held(images=120, repeats=1, folds=0)

    found = calibration.fit_across(held, 0)

    assert found.probabilities.shape == (calibration.HALF_SPLITS, 120, 10)
    named = held.logits[0].argmax(axis=1)
    assert (found.probabilities.argmax(axis=2) == named).all()
    # Everything in one group got one temperature: log ratios are the logits' over it.
    ratio = np.log(found.probabilities[..., 0] / found.probabilities[..., 1])
    temperature = (held.logits[0, :, 0] - held.logits[0, :, 1]) / ratio
    for group in np.unique(held.groups):
        inside = temperature[:, held.groups == group]
        np.testing.assert_allclose(inside, np.broadcast_to(inside[:, :1], inside.shape), rtol=1e-6)


@pytest.mark.parametrize(("repeats", "folds"), [(2, 5), (1, 0)], ids=["cross-validation", "hold-out"])
def test_cross_fitting_finds_overconfidence_and_mends_it(repeats: int, folds: int):
    held = make_held(images=800, repeats=repeats, folds=folds, sharpness=2.5)

    found = calibration.cross_fit(held, 0)

    assert found["before"]["calibration_error"]["value"] > 0.2
    assert found["after"]["calibration_error"]["value"] < 0.06
    assert found["after"]["brier"]["value"] < found["before"]["brier"]["value"]
    assert found["after"]["log_loss"]["value"] < found["before"]["log_loss"]["value"]
    assert found["after"]["top_1"]["value"] == pytest.approx(found["before"]["top_1"]["value"])
    assert found["temperature"]["low"] > 2
    assert found["coverage"]["value"] == pytest.approx(0.9, abs=0.03)
    assert found["coverage"]["low"] < found["coverage"]["value"] < found["coverage"]["high"]
    assert 1 < found["set_size"]["value"] < 10
    assert found["trusted_accuracy"]["value"] == pytest.approx(0.5, abs=0.1)
    assert sum(found["set_sizes"]) == pytest.approx(1, abs=1e-3)
    assert len(found["coverage_per_label"]) == 10


# -- what confidence is good for ---------------------------------------------------------------------------------------


def test_risk_coverage_by_hand():
    confidence = np.array([0.9, 0.8, 0.7, 0.6])
    probabilities = np.stack([confidence, 1 - confidence], axis=1)

    found = assessment.risk_coverage(probabilities, np.array([0, 1, 0, 1]))  # right, wrong, right, wrong

    assert found["points"] == [
        {"kept": 0.25, "error": 0.0},
        {"kept": 0.5, "error": 0.5},
        {"kept": 0.75, "error": 0.3333},
        {"kept": 1.0, "error": 0.5},
    ]
    assert found["area"] == 0.3333  # (0 + 1/2 + 1/3 + 1/2) / 4
    assert found["area_oracle"] == 0.2083  # (0 + 0 + 1/3 + 1/2) / 4
    assert found["area_random"] == 0.5


def test_risk_coverage_is_thinned_and_ends_with_all_images():
    held = make_held(images=333, repeats=2)

    found = assessment.risk_coverage(softmax(held.logits), held.targets)

    assert len(found["points"]) == 50
    assert found["points"][-1] == {"kept": 1.0, "error": found["area_random"]}
    assert found["area_oracle"] < found["area"] < found["area_random"]


def test_review_reasons_add_up():
    probabilities = np.array([[0.9, 0.1], [0.52, 0.48], [0.7, 0.3], [0.54, 0.46]])
    fitted = Calibration(1.0, 0.9, 0.6)
    strange = np.array([True, False, False, False])

    assert assessment.review_shares(probabilities, fitted) == {"low_confidence": 0.5, "ambiguous": 0.5, "any": 0.5}
    assert assessment.review_shares(probabilities, fitted, {"unlike_training_data": strange}) == {
        "low_confidence": 0.5,
        "ambiguous": 0.5,
        "unlike_training_data": 0.25,
        "any": 0.75,
    }


def test_reliability_by_hand():
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.65, 0.35], [0.65, 0.35]])

    found = assessment.reliability(probabilities, np.array([0, 0, 0, 1]))

    assert [(one["from"], one["confidence"], one["right"], one["images"]) for one in found] == [
        (0.6, 0.65, 0.5, 2.0),
        (0.9, 0.95, 1.0, 2.0),
    ]


@pytest.mark.parametrize(
    ("repeats", "folds", "protocol"), [(2, 4, "cross-validation"), (1, 0, "hold-out")], ids=["folds", "hold-out"]
)
def test_everything_measured_fits_in_json(repeats: int, folds: int, protocol: str):
    held = make_held(images=120, repeats=repeats, folds=folds, labels=3)

    found = assessment.evaluate(held, ("a", "b", "c"), 0, {"not_an_xray": np.zeros(120, np.bool_)})

    json.dumps(found, allow_nan=False)
    assert (found["protocol"], found["folds"], found["repeats"], found["images"]) == (protocol, folds, repeats, 120)
    assert found["review"]["not_an_xray"] == 0
    assert found["before_calibration"]["calibration_error"]["value"] > found["figures"]["calibration_error"]["value"]
    assert np.sum(found["confusion"]) == pytest.approx(120)
    assert found["mean_set_size"] == found["cross_fit"]["set_size"]["value"]
    assert len(found["by_repeat"]["top_1"]) == repeats
    assert found["per_label"]["a"]["coverage"] > 0.5
