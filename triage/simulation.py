"""Whom sorting helps, and whom it makes wait: arrivals, one reader, and what a model really said of held-out images.

Images arrive at random (Poisson), are drawn from those that a bundle's folds held out, each with its label and the
probabilities that were said of it unseen, and one person reads them, one after the other (log-normal reading times).
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from triage.bundle import Bundle
from triage.comparison import read_held_out
from triage.urgency import UNKNOWN, WEIGHTS, urgency

Floats = npt.NDArray[np.float64]

READING_MINUTES: Final = 4.0
READING_SPREAD: Final = 0.6
"""Standard deviation of the logarithm of the reading time: half of the images take 2.2 to 5 minutes."""

FIRST_COME, WORKLIST, URGENCY, BOUNDED, ORACLE = "first_come", "worklist", "urgency", "bounded", "oracle"
ORDERS: Final = (FIRST_COME, WORKLIST, URGENCY, BOUNDED, ORACLE)
"""First come, first served; the worklist as it opens (what waits too long, then what needs review, then by confidence);
urgency; urgency with a short longest wait; urgency if the labels were known."""
ALL: Final = "all"


@dataclass(frozen=True)
class HeldOutImages:
    """What was said of the m held-out images.

    Attributes:
        labels: (m,) of the folder.
        rank: (m,) higher goes first, by the worklist's order.
        urgency: (m,) higher goes first.
        known: (m,) the urgency of the label itself.
    """

    labels: list[str]
    rank: Floats
    urgency: Floats
    known: Floats


@dataclass(frozen=True)
class Wait:
    """Minutes that images waited."""

    mean: float
    p95: float
    longest: float


def held_out_images(bundle: Bundle, weights: Mapping[str, float] = WEIGHTS) -> HeldOutImages:
    """What a bundle said of the images that it held out, ranked as the worklist would.

    Args:
        bundle: which.
        weights: of urgency, by label.

    Raises:
        BundleError: it does not tell.
    """
    threshold, margin = bundle.thresholds["low_confidence"], bundle.thresholds["margin"]
    labels, rank, scores, known = [], [], [], []
    for image in read_held_out(bundle).values():
        first, second = sorted(image.probabilities.values(), reverse=True)[:2]
        review = first < threshold or first - second < margin
        labels.append(image.label)
        rank.append(2 * review + first)
        scores.append(urgency(image.probabilities, weights))
        known.append(weights.get(image.label, UNKNOWN))
    return HeldOutImages(labels, np.array(rank), np.array(scores), np.array(known))


def waits(arrivals: Floats, readings: Floats, scores: Floats, longest: float | None = None) -> Floats:
    """Minutes that each image waits for one reader.

    Args:
        arrivals: (n,) minutes, ascending.
        readings: (n,) minutes that reading takes.
        scores: (n,) the highest of those that wait is read next; of equal ones the oldest.
        longest: an image that has waited so many minutes goes first, whatever its score; None: never.
    """
    count = len(arrivals)
    waited = np.zeros(count)
    done = np.zeros(count, bool)
    heap: list[tuple[float, int]] = []
    in_order: deque[int] = deque()
    now, arriving = 0.0, 0
    for _ in range(count):
        while in_order and done[in_order[0]]:
            in_order.popleft()
        if not in_order and arriving < count:
            now = max(now, arrivals[arriving])
        while arriving < count and arrivals[arriving] <= now:
            heapq.heappush(heap, (-scores[arriving], arriving))
            in_order.append(arriving)
            arriving += 1
        if longest is not None and now - arrivals[in_order[0]] > longest:
            chosen = in_order[0]
        else:
            while done[heap[0][1]]:
                heapq.heappop(heap)
            chosen = heapq.heappop(heap)[1]
        done[chosen] = True
        waited[chosen] = now - arrivals[chosen]
        now += readings[chosen]
        while in_order and done[in_order[0]]:
            in_order.popleft()
    return waited


def simulate(
    images: HeldOutImages,
    load: float,
    *,
    count: int,
    longest: float,
    usual: float,
    seed: int = 0,
    orders: Sequence[str] = ORDERS,
) -> dict[str, dict[str, Wait]]:
    """Waits by order and label (and `ALL`) at one load.

    Args:
        images: what arrives; one or more.
        load: share of the reader's time that reading takes.
        count: how many arrive.
        longest: minutes at most, for the bounded order.
        usual: minutes at most, for the worklist.
        seed: of chance.
        orders: of `ORDERS`.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(images.labels), size=count)
    readings = rng.lognormal(np.log(READING_MINUTES) - READING_SPREAD**2 / 2, READING_SPREAD, count)
    arrivals = np.cumsum(rng.exponential(READING_MINUTES / load, count))
    scores: dict[str, tuple[Floats, float | None]] = {
        FIRST_COME: (-arrivals, None),
        WORKLIST: (images.rank[drawn], usual),
        URGENCY: (images.urgency[drawn], None),
        BOUNDED: (images.urgency[drawn], longest),
        ORACLE: (images.known[drawn], None),
    }
    labels = np.array(images.labels)[drawn]
    found = {}
    for order in orders:
        waited = waits(arrivals, readings, *scores[order])
        by_label = {label: waited[labels == label] for label in sorted(set(labels.tolist()))}
        found[order] = {label: _wait(some) for label, some in ({ALL: waited} | by_label).items()}
    return found


def _wait(minutes: Floats) -> Wait:
    return Wait(float(minutes.mean()), float(np.quantile(minutes, 0.95)), float(minutes.max()))
