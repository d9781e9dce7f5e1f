"""Training one network on cached activations: first the head, then everything above the cut."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from training import network
from training.activations import PLAIN, cache_activations, release
from training.network import BATCH, Origin
from training.progress import report_progress
from training.recipe import Recipe
from training.unfamiliar import fit_familiarity
from triage.familiarity import Familiarity

log = logging.getLogger(__name__)

RADIOGRAPHS: Final = "further radiographs"
PHOTOS: Final = "pictures that are no radiographs"

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Trained:
    """A network that has been trained; it is changed by the next training on the same `Bench`.

    Attributes:
        head: (n, F) -> (n, labels) logits.
        loss: mean training loss of the last epoch.
    """

    head: Any
    loss: float


class Bench:
    """A recipe on the activations of one dataset, ready to train any selection of its images.

    Args:
        recipe: what to do.
        origin: the weights to start from.
        pixels: (n, s, s) uint8.
        targets: (n,) labels.
        labels: how many.
        seed: of augmentation and training.
        folder: where activations are kept.
        others: unlabelled pictures that the checks for unfamiliar ones are made with, by `RADIOGRAPHS` and `PHOTOS`.
    """

    def __init__(
        self,
        recipe: Recipe,
        origin: Origin,
        pixels: npt.NDArray[np.uint8],
        targets: Ints,
        labels: int,
        seed: int,
        folder: Path,
        others: Mapping[str, npt.NDArray[np.uint8]] | None = None,
    ) -> None:
        self.recipe, self._targets, self._labels, self._seed = recipe, targets, labels, seed
        # Weights that are drawn at random must not depend on what was trained, or kept from another run, before.
        keras.utils.set_random_seed(seed)
        self.backbone = network.build_backbone(recipe.side, recipe.alpha, origin)
        if recipe.batch_statistics:
            network.train_batch_statistics(self.backbone)
        self._start = self.backbone.get_weights()
        self._lower, self._upper = network.split(self.backbone, recipe.cut, recipe.taps)
        self._cache = cache_activations(self._lower, pixels, recipe, seed, folder)
        self._frozen = self._pool_frozen()
        plain = replace(recipe, augmentation=None, passes=0)
        self._others = {
            name: cache_activations(self._lower, pictures, plain, seed, folder)[PLAIN]
            for name, pictures in (others or {}).items()
            if len(pictures)
        }

    def _pool_frozen(self) -> Floats:
        """Features before any fine-tuning, of every pass: (passes, n, F)."""
        run = tf.function(lambda activations: self._upper(activations, training=False), reduce_retracing=True)
        passes, count = self._cache.shape[:2]
        features = np.empty((passes, count, self._upper.output_shape[-1]), np.float32)
        jobs = [(number, start) for number in range(passes) for start in range(0, count, BATCH)]
        for number, start in report_progress(jobs, f"{self.recipe.name}: pooling features"):
            activations = self._cache[number, start : start + BATCH].astype(np.float32)
            features[number, start : start + BATCH] = run(tf.convert_to_tensor(activations)).numpy()
        release(self._cache)
        return features

    @property
    def plain_features(self) -> Floats:
        """(n, F) features of the plain pictures before any fine-tuning."""
        return np.asarray(self._frozen[PLAIN])

    def train(self, rows: Ints, seed: int) -> Trained:
        """Trains a new head, and the layers above the cut from their first weights, on the images ``rows``."""
        recipe = self.recipe
        gc.collect()  # graphs and optimizers of the training before hold one another
        keras.utils.set_random_seed(seed)
        self.backbone.set_weights(self._start)
        features = self._frozen
        head = network.build_head(
            features[:, rows].reshape(-1, features.shape[-1]), recipe.hidden, self._labels, recipe.dropout
        )
        loss = self._fit(
            lambda inputs, training: head(inputs, training=training), head.trainable_variables,
            features, rows, recipe.epochs_head, recipe.rate_head, seed, "head",
        )  # fmt: skip
        if recipe.epochs_fine:
            variables = self._upper.trainable_variables + head.trainable_variables
            own = recipe.batch_statistics
            loss = self._fit(
                lambda inputs, training: head(self._upper(inputs, training=own), training=training), variables,
                self._cache, rows, recipe.epochs_fine, recipe.rate_fine, seed + 1, "fine-tuning",
                [*self._upper.weights, *head.weights],
            )  # fmt: skip
        return Trained(head, loss)

    def look(self, trained: Trained, rows: Ints) -> tuple[npt.NDArray[np.float64], Floats]:
        """Logits (m, labels) float64 and features (m, F) float32 of the plain pictures ``rows``."""
        features = network.run_batches(self._upper, self._cache[PLAIN, rows])
        return network.run_batches(trained.head, features).astype(np.float64), features

    def familiarity(self, trained: Trained, rows: Ints) -> Familiarity:
        """Statistics of the features of the images that trained, and of the other pictures."""
        features = {name: network.run_batches(self._upper, cached) for name, cached in self._others.items()}
        width = self.backbone.get_layer(self.recipe.taps[0]).output.shape[-1]
        # The first tap: nearest to the picture, it tells strange pictures best.
        return fit_familiarity(
            self.look(trained, rows)[1], features.get(RADIOGRAPHS), features.get(PHOTOS), slice(0, width)
        )

    def _fit(
        self,
        model: Callable[[Any, bool], Any],
        variables: list[Any],
        inputs: npt.NDArray[Any],
        rows: Ints,
        epochs: int,
        rate: float,
        seed: int,
        name: str,
        averaged: Sequence[Any] = (),
    ) -> float:
        """Fits over a fixed schedule, no early stopping; each image in a pass drawn anew in each epoch.

        Args:
            model: inputs and whether it trains -> (n, labels) logits.
            variables: what changes.
            inputs: (passes, n, ...).
            rows: the images.
            epochs: how many.
            rate: the learning rate after the first epoch, which warms up; cosine decay to a tenth.
            seed: of order, passes and mixing.
            name: for the log.
            averaged: weights, running statistics among them, that are what `Recipe.averaging` makes of them in the end.
        """
        recipe = self.recipe
        average = Average(averaged, recipe.averaging) if averaged and recipe.averaging else None
        steps = -(-len(rows) // BATCH)
        schedule = keras.optimizers.schedules.CosineDecay(
            rate / 10, max(1, (epochs - 1) * steps), alpha=0.1, warmup_target=rate, warmup_steps=steps
        )
        optimizer: Any
        if recipe.momentum and inputs is self._cache:
            optimizer = keras.optimizers.SGD(
                schedule, momentum=recipe.momentum, nesterov=True, weight_decay=recipe.weight_decay, clipnorm=1.0
            )
        else:
            optimizer = keras.optimizers.AdamW(schedule, weight_decay=recipe.weight_decay, clipnorm=1.0)
        optimizer.build(variables)

        @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator, unused-ignore]
        def step(pictures: Any, wanted: Any) -> Any:
            with tf.GradientTape() as tape:
                losses = tf.nn.softmax_cross_entropy_with_logits(wanted, model(pictures, True))
                loss = tf.reduce_mean(losses)
            optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
            if average is not None:
                average.follow()
            return loss

        share = recipe.label_smoothing
        wanted = np.eye(self._labels, dtype=np.float32)[self._targets] * (1 - share) + share / self._labels
        generator = np.random.default_rng(seed)
        losses = [0.0]
        for epoch in range(epochs):
            order = generator.permutation(rows)
            passes = generator.integers(len(inputs), size=len(order))
            losses = []
            for start in report_progress(range(0, len(order), BATCH), f"{name}, epoch {epoch + 1}/{epochs}"):
                chosen = order[start : start + BATCH]
                pictures = inputs[passes[start : start + BATCH], chosen].astype(np.float32)
                goal = wanted[chosen]
                if recipe.mixup:
                    pictures, goal = _mix(pictures, goal, recipe.mixup, generator)
                losses.append(float(step(tf.convert_to_tensor(pictures), tf.convert_to_tensor(goal))))
            release(inputs)
            if epoch in (0, epochs - 1) or epoch % 8 == 7:
                log.info("%s, %s: epoch %d/%d, loss %.3f", recipe.name, name, epoch + 1, epochs, np.mean(losses))
        if average is not None:
            average.take()
        return float(np.mean(losses))


class Average:
    """The exponential moving average of weights over the steps of a training (Polyak and Juditsky 1992).

    It forgets the start faster than ``decay`` would: by ``(1 + step) / (10 + step)`` while that is less.
    """

    def __init__(self, weights: Sequence[Any], decay: float) -> None:
        self._weights, self._decay = list(weights), decay
        self._average = [tf.Variable(tf.convert_to_tensor(each), trainable=False) for each in self._weights]
        self._step = tf.Variable(0.0, trainable=False)

    def follow(self) -> None:
        """Take a step towards what the weights are now; to be called after each step of the optimizer."""
        self._step.assign_add(1.0)
        keep = tf.minimum(self._decay, (1.0 + self._step) / (10.0 + self._step))
        for average, weight in zip(self._average, self._weights, strict=True):
            average.assign_sub((1.0 - keep) * (average - tf.convert_to_tensor(weight)))

    def take(self) -> None:
        """Give the weights their averages."""
        for average, weight in zip(self._average, self._weights, strict=True):
            weight.assign(average)


def _mix(inputs: Floats, wanted: Floats, strength: float, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """Each example with a share of another one, in input and target alike; its own share is the larger."""
    shares = generator.beta(strength, strength, len(inputs)).astype(np.float32)
    shares = np.maximum(shares, 1 - shares)
    others = generator.permutation(len(inputs))
    wide = shares.reshape(-1, *[1] * (inputs.ndim - 1))
    narrow = shares[:, np.newaxis]
    return wide * inputs + (1 - wide) * inputs[others], narrow * wanted + (1 - narrow) * wanted[others]
