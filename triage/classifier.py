"""From pictures to calibrated probabilities, and from those to what a person reads.

The LiteRT runtime is light enough for every worker child; TensorFlow is imported only when the Keras runtime
is asked for, and inside the process that uses it, since it does not survive a fork.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from triage.bundle import Bundle, BundleError, find_bundle, open_bundle
from triage.settings import Settings

__all__ = [
    "Bundle",
    "BundleError",
    "Classification",
    "Classifier",
    "find_bundle",
    "load_classifier",
    "open_bundle",
]

log = logging.getLogger(__name__)

LOW_CONFIDENCE = "low_confidence"
AMBIGUOUS = "ambiguous"
PROBABILITIES = "probabilities"

Pixels = npt.NDArray[np.uint8]
Probabilities = npt.NDArray[np.float32]
Runtime = Literal["litert", "keras"]
_Run = Callable[[Pixels], Probabilities]


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
        reasons: ``low_confidence``: the confidence is below the bundle's threshold; ``ambiguous``: the second
            label is closer than the bundle's margin. (The size of the prediction set is no reason: with ten
            types that look alike, honest 90 % sets are large for nearly every image.)
    """

    label: str
    confidence: float
    probabilities: dict[str, float]
    prediction_set: tuple[str, ...]
    needs_review: bool
    reasons: tuple[str, ...]


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
        self._run: _Run
        if runtime == "litert":
            if bundle.litert_path is None:
                raise BundleError(f"{bundle.version} has no LiteRT twin. Set TRIAGE_RUNTIME=keras to run it.")
            self._run = _load_litert(bundle.litert_path, bundle, threads)
        else:
            self.bundle, self._run = _load_keras(bundle, threads)

    def predict(self, inputs: Pixels) -> Probabilities:
        """Calibrated probabilities.

        Args:
            inputs: (n, side, side) uint8 greyscale, as `triage.pixels.read_for_network` makes them.

        Returns:
            (n, labels) float32; each row sums to 1.

        Raises:
            ValueError: the shape or dtype is another one.
        """
        side = self.bundle.input_side
        if inputs.ndim != 3 or inputs.shape[1:] != (side, side) or inputs.dtype != np.uint8:
            raise ValueError(f"expected (n, {side}, {side}) uint8, got {inputs.shape} {inputs.dtype}")
        if not len(inputs):
            return np.empty((0, len(self.bundle.labels)), np.float32)
        return self._run(inputs)

    def classify(self, inputs: Pixels) -> list[Classification]:
        """`predict`, put into words: one `Classification` per picture, in the same order.

        Args:
            inputs: (n, side, side) uint8 greyscale.
        """
        return [describe(self.bundle, row) for row in self.predict(inputs)]


def describe(bundle: Bundle, probabilities: Probabilities) -> Classification:
    """Turns the probabilities of one picture, (labels,) float32, into a `Classification`.

    The prediction set is LAC (Sadinle, Lei, Wasserman 2019): all labels with 1 - p <= quantile. The top label
    is always in it, which can only raise the coverage.
    """
    order = np.argsort(-probabilities, kind="stable")
    first, second = float(probabilities[order[0]]), float(probabilities[order[1]])
    least = 1.0 if bundle.conformal_quantile is None else 1.0 - bundle.conformal_quantile
    members = [index for rank, index in enumerate(order) if rank == 0 or probabilities[index] >= least]
    reasons = []
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
    )


def load_classifier(settings: Settings) -> Classifier:
    """The classifier that the settings ask for; without a twin it runs on Keras, with a warning.

    Raises:
        BundleError: there is no usable model.
    """
    bundle = open_bundle(find_bundle(settings))
    runtime: Runtime = settings.runtime
    if runtime == "litert" and bundle.litert_path is None:
        log.warning(
            "%s has no LiteRT twin; it runs on Keras, which is slower and takes far more memory",
            bundle.version,
        )
        runtime = "keras"
    return Classifier(bundle, runtime)


def _load_litert(path: Path, bundle: Bundle, threads: int) -> _Run:
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter: Any = Interpreter(model_path=str(path), num_threads=threads)
        interpreter.allocate_tensors()
        signature = interpreter.get_signature_runner()
        (source,) = signature.get_input_details().values()
        # By name: a bundle may come to have further outputs (features, heat map) in any order.
        target = signature.get_output_details()[PROBABILITIES]
    except (KeyError, OSError, RuntimeError, ValueError) as error:
        raise BundleError(f"{path} cannot be loaded by LiteRT ({error}). Copy or train the bundle again.") from error
    expected = [1, bundle.input_side, bundle.input_side, 1], [1, len(bundle.labels)]
    if (list(source["shape"]), list(target["shape"])) != expected:
        raise BundleError(f"{path} does not have the input and output that its bundle describes.")

    def run(inputs: Pixels) -> Probabilities:
        # One at a time into the same tensor: on a CPU that is as fast as a batch, and memory stays flat.
        probabilities = np.empty((len(inputs), len(bundle.labels)), np.float32)
        for row, picture in enumerate(inputs):
            interpreter.set_tensor(source["index"], picture[np.newaxis, :, :, np.newaxis].astype(np.float32))
            interpreter.invoke()
            probabilities[row] = interpreter.get_tensor(target["index"])[0]
        return probabilities

    return run


def _load_keras(bundle: Bundle, threads: int) -> tuple[Bundle, _Run]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import keras
        import tensorflow as tf
    except ImportError as error:
        raise BundleError(
            f"{bundle.keras_path.name} needs TensorFlow, which is not installed. "
            "Install the `train` extra, or use a bundle with a LiteRT twin."
        ) from error
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError:
        log.debug("TensorFlow already runs in this process; its thread count stays as it is")
    try:
        model: Any = keras.saving.load_model(bundle.keras_path, compile=False)
    except (OSError, TypeError, ValueError) as error:
        raise BundleError(f"{bundle.keras_path} cannot be loaded by Keras ({error}).") from error
    labels = len(bundle.labels)
    side, channels = _keras_input(model, bundle)
    # A bare file was seldom saved with its scaling inside; MobileNetV2's own is then the best guess.
    rescale = not bundle.details and not _scales_itself(model)
    if rescale:
        log.warning("%s has no scaling inside; its input is scaled to [-1, 1]", bundle.keras_path.name)

    @tf.function(input_signature=[tf.TensorSpec((None, side, side, channels), tf.float32)])  # type: ignore[untyped-decorator, unused-ignore]
    def forward(pictures: Any) -> Any:
        outputs = model(pictures, training=False)
        return outputs[PROBABILITIES] if isinstance(outputs, Mapping) else outputs

    def run(inputs: Pixels) -> Probabilities:
        rows = []
        for start in range(0, len(inputs), 16):
            pictures = inputs[start : start + 16, :, :, np.newaxis].astype(np.float32)
            pictures = pictures / 127.5 - 1.0 if rescale else pictures
            rows.append(forward(np.repeat(pictures, channels, axis=-1)).numpy())
        return np.concatenate(rows).astype(np.float32, copy=False)

    probe = run(np.zeros((1, side, side), np.uint8))
    if probe.shape != (1, labels) or abs(float(probe.sum()) - 1.0) > 1e-3:
        raise BundleError(
            f"{bundle.keras_path} must give {labels} probabilities that sum to 1, one for each of "
            f"{', '.join(bundle.labels)}; it gives shape {probe.shape}."
        )
    return (bundle if bundle.input_side == side else replace(bundle, input_side=side)), run


def _keras_input(model: Any, bundle: Bundle) -> tuple[int, int]:
    """Side and channels the model takes."""
    shape = getattr(model, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[1] != shape[2] or shape[3] not in (1, 3):
        raise BundleError(f"{bundle.keras_path} must take square pictures of 1 or 3 channels, not {shape}.")
    return int(shape[1] or bundle.input_side), int(shape[3])


def _scales_itself(model: Any) -> bool:
    """Whether the graph holds a scaling step (layer or operation), at any depth."""
    names = {"rescaling", "normalization", "truedivide", "divide", "multiply"}
    return any(
        type(step).__name__.lower() in names or _scales_itself(step)
        for step in getattr(model, "operations", getattr(model, "layers", ()))
    )
