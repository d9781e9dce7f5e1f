"""Which images belong together: equal, nearly equal, or known to be of one patient or source.

Public sets hold the same picture several times: in other sizes, re-encoded, cropped, turned, mirrored, under other
names. A split that puts one copy on each side measures memory.

Measured on the public fracture set (989 images): of the 201 pairs that an independent search found, 200 come to share
a group here. 109 further pairs do; those looked at are one picture as well, nearly all of them crops. On 4,148
augmented radiographs of 1,342 sources, 3 of 3,122 links join different sources.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from training import DatasetError
from training.landmarks import find_same_pictures
from training.sketches import Sketch, find_equal_wholes, sketch_all

EXACT: Final = "exact"
WHOLE: Final = "whole picture"
LANDMARKS: Final = "landmarks"

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Link:
    """Two images that are one picture.

    Attributes:
        one: the lower index.
        other: the higher index.
        methods: how that was found: `EXACT` (equal bytes), `WHOLE` (the whole picture, perhaps re-encoded,
            rescaled, turned by quarters, mirrored), `LANDMARKS` (also cropped, or turned by any angle).
        mirrored: one is the mirror image of the other.
    """

    one: int
    other: int
    methods: tuple[str, ...]
    mirrored: bool = False


def find_links(sketches: Sequence[Sketch], digests: Sequence[str]) -> list[Link]:
    """All pairs that were found to be one picture; of equal bytes, each with the first of them.

    Args:
        sketches: n pictures.
        digests: n SHA-256 of their files.
    """
    first: dict[str, int] = {}
    links = [
        Link(first[digest], index, (EXACT,))
        for index, digest in enumerate(digests)
        if first.setdefault(digest, index) != index
    ]
    # One of each: a copy is like whatever the first one is like.
    distinct = sorted(first.values())
    chosen = [sketches[index] for index in distinct]
    methods: dict[tuple[int, int], tuple[str, ...]] = {}
    mirrored: dict[tuple[int, int], bool] = {}
    for method, pairs in ((WHOLE, find_equal_wholes(chosen)), (LANDMARKS, find_same_pictures(chosen))):
        for one, other, flipped in pairs:
            methods[one, other] = (*methods.get((one, other), ()), method)
            mirrored.setdefault((one, other), flipped)
    links += [
        Link(distinct[one], distinct[other], found, mirrored[one, other])
        for (one, other), found in sorted(methods.items())
    ]
    return links


def join(count: int, pairs: Iterable[tuple[int, int]]) -> Ints:
    """Numbers things so that those joined by pairs, directly or through others, share a number.

    Returns:
        (count,) int64; numbers ascend in the order of first members.
    """
    parent = list(range(count))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for one, other in pairs:
        parent[root(one)] = root(other)
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(root(index), len(numbers)) for index in range(count)], np.int64)


def pairs_of(links: Iterable[Link]) -> list[tuple[int, int]]:
    """The pairs, for `join`."""
    return [(link.one, link.other) for link in links]


def known_pairs(digests: Sequence[str], known: dict[str, str]) -> list[tuple[int, int]]:
    """Pairs that join what has the same known group: each image with the first of its group.

    Args:
        digests: n SHA-256.
        known: SHA-256 -> group name.
    """
    first: dict[str, int] = {}
    return [(first.setdefault(known[digest], index), index) for index, digest in enumerate(digests) if digest in known]


def group_duplicates(
    pictures: Sequence[npt.NDArray[np.uint8]] | npt.NDArray[np.uint8],
    digests: Sequence[str],
    known: dict[str, str] | None = None,
) -> Ints:
    """Numbers images so that duplicates, and what is known to belong together, share a number.

    Args:
        pictures: n arrays (height, width) uint8.
        digests: n SHA-256.
        known: SHA-256 -> group name.

    Returns:
        (n,) int64.
    """
    links = find_links(sketch_all(list(pictures)), digests)
    return join(len(digests), pairs_of(links) + known_pairs(digests, known or {}))


def read_groups(file: Path) -> dict[str, str]:
    """SHA-256 -> group name from a CSV with the columns ``sha256`` and ``group`` (or ``near_dup_group``).

    Raises:
        DatasetError: the columns are not there.
    """
    columns, rows = _read(file)
    column = next((name for name in ("group", "near_dup_group") if name in columns), None)
    if column is None or "sha256" not in columns:
        raise DatasetError(f"{file.name} must have the columns sha256 and group.")
    return {row["sha256"].lower(): row[column] for row in rows if row[column]}


def read_contradicted(file: Path) -> frozenset[str]:
    """SHA-256 of images whose label the file itself doubts: ``label_conflict`` is there, and is not 0."""
    rows = _read(file)[1]
    return frozenset(row["sha256"].lower() for row in rows if (row.get("label_conflict") or "0").strip() != "0")


def _read(file: Path) -> tuple[Sequence[str], list[dict[str, str]]]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            return reader.fieldnames or (), list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{file.name} is no CSV file in UTF-8: {error}.") from error
