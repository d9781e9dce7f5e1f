"""Making confidence mean something: temperature, prediction sets, and the threshold that asks for a human."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from training.evaluation import calibration_error, log_loss, softmax

COVERAGE: Final = 0.9
TRUSTED_ACCURACY: Final = 0.5
"""Above the threshold, a label is right at least as often as not. Set, not fitted."""

MARGIN: Final = 0.1
"""Two labels within ten percentage points of one another are a draw to a reader. Set, not fitted."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """What is fitted on the hold-out.

    Attributes:
        temperature: divides the logits.
        quantile: LAC score quantile for `COVERAGE`.
        low_confidence: a confidence below it wants a human.
    """

    temperature: float
    quantile: float
    low_confidence: float


def calibrate(logits: Floats, targets: Ints) -> Calibration:
    """Fits temperature, then conformal quantile and threshold on the tempered probabilities.

    Args:
        logits: (n, labels) of images that trained nothing.
        targets: (n,).
    """
    temperature = fit_temperature(logits, targets)
    probabilities = softmax(logits, temperature)
    return Calibration(temperature, lac_quantile(probabilities, targets), trusted_from(probabilities, targets))


def fit_temperature(logits: Floats, targets: Ints) -> float:
    """Temperature with the least log loss (Guo et al. 2017, section 4.2), 0.1 to 10, to half a per cent."""
    candidates = np.geomspace(0.1, 10.0, 921)
    losses = [log_loss(softmax(logits, float(candidate)), targets) for candidate in candidates]
    return round(float(candidates[int(np.argmin(losses))]), 4)


def lac_quantile(probabilities: Floats, targets: Ints, coverage: float = COVERAGE) -> float:
    """The conformal quantile of LAC: scores 1 - p(true label) (Sadinle, Lei, Wasserman 2019).

    Returns:
        the ceil((n + 1) * coverage)-th smallest score; 1 (every label in every set) where n is too small for
        that.
    """
    scores = np.sort(1.0 - probabilities[np.arange(len(targets)), targets])
    rank = math.ceil((len(scores) + 1) * coverage)
    return round(float(scores[rank - 1]), 6) if rank <= len(scores) else 1.0


def prediction_sets(probabilities: Floats, quantile: float) -> npt.NDArray[np.bool_]:
    """(n, labels) bool: which labels are in each set. The top label always is."""
    inside = probabilities >= 1.0 - quantile
    inside[np.arange(len(inside)), probabilities.argmax(axis=1)] = True
    return inside


def trusted_from(probabilities: Floats, targets: Ints, accuracy: float = TRUSTED_ACCURACY) -> float:
    """The least confidence from which on the label is right at least this often on these images.

    At least a tenth of the images (and ten) must lie above it, so that it is not the luck of a few; 0.5 where
    there is no such value.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets
    order = np.argsort(-confidence, kind="stable")
    running = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    enough = np.arange(1, len(order) + 1) >= max(10, len(order) / 10)
    places = np.flatnonzero((running >= accuracy) & enough)
    return round(float(confidence[order[places[-1]]]), 4) if len(places) else 0.5


def cross_fit(logits: Floats, targets: Ints, groups: Ints, seed: int, repeats: int = 100) -> dict[str, float]:
    """How well calibration does on images it was not fitted on: fitted on one half, measured on the other.

    The halves are of whole groups; both directions of each split count. The shipped values are fitted on all
    of the hold-out, so these figures are what to expect of them, from half the data: rather too bad than too
    good.

    Args:
        logits: (n, labels).
        targets: (n,).
        groups: (n,).
        seed: of the splits.
        repeats: how many splits.

    Returns:
        means over the splits: ``calibration_error``, ``log_loss``, ``coverage`` and ``set_size`` of the
        prediction sets, ``trusted_accuracy`` (above the threshold) and ``trusted_share``; and the spread (5th
        and 95th percentile) of the coverage.
    """
    generator = np.random.default_rng(seed)
    names = np.unique(groups)
    rows: list[list[float]] = []
    for _ in range(repeats):
        one = np.isin(groups, generator.permutation(names)[: len(names) // 2])
        for fit, test in ((one, ~one), (~one, one)):
            fitted = calibrate(logits[fit], targets[fit])
            probabilities, truth = softmax(logits[test], fitted.temperature), targets[test]
            sets = prediction_sets(probabilities, fitted.quantile)
            trusted = probabilities.max(axis=1) >= fitted.low_confidence
            right = probabilities.argmax(axis=1) == truth
            rows.append(
                [
                    calibration_error(probabilities, truth),
                    log_loss(probabilities, truth),
                    float(sets[np.arange(len(truth)), truth].mean()),
                    float(sets.sum(axis=1).mean()),
                    float(right[trusted].mean()) if trusted.any() else math.nan,
                    float(trusted.mean()),
                ]
            )
    table = np.array(rows)
    means = np.nanmean(table, axis=0) if np.isfinite(table).any(axis=0).all() else np.nan_to_num(table).mean(axis=0)
    keys = ("calibration_error", "log_loss", "coverage", "set_size", "trusted_accuracy", "trusted_share")
    result = {key: round(float(value), 4) for key, value in zip(keys, means, strict=True)}
    low, high = np.quantile(table[:, 2], [0.05, 0.95])
    return result | {
        "coverage_5th": round(float(low), 4),
        "coverage_95th": round(float(high), 4),
        "repeats": repeats,
    }


def review_shares(probabilities: Floats, fitted: Calibration) -> dict[str, float]:
    """Share of the images that would ask for a human, per reason and in all."""
    ordered = np.sort(probabilities, axis=1)
    low = ordered[:, -1] < fitted.low_confidence
    close = ordered[:, -1] - ordered[:, -2] < MARGIN
    return {
        name: round(float(flag.mean()), 4)
        for name, flag in (("low_confidence", low), ("ambiguous", close), ("any", low | close))
    }
