import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs the train extra")

from measured import make_held, make_logits
from sklearn import metrics

from training import evaluation
from training.evaluation import HeldOut, softmax
from training.figures import auroc, weigh

FOUR = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7]])
TARGETS = np.array([0, 2, 1, 2])
APART = np.arange(4)


def values(figures: dict[str, dict[str, float]]) -> dict[str, float]:
    return {name: entry["value"] for name, entry in figures.items()}


# -- figures -----------------------------------------------------------------------------------------------------------


def test_figures_by_hand():
    found = values(evaluation.measure(FOUR, TARGETS, APART, 0, resamples=10))

    assert found["top_1"] == 0.75
    assert found["top_2"] == 0.75
    assert found["top_3"] == 1.0
    assert found["balanced_accuracy"] == 0.8333  # 1, 1, 1/2
    assert found["macro_f1"] == 0.7778  # 2/3, 1, 2/3
    assert found["brier"] == 0.47  # (.38 + .98 + .38 + .14) / 4
    assert found["log_loss"] == pytest.approx(-np.log([0.5, 0.2, 0.5, 0.7]).mean(), abs=1e-4)


def test_calibration_error_by_hand():
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.65, 0.35], [0.65, 0.35]])

    found = evaluation.measure(probabilities, np.array([0, 0, 0, 1]), APART, 0, resamples=10)

    # Half the images are 0.05 less sure than right, half 0.15 surer than right.
    assert found["calibration_error"]["value"] == 0.1


def test_figures_are_those_of_scikit_learn():
    held = make_held(images=200, repeats=1)
    probabilities, targets = softmax(held.logits)[0], held.targets
    named, ones = probabilities.argmax(axis=1), np.ones((1, 200))

    found = {name: value[0] for name, value in weigh(probabilities, targets, ones).items()}

    for k in (1, 2, 3):
        assert found[f"top_{k}"] == pytest.approx(metrics.top_k_accuracy_score(targets, probabilities, k=k))
    assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(targets, named))
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(targets, named, average="macro"))
    assert found["auroc"] == pytest.approx(metrics.roc_auc_score(targets, probabilities, multi_class="ovr"))
    assert found["brier"] == pytest.approx(metrics.brier_score_loss(targets, probabilities, scale_by_half=False))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(targets, probabilities))


def test_a_weight_is_as_many_copies_of_an_image():
    held = make_held(images=60, repeats=1, labels=4)
    probabilities, targets = softmax(held.logits)[0].round(1), held.targets  # rounded: many ties
    copies = np.random.default_rng(0).integers(0, 4, (3, 60))

    found = weigh(probabilities, targets, copies.astype(np.float64))

    for row, times in enumerate(copies):
        rows = np.repeat(np.arange(60), times)
        expected = weigh(probabilities[rows], targets[rows], np.ones((1, len(rows))))
        assert {name: value[row] for name, value in found.items()} == pytest.approx(
            {name: value[0] for name, value in expected.items()}
        )


def test_ties_count_half_in_the_area_under_the_curve():
    scores = np.array([0.9, 0.5, 0.5, 0.5, 0.1])
    own = np.array([True, True, False, True, False])
    weights = np.array([[1.0, 1, 1, 1, 1], [1, 2, 3, 0, 1]])

    found = auroc(scores[:, np.newaxis], own[:, np.newaxis], weights)

    assert found == pytest.approx([metrics.roc_auc_score(own, scores, sample_weight=row) for row in weights])


def test_what_is_not_defined_is_left_out():
    found = evaluation.measure(np.array([[0.8, 0.2], [0.3, 0.7]]), np.array([0, 0]), np.arange(2), 0, resamples=20)

    assert "auroc" not in found
    assert found["balanced_accuracy"]["value"] == 0.5
    assert found["top_3"] == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_draws_without_a_label_do_not_spoil_the_interval():
    # Two groups, one label each: half of all draws hold one label only.
    found = evaluation.measure(np.array([[0.8, 0.2], [0.3, 0.7]]), np.array([0, 1]), np.arange(2), 0, resamples=50)

    assert found["auroc"] == {"value": 1.0, "low": 1.0, "high": 1.0}


# -- repeats and intervals ---------------------------------------------------------------------------------------------


def test_a_figure_is_the_mean_over_the_repeats():
    held = make_held(images=150)
    probabilities = softmax(held.logits)

    together = values(evaluation.measure(probabilities, held.targets, held.groups, 0, resamples=20))
    each = [values(evaluation.measure(one, held.targets, held.groups, 0, resamples=20)) for one in probabilities]

    assert together == pytest.approx({name: np.mean([one[name] for one in each]) for name in together}, abs=1e-4)


def test_repeats_do_not_count_as_more_images():
    held = make_held(images=150, repeats=1)
    once = softmax(held.logits)

    one = evaluation.measure(once, held.targets, held.groups, 0, resamples=200)

    assert evaluation.measure(np.repeat(once, 4, axis=0), held.targets, held.groups, 0, resamples=200) == one


def test_intervals_are_wider_where_images_come_in_groups():
    logits, targets = make_logits(200, 1.5, 4)
    probabilities = softmax(np.repeat(logits, 4, axis=0))
    repeated, alone = np.repeat(targets, 4), np.arange(800)

    together = evaluation.measure(probabilities, repeated, np.repeat(np.arange(200), 4), 0, resamples=400)["top_1"]
    apart = evaluation.measure(probabilities, repeated, alone, 0, resamples=400)["top_1"]

    assert together["low"] < together["value"] < together["high"]
    assert together["high"] - together["low"] > 1.6 * (apart["high"] - apart["low"])


def test_the_interval_of_a_share_is_about_the_binomial_one():
    logits, targets = make_logits(400, 1.5, 3)
    probabilities = softmax(logits)

    found = evaluation.measure(probabilities, targets, np.arange(400), 0)["top_1"]

    half = 1.96 * np.sqrt(found["value"] * (1 - found["value"]) / 400)
    assert found["high"] - found["value"] == pytest.approx(half, rel=0.1)
    assert found["value"] - found["low"] == pytest.approx(half, rel=0.1)


def test_draws_do_not_depend_on_how_many_fit_in_memory(monkeypatch: pytest.MonkeyPatch):
    held = make_held(images=50, repeats=1)
    asked = softmax(held.logits), held.targets, held.groups, 7, 40
    at_once = evaluation.measure(*asked)

    monkeypatch.setattr(evaluation, "_AT_ONCE", 60)

    assert evaluation.measure(*asked) == at_once


def test_a_mean_counts_what_it_is_asked_of():
    values = np.array([[1, 0, 1, 0], [1, 1, 0, 0]])
    among = np.array([[True, True, False, False], [True, True, False, False]])

    assert evaluation.measure_mean(values, np.arange(4), 0)["value"] == 0.5
    assert evaluation.measure_mean(values, np.arange(4), 0, among)["value"] == 0.75
    assert evaluation.measure_mean(values, np.arange(4), 0, ~among & among) == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_a_comparison_is_paired():
    held = make_held(images=300, repeats=2)
    worse = softmax(held.logits)
    better = worse.copy()
    wrong = np.flatnonzero(worse[0].argmax(axis=1) != held.targets)[:15]
    better[:, wrong] = np.eye(10)[held.targets[wrong]]

    found = evaluation.compare(better, worse, held.targets, np.arange(300), 0)

    # Fifteen images more of 300 are right (in the second repeat some were so before). Alone, each figure is known to
    # within ten points or so.
    assert 0.025 <= found["top_1"]["value"] <= 0.05
    assert found["top_1"]["low"] > 0
    assert found["top_1"]["high"] < 0.09
    assert found["log_loss"]["high"] < 0
    same = evaluation.compare(worse, worse, held.targets, np.arange(300), 0)
    assert same["top_1"] == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_the_majority_class_is_counted_in_the_other_folds():
    targets = np.array([0, 0, 0, 1, 1, 2])
    folds = np.array([[0, 0, 1, 1, 0, 1]])

    found = evaluation.majority_class(targets, folds, 3)

    assert found[0, 0] == pytest.approx([1 / 3, 1 / 3, 1 / 3])  # images 2, 3 and 5
    assert found[0, 2] == pytest.approx([2 / 3, 1 / 3, 0])  # images 0, 1 and 4


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fit together"):
        HeldOut(np.zeros((2, 5, 3)), np.zeros(5, np.int64), np.arange(5), np.zeros((1, 5), np.int64))


# -- label by label ----------------------------------------------------------------------------------------------------


def test_confusion_is_the_mean_over_the_repeats():
    other = FOUR[:, [2, 1, 0]]

    assert evaluation.confusion(FOUR, TARGETS).tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 1]]
    assert evaluation.confusion(np.stack([FOUR, other]), TARGETS).tolist() == [[0.5, 0, 0.5], [0, 1, 0], [1, 0, 1]]


def test_labels_by_hand():
    found = evaluation.per_label(FOUR, TARGETS, np.array([0, 1, 2, 1]), ("a", "b", "c"))

    assert found["a"] == {
        "images": 1,
        "groups": 1,
        "named": 2.0,
        "recall": {"value": 1.0, "low": 0.2065, "high": 1.0},
        "precision": 0.5,
        "auroc": 0.8333,
    }
    assert found["c"]["images"] == 2
    assert found["c"]["groups"] == 1
    assert found["c"]["recall"]["value"] == 0.5


def test_a_label_that_nothing_carries_or_gets_has_no_figures():
    found = evaluation.per_label(np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]]), np.array([0, 1]), np.arange(2), "abc")

    assert found["c"] == {"images": 0, "groups": 0, "named": 0.0, "recall": None, "precision": None, "auroc": None}


def test_wilson_intervals_are_those_of_the_table():
    # Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20.
    assert evaluation.wilson(81 / 263, 263) == {"value": 0.308, "low": 0.2553, "high": 0.3662}
    assert evaluation.wilson(15 / 148, 148) == {"value": 0.1014, "low": 0.0624, "high": 0.1605}
    assert evaluation.wilson(0, 20) == {"value": 0, "low": 0.0, "high": 0.1611}
