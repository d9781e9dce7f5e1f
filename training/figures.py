"""The figures themselves, for many weightings of the same images at once: a resample is a weight for each image.

scikit-learn has the same figures one weighting at a time, which is too slow for thousands of resamples; the tests hold
these against it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

BINS: Final = 10
"""Equal-width bins of confidence, for calibration error and reliability diagram."""


def weigh(probabilities: Floats, targets: Ints, weights: Floats) -> dict[str, Floats]:
    """Every figure of one repeat, for b weightings of its images at once.

    ``top_1`` to ``top_3``; ``balanced_accuracy``, ``macro_f1`` and ``auroc`` (one label against the rest), which
    are means over the labels that occur; ``calibration_error`` of the top label (Guo et al. 2017, equation 5, ten
    equal bins); ``brier``, the squared error summed over the labels (Brier 1950, so 0 to 2); ``log_loss`` in nats.

    Args:
        probabilities: (n, labels).
        targets: (n,).
        weights: (b, n), 0 or more.

    Returns:
        name -> (b,); not a number where a figure is not defined.
    """
    labels = probabilities.shape[1]
    total = weights.sum(axis=1)
    ranking = np.argsort(-probabilities, axis=1, kind="stable")
    place = (ranking == targets[:, np.newaxis]).argmax(axis=1)
    named, right, confidence = ranking[:, 0], place == 0, probabilities.max(axis=1)
    truth = targets[:, np.newaxis] == np.arange(labels)
    occurring, naming = weights @ truth, weights @ (named[:, np.newaxis] == np.arange(labels))
    found = weights @ (truth & right[:, np.newaxis])
    gaps = (bin_of(confidence)[:, np.newaxis] == np.arange(BINS)) * (right - confidence)[:, np.newaxis]
    return {
        **{f"top_{k}": weights @ (place < k) / total for k in (1, 2, 3)},
        "balanced_accuracy": _mean_of_quotients(occurring > 0, found, occurring),
        "macro_f1": _mean_of_quotients(occurring > 0, 2 * found, occurring + naming),
        "auroc": auroc(probabilities, truth, weights),
        "calibration_error": np.abs(weights @ gaps).sum(axis=1) / total,
        "brier": weights @ ((probabilities - truth) ** 2).sum(axis=1) / total,
        "log_loss": weights @ log_losses(probabilities, targets) / total,
    }


def log_losses(probabilities: Floats, targets: Ints) -> Floats:
    """(n,) negative log probability of the true label, in nats; 27.6 at most."""
    return np.asarray(-np.log(np.maximum(probabilities[np.arange(len(targets)), targets], 1e-12)))


def bin_of(confidence: Floats) -> Ints:
    """The bin of each confidence."""
    return np.minimum((confidence * BINS).astype(np.int64), BINS - 1)


def auroc(probabilities: Floats, truth: Bools, weights: Floats) -> Floats:
    """Area under the ROC curve of each label against the rest, as the share of pairs that are in order.

    A tie counts half (Hanley and McNeil 1982).

    Args:
        probabilities: (n, labels).
        truth: (n, labels) which label is true.
        weights: (b, n).

    Returns:
        (b,) mean over the labels that occur beside another one; not a number where none does.
    """
    areas, pairs = np.zeros((2, len(weights), truth.shape[1]))
    for label in np.flatnonzero(truth.any(axis=0)):
        order = np.argsort(probabilities[:, label], kind="stable")
        scores, own = probabilities[order, label], truth[order, label]
        ordered = weights[:, order]
        starts = np.flatnonzero(np.concatenate([[True], scores[1:] != scores[:-1]]))
        others = np.add.reduceat(np.where(own, 0, ordered), starts, axis=1)
        # For every image of the label: what weighs below its score, and half of what weighs as much.
        below = np.cumsum(others, axis=1) - others / 2
        tie = np.repeat(np.arange(len(starts)), np.diff([*starts, len(scores)]))[own]
        areas[:, label] = (ordered[:, own] * below[:, tie]).sum(axis=1)
        pairs[:, label] = ordered[:, own].sum(axis=1) * others.sum(axis=1)
    return _mean_of_quotients(pairs > 0, areas, pairs)


def _mean_of_quotients(which: Bools, numerator: Floats, denominator: Floats) -> Floats:
    """Row-wise mean of the quotients that count; not a number in rows without any."""
    quotients = np.divide(numerator, denominator, out=np.zeros_like(numerator), where=which)
    count = which.sum(axis=1)
    mean: Floats = np.divide(quotients.sum(axis=1), count, out=np.full(len(count), np.nan), where=count > 0)
    return mean
