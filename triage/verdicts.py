"""What a clinician says of an image: kept beside the prediction, never over it, and taken back by a further row."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from triage import queries
from triage.records import AGREE, CORRECT, DONE, VERDICTS, WITHDRAWN, Image, Review

LONGEST_NAME: Final = 100
LONGEST_NOTE: Final = 2000


class VerdictRefused(Exception):
    """A verdict that cannot be taken; the message says why."""


def give_verdict(
    session: Session,
    image_id: int,
    verdict: str,
    *,
    reviewer: str,
    at: datetime,
    label: str | None = None,
    note: str | None = None,
) -> Review:
    """Keep a verdict on the newest prediction of an image.

    Args:
        session: in a transaction, which the caller commits.
        image_id: a done image.
        verdict: one of `VERDICTS`.
        reviewer: who says so.
        at: the time in UTC.
        label: with ``correct``, the fracture type that it is; else None.
        note: whatever else there is to say. Not exported to training.

    Raises:
        VerdictRefused: the image is not done, or the verdict does not fit its label.
    """
    if verdict not in VERDICTS:
        raise VerdictRefused(f"{verdict!r} is none of {', '.join(VERDICTS)}")
    if (verdict == CORRECT) is (label is None):
        raise VerdictRefused("a correction names the fracture type that it is, and no other verdict does")
    reviewer = reviewer.strip()
    if not reviewer or len(reviewer) > LONGEST_NAME:
        raise VerdictRefused(f"a verdict needs somebody's name, of {LONGEST_NAME} characters at most")
    image = session.scalar(select(Image).where(Image.id == image_id).with_for_update())
    if image is None or image.status != DONE or not image.predictions:
        raise VerdictRefused("there is no result to speak of")
    prediction = image.predictions[-1]
    if label is not None and label not in prediction.probabilities:
        raise VerdictRefused(f"{label!r} is no fracture type of this model")
    if label == prediction.label:
        verdict, label = AGREE, None
    note = (note or "").strip()[:LONGEST_NOTE] or None
    review = Review(
        prediction_id=prediction.id, verdict=verdict, label=label, reviewer=reviewer, note=note, created_at=at
    )
    image.reviews.append(review)
    image.reviewed = True
    detail = {"verdict": verdict, "label": label, "model_version": prediction.model_version}
    queries.record_event(session, "reviewed", image, actor=reviewer, at=at, detail=detail)
    return review


def withdraw_verdict(session: Session, image_id: int, *, reviewer: str, at: datetime) -> bool:
    """Take the newest verdict on an image back; False if there is none. The rows before stay.

    Args:
        session: in a transaction, which the caller commits.
        image_id: the image.
        reviewer: who takes it back.
        at: the time in UTC.
    """
    image = session.scalar(select(Image).where(Image.id == image_id).with_for_update())
    standing = None if image is None else image.verdict
    if image is None or standing is None:
        return False
    image.reviews.append(
        Review(prediction_id=standing.prediction_id, verdict=WITHDRAWN, reviewer=reviewer, created_at=at)
    )
    image.reviewed = False
    detail = {"verdict": standing.verdict, "by": standing.reviewer}
    queries.record_event(session, "review_withdrawn", image, actor=reviewer, at=at, detail=detail)
    return True
