"""From pictures to calibrated probabilities, and from those to what a person reads."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from triage.bundle import Bundle, BundleError, find_bundle, open_bundle
from triage.familiarity import Familiarity, load_familiarity
from triage.runtimes import (
    FEATURES,
    HEAT_MAP,
    PROBABILITIES,
    Numbers,
    Outputs,
    Pixels,
    Probabilities,
    Run,
    Runtime,
    load_keras,
    load_litert,
)
from triage.settings import Settings

__all__ = [
    "FEATURES",
    "HEAT_MAP",
    "PROBABILITIES",
    "Bundle",
    "BundleError",
    "Classification",
    "Classifier",
    "Outputs",
    "find_bundle",
    "load_classifier",
    "open_bundle",
]

log = logging.getLogger(__name__)

NOT_AN_XRAY = "not_an_xray"
UNLIKE_TRAINING_DATA = "unlike_training_data"
LOW_CONFIDENCE = "low_confidence"
AMBIGUOUS = "ambiguous"
BURNED_IN_ANNOTATION = "burned_in_annotation"


@dataclass(frozen=True)
class Classification:
    """What the model says about one picture.

    Attributes:
        label: the most probable fracture type.
        confidence: its calibrated probability, 0..1.
        probabilities: label -> calibrated probability, all labels in the bundle's order.
        prediction_set: the labels that together hold the truth as often as the bundle promises (90 %), most
            probable first; never empty. Just the label where the bundle has no conformal quantile.
        needs_review: whether the model asks for a human; true exactly if there are reasons.
        reasons: ``not_an_xray``: it looks like another kind of picture; ``unlike_training_data``: it lies further
            from the training images than the bundle's threshold; ``low_confidence``: the confidence is below the
            bundle's threshold; ``ambiguous``: the second label is closer than the bundle's margin. In this order;
            last ``burned_in_annotation``, which is no doubt of the model's: the file says that text is part of the
            picture, and text is not what it learnt from.
            (The size of the prediction set is no reason: with ten types that look alike, honest 90 % sets are
            large for nearly every image.)
        unfamiliarity: the distance to the training images (`Familiarity.distances`); None if the bundle cannot tell.
        heat_map: (h, w) float32, 0..1: where the model looked for its label, 1 the most; all 0 where it looked
            nowhere; None if the model does not say.
    """

    label: str
    confidence: float
    probabilities: dict[str, float]
    prediction_set: tuple[str, ...]
    needs_review: bool
    reasons: tuple[str, ...]
    unfamiliarity: float | None = None
    heat_map: Numbers | None = field(default=None, compare=False, repr=False)

    def with_reason(self, reason: str) -> Self:
        """The same, asking for a human for one more reason."""
        return replace(self, needs_review=True, reasons=(*self.reasons, reason))


class Classifier:
    """A loaded model. Not safe to share between threads.

    Args:
        bundle: what `open_bundle` returned.
        runtime: ``litert`` runs the twin; ``keras`` the model of record.
        threads: CPU threads per prediction.

    Raises:
        BundleError: the model cannot be loaded, or does not fit its description.
    """

    def __init__(self, bundle: Bundle, runtime: Runtime = "litert", threads: int = 1) -> None:
        self.bundle = bundle
        self.runtime = runtime
        self._run: Run
        if runtime == "litert":
            if bundle.litert_path is None:
                raise BundleError(f"{bundle.version} has no LiteRT twin. Set TRIAGE_RUNTIME=keras to run it.")
            self._run = load_litert(bundle.litert_path, bundle, threads)
        else:
            self.bundle, self._run = load_keras(bundle, threads)
        self._familiarity = None if bundle.features_path is None else load_familiarity(bundle.features_path)
        self._check_familiarity()

    def _check_familiarity(self) -> None:
        """A check that the bundle promises, and that would silently never strike, is an error."""
        found = self._familiarity
        if found is None:
            return
        side = self.bundle.input_side
        features = self._run(np.zeros((1, side, side), np.uint8)).features
        if features is None or features.shape[1] != found.width:
            raise BundleError(
                f"{self.bundle.version} has statistics of {found.width} features, and its model gives "
                f"{'none' if features is None else features.shape[1]}. Train the bundle again."
            )
        if NOT_AN_XRAY in self.bundle.thresholds and found.radiograph_weights is None:
            raise BundleError(
                f"{self.bundle.version} has a threshold {NOT_AN_XRAY}, and no radiograph_weights to compare with it. "
                "Train the bundle again."
            )

    def predict(self, inputs: Pixels) -> Probabilities:
        """Calibrated probabilities.

        Args:
            inputs: (n, side, side) uint8 greyscale, as `triage.pixels.read_for_network` makes them.

        Returns:
            (n, labels) float32; each row sums to 1.

        Raises:
            ValueError: the shape or dtype is another one.
        """
        return self.infer(inputs).probabilities

    def infer(self, inputs: Pixels) -> Outputs:
        """All that the model gives, in one pass.

        Args:
            inputs: as for `predict`.

        Raises:
            ValueError: the shape or dtype is another one.
        """
        side = self.bundle.input_side
        if inputs.ndim != 3 or inputs.shape[1:] != (side, side) or inputs.dtype != np.uint8:
            raise ValueError(f"expected (n, {side}, {side}) uint8, got {inputs.shape} {inputs.dtype}")
        if not len(inputs):
            return Outputs(np.empty((0, len(self.bundle.labels)), np.float32))
        return self._run(inputs)

    def classify(self, inputs: Pixels) -> list[Classification]:
        """`infer`, put into words: one `Classification` per picture, in the same order.

        Args:
            inputs: (n, side, side) uint8 greyscale.
        """
        outputs = self.infer(inputs)
        nothing: list[None] = [None] * len(inputs)
        distances, scores = self._compare(outputs.features)
        return [
            describe(self.bundle, probabilities, unfamiliarity=distance, other_picture_score=score, heat_map=heat_map)
            for probabilities, distance, score, heat_map in zip(
                outputs.probabilities,
                nothing if distances is None else distances.tolist(),
                nothing if scores is None else scores.tolist(),
                nothing if outputs.heat_maps is None else outputs.heat_maps,
                strict=True,
            )
        ]

    def _compare(
        self, features: Numbers | None
    ) -> tuple[npt.NDArray[np.float64] | None, npt.NDArray[np.float64] | None]:
        found: Familiarity | None = self._familiarity
        if found is None or features is None:
            return None, None
        return found.distances(features), found.other_picture_scores(features)


def describe(
    bundle: Bundle,
    probabilities: Probabilities,
    *,
    unfamiliarity: float | None = None,
    other_picture_score: float | None = None,
    heat_map: Numbers | None = None,
) -> Classification:
    """Turns what the model gives for one picture into a `Classification`.

    The prediction set is LAC (Sadinle, Lei, Wasserman 2019): all labels with 1 - p <= quantile. The top label
    is always in it, which can only raise the coverage.

    Args:
        bundle: labels, thresholds, conformal quantile.
        probabilities: (labels,) float32.
        unfamiliarity: distance to the training images, if the bundle can tell.
        other_picture_score: how much it looks like no radiograph, if the bundle can tell.
        heat_map: (h, w) float32, 0 or more, if the model gives it.
    """
    order = np.argsort(-probabilities, kind="stable")
    first, second = float(probabilities[order[0]]), float(probabilities[order[1]])
    least = 1.0 if bundle.conformal_quantile is None else 1.0 - bundle.conformal_quantile
    members = [index for rank, index in enumerate(order) if rank == 0 or probabilities[index] >= least]
    reasons = []
    if _is_above(other_picture_score, bundle.thresholds.get(NOT_AN_XRAY)):
        reasons.append(NOT_AN_XRAY)
    if _is_above(unfamiliarity, bundle.thresholds.get(UNLIKE_TRAINING_DATA)):
        reasons.append(UNLIKE_TRAINING_DATA)
    if first < bundle.thresholds["low_confidence"]:
        reasons.append(LOW_CONFIDENCE)
    if first - second < bundle.thresholds["margin"]:
        reasons.append(AMBIGUOUS)
    return Classification(
        label=bundle.labels[order[0]],
        confidence=first,
        probabilities={label: float(p) for label, p in zip(bundle.labels, probabilities, strict=True)},
        prediction_set=tuple(bundle.labels[index] for index in members),
        needs_review=bool(reasons),
        reasons=tuple(reasons),
        unfamiliarity=unfamiliarity,
        heat_map=None if heat_map is None else _scale(heat_map),
    )


def _is_above(value: float | None, threshold: float | None) -> bool:
    """Whether a check strikes; it also does where the value is no number, which nothing can be said of."""
    return value is not None and threshold is not None and not value <= threshold


def _scale(heat_map: Numbers) -> Numbers:
    peak = float(heat_map.max())
    if not 0.0 < peak < float("inf"):
        return np.zeros_like(heat_map)
    return np.asarray(np.clip(heat_map / np.float32(peak), 0.0, 1.0))


def load_classifier(settings: Settings, path: Path | None = None) -> Classifier:
    """The classifier that the settings ask for; without a twin it runs on Keras, with a warning.

    Args:
        settings: which runtime, and which model if no path is given.
        path: the bundle to load instead of the one in use.

    Raises:
        BundleError: there is no usable model.
    """
    bundle = open_bundle(path or find_bundle(settings))
    runtime: Runtime = settings.runtime
    if runtime == "litert" and bundle.litert_path is None:
        log.warning(
            "%s has no LiteRT twin; it runs on Keras, which is slower and takes far more memory",
            bundle.version,
        )
        runtime = "keras"
    return Classifier(bundle, runtime)
