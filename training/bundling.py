"""What a bundle says of itself: ``bundle.json``, and ``images.csv``, which promotion compares models by."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from training.calibration import COVERAGE, MARGIN, TRUSTED_ACCURACY, Calibration
from training.crossvalidation import FoldResults
from training.dataset import Dataset
from training.evaluation import softmax
from training.unfamiliar import OTHER_BUDGET, UNLIKE_BUDGET, count_flagged
from triage.bundle import IMAGES_FILE, SCHEMA

if TYPE_CHECKING:
    from training.preparation import Run

PACKAGES: Final = ("keras", "tensorflow", "ai-edge-litert", "numpy", "scikit-learn", "pillow")

Flags = Mapping[str, npt.NDArray[np.bool_]]


def describe(
    name: str,
    run: Run,
    fitted: Calibration,
    checks: dict[str, float],
    metrics: dict[str, Any],
    stages: Sequence[dict[str, Any]],
    held_out_flags: Flags,
    flagged: Mapping[str, Flags],
) -> dict[str, Any]:
    """All of ``bundle.json`` but what the export adds: files, digests, the twin's difference."""
    options, data, recipe = run.options, run.data, run.recipe
    held = "out-of-fold images" if options.folds else "the hold-out"
    return {
        "schema": SCHEMA,
        "version": name,
        "created": run.created.isoformat(timespec="seconds"),
        "smoke": options.smoke,
        "labels": list(data.labels),
        "label_mapping": dict(data.mapping.by_folder) if data.mapping else {},
        "input": {
            "side": recipe.side,
            "shape": [None, recipe.side, recipe.side, 1],
            "dtype": "float32",
            "range": [0, 255],
            "meaning": "greyscale picture stretched to a square (the aspect ratio is not kept), as "
            "triage.pixels.read_for_network makes it; scaling to [-1, 1] and the three channels are inside",
        },
        "outputs": {
            "probabilities": "calibrated probabilities in the order of labels",
            "features": f"pooled maps of {', '.join(recipe.taps)}, one after the other",
            "heat_map": "Grad-CAM of the top label's logit on the last maps, 0 or more",
        },
        "temperature": fitted.temperature,
        "temperature_applied": "inside the model",
        "thresholds": {"low_confidence": fitted.low_confidence, "margin": MARGIN} | checks,
        "threshold_rules": {
            "low_confidence": f"confidence from which on {TRUSTED_ACCURACY:.0%} of {held} are right",
            "margin": "set, not fitted: lead of the first label over the second",
            "unlike_training_data": f"distance of features that {UNLIKE_BUDGET:.1%} of {held} exceed",
            "not_an_xray": f"score that {OTHER_BUDGET:.1%} of {held} exceed, at most 0",
        },
        "conformal": {"method": "LAC", "coverage": COVERAGE, "quantile": fitted.quantile},
        "metrics": metrics,
        "stages": list(stages),
        "audit": run.audit,
        "unfamiliar": {
            "note": "Flagged as unlike the training data, or as no X-ray. Held-out images are judged with thresholds "
            "from the other folds; the other pictures neither set a threshold nor trained anything.",
            "sets": [count_flagged("held-out training images", held_out_flags, wanted=False)]
            + [count_flagged(name, flags, wanted="no radiographs" in name) for name, flags in flagged.items()],
        },
        "training": {
            "data_note": options.data_note,
            "images": len(data.targets),
            "per_label": {label: int((data.targets == i).sum()) for i, label in enumerate(data.labels)},
            "origins": dict(Counter(origin.split(":")[0] for origin in data.origins)),
            "groups": len(set(data.groups.tolist())),
            "groups_file": bool(options.groups),
            "conflicts": len(data.inspection.conflicts) if data.inspection else 0,
            "left_out": len(data.skipped),
            "fingerprint": data.fingerprint(),
            "seed": options.seed,
            "recipe": asdict(recipe),
            "backbone": run.origin.describe(recipe.alpha),
            "shipped_weights": "refit on all images" if options.folds else "trained without the hold-out",
            "other_data": [
                {"name": each.name, "images": len(each.fit), "use": "statistics of the checks for unfamiliar pictures"}
                for each in run.others
            ],
            "command": _command(run),
        },
        "packages": {package: version(package) for package in PACKAGES}
        | {"python": ".".join(map(str, sys.version_info[:3]))},
    }


def _command(run: Run) -> str:
    """How to make it again, with names in place of folders."""
    options = run.options
    parts = ["python -m training.run --data DIR"]
    given = ("weights", "groups", "radiographs", "photos")
    parts += [f"--{name} {name.upper()}" for name in given if vars(options)[name]]
    parts += [f"--folds {options.folds} --repeats {options.repeats}"] if options.folds else []
    parts += [f"--set {name}={value}" for name, value in options.changes]
    flags = ("own_labels", "with_reviews", "precisions", "smoke")
    parts += [f"--{name.replace('_', '-')}" for name in flags if vars(options)[name]]
    return " ".join([*parts, f"--seed {options.seed}"])


def write_images(
    folder: Path, data: Dataset, results: FoldResults, fitted: Calibration, folds: npt.NDArray[np.int64]
) -> None:
    """``images.csv``: by digest, which images trained and evaluated, and what was said of them unseen.

    Args:
        folder: the bundle.
        data: all images.
        results: probabilities are the mean over the repeats.
        fitted: the temperature.
        folds: (n,) of the first repeat.
    """
    said = dict(
        zip(results.rows.tolist(), softmax(results.held_out.logits, fitted.temperature).mean(axis=0), strict=True)
    )
    first: dict[str, int] = {}
    for row, digest in enumerate(data.digests):
        first.setdefault(digest, row)  # files of equal bytes are one image, and lie in one fold
    with (folder / IMAGES_FILE).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["sha256", "label", "group", "fold", "origin", *(f"p:{label}" for label in data.labels)])
        for digest, row in first.items():
            probabilities = [f"{value:.5f}" for value in said[row]] if row in said else [""] * len(data.labels)
            fold = int(folds[row]) if folds[row] >= 0 else ""
            writer.writerow(
                [digest, data.labels[data.targets[row]], int(data.groups[row]), fold, data.origins[row], *probabilities]
            )
