"""Knowing what the model does not know: statistics of features, thresholds for them, and how well both work.

Two checks on the features that the network computes anyway: how far they lie from those of the training images
(and of further radiographs, where there are some), and on which side of a plane between radiographs and other
pictures. Each threshold is a budget of false alarms on images that trained nothing.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from training.evaluation import wilson
from training.progress import report_progress
from triage.familiarity import Familiarity
from triage.pixels import ImageRejected, Limits, read_for_network

log = logging.getLogger("training")

UNLIKE_BUDGET: Final = 0.015
OTHER_BUDGET: Final = 0.005
"""Shares of held-out radiographs that each check may flag. Set, not fitted."""

MOST_FIT: Final = 1000
"""Further radiographs that statistics are made of at most, and as many that they are tried on."""

Floats = npt.NDArray[np.float64]
Features = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class OtherPictures:
    """A folder of unlabelled pictures, halved by source: one half sets the checks up, the other tries them.

    Attributes:
        name: what they are, for the report.
        fit: (a, side, side) uint8.
        trial: (b, side, side) uint8.
    """

    name: str
    fit: Pixels
    trial: Pixels

    def digest(self) -> str:
        """SHA-256 (hex) of the pictures that set the checks up."""
        return hashlib.sha256(self.fit.tobytes()).hexdigest()


def read_other_pictures(name: str, folder: Path, limits: Limits, side: int) -> OtherPictures:
    """Reads every picture in a folder, at any depth; what cannot be read is passed over.

    Files whose names agree up to ``.rf.`` (versions of one picture, as Roboflow names them) go to one half.
    """
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg", ".png", ".dcm"))
    halves: tuple[list[Path], list[Path]] = ([], [])
    for file in sorted(files, key=lambda file: hashlib.sha256(file.name.encode()).hexdigest()):
        source = hashlib.sha256(file.name.split(".rf.")[0].encode()).digest()
        halves[source[0] % 2].append(file)
    pictures = []
    for half in halves:
        found = [_read(file, limits, side) for file in report_progress(half[:MOST_FIT], f"Reading {name}")]
        pictures.append(np.stack([each for each in found if each is not None] or [np.empty((0, side, side), np.uint8)]))
    log.info("%s: %d pictures to fit the checks, %d to try them", name, len(pictures[0]), len(pictures[1]))
    return OtherPictures(name, *pictures)


def _read(file: Path, limits: Limits, side: int) -> Pixels | None:
    try:
        return read_for_network(file.read_bytes(), limits, side)[1]
    except (ImageRejected, OSError) as error:
        log.warning("%s is passed over (%s)", file.name, error)
        return None


def fit_familiarity(
    training: Features,
    radiographs: Features | None = None,
    photos: Features | None = None,
    columns: slice = slice(None),
) -> Familiarity:
    """Statistics of features.

    The distance is Mahalanobis' with a shrunk covariance (Ledoit and Wolf 2004) on standardised features. The
    plane is a logistic regression between all radiographs and the photos, with equal weight for both sides.

    Args:
        training: (n, F) of the images that trained the network.
        radiographs: (a, F) of further radiographs; counted as familiar.
        photos: (b, F) of pictures that are no radiographs; None: there is no such check.
        columns: the features that the distance looks at.
    """
    from sklearn.covariance import LedoitWolf
    from sklearn.linear_model import LogisticRegression

    known = training if radiographs is None else np.concatenate([training, radiographs])
    known = known.astype(np.float64)
    mean, deviation = known.mean(axis=0), np.maximum(known.std(axis=0), 1e-3)
    chosen = ((known - mean) / deviation)[:, columns]
    values, vectors = np.linalg.eigh(LedoitWolf().fit(chosen).covariance_)
    whiten = np.zeros((known.shape[1], len(values)))
    whiten[columns] = vectors / np.sqrt(np.maximum(values, 1e-6)) / deviation[columns, np.newaxis]
    weights, bias = None, 0.0
    if photos is not None:
        inputs = (np.concatenate([known, photos.astype(np.float64)]) - mean) / deviation
        sides = np.repeat([0, 1], [len(known), len(photos)])
        plane = LogisticRegression(C=1e-3, class_weight="balanced", max_iter=2000).fit(inputs, sides)
        weights = plane.coef_[0] / deviation
        bias = float(plane.intercept_[0] - mean @ weights)
    return Familiarity(mean, whiten, weights, bias)


def set_thresholds(distances: Floats, scores: Floats | None) -> dict[str, float]:
    """Thresholds that flag as many held-out radiographs as the budgets allow.

    Args:
        distances: (n,) from `Familiarity.distances`, of images that trained nothing.
        scores: (n,) from `Familiarity.other_picture_scores`; None: there is no such check.
    """
    thresholds = {"unlike_training_data": round(float(np.quantile(distances, 1 - UNLIKE_BUDGET)), 4)}
    if scores is not None:
        # Above 0 a picture is more likely a photo anyway.
        thresholds["not_an_xray"] = round(min(0.0, float(np.quantile(scores, 1 - OTHER_BUDGET))), 4)
    return thresholds


def flag(distances: Floats, scores: Floats | None, thresholds: dict[str, float]) -> dict[str, npt.NDArray[np.bool_]]:
    """Which images each check flags."""
    flags = {"unlike_training_data": distances > thresholds["unlike_training_data"]}
    if scores is not None:
        flags["not_an_xray"] = scores > thresholds["not_an_xray"]
    return flags


def flag_across(distances: Floats, scores: Floats | None, folds: npt.NDArray[np.int64]) -> dict[str, Any]:
    """`flag` with thresholds from the other folds, all of (r, n): what to expect on images that set nothing.

    With a single fold there are no others: its own thresholds are used.
    """
    flags: dict[str, Any] = {}
    for repeat, numbers in enumerate(folds):
        for fold in np.unique(numbers):
            here = numbers == fold
            others = ~here if (~here).any() else here
            part = None if scores is None else scores[repeat]
            thresholds = set_thresholds(distances[repeat, others], None if part is None else part[others])
            found = flag(distances[repeat, here], None if part is None else part[here], thresholds)
            for name, values in found.items():
                flags.setdefault(name, np.zeros(folds.shape, np.bool_))[repeat, here] = values
    return flags


def count_flagged(name: str, flags: Mapping[str, npt.NDArray[np.bool_]], wanted: bool) -> dict[str, Any]:
    """A row of the report: how many of a set of pictures any check flags, with Wilson's 95 % interval."""
    flagged = np.logical_or.reduce(list(flags.values()))
    share = float(flagged.mean())
    rates = wilson(share, flagged.shape[-1])
    return {
        "name": name,
        "images": int(flagged.shape[-1]),
        "flagged": round(share * flagged.shape[-1]),
        "share": round(share, 4),
        "low": rates["low"],
        "high": rates["high"],
        "wanted": wanted,
        "by_reason": {reason: round(float(values.mean()), 4) for reason, values in flags.items()},
    }
