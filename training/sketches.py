"""What is kept of a picture to recognise it by: a small copy, and landmarks (SIFT) that survive crops and turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import gaussian_filter

from training.progress import report_progress

THUMBNAIL_SIDE: Final = 192
SEARCH_SIDE: Final = 288
"""Longest side of the picture that landmarks are looked for in; smaller pictures are enlarged to it."""

LANDMARKS: Final = 256
GRID_SIDE: Final = 32
WHOLE_CORRELATION: Final = 0.92
"""Two pictures are one if their band-passed 32 x 32 copies correlate so well, turned and mirrored as need be. On the
public fracture set this joins 110 pairs, none wrongly; from 0.9 downwards unlike bones are joined."""

NOISE: Final = 2.0
"""Grey levels: detail much weaker than this counts for nothing."""

FAINTEST: Final = 0.1 * GRID_SIDE
"""Length of a grid, of at most about `GRID_SIDE`, below which there is nothing to see."""

BLOCK_ROWS: Final = 1024

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Sketch:
    """A picture as it is recognised by.

    Attributes:
        thumbnail: (height, width) uint8, aspect ratio kept, longest side `THUMBNAIL_SIDE`.
        points: (k, 2) float32, x and y of each landmark in pixels of the thumbnail.
        descriptors: (k, 128) uint8 RootSIFT (Arandjelovic and Zisserman 2012), length 255.
    """

    thumbnail: Bytes
    points: Floats
    descriptors: Bytes


@cache
def _detector() -> Any:
    # Radiographs are smooth: the usual contrast threshold (0.04) finds a handful of landmarks on a thigh bone.
    return cv2.SIFT.create(nfeatures=LANDMARKS, contrastThreshold=0.015, edgeThreshold=15)


def sketch(picture: Bytes) -> Sketch:
    """Draws the small copy of a (height, width) uint8 picture and finds its landmarks."""
    large, small = _fit(picture, SEARCH_SIDE), _fit(picture, THUMBNAIL_SIDE)
    keypoints, found = _detector().detectAndCompute(large, None)
    points = np.array([keypoint.pt for keypoint in keypoints], np.float32).reshape(-1, 2)
    shares = np.zeros((0, 128), np.float32) if found is None else np.asarray(found, np.float32)
    shares = np.sqrt(shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-6))
    scale = np.array([small.shape[1] / large.shape[1], small.shape[0] / large.shape[0]], np.float32)
    # SIFT may find one more than it is asked for, where two are equally strong.
    return Sketch(small, (points * scale)[:LANDMARKS], np.rint(shares[:LANDMARKS] * 255).astype(np.uint8))


def _fit(picture: Bytes, side: int) -> Bytes:
    height, width = picture.shape
    scale = side / max(height, width)
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def find_equal_wholes(sketches: Sequence[Sketch]) -> list[tuple[int, int, bool]]:
    """Pairs that show the same whole picture: re-encoded, rescaled, stretched, brightened, mirrored, on their side.

    Works for pictures too smooth to have landmarks.

    Returns:
        (lower index, higher index, mirrored), each pair once.
    """
    size = (GRID_SIDE, GRID_SIDE)
    small = [Image.fromarray(one.thumbnail).resize(size, Image.Resampling.BOX) for one in sketches]
    # What is finer than a cell is noise of the encoder, what is wide is brightness, and the dark border that most
    # radiographs share.
    grids = np.stack([_band(np.asarray(grid, np.float32)) for grid in small])
    found: dict[tuple[int, int], bool] = {}
    for mirrored in (False, True):
        for turns in range(4):
            turned = _unit(np.rot90(grids[:, :, ::-1] if mirrored else grids, turns, axes=(1, 2)))
            for start in range(0, len(grids), BLOCK_ROWS):
                alike = _unit(grids[start : start + BLOCK_ROWS]) @ turned.T
                for one, other in np.argwhere(alike >= WHOLE_CORRELATION).tolist():
                    if start + one < other:
                        found.setdefault((start + one, other), mirrored)
    return [(one, other, mirrored) for (one, other), mirrored in sorted(found.items())]


def _band(grid: Floats) -> Floats:
    detail = gaussian_filter(grid, 0.7) - gaussian_filter(grid, 4.0)
    # Over its local strength, or a bright marker on a dark picture would outweigh the bones.
    return np.asarray(detail / (np.sqrt(gaussian_filter(detail * detail, 4.0)) + NOISE), np.float32)


def _unit(grids: Floats) -> Floats:
    """Rows of mean 0 and length 1; a picture without detail becomes zeros, and is like no other."""
    flat = grids.reshape(len(grids), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(np.where(length > FAINTEST, flat / np.maximum(length, 1e-6), 0), np.float32)


def sketch_all(pictures: Sequence[Bytes]) -> list[Sketch]:
    """Sketches of (height, width) uint8 pictures."""
    return [sketch(np.asarray(picture)) for picture in report_progress(pictures, "Sketching")]
