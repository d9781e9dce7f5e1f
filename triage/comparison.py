"""Two model versions compared on the images that both were tested on without having learnt from them."""

from __future__ import annotations

import csv
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from triage.bundle import Bundle, BundleError

LEAST_IMAGES: Final = 50
"""On fewer shared images than this, a difference says nothing."""

RESAMPLES: Final = 2000
SEED: Final = 20

_LEAST_PROBABILITY: Final = 1e-6
"""For the log loss: the figures in the file are rounded, and one that was rounded to 0 must not decide it all."""


class NotComparable(Exception):
    """The two versions cannot be compared; the message says why."""


@dataclass(frozen=True)
class HeldOut:
    """What a version said of one image while that was held out.

    Attributes:
        label: the true one.
        group: images of one group show the same thing and never lie on both sides of a split.
        probabilities: label -> calibrated probability.
    """

    label: str
    group: str
    probabilities: dict[str, float]


@dataclass(frozen=True)
class Difference:
    """A figure of both versions on the same images, and candidate less active with its 95 % interval."""

    candidate: float
    active: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """How a candidate does against the active version."""

    images: int
    groups: int
    top_1: Difference
    log_loss: Difference

    @property
    def is_worse(self) -> bool:
        """Whether the candidate is right less often."""
        return self.top_1.difference < 0

    def as_json(self) -> dict[str, Any]:
        """For the audit trail."""
        found: dict[str, Any] = asdict(self)
        for name in ("top_1", "log_loss"):
            found[name] = {part: round(value, 5) for part, value in found[name].items()}
        return found

    def __str__(self) -> str:
        top, loss = self.top_1, self.log_loss
        return (
            f"on the same {self.images} held-out images: top-1 {top.candidate:.1%} against {top.active:.1%} "
            f"(difference {100 * top.difference:+.1f} points, 95 % interval {100 * top.low:+.1f} to "
            f"{100 * top.high:+.1f}), log loss {loss.candidate:.3f} against {loss.active:.3f} "
            f"(difference {loss.difference:+.3f}, {loss.low:+.3f} to {loss.high:+.3f}; lower is better)"
        )


def compare(candidate: Bundle, active: Bundle) -> Comparison:
    """Compares on the images that both held out and know under the same label.

    The intervals are a bootstrap of the candidate's groups (Efron 1979; whole clusters are drawn, since images of one
    group are no independent evidence), of paired differences, in percentiles.

    Raises:
        NotComparable: other labels, or too few shared images.
        BundleError: a list of images cannot be read.
    """
    if set(candidate.labels) != set(active.labels):
        raise NotComparable(f"{candidate.version} and {active.version} know different labels")
    for bundle in (candidate, active):
        if bundle.images_path is None:
            raise NotComparable(f"{bundle.version} does not bring what it said of held-out images (images.csv)")
    ours, theirs = read_held_out(candidate), read_held_out(active)
    shared = sorted(key for key in ours.keys() & theirs.keys() if ours[key].label == theirs[key].label)
    if len(shared) < LEAST_IMAGES:
        raise NotComparable(
            f"{candidate.version} and {active.version} share {len(shared)} held-out images, and it takes {LEAST_IMAGES}"
        )
    names, groups = np.unique([ours[key].group for key in shared], return_inverse=True)
    figures = [np.array([_figures(held[key]) for key in shared]) for held in (ours, theirs)]
    differences = figures[0] - figures[1]
    low, high = _intervals(differences, groups, len(names))
    means = [found.mean(axis=0) for found in figures]

    def difference(column: int) -> Difference:
        return Difference(
            candidate=float(means[0][column]),
            active=float(means[1][column]),
            difference=float(differences[:, column].mean()),
            low=float(low[column]),
            high=float(high[column]),
        )

    return Comparison(images=len(shared), groups=len(names), top_1=difference(0), log_loss=difference(1))


def _figures(held: HeldOut) -> tuple[float, float]:
    """Whether the label was the most probable one, and the log loss."""
    best = max(held.probabilities, key=lambda label: held.probabilities[label])
    return float(best == held.label), -math.log(max(held.probabilities[held.label], _LEAST_PROBABILITY))


def _intervals(
    differences: npt.NDArray[np.float64], groups: npt.NDArray[np.intp], count: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The ends of the 95 % intervals of the mean difference, each (figures,), for (n, figures) differences."""
    sums = np.stack([np.bincount(groups, column, count) for column in differences.T], axis=1)
    sizes = np.bincount(groups, minlength=count)
    rng = np.random.default_rng(SEED)
    means = np.empty((RESAMPLES, differences.shape[1]))
    for row in range(RESAMPLES):
        drawn = rng.integers(0, count, count)
        means[row] = sums[drawn].sum(axis=0) / sizes[drawn].sum()
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    return low, high


def read_held_out(bundle: Bundle) -> dict[str, HeldOut]:
    """Reads ``images.csv``: SHA-256 -> what was said of the image while it was held out.

    Images without probabilities were never held out, and are left out here.

    Raises:
        BundleError: there is none, or it is not as training writes it.
    """
    if bundle.images_path is None:
        raise BundleError(f"{bundle.version} has no images.csv")
    columns = {label: f"p:{label}" for label in bundle.labels}
    found: dict[str, HeldOut] = {}
    try:
        with bundle.images_path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            missing = {"sha256", "label", "group", *columns.values()} - set(rows.fieldnames or ())
            if missing:
                raise ValueError(f"it lacks the columns {', '.join(sorted(missing))}")
            for row in rows:
                cells = {label: row[column] for label, column in columns.items()}
                if not any(cells.values()):
                    continue
                if row["sha256"] in found:
                    raise ValueError(f"line {rows.line_num} names an image that was named before")
                found[row["sha256"]] = HeldOut(row["label"], row["group"], _probabilities(cells, rows.line_num))
                if row["label"] not in columns:
                    raise ValueError(f"line {rows.line_num} has a label that the bundle does not know")
    except (OSError, ValueError, csv.Error) as error:
        raise _unreadable(bundle.images_path, error) from error
    return found


def _probabilities(cells: dict[str, str], line: int) -> dict[str, float]:
    try:
        found = {label: float(cell) for label, cell in cells.items()}
    except (TypeError, ValueError):
        raise ValueError(f"line {line} holds what is no probability") from None
    if not all(0 <= value <= 1 for value in found.values()):
        raise ValueError(f"line {line} holds a probability outside of 0..1")
    return found


def _unreadable(path: Path, error: Exception) -> BundleError:
    return BundleError(f"{path} cannot be used ({error}). Train the bundle again.")
