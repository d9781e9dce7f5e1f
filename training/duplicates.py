"""Which images belong together: equal, nearly equal, or known to be of one patient or source.

Public sets hold the same picture several times, in other sizes and under other names. A split that puts one
copy on each side measures memory.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from training import DatasetError

HASH_SIDE: Final = 12
NEAR_BITS: Final = 18
NEAR_CORRELATION: Final = 0.9
"""Hashes at most so many of 144 bits apart, and thumbnails at least so alike. The hash alone joins unlike pictures
with wide black borders. On the public fracture set both together find 108 of the 201 pairs that an exhaustive
comparison (SIFT, correlation) found, and 9 others; a pair joined wrongly costs next to nothing."""

THUMBNAIL_SIDE: Final = 24

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def read_groups(file: Path) -> dict[str, str]:
    """SHA-256 -> group name from a CSV; see `read_dataset`.

    Raises:
        DatasetError: the columns are not there.
    """
    with file.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        columns = reader.fieldnames or []
        column = next((name for name in ("group", "near_dup_group") if name in columns), None)
        if column is None or "sha256" not in columns:
            raise DatasetError(f"{file.name} must have the columns sha256 and group.")
        return {row["sha256"].lower(): row[column] for row in reader if row[column]}


def difference_hash(pixels: npt.NDArray[np.uint8]) -> Bools:
    """Whether each cell of a 12x12 grid is brighter than its left neighbour: (144,) bool.

    Survives rescaling, recompression and brightness (N. Krawetz, "Kind of Like That", 2013).

    Args:
        pixels: (side, side) uint8.
    """
    small = Image.fromarray(pixels).resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.LANCZOS)
    grid = np.asarray(small, np.int16)
    return np.asarray(grid[:, 1:] > grid[:, :-1]).ravel()


def group_duplicates(
    pixels: npt.NDArray[np.uint8], digests: Sequence[str], known: dict[str, str] | None = None
) -> Ints:
    """Numbers images so that duplicates share a number.

    Joined are: equal bytes; difference hashes at most `NEAR_BITS` apart, also mirrored; and equal known
    groups.

    Args:
        pixels: (n, side, side) uint8.
        digests: n SHA-256.
        known: SHA-256 -> group name.

    Returns:
        (n,) int64.
    """
    parent = list(range(len(digests)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    def join(pairs: Iterable[tuple[int, int]]) -> None:
        for one, other in pairs:
            parent[root(one)] = root(other)

    hashes, thumbnails = _describe(pixels)
    for other_hashes, other_thumbnails in ((hashes, thumbnails), _describe(pixels[:, :, ::-1])):
        distance = hashes @ (1 - other_hashes.T) + (1 - hashes) @ other_hashes.T
        alike = thumbnails @ other_thumbnails.T
        near = np.argwhere((distance <= NEAR_BITS) & (alike >= NEAR_CORRELATION))
        join((int(one), int(other)) for one, other in near if one != other)
    first: dict[str, int] = {}
    for index, digest in enumerate(digests):
        keys = [f"bytes {digest}"] + ([f"known {known[digest]}"] if known and digest in known else [])
        join((index, first.setdefault(key, index)) for key in keys)
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(root(index), len(numbers)) for index in range(len(parent))], np.int64)


def _describe(pixels: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Hashes, (n, 144) of 0 and 1, and thumbnails, (n, 576) of mean 0 and length 1, of (n, side, side) pictures."""
    hashes = np.array([difference_hash(picture) for picture in pixels], np.float32)
    size = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    small = [Image.fromarray(picture).resize(size, Image.Resampling.BOX) for picture in pixels]
    flat = np.array([np.asarray(thumbnail, np.float32).ravel() for thumbnail in small])
    flat -= flat.mean(axis=1, keepdims=True)
    return hashes, flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
