"""Figures on the hold-out, with intervals that respect the groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Probabilities = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def softmax(logits: npt.NDArray[np.float64], temperature: float = 1.0) -> Probabilities:
    """Row-wise softmax of (n, labels) logits divided by a temperature."""
    scaled = logits / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def top_k(probabilities: Probabilities, targets: Ints, k: int) -> float:
    """Share of images whose label is among the k most probable ones."""
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float((best == targets[:, np.newaxis]).any(axis=1).mean())


def balanced_accuracy(probabilities: Probabilities, targets: Ints) -> float:
    """Mean over the labels that occur of the share that is recognised."""
    right = probabilities.argmax(axis=1) == targets
    return float(np.mean([right[targets == target].mean() for target in np.unique(targets)]))


def calibration_error(probabilities: Probabilities, targets: Ints, bins: int = 10) -> float:
    """Expected calibration error of the top label over equal-width bins (Guo et al. 2017, eq. 5)."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    return float(
        sum(
            (place == bin_).mean() * abs(right[place == bin_].mean() - confidence[place == bin_].mean())
            for bin_ in np.unique(place)
        )
    )


def log_loss(probabilities: Probabilities, targets: Ints) -> float:
    """Mean negative log probability of the true label, in nats."""
    true = probabilities[np.arange(len(targets)), targets]
    return float(-np.log(np.maximum(true, 1e-12)).mean())


def confusion(probabilities: Probabilities, targets: Ints) -> Ints:
    """(labels, labels) counts; rows are the truth, columns what the model says."""
    labels = probabilities.shape[1]
    table = np.zeros((labels, labels), np.int64)
    np.add.at(table, (targets, probabilities.argmax(axis=1)), 1)
    return table


FIGURES: dict[str, Callable[[Probabilities, Ints], float]] = {
    "top_1": lambda probabilities, targets: top_k(probabilities, targets, 1),
    "top_3": lambda probabilities, targets: top_k(probabilities, targets, 3),
    "balanced_accuracy": balanced_accuracy,
    "calibration_error": calibration_error,
    "log_loss": log_loss,
}


def measure(
    probabilities: Probabilities, targets: Ints, groups: Ints, seed: int, resamples: int = 2000
) -> dict[str, Any]:
    """Every figure with a 95 % percentile bootstrap interval.

    Whole groups are drawn, not images: duplicates are not independent (cluster bootstrap, Field and Welsh
    2007).

    Args:
        probabilities: (n, labels).
        targets: (n,).
        groups: (n,).
        seed: of the draws.
        resamples: how many.

    Returns:
        name -> ``{"value", "low", "high"}``.
    """
    generator = np.random.default_rng(seed)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    draws: dict[str, list[float]] = {name: [] for name in FIGURES}
    for _ in range(resamples):
        rows = np.concatenate([members[pick] for pick in generator.integers(len(members), size=len(members))])
        for name, figure in FIGURES.items():
            draws[name].append(figure(probabilities[rows], targets[rows]))
    return {
        name: {
            "value": round(figure(probabilities, targets), 4),
            "low": round(float(np.quantile(draws[name], 0.025)), 4),
            "high": round(float(np.quantile(draws[name], 0.975)), 4),
        }
        for name, figure in FIGURES.items()
    }


def per_label(probabilities: Probabilities, targets: Ints, labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Per label: images in the hold-out, how many were recognised, how often the model named it."""
    named = probabilities.argmax(axis=1)
    return {
        label: {
            "images": int((targets == index).sum()),
            "recognised": int(((targets == index) & (named == index)).sum()),
            "named": int((named == index).sum()),
        }
        for index, label in enumerate(labels)
    }
