"""The same picture recognised by its landmarks: cropped, turned, stretched, as one part of a larger picture.

Comparing every picture with every other takes too long for a clinic's folder, so each is compared with those that
have the most visual words in common (Sivic and Zisserman, "Video Google", 2003). A pair counts when one picture can
be laid over the other: landmarks agree on one affine map (RANSAC), and what lies under it has the same detail. The
second check matters: hands are alike, and two hands agree on many landmarks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import scipy.sparse
from threadpoolctl import threadpool_limits

from training.progress import report_progress
from training.sketches import BLOCK_ROWS, Floats, Sketch

WORDS: Final = 2000
CANDIDATES: Final = 20
"""Words of the vocabulary (and as many mirrored ones), and pictures that each one is compared with, as it is and
mirrored. On the public fracture set 199 of 201 known pairs are among the first 10, and 20 add one."""

FEWEST_LANDMARKS: Final = 6
RATIO: Final = 0.85
"""A landmark is matched if its nearest one is so much nearer than the second (Lowe 2004)."""

REACH_PIXELS: Final = 3.3
"""How far from its place a landmark may land under the map, on a thumbnail of 192 pixels."""

RULES: Final = ((0.92, 6, 0.0), (0.86, 11, 0.5), (0.6, 30, 0.7))
MIRRORED_RULES: Final = ((0.93, 12, 0.5),)
"""(correlation of detail, landmarks that agree, their share of those matched): any row will do. Set by looking at the
pairs of the public fracture set in the order of correlation: above 0.92 all are one picture, below 0.86 hardly any;
between the two are hands that are merely alike. Mirrored pairs must be surer: a left knee looks like a mirrored right
one."""

FINE, COARSE, NOISE = 1.33, 8.0, 2.0
"""Detail is what is between so many pixels of a thumbnail wide, and stronger than so many grey levels."""

OVERLAP: Final = 0.2
"""Share of each picture that must lie on the other: else a marker or a line of text would do."""

# SIFT counts gradients in 4 x 4 cells by 8 directions. Mirrored, the rows come in reverse, and so do the directions.
MIRROR: Final = np.arange(128).reshape(4, 4, 8)[::-1][:, :, -np.arange(8) % 8].ravel()

Ints = npt.NDArray[np.int64]


def find_same_pictures(sketches: Sequence[Sketch]) -> list[tuple[int, int, bool]]:
    """Pairs that show the same picture, or one a good part of the other.

    Returns:
        (lower index, higher index, mirrored), each pair once.
    """
    found: dict[tuple[int, int], bool] = {}
    candidates = find_candidates(sketches)
    # The products are so small that handing them to several threads costs forty times what they do.
    with threadpool_limits(1):
        for one, other, mirrored in report_progress(candidates, "Comparing"):
            if (one, other) not in found and is_same_picture(sketches[one], sketches[other], mirrored):
                found[one, other] = mirrored
    return [(one, other, mirrored) for (one, other), mirrored in sorted(found.items())]


def find_candidates(sketches: Sequence[Sketch]) -> list[tuple[int, int, bool]]:
    """Pairs worth a closer look: for each picture the `CANDIDATES` that share most words with it, either way round.

    Words count by term frequency (square root) and inverse document frequency. The vocabulary is drawn from the
    landmarks themselves, always the same ones. It holds each word mirrored as well, so that the words of a mirrored
    picture are known without looking.

    Returns:
        (lower index, higher index, mirrored), sorted, unmirrored first.
    """
    counts = [len(one.descriptors) for one in sketches]
    if sum(counts) == 0:
        return []
    everything = np.concatenate([one.descriptors for one in sketches])
    drawn = np.random.default_rng(0).permutation(len(everything))[:WORDS]
    vocabulary = everything[np.sort(drawn)].astype(np.float32)
    vocabulary = np.concatenate([vocabulary, vocabulary[:, MIRROR]]).T
    words = np.concatenate(
        [
            (everything[start : start + 4 * BLOCK_ROWS].astype(np.float32) @ vocabulary).argmax(axis=1)
            for start in range(0, len(everything), 4 * BLOCK_ROWS)
        ]
    )
    owners = np.repeat(np.arange(len(sketches)), counts)
    plain = _count_words(owners, words, len(sketches), vocabulary.shape[1])
    flipped = _count_words(owners, (words + len(drawn)) % vocabulary.shape[1], *plain.shape)
    documents = np.bincount(np.concatenate([plain.indices, flipped.indices]), minlength=plain.shape[1])
    weights = np.log1p(2 * len(sketches) / np.maximum(documents, 1))
    plain, flipped = _weigh(plain, weights), _weigh(flipped, weights)
    return [
        (one, other, mirrored)
        for mirrored, others in ((False, plain), (True, flipped))
        for one, other in _nearest(plain, others)
    ]


def _count_words(owners: Ints, words: Ints, pictures: int, vocabulary: int) -> Any:
    table = scipy.sparse.coo_matrix((np.ones(len(words), np.float32), (owners, words)), (pictures, vocabulary)).tocsr()
    table.data = np.sqrt(table.data)
    return table


def _weigh(table: Any, weights: npt.NDArray[np.float64]) -> Any:
    weighted = table @ scipy.sparse.diags(weights.astype(np.float32))
    lengths = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    return (scipy.sparse.diags(1 / np.maximum(lengths, 1e-9)) @ weighted).tocsr()


def _nearest(tables: Any, others: Any) -> list[tuple[int, int]]:
    pairs: set[tuple[int, int]] = set()
    columns = others.T.tocsr()
    for start in range(0, tables.shape[0], BLOCK_ROWS):
        alike = (tables[start : start + BLOCK_ROWS] @ columns).toarray()
        alike[np.arange(len(alike)), start + np.arange(len(alike))] = 0
        for row, best in enumerate(np.argsort(-alike, axis=1, kind="stable")[:, :CANDIDATES]):
            near = [int(column) for column in best if alike[row, column] > 0]
            pairs |= {(min(start + row, column), max(start + row, column)) for column in near}
    return sorted(pairs)


def is_same_picture(one: Sketch, other: Sketch, mirrored: bool = False) -> bool:
    """Whether the other picture (mirrored, if so asked) can be laid over the first one; see `RULES`."""
    descriptors, points, thumbnail = other.descriptors, other.points, other.thumbnail
    if min(len(one.points), len(points)) < FEWEST_LANDMARKS:
        return False
    if mirrored:
        descriptors = descriptors[:, MIRROR]
        points = points * (-1, 1) + np.array((thumbnail.shape[1] - 1, 0), np.float32)
        thumbnail = np.ascontiguousarray(thumbnail[:, ::-1])
    rows, columns = _match(one.descriptors, descriptors)
    if len(rows) < FEWEST_LANDMARKS:
        return False
    cv2.setRNGSeed(0)  # the answer must not depend on which pairs were looked at before
    affine, inside = cv2.estimateAffine2D(
        points[columns].astype(np.float32),
        one.points[rows],
        method=cv2.RANSAC,
        ransacReprojThreshold=REACH_PIXELS,
        maxIters=500,
        confidence=0.99,
        refineIters=5,
    )
    if affine is None:
        return False
    agreeing = int(inside.sum())
    share = agreeing / len(rows)
    rules = [rule for rule in (MIRRORED_RULES if mirrored else RULES) if agreeing >= rule[1] and share >= rule[2]]
    if not rules:
        return False
    return bool(_correlate_detail(one.thumbnail, thumbnail, affine) >= min(rule[0] for rule in rules))


def _match(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> tuple[Ints, Ints]:
    """Landmarks that are each other's nearest, clearly so: indices into the first and into the second."""
    alike = first.astype(np.float32) @ second.T.astype(np.float32) / 255**2
    rows = np.arange(len(alike))
    best, back = alike.argmax(axis=1), alike.argmax(axis=0)
    nearest = alike[rows, best]
    alike[rows, best] = -1
    # Descriptors have length 1, so the squared distance is 2 - 2 * similarity.
    clear = (1 - nearest) < RATIO**2 * (1 - alike.max(axis=1))
    kept = np.flatnonzero(clear & (back[best] == rows))
    return kept, best[kept]


def _correlate_detail(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8], affine: Any) -> float:
    """Correlation of edges and texture where the two overlap; 0 if the map or the overlap is implausible.

    Args:
        one: (height, width) uint8.
        other: as well, of another size.
        affine: (2, 3) from the other's pixels to the first one's.
    """
    largest, smallest = np.linalg.svd(affine[:, :2], compute_uv=False)
    if not (smallest > 0.2 and largest < 5 and largest < 2.5 * smallest):
        return 0.0
    size = (one.shape[1], one.shape[0])
    laid = cv2.warpAffine(other, affine, size, flags=cv2.INTER_AREA)
    mask = cv2.warpAffine(np.full(other.shape, 255, np.uint8), affine, size)
    covered = float((mask > 128).sum())
    if min(covered / one.size, covered / (largest * smallest * other.size)) < OVERLAP:
        return 0.0
    inside = (mask > 128).astype(np.float32)
    first, second = _detail(one, inside)[mask > 128], _detail(laid, inside)[mask > 128]
    first, second = first - first.mean(), second - second.mean()
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / max(lengths, 1e-6)


def _detail(picture: npt.NDArray[np.uint8], inside: Floats) -> Floats:
    """Without what the encoder and the exposure change: a difference of Gaussians over its local strength.

    Over its strength, or a bright marker on a dark picture would outweigh the bones. All are means over what lies
    inside (normalised convolution, Knutsson and Westin 1993): the edge of a crop is no detail of the picture.
    """

    def mean(values: Floats, width: float) -> Floats:
        share = cv2.GaussianBlur(inside, (0, 0), width)
        return np.asarray(cv2.GaussianBlur(values * inside, (0, 0), width) / np.maximum(share, 1e-3), np.float32)

    grey = picture.astype(np.float32)
    detail = mean(grey, FINE) - mean(grey, COARSE)
    strength = np.sqrt(mean(detail * detail, COARSE))
    return np.asarray(detail / (strength + NOISE), np.float32)
