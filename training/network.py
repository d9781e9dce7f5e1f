"""The network: MobileNetV2, a small head, and a way to fine-tune its top on cached activations.

The layers below the freeze boundary never change, so what they make of each augmented picture is computed
once, kept on disk as float16, and used in every epoch. That makes fine-tuning several times cheaper on a CPU.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt

from training import TrainingError
from training.progress import report_progress

log = logging.getLogger(__name__)

BATCH: Final = 32
FEATURES: Final = "features"
HIDDEN: Final = "hidden"
LOGITS: Final = "logits"
PROBABILITIES: Final = "probabilities"

Numbers = npt.NDArray[np.number[Any]]


class WeightsError(TrainingError):
    """The ImageNet weights cannot be had."""

    exit_code = 3


@dataclass(frozen=True)
class Backbone:
    """MobileNetV2 without its top, cut in two at the freeze boundary; both parts share its weights.

    Attributes:
        whole: (n, side, side, 3) in [-1, 1] -> (n, h, w, c) feature maps.
        lower: the same input -> activations at the cut; never trains.
        upper: activations at the cut -> feature maps.
        origin: which weights it started from, for the bundle.
    """

    whole: Any
    lower: Any
    upper: Any
    origin: dict[str, str]


def build_backbone(side: int, alpha: float, weights: Path | str | None, trainable_layers: int) -> Backbone:
    """Builds the backbone and marks the last layers trainable, batch normalisation excepted.

    Args:
        side: input side in pixels.
        alpha: width multiplier of MobileNetV2 (Sandler et al. 2018).
        weights: a ``.weights.h5`` file, ``"imagenet"`` to fetch them, or None for random ones.
        trainable_layers: how many of the last layers fine-tuning may change.

    Raises:
        WeightsError: they cannot be read or fetched.
    """
    shape = (side, side, 3)
    file = weights if isinstance(weights, Path) else None
    try:
        whole = keras.applications.MobileNetV2(
            input_shape=shape, include_top=False, alpha=alpha, weights=None if file else weights
        )
        if file:
            whole.load_weights(file)
    except Exception as error:
        # Keras and its downloader raise many kinds, bare Exception among them.
        source = f"{file} cannot be read as" if file else "This machine cannot fetch"
        raise WeightsError(
            f"{source} the ImageNet weights of MobileNetV2 ({error}). Give the file of "
            "`keras.applications.MobileNetV2(include_top=False, input_shape=(224, 224, 3))` with "
            "--weights FILE or in TRAINING_WEIGHTS, or train once where there is internet."
        ) from error
    first = len(whole.layers) - trainable_layers
    for index, layer in enumerate(whole.layers):
        # Batch normalisation stays as it was on ImageNet: its statistics of a few hundred images would be
        # noise.
        layer.trainable = index >= first and not isinstance(layer, keras.layers.BatchNormalization)
    # Inside a block a shortcut runs past; only where a block begins is one tensor all there is.
    begins = [i for i, layer in enumerate(whole.layers) if layer.name.endswith("_expand") and i <= first]
    cut = whole.layers[begins[-1]].input
    lower, upper = keras.Model(whole.input, cut, name="lower"), keras.Model(cut, whole.output, name="upper")
    return Backbone(whole, lower, upper, _origin(weights, alpha))


def _origin(weights: Path | str | None, alpha: float) -> dict[str, str]:
    if weights is None:
        return {"weights": "random", "alpha": str(alpha)}
    origin = {
        "weights": "MobileNetV2, ImageNet, keras.applications layout without top",
        "alpha": str(alpha),
        "licence": "Apache-2.0 (the original weights); a converted copy may carry its own, such as MIT "
        "(JonathanCMitchell/mobilenet_v2_keras)",
    }
    if isinstance(weights, Path):
        origin |= {"file": weights.name, "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}
    return origin


def build_head(channels: int, labels: int) -> Any:
    """Dense(128, relu) and a linear layer on pooled features: (n, channels) -> (n, labels) logits."""
    return keras.Sequential(
        [
            keras.Input((channels,)),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(128, activation="relu", name=HIDDEN),
            keras.layers.Dense(labels, name=LOGITS),
        ],
        name="head",
    )


def build_augmentation(seed: int) -> Any:
    """Rotation, flip, zoom and shift on (n, side, side, 1) grey pictures; what moves in is black."""
    edge = {"fill_mode": "constant", "fill_value": 0.0}
    return keras.Sequential(
        [
            keras.layers.RandomFlip("horizontal", seed=seed),
            keras.layers.RandomRotation(15 / 360, seed=seed + 1, **edge),
            keras.layers.RandomZoom((-0.15, 0.1), seed=seed + 2, **edge),
            keras.layers.RandomTranslation(0.08, 0.08, seed=seed + 3, **edge),
        ],
        name="augmentation",
    )


def cache_activations(
    backbone: Backbone, pixels: npt.NDArray[np.uint8], passes: int, augmentation: Any, file: Path
) -> npt.NDArray[np.float16]:
    """What the lower part makes of each picture, once per augmented pass.

    Args:
        backbone: its lower part runs.
        pixels: (n, side, side) uint8.
        passes: how many versions of each picture.
        augmentation: applied anew in each pass, or None.
        file: where the array is kept.

    Returns:
        (passes, n, h, w, c) float16, mapped from the file.
    """
    shape = (passes, len(pixels), *backbone.lower.output_shape[1:])
    cache = np.lib.format.open_memmap(file, mode="w+", dtype=np.float16, shape=shape)
    jobs = [(number, start) for number in range(passes) for start in range(0, len(pixels), BATCH)]
    for number, start in report_progress(jobs, "Caching activations"):
        pictures = pixels[start : start + BATCH, :, :, np.newaxis].astype(np.float32)
        if augmentation is not None:
            pictures = augmentation(pictures, training=True)
        scaled = np.repeat(np.asarray(pictures) / 127.5 - 1.0, 3, axis=-1)
        cache[number, start : start + BATCH] = backbone.lower(scaled, training=False)
    log.info("activations of %d pictures cached, %d pass(es) each", len(pixels), passes)
    return cache


def pool_features(backbone: Backbone, cache: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
    """Pools what the upper part makes: (passes, n, h, w, c) float16 -> (passes, n, channels) float32."""
    passes, count = cache.shape[:2]
    pooled = np.empty((passes, count, backbone.upper.output_shape[-1]), np.float32)
    jobs = [(number, start) for number in range(passes) for start in range(0, count, BATCH)]
    for number, start in report_progress(jobs, "Pooling features"):
        maps = backbone.upper(cache[number, start : start + BATCH].astype(np.float32), training=False)
        pooled[number, start : start + BATCH] = np.asarray(maps).mean(axis=(1, 2))
    return pooled


def build_top(backbone: Backbone, head: Any) -> Any:
    """Upper part, pooling and head: activations at the cut -> logits. Shares the weights of both."""
    maps = backbone.upper(backbone.upper.input, training=False)
    return keras.Model(backbone.upper.input, head(keras.layers.GlobalAveragePooling2D()(maps)), name="top")


def train(
    model: Any,
    passes: Numbers,
    targets: npt.NDArray[np.int64],
    epochs: int,
    rate: float,
    seed: int,
    name: str,
) -> None:
    """Fits on one cached pass per epoch, in turn, over a fixed schedule: cosine decay, no early stopping.

    Args:
        model: gives (n, labels) logits.
        passes: (passes, n, ...) cached inputs.
        targets: (n,) labels.
        epochs: how many.
        rate: the learning rate it starts from.
        seed: of the order of the images.
        name: for the log.
    """
    count, labels = len(targets), int(model.output_shape[-1])
    starts = range(0, count, BATCH)
    schedule = keras.optimizers.schedules.CosineDecay(rate, decay_steps=epochs * len(starts))
    model.compile(
        optimizer=keras.optimizers.AdamW(schedule, weight_decay=1e-4),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
    )
    wanted = np.eye(labels, dtype=np.float32)[targets]
    generator = np.random.default_rng(seed)
    for epoch in range(epochs):
        order = generator.permutation(count)
        data, losses = passes[epoch % len(passes)], []
        for start in report_progress(starts, f"{name}, epoch {epoch + 1}/{epochs}"):
            rows = np.sort(order[start : start + BATCH])
            losses.append(float(model.train_on_batch(data[rows].astype(np.float32), wanted[rows])))
        # train_on_batch reports the mean since the epoch began
        log.info("%s: epoch %d/%d, loss %.3f", name, epoch + 1, epochs, losses[-1])
        model.reset_metrics()


def assemble(backbone: Backbone, head: Any, temperature: float) -> Any:
    """The model that ships: grey 0..255 in, calibrated probabilities out.

    Scaling to [-1, 1], the three channels and the temperature are inside, so that serving cannot get them
    wrong.

    Returns:
        a Keras model, (n, side, side, 1) float32 -> {"probabilities": (n, labels) float32}.
    """
    side = backbone.whole.input_shape[1]
    image = keras.Input((side, side, 1), name="image")
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(image)
    three = keras.layers.Concatenate(name="grey_to_three_channels")([scaled, scaled, scaled])
    features = keras.layers.GlobalAveragePooling2D(name=FEATURES)(backbone.whole(three, training=False))
    hidden = head.get_layer(HIDDEN)(features)
    logits = head.get_layer(LOGITS)(hidden)
    calibrated = keras.layers.Rescaling(1.0 / temperature, name="temperature")(logits)
    return keras.Model(image, {PROBABILITIES: keras.layers.Softmax(name=PROBABILITIES)(calibrated)}, name="triage")


def before_softmax(model: Any) -> Any:
    """The same network with (n, labels) logits, before the temperature, as its output."""
    return keras.Model(model.input, model.get_layer("temperature").input)


def logits_of(model: Any, inputs: Numbers) -> npt.NDArray[np.float64]:
    """Outputs of a model that gives logits, batch by batch: (n, ...) -> (n, labels) float64."""
    rows = [
        np.asarray(model(inputs[start : start + BATCH].astype(np.float32), training=False))
        for start in range(0, len(inputs), BATCH)
    ]
    return np.concatenate(rows).astype(np.float64)
