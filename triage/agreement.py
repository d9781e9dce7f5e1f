"""How often clinicians agree with what a model version said, by the type that it named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from triage.records import AGREE, WITHDRAWN, Image, Prediction, Review


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


def agreement(session: Session, version: str) -> list[Agreement]:
    """The verdicts that stand on what a version said, by the type that it named, in the order of their names.

    An image counts once, by its newest verdict, unless that was taken back. It counts for the version whose
    prediction the verdict was about, also if another version has judged the image since.

    Args:
        session: for reading.
        version: of the model.
    """
    # From the reviews, which are few, to the images: these have no index on being reviewed.
    newest = select(func.max(Review.id)).group_by(Review.image_id)
    counted = session.execute(
        select(Prediction.label, Review.verdict, func.count())
        .join(Prediction, Prediction.id == Review.prediction_id)
        .join(Image, Image.id == Review.image_id)
        .where(Review.id.in_(newest), Review.verdict != WITHDRAWN, Image.reviewed)
        .where(Prediction.model_version == version)
        .group_by(Prediction.label, Review.verdict)
    )
    found: dict[str, dict[str, int]] = {}
    for label, verdict, count in counted:
        found.setdefault(label, {})[verdict] = count
    return [Agreement(label, found[label]) for label in sorted(found)]
