"""The recipe: three stages of training on cached activations, each measured, none chosen by the hold-out."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from training.dataset import Dataset

log = logging.getLogger(__name__)

HOLDOUT_SHARE: Final = 0.15


@dataclass(frozen=True)
class Recipe:
    """How much of everything; `SMOKE` only shows that the parts fit together."""

    side: int = 224
    alpha: float = 1.0
    passes: int = 12
    epochs_frozen: int = 40
    epochs_fine: int = 24
    trainable_layers: int = 50
    rate_frozen: float = 1e-3
    rate_fine: float = 1e-4
    per_label: int | None = None


SMOKE = Recipe(side=96, alpha=0.35, passes=2, epochs_frozen=2, epochs_fine=1, per_label=12)


def run_stages(
    backbone: Any, data: Dataset, holdout: npt.NDArray[np.bool_], recipe: Recipe, seed: int
) -> tuple[list[dict[str, Any]], Any]:
    """Frozen without augmentation, frozen with it, fine-tuned; each measured on the hold-out, none chosen by it.

    Returns:
        the stage table and the head of the last stage (whose backbone has been changed in place).
    """
    from training import evaluation, network

    targets, truth, groups = data.targets[~holdout], data.targets[holdout], data.groups[holdout]
    channels, labels = backbone.upper.output_shape[-1], len(data.labels)
    stages = []

    def measure(name: str, logits: Any) -> None:
        figures = evaluation.measure(evaluation.softmax(logits), truth, groups, seed)
        stages.append({"stage": name} | {key: figures[key] for key in ("top_1", "top_3", "balanced_accuracy")})
        log.info("%s: top-1 %.3f, top-3 %.3f", name, figures["top_1"]["value"], figures["top_3"]["value"])

    # The cache can be gigabytes for a large folder, so it is a file, and gone when this is over.
    with tempfile.TemporaryDirectory(prefix="training-") as scratch:
        files = (Path(scratch) / f"{name}.npy" for name in ("plain", "holdout", "augmented"))
        inputs, outside = data.pixels[~holdout], data.pixels[holdout]
        cached = network.cache_activations(backbone, inputs, 1, None, next(files))
        held = network.cache_activations(backbone, outside, 1, None, next(files))
        held_features = network.pool_features(backbone, held)[0]

        head = network.build_head(channels, labels)
        features = network.pool_features(backbone, cached)
        network.train(head, features, targets, recipe.epochs_frozen, recipe.rate_frozen, seed, "frozen")
        measure("frozen, no augmentation", network.logits_of(head, held_features))

        augmentation = network.build_augmentation(seed)
        cached = network.cache_activations(backbone, inputs, recipe.passes, augmentation, next(files))
        head = network.build_head(channels, labels)
        features = network.pool_features(backbone, cached)
        network.train(head, features, targets, recipe.epochs_frozen, recipe.rate_frozen, seed, "frozen, augmented")
        measure("frozen, augmented", network.logits_of(head, held_features))

        top = network.build_top(backbone, head)
        network.train(top, cached, targets, recipe.epochs_fine, recipe.rate_fine, seed, "fine-tuned")
        measure(f"last {recipe.trainable_layers} layers fine-tuned", network.logits_of(top, held[0]))
    return stages, head
