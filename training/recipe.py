"""Recipes: everything that decides how a network is trained, by name."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from training.augmentation import REPORT, Augmentation

LAST: Final = ("out_relu",)
THREE_BLOCKS: Final = ("block_12_add", "block_15_add", "out_relu")


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. First the head on frozen features, then everything above the cut.

    Attributes:
        name: for tables and folders.
        side: of the network's input, pixels.
        alpha: width multiplier of MobileNetV2.
        taps: layers whose pooled maps are the features, in order; the last one is the backbone's last.
        cut: the last layer that never changes. What lies below it is computed once for each picture.
        hidden: units of the head's hidden layer.
        dropout: share of the features that the head misses at a time.
        augmentation: None for none.
        passes: augmented versions of each picture, beside the plain and the mirrored one.
        epochs_head: of training the head alone.
        rate_head: learning rate it starts from (AdamW, cosine decay).
        epochs_fine: of training everything above the cut; 0 leaves it frozen.
        rate_fine: learning rate, reached after an epoch of warming up.
        weight_decay: of both.
        label_smoothing: share of the target that is spread over all labels (Szegedy et al. 2016, section 7).
        mixup: parameter of the beta distribution that pairs of activations at the cut are mixed by (Verma et al.
            2019, manifold mixup); 0 for none.
        averaging: decay a step of the moving average of the weights that fine-tuning ends with; 0 for none.
        momentum: fine-tune by SGD with this Nesterov momentum; 0 for AdamW, as the head always is.
        batch_statistics: batch normalisation above the cut trains too, on the statistics of its batches. Without it,
            steps that are large enough to learn anything tear these blocks apart within an epoch.
    """

    name: str
    side: int = 224
    alpha: float = 1.0
    taps: tuple[str, ...] = LAST
    cut: str = "block_12_add"
    hidden: int = 128
    dropout: float = 0.3
    augmentation: Augmentation | None = None
    passes: int = 0
    epochs_head: int = 40
    rate_head: float = 1e-3
    epochs_fine: int = 0
    rate_fine: float = 1e-4
    weight_decay: float = 1e-4
    label_smoothing: float = 0.1
    mixup: float = 0.0
    averaging: float = 0.0
    momentum: float = 0.0
    batch_statistics: bool = False

    def digest(self) -> str:
        """SHA-256 (hex) of all of it but the name: what a kept result belongs to."""
        described: dict[str, Any] = asdict(self)
        described.pop("name")
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


BEST: Final = Recipe(
    "recipe of the shipped model",
    taps=THREE_BLOCKS,
    cut="block_5_add",
    dropout=0.4,
    augmentation=Augmentation(),
    passes=20,
    epochs_head=20,
    epochs_fine=28,
    rate_fine=1e-2,
    weight_decay=5e-4,
    mixup=0.3,
    momentum=0.9,
    batch_statistics=True,
)
"""What grouped cross-validation liked best of what was tried; see docs/training.md."""

FROZEN: Final = Recipe("frozen, no augmentation")
AUGMENTED: Final = Recipe("frozen, augmented", augmentation=REPORT, passes=12)
FINE_TUNED: Final = Recipe(
    "last 50 layers fine-tuned", augmentation=REPORT, passes=12, cut="block_10_project_BN", epochs_fine=12
)

REPORT_STAGES: Final = (FROZEN, AUGMENTED, FINE_TUNED)


def smaller(recipe: Recipe) -> Recipe:
    """The same steps in seconds, to show that the parts fit together."""
    return replace(
        recipe,
        side=96,
        alpha=0.35,
        passes=min(recipe.passes, 2),
        epochs_head=2,
        epochs_fine=min(recipe.epochs_fine, 1),
    )
