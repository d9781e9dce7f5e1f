"""Whether the images that come in still look like those that a model was made for: what it said of them, by time.

Each span of time is one range of an index that holds all that is counted, so that a week costs what came in that week,
however large the database is. Databases do not agree on how to cut a time to its week, so the caller says the ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from triage.bundle import Bundle, BundleError
from triage.comparison import read_held_out
from triage.records import DONE, Image, Prediction

QUARTERS: Final = (0.25, 0.5, 0.75)
LEAST_IMAGES: Final = 50
"""Of fewer images nothing can be said that chance would not say as well."""


@dataclass(frozen=True)
class Judged:
    """What a version said of the images of a span of time.

    Attributes:
        images: how many.
        quartiles: of the confidence, to whole percents; None without images.
        review: for how many it asked for a human.
        measured: of how many the distance to the training images is known.
        unlike: how many of those it takes for unlike its training images.
    """

    images: int
    quartiles: tuple[float, float, float] | None
    review: int
    measured: int
    unlike: int


@dataclass(frozen=True)
class Reference:
    """The same of the images that a bundle was tested on. What it does not tell is None."""

    quartiles: tuple[float, float, float] | None = None
    review: float | None = None
    unlike: float | None = None


def judged(session: Session, bundle: Bundle, begin: datetime, end: datetime) -> Judged:
    """What a version said from one moment to another, by when it said it.

    An image counts as unlike the training images by the rule by which it was told so: its distance is above the
    bundle's threshold.

    Args:
        session: for reading.
        bundle: the version.
        begin: the first moment.
        end: the first one behind the last.
    """
    percent = func.round(Prediction.confidence * 100)
    threshold = bundle.thresholds.get("unlike_training_data")
    unlike = Prediction.unfamiliarity > threshold if threshold is not None else Prediction.unfamiliarity.is_(None)
    rows = session.execute(
        select(
            percent,
            func.count(),
            func.sum(case((Prediction.needs_review, 1), else_=0)),
            func.count(Prediction.unfamiliarity),
            func.sum(case((unlike, 1), else_=0)),
        )
        .where(Prediction.model_version == bundle.version, Prediction.created_at >= begin, Prediction.created_at < end)
        .group_by(percent)
    ).all()
    measured = sum(row[3] for row in rows) if threshold is not None else 0
    return Judged(
        images=sum(row[1] for row in rows),
        quartiles=quartiles({float(row[0]) / 100: row[1] for row in rows}),
        review=sum(row[2] for row in rows),
        measured=measured,
        unlike=sum(row[4] for row in rows) if measured else 0,
    )


def body_parts(session: Session, begin: datetime, end: datetime) -> dict[str | None, int]:
    """How many images of each body part were classified for the first time; None: the file does not say which."""
    rows = session.execute(
        select(Image.body_part, func.count())
        # SQLite does not know that nearly all images are done, and would look at all of them.
        .with_hint(Image, "INDEXED BY ix_images_finished_at_status_body_part", "sqlite")
        .where(Image.finished_at >= begin, Image.finished_at < end, Image.status == DONE)
        .group_by(Image.body_part)
    )
    return {part: count for part, count in rows}  # noqa: C416 - a row is no pair to the type checker


def reference(bundle: Bundle) -> Reference:
    """What a bundle said of images that it was tested on, as far as it tells."""
    shares = bundle.metrics.get("review")
    shares = shares if isinstance(shares, dict) else {}
    try:
        held = read_held_out(bundle).values()
    except BundleError:
        held = ()  # type: ignore[assignment]
    counts: dict[float, int] = {}
    for image in held:
        percent = round(max(image.probabilities.values()) * 100) / 100
        counts[percent] = counts.get(percent, 0) + 1
    return Reference(quartiles(counts), _share(shares.get("any")), _share(shares.get("unlike_training_data")))


def quartiles(counts: Mapping[float, int]) -> tuple[float, float, float] | None:
    """The quartiles (nearest rank) of values that each occur so many times."""
    total = sum(counts.values())
    if not total:
        return None
    ordered = sorted(counts)
    first, second, third = (_at(ordered, counts, share * total) for share in QUARTERS)
    return first, second, third


def _at(ordered: Sequence[float], counts: Mapping[float, int], rank: float) -> float:
    passed = 0
    for value in ordered:
        passed += counts[value]
        if passed >= rank:
            break
    return value


def _share(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 <= value <= 1 else None
