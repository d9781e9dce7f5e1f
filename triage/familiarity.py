"""How familiar a picture is to the model, told by the features that its network computes anyway.

Two checks, both numpy only and far cheaper than the network: how far the features lie from those of the training
images, and on which side of a plane between radiographs and other pictures.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from triage.bundle import BundleError

Features = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Familiarity:
    """Statistics of the training images' features, F numbers an image.

    Attributes:
        mean: (F,) float64.
        whiten: (F, d) float64: takes centred features to d numbers that are uncorrelated and of unit variance over
            the training images.
        radiograph_weights: (F,) float64, or None if the bundle has no such check.
        radiograph_bias: belongs to them.
    """

    mean: Floats
    whiten: Floats
    radiograph_weights: Floats | None = None
    radiograph_bias: float = 0.0

    @property
    def width(self) -> int:
        """F, the number of features."""
        return len(self.mean)

    def distances(self, features: Features) -> Floats:
        """How far pictures lie from the training images.

        It is the distance of Mahalanobis (1936), here of a network's features (Lee et al. 2018), divided by the
        square root of its dimensions: about 1 for what looks like the training images, whatever d is.

        Args:
            features: (n, F).

        Returns:
            (n,) float64, 0 or more.
        """
        white = (features.astype(np.float64) - self.mean) @ self.whiten
        return np.asarray(np.sqrt(np.mean(np.square(white), axis=1)))

    def other_picture_scores(self, features: Features) -> Floats | None:
        """How much pictures look like something else than a radiograph; None if the bundle cannot tell.

        Args:
            features: (n, F).

        Returns:
            (n,) float64; above 0 is the side of other pictures.
        """
        if self.radiograph_weights is None:
            return None
        return np.asarray(features.astype(np.float64) @ self.radiograph_weights + self.radiograph_bias)


def load_familiarity(path: Path) -> Familiarity:
    """Reads ``features.npz``.

    Args:
        path: an archive with ``mean`` (F,), ``whiten`` (F, d), and perhaps ``radiograph_weights`` (F,) and
            ``radiograph_bias`` ().

    Raises:
        BundleError: it cannot be read, or holds something else.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: np.asarray(archive[name], np.float64) for name in archive.files}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise BundleError(f"{path} cannot be read ({error}). Copy or train the bundle again.") from error
    names = set(arrays)
    optional = {"radiograph_weights", "radiograph_bias"}
    if not {"mean", "whiten"} <= names or (names & optional and not optional <= names):
        raise BundleError(
            f"{path} must hold mean and whiten, and radiograph_weights and radiograph_bias both or not at all; "
            f"it holds {', '.join(sorted(names)) or 'nothing'}. Train the bundle again."
        )
    mean, whiten = arrays["mean"], arrays["whiten"]
    weights, bias = arrays.get("radiograph_weights"), arrays.get("radiograph_bias", np.zeros(()))
    width = mean.shape[0] if mean.ndim == 1 else 0
    fits = (
        width > 0
        and (whiten.ndim == 2 and whiten.shape[0] == width and whiten.shape[1] > 0)
        and (weights is None or weights.shape == (width,))
        and bias.shape == ()
    )
    if not fits:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in sorted(arrays.items()))
        raise BundleError(f"{path} holds arrays whose shapes do not fit each other: {shapes}. Train the bundle again.")
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise BundleError(f"{path} holds values that are not finite numbers. Train the bundle again.")
    return Familiarity(mean, whiten, weights, float(bias))
