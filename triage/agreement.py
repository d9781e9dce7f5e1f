"""How often clinicians agree with what a model version said, by the type that it named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from math import sqrt

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session, aliased

from triage.records import AGREE, WITHDRAWN, Prediction, Review


@dataclass(frozen=True)
class Agreement:
    """The verdicts that stand on images for which a type was named.

    Attributes:
        label: the type that the model named.
        counts: verdict (one of `triage.records.VERDICTS`) -> images; those that nobody gave are absent.
    """

    label: str
    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        """Images with a verdict."""
        return sum(self.counts.values())

    @property
    def agreed(self) -> int:
        """Images for which somebody said that the model is right."""
        return self.counts.get(AGREE, 0)


def agreement(
    session: Session, version: str, begin: datetime | None = None, end: datetime | None = None
) -> list[Agreement]:
    """The verdicts that stand on what a version said, by the type that it named, in the order of their names.

    An image counts once, by its newest verdict, unless that was taken back. It counts for the version whose
    prediction the verdict was about, also if another version has judged the image since.

    Args:
        session: for reading.
        version: of the model.
        begin: verdicts from then on; None: from the first one.
        end: verdicts before that; None: to the last one.
    """
    later = aliased(Review)
    superseded = exists().where(later.image_id == Review.image_id, later.id > Review.id)
    query = (
        select(Prediction.label, Review.verdict, func.count())
        .join(Prediction, Prediction.id == Review.prediction_id)
        .where(Review.verdict != WITHDRAWN, ~superseded, Prediction.model_version == version)
        .group_by(Prediction.label, Review.verdict)
    )
    if begin is not None or end is not None:
        # SQLite would begin with all predictions of the version.
        query = query.with_hint(Review, "INDEXED BY ix_reviews_created_at", "sqlite")
    if begin is not None:
        query = query.where(Review.created_at >= begin)
    if end is not None:
        query = query.where(Review.created_at < end)
    found: dict[str, dict[str, int]] = {}
    for label, verdict, count in session.execute(query):
        found.setdefault(label, {})[verdict] = count
    return [Agreement(label, found[label]) for label in sorted(found)]


def interval(count: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927), which is honest for small numbers: 0 of 3 may well be a half.

    Args:
        count: of those that are meant.
        total: of all, 1 or more.
    """
    share, z2 = count / total, 1.96**2
    middle = share + z2 / (2 * total)
    reach = sqrt(z2 * (share * (1 - share) + z2 / (4 * total)) / total)
    return max(0.0, (middle - reach) / (1 + z2 / total)), min(1.0, (middle + reach) / (1 + z2 / total))
