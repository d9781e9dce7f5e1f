"""What runs a bundle's model.

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

from triage.bundle import Bundle, BundleError

log = logging.getLogger(__name__)

PROBABILITIES = "probabilities"
FEATURES = "features"
HEAT_MAP = "heat_map"
"""The outputs of a model, by name; only the first is in every bundle."""

Pixels = npt.NDArray[np.uint8]
Probabilities = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.float32]
Runtime = Literal["litert", "keras"]


@dataclass(frozen=True)
class Outputs:
    """What a model gives for n pictures.

    Attributes:
        probabilities: (n, labels) float32, calibrated; each row sums to 1.
        features: (n, F) float32; None if the model does not give them.
        heat_maps: (n, h, w) float32, 0 or more: the Grad-CAM of the top label (Selvaraju et al. 2017), not scaled;
            None if the model does not give them.
    """

    probabilities: Probabilities
    features: Numbers | None = None
    heat_maps: Numbers | None = None


Run = Callable[[Pixels], Outputs]


def load_litert(path: Path, bundle: Bundle, threads: int) -> Run:
    """Loads a LiteRT twin.

    Raises:
        BundleError: it cannot be loaded, or does not fit its description.
    """
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter: Any = Interpreter(model_path=str(path), num_threads=threads)
        interpreter.allocate_tensors()
        signature = interpreter.get_signature_runner()
        (source,) = signature.get_input_details().values()
        # By name: their order is the converter's.
        targets = signature.get_output_details()
        target = targets[PROBABILITIES]
    except (KeyError, OSError, RuntimeError, ValueError) as error:
        raise BundleError(f"{path} cannot be loaded by LiteRT ({error}). Copy or train the bundle again.") from error
    expected = [1, bundle.input_side, bundle.input_side, 1], [1, len(bundle.labels)]
    if (list(source["shape"]), list(target["shape"])) != expected:
        raise BundleError(f"{path} does not have the input and output that its bundle describes.")
    wanted = {name: targets[name] for name in (PROBABILITIES, FEATURES, HEAT_MAP) if name in targets}
    _check_further(path, {name: [int(n) for n in found["shape"]] for name, found in wanted.items()})
    indices = {name: found["index"] for name, found in wanted.items()}
    shapes = {name: tuple(found["shape"][1:]) for name, found in wanted.items()}

    def run(inputs: Pixels) -> Outputs:
        # One at a time into the same tensor: on a CPU that is as fast as a batch, and memory stays flat.
        found = {name: np.empty((len(inputs), *shape), np.float32) for name, shape in shapes.items()}
        for row, picture in enumerate(inputs):
            interpreter.set_tensor(source["index"], picture[np.newaxis, :, :, np.newaxis].astype(np.float32))
            interpreter.invoke()
            for name, index in indices.items():
                found[name][row] = interpreter.get_tensor(index)[0]
        return _named(found)

    return run


def _check_further(path: Path, shapes: Mapping[str, list[int]]) -> None:
    """The outputs that a model need not have must have their shape if it has them: (1, F) and (1, h, w)."""
    if len(shapes.get(FEATURES, [1, 1])) != 2 or len(shapes.get(HEAT_MAP, [1, 1, 1])) != 3:
        raise BundleError(f"{path} gives features or heat maps of another shape than (n, F) and (n, h, w).")


def _named(found: Mapping[str, Numbers]) -> Outputs:
    return Outputs(found[PROBABILITIES], found.get(FEATURES), found.get(HEAT_MAP))


def load_keras(bundle: Bundle, threads: int) -> tuple[Bundle, Run]:
    """Loads a model of record; the bundle that comes back has the input side that the model has.

    Raises:
        BundleError: it cannot be loaded, or does not fit its description.
    """
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
        if not isinstance(outputs, Mapping):
            return {PROBABILITIES: outputs}
        return {name: outputs[name] for name in (PROBABILITIES, FEATURES, HEAT_MAP) if name in outputs}

    def run(inputs: Pixels) -> Outputs:
        batches = []
        for start in range(0, len(inputs), 16):
            pictures = inputs[start : start + 16, :, :, np.newaxis].astype(np.float32)
            pictures = pictures / 127.5 - 1.0 if rescale else pictures
            batches.append(forward(np.repeat(pictures, channels, axis=-1)))
        return _named(
            {
                name: np.concatenate([batch[name].numpy() for batch in batches]).astype(np.float32, copy=False)
                for name in batches[0]
            }
        )

    try:
        outputs = run(np.zeros((1, side, side), np.uint8))
    except KeyError as error:
        raise BundleError(f"{bundle.keras_path} has several outputs, and none is named {PROBABILITIES}.") from error
    further = {FEATURES: outputs.features, HEAT_MAP: outputs.heat_maps}
    _check_further(bundle.keras_path, {name: list(got.shape) for name, got in further.items() if got is not None})
    probe = outputs.probabilities
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
