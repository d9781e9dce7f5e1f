"""The weights of urgency that count now, their changes, and images brought up to date with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session, selectinload

from triage.database import add_on_commit
from triage.records import DONE, Image, UrgencyTable
from triage.urgency import WEIGHTS, urgency
from triage.worklist_entries import refresh

_CURRENT = "weights of urgency"


class WeightsRefused(Exception):
    """Weights that cannot be used; the message says why."""


@dataclass(frozen=True)
class Weights:
    """What counts from a moment on.

    Attributes:
        revision: 0 for what ships, then from 1.
        weights: label -> 0..1.
        changed_by: who changed them last; None if nobody has.
        changed_at: when, in UTC.
    """

    revision: int = 0
    weights: Mapping[str, float] = field(default_factory=lambda: WEIGHTS)
    changed_by: str | None = None
    changed_at: datetime | None = None


def current_weights(session: Session) -> Weights:
    """The weights that count; read once for each session."""
    known = session.info.get(_CURRENT)
    if isinstance(known, Weights):
        return known
    newest = session.scalar(select(UrgencyTable).order_by(UrgencyTable.revision.desc()).limit(1))
    found = (
        Weights() if newest is None else Weights(newest.revision, newest.weights, newest.changed_by, newest.changed_at)
    )
    session.info[_CURRENT] = found
    return found


def change_weights(session: Session, weights: Mapping[str, float], *, actor: str, at: datetime) -> Weights:
    """Let other weights count from now on. Images follow by and by: the watcher's sweep brings them up to date.

    Args:
        session: in a transaction, which the caller commits.
        weights: label -> weight, for all labels.
        actor: who changes them.
        at: the time in UTC.

    Raises:
        WeightsRefused: a weight is not between 0 and 1.
    """
    for label, weight in weights.items():
        if not 0 <= weight <= 1:
            raise WeightsRefused(f"the weight of “{label}” must be between 0 and 1")
    session.info.pop(_CURRENT, None)
    before = current_weights(session)
    new = Weights(before.revision + 1, dict(weights), actor, at)
    session.add(UrgencyTable(revision=new.revision, weights=dict(new.weights), changed_by=actor, changed_at=at))
    changed: dict[str, Any] = {
        label: weight for label, weight in weights.items() if before.weights.get(label) != weight
    }
    detail = {"revision": new.revision, "changed": changed}
    add_on_commit(session, None, {"at": at, "actor": actor, "event": "urgency_weights_changed", "detail": detail})
    session.info[_CURRENT] = new
    return new


def weigh(session: Session, image: Image, probabilities: Mapping[str, float]) -> None:
    """Note how soon somebody should look at an image, by the weights that count."""
    now = current_weights(session)
    image.urgency = urgency(probabilities, now.weights)
    image.urgency_revision = now.revision


def bring_up_to_date(session: Session, limit: int) -> int:
    """Weigh images anew that were weighed with other weights; how many were, at most ``limit``."""
    now = current_weights(session)
    stale = session.scalars(
        select(Image)
        .where(Image.status == DONE, Image.urgency_revision < now.revision)
        .order_by(Image.urgency_revision, Image.id.desc())
        .limit(limit)
        .options(selectinload(Image.predictions))
        .with_for_update(skip_locked=True)
    ).all()
    changed = [
        {
            "id": image.id,
            "urgency": urgency(image.predictions[-1].probabilities, now.weights) if image.predictions else None,
            "urgency_revision": now.revision,
        }
        for image in stale
    ]
    if changed:
        session.execute(update(Image), changed)
        refresh(session, {image.study_id for image in stale if image.study_id is not None})
    return len(changed)
