"""Repeated grouped cross-validation that goes on where it stopped: each fold's result is kept in a file."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from training.evaluation import HeldOut
from training.fitting import Bench

log = logging.getLogger(__name__)

ALWAYS_TRAINS: Final = -1
NEVER_TRAINS: Final = -2

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FoldResults:
    """What the models of all folds say of the images that did not train them.

    Attributes:
        held_out: logits, targets, groups and folds of the n images that are in folds.
        distances: (r, n) how far each image is from the training images of the model that it was held out of.
        other_scores: (r, n) how much it looks like something else than a radiograph; None: no such check.
        rows: (n,) which images of the dataset these are.
    """

    held_out: HeldOut
    distances: Floats
    other_scores: Floats | None
    rows: Ints


def cross_validate(
    bench: Callable[[], Bench],
    digest: str,
    folds: Sequence[Ints],
    targets: Ints,
    groups: Ints,
    labels: int,
    seed: int,
    folder: Path,
) -> FoldResults:
    """Trains without a fold and looks at that fold, for each fold of each repeat.

    Args:
        bench: makes the bench when the first fold has to be trained.
        digest: of the recipe, the data and the weights: a kept result of another one is not used.
        folds: r arrays (n,): the fold of each image; `ALWAYS_TRAINS` and `NEVER_TRAINS` for those in none.
        targets: (n,).
        groups: (n,).
        labels: how many.
        seed: of the training; each fold has its own, whatever was kept.
        folder: where results are kept.

    Returns:
        results for the images that are in folds (in all repeats the same images).
    """
    taking_part = np.flatnonzero(folds[0] >= 0)
    logits = np.zeros((len(folds), len(targets), labels))
    distances, scores = np.zeros((len(folds), len(targets))), np.full((len(folds), len(targets)), np.nan)
    ready: Bench | None = None
    for repeat, numbers in enumerate(folds):
        for fold in range(int(numbers.max()) + 1):
            rows = np.flatnonzero(numbers == fold)
            file = folder / f"repeat-{repeat}-fold-{fold}.npz"
            kept = _read(file, _digest(digest, rows, seed))
            if kept is None:
                ready = ready or bench()
                training = np.flatnonzero((numbers != NEVER_TRAINS) & (numbers != fold))
                trained = ready.train(training, seed + 1000 * repeat + 10 * fold)
                found, features = ready.look(trained, rows)
                familiarity = ready.familiarity(trained, training)
                other = familiarity.other_picture_scores(features)
                kept = found, familiarity.distances(features), np.full(len(rows), np.nan) if other is None else other
                _write(file, _digest(digest, rows, seed), *kept)
            logits[repeat, rows], distances[repeat, rows], scores[repeat, rows] = kept
            right = (kept[0].argmax(axis=1) == targets[rows]).mean()
            log.info("repeat %d, fold %d: %d images, top-1 %.3f", repeat + 1, fold + 1, len(rows), right)
    return FoldResults(
        HeldOut(
            logits=logits[:, taking_part],
            targets=targets[taking_part],
            groups=groups[taking_part],
            folds=np.stack([numbers[taking_part] for numbers in folds]),
        ),
        distances[:, taking_part],
        None if np.isnan(scores[:, taking_part]).any() else scores[:, taking_part],
        taking_part,
    )


def _digest(digest: str, rows: Ints, seed: int) -> str:
    text = json.dumps([digest, rows.tolist(), seed])
    return hashlib.sha256(text.encode()).hexdigest()


def _read(file: Path, digest: str) -> tuple[Floats, Floats, Floats] | None:
    """Logits, distances and scores of a fold that was trained before; None if there is none that fits."""
    try:
        with np.load(file, allow_pickle=False) as kept:
            if str(kept["digest"]) != digest:
                return None
            return kept["logits"], kept["distances"], kept["scores"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        log.warning("%s cannot be read (%s); that fold is trained again", file.name, error)
        return None


def _write(file: Path, digest: str, logits: Floats, distances: Floats, scores: Floats) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    half = file.with_suffix(".half")
    with half.open("wb") as stream:
        np.savez(stream, logits=logits, distances=distances, scores=scores, digest=np.array(digest))
        os.fsync(stream.fileno())
    half.replace(file)
