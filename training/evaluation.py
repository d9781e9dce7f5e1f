"""Figures on images that did not train, with intervals that respect the groups.

Several repeats of cross-validation look at the same images, so they make a figure steadier, not the sample larger:
a figure is the mean over the repeats, and its interval comes from drawing groups of images, the same ones for every
repeat. It says what other images of this kind would give; the networks stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import special
from sklearn import metrics

from training.figures import log_losses, weigh

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

RESAMPLES: Final = 2000
_AT_ONCE: Final = 1 << 21
"""Weights held at a time while drawing: 16 MiB."""


@dataclass(frozen=True)
class HeldOut:
    """What a recipe says of n images that did not train it, r times over.

    Attributes:
        logits: (r, n, labels) float64, before temperature; r is 1 for a hold-out.
        targets: (n,) labels.
        groups: (n,) images with the same number are not independent of one another.
        folds: (r, n) number of the fold each image was held out in; all 0 for a hold-out.
    """

    logits: Floats
    targets: Ints
    groups: Ints
    folds: Ints

    def __post_init__(self) -> None:
        count = len(self.targets)
        shapes = self.logits.shape[:-1], self.folds.shape, self.groups.shape
        if self.logits.ndim != 3 or shapes != (self.folds.shape, (len(self.logits), count), (count,)):
            raise ValueError(
                f"logits {self.logits.shape}, targets {self.targets.shape}, groups {self.groups.shape} and folds "
                f"{self.folds.shape} do not fit together"
            )

    @property
    def cross_validated(self) -> bool:
        """Whether there are folds; otherwise it is a plain hold-out."""
        return bool(self.folds.max() > 0)


def softmax(logits: Floats, temperature: float = 1.0) -> Floats:
    """Probabilities of (..., labels) logits divided by a temperature."""
    return np.asarray(special.softmax(logits / temperature, axis=-1))


def as_repeats(probabilities: Floats) -> Floats:
    """(r, n, labels), of that or of one repeat's (n, labels)."""
    return probabilities if probabilities.ndim == 3 else probabilities[np.newaxis]


def majority_class(targets: Ints, folds: Ints, labels: int) -> Floats:
    """The least that a model has to beat: for each image the label frequencies of the other folds.

    Args:
        targets: (n,).
        folds: (r, n).
        labels: how many.

    Returns:
        (r, n, labels) probabilities.
    """
    result = np.empty((*folds.shape, labels))
    for repeat, numbers in enumerate(folds):
        for fold in np.unique(numbers):
            counts = np.bincount(targets[numbers != fold], minlength=labels)
            result[repeat, numbers == fold] = counts / max(1, counts.sum())
    return result


# -- intervals ---------------------------------------------------------------------------------------------------------


def draw_weights(groups: Ints, seed: int, resamples: int) -> Iterator[Floats]:
    """Cluster bootstrap (Field and Welsh 2007): as many groups as there are, drawn with replacement, whole.

    Args:
        groups: (n,).
        seed: of the draws.
        resamples: how many.

    Yields:
        (b, n) how often each image was drawn, until there are as many rows as resamples.
    """
    generator = np.random.default_rng(seed)
    names, member = np.unique(groups, return_inverse=True)
    step = max(1, _AT_ONCE // len(groups))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), size=size)
        yield drawn[:, member].astype(np.float64)


def interval(value: float, draws: Floats) -> dict[str, float]:
    """``{"value", "low", "high"}``: 95 % percentile interval of the draws that are defined."""
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return {"value": round(value, 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def measure(
    probabilities: Floats, targets: Ints, groups: Ints, seed: int, resamples: int = RESAMPLES
) -> dict[str, dict[str, float]]:
    """Every figure of `weigh`, mean over the repeats, with a 95 % percentile interval.

    Args:
        probabilities: (r, n, labels), or (n, labels) for one repeat.
        targets: (n,).
        groups: (n,).
        seed: of the draws.
        resamples: how many.

    Returns:
        name -> ``{"value", "low", "high"}``; figures that are not defined (the area under the ROC curve where
        only one label occurs) are not in it.
    """
    repeats = as_repeats(probabilities)

    def figures(weights: Floats) -> dict[str, Floats]:
        each = [weigh(repeat, targets, weights) for repeat in repeats]
        return {name: np.mean([one[name] for one in each], axis=0) for name in each[0]}

    values = figures(np.ones((1, len(targets))))
    drawn = [figures(weights) for weights in draw_weights(groups, seed, resamples)]
    return {
        name: interval(float(value[0]), np.concatenate([one[name] for one in drawn]))
        for name, value in values.items()
        if np.isfinite(value[0])
    }


def measure_mean(
    values: npt.NDArray[Any], groups: Ints, seed: int, among: Bools | None = None, resamples: int = RESAMPLES
) -> dict[str, float]:
    """The mean of something known of each image, with the interval of `measure`.

    Args:
        values: (r, n) or (n,) numbers or bools.
        groups: (n,).
        seed: of the draws.
        among: of the same shape: which of them count; all by default.
        resamples: how many.

    Returns:
        ``{"value", "low", "high"}``; all 0 where nothing counts.
    """
    counting = np.ones(values.shape) if among is None else among.astype(np.float64)
    summed = np.atleast_2d(values * counting).sum(axis=0)
    counted = np.atleast_2d(counting).sum(axis=0)
    if not counted.any():
        return {"value": 0.0, "low": 0.0, "high": 0.0}
    with np.errstate(invalid="ignore"):  # a draw without any that counts is not a number, and left out
        drawn = [weights @ summed / (weights @ counted) for weights in draw_weights(groups, seed, resamples)]
    return interval(float(summed.sum() / counted.sum()), np.concatenate(drawn))


def compare(
    one: Floats, other: Floats, targets: Ints, groups: Ints, seed: int, resamples: int = RESAMPLES
) -> dict[str, dict[str, float]]:
    """How much more one recipe has than another on the same images: pairs, so images that are hard for both cancel.

    Args:
        one: (r, n, labels) probabilities, or (n, labels).
        other: the same; the number of repeats may differ.
        targets: (n,).
        groups: (n,).
        seed: of the draws.
        resamples: how many.

    Returns:
        ``top_1`` (above 0: one is better) and ``log_loss`` (below 0: one is better) -> ``{"value", "low", "high"}``.
    """

    def describe(probabilities: Floats) -> dict[str, Floats]:
        repeats = as_repeats(probabilities)
        return {
            "top_1": (repeats.argmax(axis=2) == targets).mean(axis=0),
            "log_loss": np.mean([log_losses(repeat, targets) for repeat in repeats], axis=0),
        }

    first, second = describe(one), describe(other)
    return {name: measure_mean(first[name] - second[name], groups, seed, resamples=resamples) for name in first}


# -- label by label ----------------------------------------------------------------------------------------------------


def confusion(probabilities: Floats, targets: Ints) -> Floats:
    """(labels, labels) counts, mean over the repeats, to a tenth; rows are the truth, columns what the model says."""
    repeats = as_repeats(probabilities)
    labels = np.arange(repeats.shape[2])
    tables = [metrics.confusion_matrix(targets, repeat.argmax(axis=1), labels=labels) for repeat in repeats]
    return np.asarray(np.mean(tables, axis=0).round(1))


def wilson(share: float, count: int) -> dict[str, float]:
    """A share with the 95 % interval of Wilson (1927), which holds for shares near 0 and 1 too.

    Args:
        share: 0..1.
        count: how many it was measured on, 1 or more.
    """
    z = 1.959964
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * float(np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2)))
    return {
        "value": round(share, 4),
        "low": round(max(0.0, middle - half), 4),
        "high": round(min(1.0, middle + half), 4),
    }


def per_label(probabilities: Floats, targets: Ints, groups: Ints, labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Each label by itself, mean over the repeats.

    Returns:
        label -> ``images`` and ``groups`` that carry it; ``named``, how many images the model gives it to;
        ``recall``, the share of its images that get it, with an interval that counts groups, not images (a label
        has few of them, too few to draw from); ``precision``, the share of the named ones that carry it, and
        ``auroc``: None where not defined.
    """
    repeats = as_repeats(probabilities)
    naming = repeats.argmax(axis=2)
    table: dict[str, dict[str, Any]] = {}
    for index, label in enumerate(labels):
        own, named = targets == index, naming == index
        apart = len(np.unique(groups[own]))
        both = int(own.sum()) not in (0, len(own))
        table[label] = {
            "images": int(own.sum()),
            "groups": apart,
            "named": round(float(named.sum(axis=1).mean()), 1),
            "recall": wilson(float(named[:, own].mean()), apart) if apart else None,
            "precision": round(float(own[np.nonzero(named)[1]].mean()), 4) if named.any() else None,
            "auroc": round(float(np.mean([metrics.roc_auc_score(own, one[:, index]) for one in repeats])), 4)
            if both
            else None,
        }
    return table
