"""Everything that is measured of a recipe, from what it says of held-out images: ``metrics`` of ``bundle.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from training.calibration import MARGIN, Calibration, calibrate, cross_fit, fit_across
from training.evaluation import HeldOut, as_repeats, confusion, measure, per_label, softmax, wilson
from training.figures import BINS, bin_of, weigh

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


def evaluate(
    held: HeldOut, labels: Sequence[str], seed: int, others: Mapping[str, Bools] | None = None
) -> dict[str, Any]:
    """All figures of a recipe.

    With folds, every figure is of images that neither trained the network that saw them nor fitted its calibration.
    Of a hold-out, ``figures``, ``per_label``, ``confusion``, ``reliability``, ``risk_coverage`` and ``review`` are of
    images that did fit the calibration; ``cross_fit``, ``coverage`` and the set sizes are not.

    Args:
        held: what the recipe says of images that did not train it.
        labels: in the order of the logits.
        seed: of intervals and half splits.
        others: reasons for review that do not come from the probabilities -> (r, n) or (n,) bool.

    Returns:
        what JSON can hold: ``protocol``, ``folds``, ``repeats``, ``images``, ``groups``, ``figures`` (calibrated),
        ``before_calibration``, ``by_repeat`` (figure -> its value in each repeat), ``cross_fit`` (see
        `training.calibration.cross_fit`), ``coverage``, ``mean_set_size``, ``set_sizes``, ``per_label``,
        ``confusion``, ``reliability`` (``before``, ``after``), ``risk_coverage``, ``review``.
    """
    fitted, crossed = calibrate(held), fit_across(held, seed)
    fit = cross_fit(held, seed, crossed)
    targets, groups = held.targets, held.groups
    probabilities = crossed.probabilities if held.cross_validated else softmax(held.logits, fitted.temperature)
    figures = fit["after"] if held.cross_validated else measure(probabilities, targets, groups, seed)
    fit["after"] = {name: fit["after"][name] for name in ("calibration_error", "brier", "log_loss")}
    table = per_label(probabilities, targets, groups, labels)
    for row, coverage in zip(table.values(), fit.pop("coverage_per_label"), strict=True):
        row["coverage"] = coverage
    ones = np.ones((1, len(targets)))
    each = [weigh(repeat, targets, ones) for repeat in probabilities]
    return {
        "protocol": "cross-validation" if held.cross_validated else "hold-out",
        "folds": len(np.unique(held.folds)) if held.cross_validated else 0,
        "repeats": len(held.logits),
        "images": len(targets),
        "groups": len(np.unique(groups)),
        "figures": figures,
        "before_calibration": fit.pop("before"),
        "by_repeat": {name: [round(float(one[name][0]), 4) for one in each] for name in figures},
        "coverage": fit["coverage"],
        "mean_set_size": fit["set_size"]["value"],
        "set_sizes": fit.pop("set_sizes"),
        "cross_fit": fit,
        "per_label": table,
        "confusion": confusion(probabilities, targets).tolist(),
        "reliability": {
            "before": reliability(softmax(held.logits), targets),
            "after": reliability(probabilities, targets),
        },
        "risk_coverage": risk_coverage(probabilities, targets),
        "review": review_shares(probabilities, fitted, others),
    }


def reliability(probabilities: Floats, targets: Ints) -> list[dict[str, float]]:
    """The reliability diagram: what is right among the images of each bin of confidence, all repeats together.

    Args:
        probabilities: (r, n, labels), or (n, labels) for one repeat.
        targets: (n,).

    Returns:
        for each bin with images: its limits ``from`` and ``to``, mean ``confidence``, the share that is ``right``
        with ``low`` and ``high`` (Wilson), and ``images``, mean over the repeats.
    """
    repeats = as_repeats(probabilities)
    confidence, right = repeats.max(axis=2).ravel(), (repeats.argmax(axis=2) == targets).ravel()
    place = bin_of(confidence)
    bins = []
    for number in np.unique(place).tolist():
        inside = place == number
        images = float(inside.sum()) / len(repeats)
        share = wilson(float(right[inside].mean()), max(1, round(images)))
        bins.append(
            {
                "from": number / BINS,
                "to": (number + 1) / BINS,
                "confidence": round(float(confidence[inside].mean()), 4),
                "right": share["value"],
                "low": share["low"],
                "high": share["high"],
                "images": round(images, 1),
            }
        )
    return bins


def risk_coverage(probabilities: Floats, targets: Ints, points: int = 50) -> dict[str, Any]:
    """Error among the images that are left when the least confident are put aside.

    The curve of El-Yaniv and Wiener (2010); its area is the mean error over every number of images that can be left
    (Geifman and El-Yaniv 2017).

    Args:
        probabilities: (r, n, labels), or (n, labels) for one repeat.
        targets: (n,).
        points: how many to give, at most.

    Returns:
        ``points``: ``{"kept", "error"}`` from few to all, mean over the repeats; ``area``, ``area_oracle`` (all
        errors put aside first) and ``area_random`` (no order at all, so the error of all of them).
    """
    repeats, count = as_repeats(probabilities), len(targets)
    wrong = repeats.argmax(axis=2) != targets
    order = np.argsort(-repeats.max(axis=2), axis=1, kind="stable")
    kept = np.arange(1, count + 1)
    risk = (np.cumsum(np.take_along_axis(wrong, order, axis=1), axis=1) / kept).mean(axis=0)
    best = (np.cumsum(np.sort(wrong, axis=1), axis=1) / kept).mean(axis=0)
    places = np.unique(np.ceil(np.linspace(0, count, min(points, count) + 1)[1:]).astype(np.int64)) - 1
    return {
        "points": [{"kept": round((at + 1) / count, 4), "error": round(float(risk[at]), 4)} for at in places.tolist()],
        "area": round(float(risk.mean()), 4),
        "area_oracle": round(float(best.mean()), 4),
        "area_random": round(float(wrong.mean()), 4),
    }


def review_shares(
    probabilities: Floats, fitted: Calibration, others: Mapping[str, Bools] | None = None
) -> dict[str, float]:
    """Share of the images that would ask for a human, by reason and in all.

    Args:
        probabilities: (r, n, labels), or (n, labels) for one repeat.
        fitted: what ships.
        others: reasons that do not come from the probabilities -> (r, n) or (n,) bool.
    """
    ordered = np.sort(as_repeats(probabilities), axis=2)
    flags: dict[str, Bools] = {
        "low_confidence": ordered[..., -1] < fitted.low_confidence,
        "ambiguous": ordered[..., -1] - ordered[..., -2] < MARGIN,
    }
    flags |= {name: np.broadcast_to(flag, flags["ambiguous"].shape) for name, flag in (others or {}).items()}
    flags["any"] = np.any(list(flags.values()), axis=0)
    return {name: round(float(flag.mean()), 4) for name, flag in flags.items()}
