"""The report's steps as named stages, and the two baselines, all measured on the same held-out images."""

from __future__ import annotations

import logging
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from training.crossvalidation import NEVER_TRAINS, FoldResults
from training.evaluation import majority_class, measure, softmax
from training.fitting import Bench
from training.recipe import Recipe

log = logging.getLogger("training")

Ints = npt.NDArray[np.int64]
FIGURES = ("top_1", "top_3", "balanced_accuracy")


class Stages:
    """Collects one row for each stage. None is chosen by what is measured here.

    Args:
        seed: of the intervals.
        timed: whether to tell how long each took; not where parts of them were kept from a run before.
    """

    def __init__(self, seed: int, timed: bool) -> None:
        self.rows: list[dict[str, Any]] = []
        self._seed, self._timed = seed, timed
        self._started = time.monotonic()

    def add(self, name: str, probabilities: npt.NDArray[np.float64], targets: Ints, groups: Ints, note: str) -> None:
        """Measures (r, n, labels) probabilities."""
        figures = measure(probabilities, targets, groups, self._seed)
        now = time.monotonic()
        seconds, self._started = round(now - self._started, 1), now
        row = {"stage": name, "figures": {each: figures[each] for each in FIGURES}, "note": note}
        self.rows.append(row | {"seconds": seconds} if self._timed else row)
        log.info("%s: top-1 %.3f, top-3 %.3f", name, figures["top_1"]["value"], figures["top_3"]["value"])

    def add_baselines(self, results: FoldResults, bench: Bench, folds: Ints, targets: Ints) -> None:
        """The majority class, and a linear probe on the frozen last layer.

        Args:
            results: of any recipe on the same folds.
            bench: of a recipe whose features are the last layer's.
            folds: (n,) of all images of the dataset.
            targets: (n,) likewise.
        """
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        held, rows = results.held_out, results.rows
        labels = held.logits.shape[-1]
        if held.cross_validated:
            most = majority_class(held.targets, held.folds, labels)
        else:
            counts = np.bincount(targets[folds < 0], minlength=labels)
            most = np.tile(counts / counts.sum(), (1, len(rows), 1))
        self.add("majority class", most, held.targets, held.groups, "the most frequent label, always")
        logits = np.zeros((1, len(targets), labels))
        features = bench.plain_features
        for fold in range(int(folds.max()) + 1):
            train = (folds != fold) & (folds != NEVER_TRAINS)
            probe = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, max_iter=1000))
            probe.fit(features[train], targets[train])
            found = probe.decision_function(features[folds == fold])
            if found.ndim == 1:
                found = np.stack([-found, found], axis=1)
            logits[0, folds == fold] = found
        self.add(
            "frozen linear probe", softmax(logits[:, rows]), held.targets, held.groups,
            "logistic regression on ImageNet features",
        )  # fmt: skip

    def add_recipe(self, recipe: Recipe, results: FoldResults, note: str) -> None:
        """A recipe, by what it says of the images that it was not trained on."""
        held = results.held_out
        self.add(recipe.name, softmax(held.logits[:1]), held.targets, held.groups, note)


def describe_stage(recipe: Recipe) -> str:
    """What a recipe does, in a few words."""
    if not recipe.epochs_fine:
        return "the head alone" + (f", {recipe.passes} augmented versions of each image" if recipe.augmentation else "")
    how = "SGD, batch statistics" if recipe.batch_statistics else "AdamW, frozen batch statistics"
    return f"everything above {recipe.cut}, {recipe.epochs_fine} epochs, {how}"
