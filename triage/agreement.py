"""How often clinicians agree with what a model version said, by the type that it named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import sqrt
from typing import Any

from sqlalchemy import ColumnElement, Select, case, exists, func, literal_column, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

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


def agreement(session: Session, version: str, end: datetime | None = None) -> list[Agreement]:
    """The verdicts that stand on what a version said, by the type that it named, in the order of their names.

    An image counts once, by its newest verdict, unless that was taken back. It counts for the version whose
    prediction the verdict was about, also if another version has judged the image since.

    Args:
        session: for reading.
        version: of the model.
        end: only verdicts before that; None: all.
    """
    given = [] if end is None else [Review.created_at < end]
    counted = session.execute(_standing(version, Prediction.label, Review.verdict, by_time=bool(given)).where(*given))
    return _by_label((label, verdict, count) for label, verdict, count in counted)


def agreement_by_span(session: Session, version: str, moments: Sequence[datetime]) -> list[list[Agreement]]:
    """The same for each span of time between one moment and the next, by when the verdict was given.

    All spans in one statement: PostgreSQL joins whole tables for each, once there are many verdicts.

    Args:
        session: for reading.
        version: of the model.
        moments: two or more, ascending.
    """
    spans = range(len(moments) - 1)
    span = case(*((Review.created_at < moments[number + 1], number) for number in spans), else_=len(moments))
    counted = session.execute(
        _standing(version, span, Prediction.label, Review.verdict, by_time=True).where(
            Review.created_at >= moments[0], Review.created_at < moments[-1]
        )
    ).all()
    return [_by_label(row[1:] for row in counted if row[0] == number) for number in spans]


def _standing(version: str, *columns: ColumnElement[Any] | InstrumentedAttribute[Any], by_time: bool) -> Select[Any]:
    """How many verdicts stand on what a version said, by these columns."""
    later = aliased(Review)
    superseded = exists().where(later.image_id == Review.image_id, later.id > Review.id)
    # Columns that hold values of this statement are named by their places in it.
    query = (
        select(*columns, func.count())
        .join(Prediction, Prediction.id == Review.prediction_id)
        .where(Review.verdict != WITHDRAWN, ~superseded, Prediction.model_version == version)
        .group_by(*(literal_column(str(place)) for place in range(1, len(columns) + 1)))
    )
    # SQLite would begin with all predictions of the version.
    return query.with_hint(Review, "INDEXED BY ix_reviews_created_at", "sqlite") if by_time else query


def _by_label(counted: Iterable[Any]) -> list[Agreement]:
    found: dict[str, dict[str, int]] = {}
    for label, verdict, count in counted:
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
