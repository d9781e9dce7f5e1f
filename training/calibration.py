"""Making confidence mean something: temperature, prediction sets, and the threshold that asks for a human."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from training.evaluation import HeldOut, as_repeats, measure, measure_mean, softmax

COVERAGE: Final = 0.9
TRUSTED_ACCURACY: Final = 0.5
"""Above the threshold, a label is right at least as often as not. Set, not fitted."""

MARGIN: Final = 0.1
"""Two labels within ten percentage points of one another are a draw to a reader. Set, not fitted."""

HALF_SPLITS: Final = 50

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """What is fitted on images that trained nothing.

    Attributes:
        temperature: divides the logits.
        quantile: LAC score quantile for `COVERAGE`.
        low_confidence: a confidence below it wants a human.
    """

    temperature: float
    quantile: float
    low_confidence: float


def calibrate(held: HeldOut) -> Calibration:
    """Fits temperature, then conformal quantile and threshold on the tempered probabilities, over all repeats.

    Repeats show the same images to networks that were trained apart. Pooling them averages over the luck of a
    training; it adds no images, so corrections for their number count images. The guarantee of conformal prediction
    is for one network and images that it never saw. Here the images of each fold were seen by another network, and
    the one that ships may be yet another (as in cross-conformal prediction, Vovk 2015), so the coverage is what
    `cross_fit` measures, not what is proven.
    """
    return _fit(held.logits, held.targets)


def _fit(logits: Floats, targets: Ints) -> Calibration:
    """`calibrate`, for (r, n, labels) logits."""
    temperature = fit_temperature(logits, targets)
    probabilities = softmax(logits, temperature)
    return Calibration(temperature, lac_quantile(probabilities, targets), trusted_from(probabilities, targets))


def fit_temperature(logits: Floats, targets: Ints) -> float:
    """Temperature with the least log loss (Guo et al. 2017, section 4.2), 0.1 to 10.

    One number, because it has to suffice for a few hundred images, and it leaves the order of the labels alone.

    Args:
        logits: (r, n, labels), or (n, labels) for one repeat.
        targets: (n,).
    """
    repeats = as_repeats(logits)
    true = repeats[:, np.arange(len(targets)), targets]

    def loss(log_temperature: float) -> float:
        inverse = math.exp(-log_temperature)
        return float((special.logsumexp(repeats * inverse, axis=2) - true * inverse).mean())

    # The loss is convex in the inverse temperature, so there is one valley.
    bounds = math.log(0.1), math.log(10.0)
    found = optimize.minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-4})
    return round(math.exp(float(found.x)), 4)


def lac_quantile(probabilities: Floats, targets: Ints, coverage: float = COVERAGE) -> float:
    """The conformal quantile of LAC: scores 1 - p(true label) (Sadinle, Lei, Wasserman 2019).

    Args:
        probabilities: (r, n, labels), or (n, labels) for one repeat.
        targets: (n,).
        coverage: 0..1.

    Returns:
        of the scores of one repeat the ceil((n + 1) * coverage)-th smallest, of r repeats the r times as manieth;
        1 (every label in every set) where n is too small for that.
    """
    repeats, count = as_repeats(probabilities), len(targets)
    rank = math.ceil((count + 1) * coverage)
    if rank > count:
        return 1.0
    scores = np.sort(1.0 - repeats[:, np.arange(count), targets], axis=None)
    return round(float(scores[len(repeats) * rank - 1]), 6)


def prediction_sets(probabilities: Floats, quantile: float) -> Bools:
    """Which labels are in each set, shaped as the probabilities, (..., labels). The top label always is."""
    inside = probabilities >= 1.0 - quantile
    np.put_along_axis(inside, probabilities.argmax(axis=-1)[..., np.newaxis], True, axis=-1)
    return inside


def trusted_from(probabilities: Floats, targets: Ints, accuracy: float = TRUSTED_ACCURACY) -> float:
    """The least confidence from which on the label is right at least this often on these images.

    At least a tenth of the images (and ten) must lie above it, so that it is not the luck of a few; 0.5 where
    there is no such value.

    Args:
        probabilities: (r, n, labels), or (n, labels) for one repeat.
        targets: (n,).
        accuracy: 0..1.
    """
    repeats = as_repeats(probabilities)
    confidence, right = repeats.max(axis=2).ravel(), (repeats.argmax(axis=2) == targets).ravel()
    order = np.argsort(-confidence, kind="stable")
    above = np.arange(1, len(order) + 1)
    enough = above >= max(10 * len(repeats), len(order) / 10)
    places = np.flatnonzero((np.cumsum(right[order]) / above >= accuracy) & enough)
    return round(float(confidence[order[places[-1]]]), 4) if len(places) else 0.5


# -- how well calibration does on images that it was not fitted on -----------------------------------------------------


@dataclass(frozen=True)
class CrossFitted:
    """Every held-out image, calibrated by what was fitted without it.

    Attributes:
        raw: (r, n, labels) probabilities before calibration.
        probabilities: (r, n, labels) after.
        sets: (r, n, labels) which labels are in the prediction sets.
        trusted: (r, n) confidence at or above the threshold.
        temperatures: of all fits.
    """

    raw: Floats
    probabilities: Floats
    sets: Bools
    trusted: Bools
    temperatures: tuple[float, ...]


def fit_across(held: HeldOut, seed: int) -> CrossFitted:
    """Calibrates each fold by all repeats of the images outside it.

    A plain hold-out has no folds: it is cut in halves of whole groups, `HALF_SPLITS` times, and either half
    calibrates the other. What ships is fitted on all of it, so that is rather too hard on it than too kind.
    """
    logits, folds = held.logits, held.folds
    if not held.cross_validated:
        names, member = np.unique(held.groups, return_inverse=True)
        generator = np.random.default_rng(seed)
        halves = np.arange(len(names)) % 2
        folds = np.stack([generator.permutation(halves)[member] for _ in range(HALF_SPLITS)])
        logits = np.broadcast_to(held.logits[0], (HALF_SPLITS, *held.logits.shape[1:]))
    probabilities, sets = np.empty(logits.shape), np.empty(logits.shape, np.bool_)
    trusted, temperatures = np.empty(folds.shape, np.bool_), []
    for repeat, numbers in enumerate(folds):
        for fold in np.unique(numbers):
            inside = numbers == fold
            outside = ~inside if not inside.all() else inside  # one group alone has nothing else to be fitted on
            fitted = _fit(held.logits[:, outside], held.targets[outside])
            found = softmax(logits[repeat, inside], fitted.temperature)
            probabilities[repeat, inside] = found
            sets[repeat, inside] = prediction_sets(found, fitted.quantile)
            trusted[repeat, inside] = found.max(axis=1) >= fitted.low_confidence
            temperatures.append(fitted.temperature)
    return CrossFitted(softmax(logits), probabilities, sets, trusted, tuple(temperatures))


def cross_fit(held: HeldOut, seed: int, crossed: CrossFitted | None = None) -> dict[str, Any]:
    """How well calibration does on images it was not fitted on.

    Args:
        held: what the recipe says of images that did not train it.
        seed: of half splits and intervals.
        crossed: what `fit_across` gave, if that is known.

    Returns:
        ``protocol`` and ``temperature`` (``low`` and ``high`` over the fits); ``before`` (temperature 1) and
        ``after``, the figures of `training.evaluation.measure`; ``coverage`` of the prediction sets and
        ``set_size``, ``trusted_accuracy`` (above the threshold) and ``trusted_share``, each with interval;
        ``coverage_per_label`` and ``set_sizes`` (share of sets of 1, 2, ... labels), lists.
    """
    crossed = crossed or fit_across(held, seed)
    targets, groups, labels = held.targets, held.groups, held.logits.shape[2]
    covered = np.take_along_axis(crossed.sets, targets[np.newaxis, :, np.newaxis], axis=2)[:, :, 0]
    sizes = crossed.sets.sum(axis=2)
    right = crossed.probabilities.argmax(axis=2) == targets
    # Before calibration all half splits of a hold-out are alike.
    raw = crossed.raw if held.cross_validated else crossed.raw[:1]
    return {
        "protocol": "other folds" if held.cross_validated else f"{HALF_SPLITS} half splits",
        "temperature": {"low": min(crossed.temperatures), "high": max(crossed.temperatures)},
        "before": measure(raw, targets, groups, seed),
        "after": measure(crossed.probabilities, targets, groups, seed),
        "coverage": measure_mean(covered, groups, seed),
        "set_size": measure_mean(sizes, groups, seed),
        "trusted_accuracy": measure_mean(right, groups, seed, among=crossed.trusted),
        "trusted_share": measure_mean(crossed.trusted, groups, seed),
        "coverage_per_label": [
            round(float(covered[:, targets == label].mean()), 4) if (targets == label).any() else None
            for label in range(labels)
        ],
        "set_sizes": [round(float((sizes == size).mean()), 4) for size in range(1, labels + 1)],
    }
