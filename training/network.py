"""The network: MobileNetV2, features pooled from some of its blocks, a small head, and what the shipped model adds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt

from training import TrainingError
from triage.classifier import FEATURES, HEAT_MAP, PROBABILITIES

BATCH: Final = 32
HIDDEN: Final = "hidden"
LOGITS: Final = "logits"
LAST_MAPS: Final = "out_relu"
"""The layer whose maps Grad-CAM weighs: the last one with places in it."""

Numbers = npt.NDArray[np.number[Any]]


class WeightsError(TrainingError):
    """The weights to start from cannot be had."""

    exit_code = 3


@dataclass(frozen=True)
class Origin:
    """Which weights a backbone started from.

    Attributes:
        weights: a ``.weights.h5`` file, ``"imagenet"`` to fetch them, or None for random ones.
        note: what to say of them in the bundle.
    """

    weights: Path | str | None
    note: str = "MobileNetV2, ImageNet, keras.applications layout without top"

    def digest(self) -> str:
        """SHA-256 (hex) of the file; the name of what else they are."""
        if isinstance(self.weights, Path):
            return hashlib.sha256(self.weights.read_bytes()).hexdigest()
        return self.weights or "random"

    def describe(self, alpha: float) -> dict[str, str]:
        """For ``bundle.json``."""
        if self.weights is None:
            return {"weights": "random", "alpha": str(alpha)}
        described = {
            "weights": self.note,
            "alpha": str(alpha),
            "licence": "Apache-2.0 (the original weights); a converted copy may carry its own, such as MIT "
            "(JonathanCMitchell/mobilenet_v2_keras)",
        }
        if isinstance(self.weights, Path):
            described |= {"file": self.weights.name, "sha256": self.digest()}
        return described


def build_backbone(side: int, alpha: float, origin: Origin) -> Any:
    """MobileNetV2 without its top (Sandler et al. 2018): (n, side, side, 3) in [-1, 1] -> (n, h, w, channels).

    Batch normalisation does not train unless a recipe says so.

    Args:
        side: input side in pixels.
        alpha: width multiplier.
        origin: the weights.

    Raises:
        WeightsError: they cannot be read or fetched.
    """
    file = origin.weights if isinstance(origin.weights, Path) else None
    try:
        backbone = keras.applications.MobileNetV2(
            input_shape=(side, side, 3), include_top=False, alpha=alpha, weights=None if file else origin.weights
        )
        if file:
            backbone.load_weights(file)
    except Exception as error:
        # Keras and its downloader raise many kinds, bare Exception among them.
        source = f"{file} cannot be read as" if file else "This machine cannot fetch"
        raise WeightsError(
            f"{source} the ImageNet weights of MobileNetV2 ({error}). Give the file of "
            "`keras.applications.MobileNetV2(include_top=False, input_shape=(224, 224, 3))` with "
            "--weights FILE or in TRAINING_WEIGHTS, or train once where there is internet."
        ) from error
    for layer in backbone.layers:
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    return backbone


def train_batch_statistics(backbone: Any) -> None:
    """Let batch normalisation train, on the statistics of its batches."""
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            # A few hundred steps must be enough for the running statistics to follow.
            layer.trainable, layer.momentum = True, 0.95


def split(backbone: Any, cut: str, taps: Sequence[str]) -> tuple[Any, Any]:
    """Cuts the backbone in two; both parts share its weights.

    Args:
        backbone: from `build_backbone`.
        cut: name of the last layer below the cut, where one tensor is all there is.
        taps: names of layers at or above the cut whose maps are pooled, in this order.

    Returns:
        lower: (n, side, side, 3) -> activations at the cut. Upper: those -> (n, F), the pooled maps of all taps
        one after the other.
    """
    at = backbone.get_layer(cut).output
    pooled = [keras.layers.GlobalAveragePooling2D()(backbone.get_layer(tap).output) for tap in taps]
    features = keras.layers.Concatenate()(pooled) if len(pooled) > 1 else pooled[0]
    return keras.Model(backbone.input, at, name="lower"), keras.Model(at, features, name="upper")


def build_head(features: npt.NDArray[np.float32], hidden: int, labels: int, dropout: float) -> Any:
    """Standardised features -> Dense(hidden, relu) -> a linear layer: (n, F) -> (n, labels) logits.

    Args:
        features: (m, F) features of the training images, for their mean and variance.
        hidden: units.
        labels: how many.
        dropout: on the features; half of it after the hidden layer.
    """
    inputs = keras.Input((features.shape[1],))
    standardise = keras.layers.Normalization(
        mean=features.mean(axis=0), variance=np.maximum(features.var(axis=0), 1e-6), name="standardise"
    )
    kept = keras.layers.Dropout(dropout)(standardise(inputs))
    active = keras.layers.Dense(hidden, activation="relu", name=HIDDEN)(kept)
    logits = keras.layers.Dense(labels, name=LOGITS)(keras.layers.Dropout(dropout / 2)(active))
    return keras.Model(inputs, logits, name="head")


def assemble(backbone: Any, taps: Sequence[str], head: Any, temperature: float) -> Any:
    """The model that ships: grey 0..255 in, calibrated probabilities, features and heat map out.

    Scaling to [-1, 1], the three channels and the temperature are inside, so that serving cannot get them wrong.

    The heat map is Grad-CAM (Selvaraju et al. 2017, eq. 1 and 2) of the top label's logit on the last maps A,
    (n, h, w, K). Behind them come pooling, standardising, Dense(relu), Dense, so the gradient is a closed form:
    with W1 (F, H) and W2 (H, L) the kernels and s_k the standard deviation of feature k,
    alpha_k = 1/(h w) * sum_j W1[k, j] / s_k * [unit j is active] * W2[j, label].

    Args:
        backbone: from `build_backbone`.
        taps: the last one must be `LAST_MAPS`.
        head: from `build_head`, trained.
        temperature: divides the logits.

    Returns:
        a Keras model, (n, side, side, 1) float32 -> ``probabilities`` (n, labels), ``features`` (n, F), and
        ``heat_map`` (n, h, w), 0 or more, all float32.
    """
    if taps[-1] != LAST_MAPS:
        raise ValueError(f"the last tap must be {LAST_MAPS}, which the heat map is made of")
    layers = keras.layers
    side = backbone.input_shape[1]
    image = keras.Input((side, side, 1), name="image")
    scaled = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(image)
    three = layers.Concatenate(name="grey_to_three_channels")([scaled, scaled, scaled])
    whole = keras.Model(backbone.input, [backbone.get_layer(tap).output for tap in taps], name="backbone")
    maps = whole(three, training=False)
    maps = maps if isinstance(maps, list) else [maps]
    # Named, as every layer that the twin names its tensors after: Keras would count on from the models before this one,
    # and a run that was resumed would then write another file.
    pooled = [layers.GlobalAveragePooling2D(name=f"mean_{number}")(each) for number, each in enumerate(maps)]
    features = layers.Concatenate(name=FEATURES)(pooled) if len(pooled) > 1 else layers.Identity(name=FEATURES)(*pooled)
    standard = head.get_layer("standardise")
    hidden = head.get_layer(HIDDEN)(standard(features))
    logits = head.get_layer(LOGITS)(hidden)
    calibrated = layers.Rescaling(1.0 / temperature, name="temperature")(logits)
    probabilities = layers.Softmax(name=PROBABILITIES)(calibrated)

    # The same kernels, the other way round; they are copies, for nothing trains any more.
    first, second = head.get_layer(HIDDEN).get_weights()[0], head.get_layer(LOGITS).get_weights()[0]
    channels = maps[-1].shape[-1]
    deviation = np.sqrt(np.asarray(standard.variance)).reshape(-1)[-channels:]
    places = int(np.prod(maps[-1].shape[1:3]))
    back_to_hidden = layers.Dense(len(second), use_bias=False, name="label_to_hidden")
    back_to_maps = layers.Dense(channels, use_bias=False, name="hidden_to_maps")
    # Not argmax: Keras builds it of operations that LiteRT does not have.
    best = keras.ops.max(logits, axis=-1, keepdims=True)
    top = keras.ops.cast(keras.ops.greater_equal(logits, best), "float32")
    active = keras.ops.cast(keras.ops.greater(hidden, 0.0), "float32")
    weights = back_to_maps(layers.Multiply(name="hidden_weights")([back_to_hidden(top), active]))
    back_to_hidden.set_weights([second.T])
    back_to_maps.set_weights([first[-channels:].T / deviation / places])
    weighted = keras.ops.sum(maps[-1] * keras.ops.reshape(weights, (-1, 1, 1, channels)), axis=-1)
    heat_map = layers.ReLU(name=HEAT_MAP)(weighted)
    return keras.Model(image, {PROBABILITIES: probabilities, FEATURES: features, HEAT_MAP: heat_map}, name="triage")


def run_batches(model: Any, inputs: Numbers) -> npt.NDArray[np.float32]:
    """A model's output, batch by batch: (n, ...) -> (n, ...) float32."""
    return np.concatenate(
        [
            np.asarray(model(inputs[start : start + BATCH].astype(np.float32), training=False))
            for start in range(0, len(inputs), BATCH)
        ]
    )
