"""Augmentation: one affine resampling and a change of tone, the same for the same seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf


@dataclass(frozen=True)
class Augmentation:
    """How far a picture is moved and toned; every draw is uniform and independent.

    Attributes:
        rotation: degrees, either way.
        zoom: natural logarithm of the scale, either way.
        stretch: natural logarithm of the change of the aspect ratio, either way.
        shift: share of the side, either way, in both directions.
        flip: mirrored half of the time.
        tone: natural logarithm of gamma and of contrast, either way; brightness moves by a third of it.
    """

    rotation: float = 15.0
    zoom: float = 0.18
    stretch: float = 0.12
    shift: float = 0.08
    flip: bool = True
    tone: float = 0.25


REPORT = Augmentation(rotation=15.0, zoom=0.15, stretch=0.0, shift=0.08, tone=0.0)
"""Rotation, flip, zoom and shift, as in the report that this project starts from."""


def augment(pictures: Any, side: int, settings: Augmentation, seed: Any) -> Any:
    """Draws one version of each picture; what moves in is black.

    Args:
        pictures: (n, h, w) uint8. Larger than ``side``, so that zooming in finds detail.
        side: of the result.
        settings: how far.
        seed: two integers. The same seed gives the same versions.

    Returns:
        (n, side, side) float32, 0..255.
    """
    count = tf.shape(pictures)[0]
    height = tf.cast(tf.shape(pictures)[1], tf.float32)
    width = tf.cast(tf.shape(pictures)[2], tf.float32)

    def draw(number: int, reach: float) -> Any:
        return tf.random.stateless_uniform(
            [count], tf.stack([seed[0] + 1000 * number, seed[1] + number]), -reach, reach
        )

    angle = draw(1, settings.rotation * 3.141592653589793 / 180)
    zoom, stretch = tf.exp(draw(2, settings.zoom)), tf.exp(draw(3, settings.stretch))
    mirror = tf.where(draw(6, 1.0) < 0.0, -1.0, 1.0) if settings.flip else tf.ones([count])
    # Output to input coordinates, both from the centre (the layout of ImageProjectiveTransformV3).
    xx, xy = mirror * zoom * stretch * tf.cos(angle) * width / side, -zoom * stretch * tf.sin(angle) * width / side
    yx, yy = mirror * zoom / stretch * tf.sin(angle) * height / side, zoom / stretch * tf.cos(angle) * height / side
    middle = (side - 1) / 2
    from_left = (width - 1) / 2 + draw(4, settings.shift) * width - (xx + xy) * middle
    from_top = (height - 1) / 2 + draw(5, settings.shift) * height - (yx + yy) * middle
    nothing = tf.zeros([count])
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(pictures, tf.float32)[..., tf.newaxis],
        transforms=tf.stack([xx, xy, from_left, yx, yy, from_top, nothing, nothing], axis=1),
        output_shape=[side, side],
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
        fill_value=0.0,
    )[..., 0]
    if not settings.tone:
        return moved
    gamma, contrast, brightness = (
        draw(number, reach)[:, tf.newaxis, tf.newaxis]
        for number, reach in ((7, settings.tone), (8, settings.tone), (9, settings.tone / 3))
    )
    toned = tf.pow(tf.maximum(moved / 255.0, 1e-4), tf.exp(gamma))
    return 255.0 * tf.clip_by_value((toned - 0.5) * tf.exp(contrast) + 0.5 + brightness, 0.0, 1.0)
