"""What the frozen part makes of each picture, computed once and kept on disk.

The layers below the cut never change, so no epoch, no fold and no repeat need run them again. That makes
fine-tuning several times cheaper on a CPU.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from PIL import Image

from training.augmentation import augment
from training.network import BATCH
from training.progress import report_progress
from training.recipe import Recipe

log = logging.getLogger(__name__)

PLAIN: Final = 0
MIRRORED: Final = 1

Pixels = npt.NDArray[np.uint8]


def cache_activations(lower: Any, pixels: Pixels, recipe: Recipe, seed: int, folder: Path) -> npt.NDArray[np.float16]:
    """Activations at the cut: of each picture plain, mirrored, and augmented ``recipe.passes`` times.

    A finished file is used again where picture, weights, recipe and seed are the same.

    Args:
        lower: from `network.split`.
        pixels: (n, s, s) uint8, s at least ``recipe.side``: augmentation draws on the finer picture.
        recipe: side, cut, augmentation and passes matter.
        seed: of the augmentation.
        folder: where the file is kept.

    Returns:
        (2 + passes, n, h, w, c) float16, mapped from the file. A recipe without augmentation has the plain pass
        only: (1, n, h, w, c).
    """
    augmentation = recipe.augmentation
    passes = 2 + recipe.passes if augmentation else 1
    shape = (passes, len(pixels), *lower.output_shape[1:])
    file = folder / f"activations-{_digest(lower, pixels, recipe, seed)[:16]}.npy"
    if file.exists():
        return _mapped(file)
    folder.mkdir(parents=True, exist_ok=True)
    half = file.with_suffix(".half")
    cache = np.lib.format.open_memmap(half, mode="w+", dtype=np.float16, shape=shape)
    run = tf.function(lambda pictures: lower(three_channels(pictures), training=False), reduce_retracing=True)
    plain = shrink(pixels, recipe.side)
    jobs = [(number, start) for number in range(passes) for start in range(0, len(pixels), BATCH)]
    for number, start in report_progress(jobs, f"{recipe.name}: caching activations"):
        rows = slice(start, start + BATCH)
        if number == PLAIN or augmentation is None:
            pictures = plain[rows].astype(np.float32)
        elif number == MIRRORED:
            pictures = plain[rows, :, ::-1].astype(np.float32)
        else:
            pictures = augment(pixels[rows], recipe.side, augmentation, tf.constant([seed + number, start]))
        cache[number, rows] = run(tf.convert_to_tensor(pictures)).numpy()
    cache.flush()
    del cache
    half.rename(file)
    return _mapped(file)


def release(cache: npt.NDArray[Any]) -> None:
    """Give back the pages of a mapped file that were read: they would count as this process's memory till the end."""
    if isinstance(cache, np.memmap) and hasattr(mmap, "MADV_DONTNEED"):
        cache._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]


def _mapped(file: Path) -> npt.NDArray[np.float16]:
    cache: npt.NDArray[np.float16] = np.load(file, mmap_mode="r")
    return cache


def three_channels(pictures: Any) -> Any:
    """(n, side, side) float32, 0..255 -> (n, side, side, 3) in [-1, 1], as the shipped model scales."""
    return tf.repeat((pictures / 127.5 - 1.0)[..., tf.newaxis], 3, axis=-1)


def shrink(pixels: Pixels, side: int) -> Pixels:
    """(n, s, s) uint8 to (n, side, side) uint8, with the filter that serving uses."""
    if pixels.shape[1] == side:
        return pixels
    size = (side, side)
    return np.stack([np.asarray(Image.fromarray(each).resize(size, Image.Resampling.BILINEAR)) for each in pixels])


def _digest(lower: Any, pixels: Pixels, recipe: Recipe, seed: int) -> str:
    digest = hashlib.sha256(pixels.tobytes())
    for weights in lower.get_weights():
        digest.update(weights.tobytes())
    augmentation = asdict(recipe.augmentation) if recipe.augmentation else None
    digest.update(json.dumps([recipe.side, recipe.cut, recipe.passes, augmentation, seed]).encode())
    return digest.hexdigest()
