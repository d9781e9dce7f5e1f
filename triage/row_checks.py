"""The rows of images, each checked against its original, its predictions and its audit trail."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, func, select
from sqlalchemy.orm import Session

from triage.mismatches import Mismatch
from triage.records import DISCARDED, DONE, PROCESSING, PURGED, QUARANTINED, QUEUED, AuditEvent, Image, Prediction
from triage.store import Refused, Store, open_regular
from triage.worklist_entries import untrue

STATUS_AFTER: Final = MappingProxyType(
    {
        "admitted": QUEUED,
        "dropped_again": QUEUED,
        "retried": QUEUED,
        "lease_expired": QUEUED,
        "time_limit": QUEUED,
        "restored": QUEUED,
        "leased": PROCESSING,
        "done": DONE,
        "quarantined": QUARANTINED,
        "discarded": DISCARDED,
        "purged": DISCARDED,
    }
)
"""The status that an audit event leaves an image in; events that are not here change none."""

TOLD_BY: Final = MappingProxyType({"missing_original": "original_missing", "digest_differs": "changed_after_admission"})
"""Under which code a worker has put an image aside for the same thing: then it is no news."""

LATE_SECONDS: Final = 60.0
"""What a sweep, or a process that writes a file, may take at most on a system that is well."""

Columns = Row[*tuple[Any, ...]]
"""Some columns of a row."""

_COLUMNS = (
    Image.id,
    Image.status,
    Image.sha256,
    Image.media_type,
    Image.received_at,
    Image.published_at,
    Image.leased_until,
    Image.error_code,
    Image.label,
    Image.confidence,
    Image.needs_review,
    Image.study_id,
)


@dataclass(frozen=True)
class State:
    """What the database says of one image.

    Attributes:
        row: the columns of its row that are checked.
        predictions: its predictions, the newest last.
        event: the last audit event that changed its status, and when; None if there is none.
        is_listed_right: whether the worklist shows of its study what the images make it.
    """

    row: Columns
    predictions: list[Columns]
    event: tuple[str, datetime] | None
    is_listed_right: bool = True


def states_after(session: Session, image_id: int, size: int) -> list[State]:
    """The next images by id, by keyset: at most ``size``."""
    return _states(session, Image.id > image_id, size)


def states_of(session: Session, ids: Sequence[int]) -> list[State]:
    """These images, as far as there are any."""
    return _states(session, Image.id.in_(ids), len(ids))


def _states(session: Session, which: ColumnElement[bool], size: int) -> list[State]:
    rows = session.execute(select(*_COLUMNS).where(which).order_by(Image.id).limit(size)).all()
    ids = [row.id for row in rows]
    predictions: dict[int, list[Columns]] = defaultdict(list)
    for prediction in session.execute(
        select(
            Prediction.image_id,
            Prediction.model_version,
            Prediction.label,
            Prediction.confidence,
            Prediction.needs_review,
        )
        .where(Prediction.image_id.in_(ids))
        .order_by(Prediction.turn, Prediction.id)
    ):
        predictions[prediction.image_id].append(prediction)
    newest = (
        select(func.max(AuditEvent.id))
        .where(AuditEvent.image_id.in_(ids), AuditEvent.event.in_(STATUS_AFTER))
        .group_by(AuditEvent.image_id)
    )
    events: dict[int | None, tuple[str, datetime]] = {
        image_id: (event, at)
        for image_id, event, at in session.execute(
            select(AuditEvent.image_id, AuditEvent.event, AuditEvent.at).where(AuditEvent.id.in_(newest))
        )
    }
    wrong = untrue(session, {row.study_id for row in rows if row.study_id is not None})
    return [State(row, predictions[row.id], events.get(row.id), row.study_id not in wrong) for row in rows]


def is_told(code: str, row: Columns) -> bool:
    """Whether the image was put aside for just this, or purged, so that everybody knows already."""
    if code == "missing_original" and is_purged(row):
        return True
    return row.status in (QUARANTINED, DISCARDED) and row.error_code == TOLD_BY.get(code)


def is_purged(row: Columns) -> bool:
    """Whether files and names of this image were removed on purpose."""
    return bool(row.status == DISCARDED and row.error_code == PURGED)


class RowChecks:
    """Checks what the database says of images.

    Args:
        home: where originals and renders lie.
        sweep_seconds: how often the sweep comes.
    """

    def __init__(self, home: Path, sweep_seconds: float) -> None:
        self._home = home
        self._store = Store(home)
        self._late = timedelta(seconds=LATE_SECONDS + sweep_seconds)
        self.told: set[int] = set()

    def check(self, state: State, now: datetime, *, broker_takes_more: bool) -> Iterator[Mismatch]:
        """What does not fit of one image.

        Args:
            state: what the database says.
            now: the time in UTC.
            broker_takes_more: the broker answers, and so few messages wait that the sweep publishes what has none.
        """
        row = state.row
        if row.sha256 is not None and is_purged(row):
            yield from self._purged(row)
        elif row.sha256 is not None:
            yield from self._original(row)
        elif row.status not in (QUARANTINED, DISCARDED):
            yield Mismatch("no_digest", row.id)
        versions = [prediction.model_version for prediction in state.predictions]
        if len(set(versions)) < len(versions):
            yield Mismatch("double_prediction", row.id)
        if row.status == DONE:
            yield from self._done(row, state.predictions)
        if not state.is_listed_right:
            yield Mismatch("worklist_differs", row.id)
        if row.status == PROCESSING and (row.leased_until is None or row.leased_until < now - self._late):
            yield Mismatch("lease_expired", row.id)
        if row.status == QUEUED and row.published_at is None and broker_takes_more:
            since = row.received_at if state.event is None else state.event[1]
            if since < now - self._late:
                yield Mismatch("never_published", row.id)
        if row.status == QUARANTINED and not row.error_code:
            yield Mismatch("no_reason", row.id)
        event = None if state.event is None else state.event[0]
        if event is None or STATUS_AFTER[event] != row.status:
            what = "there is none" if event is None else f"the last is {event!r}"
            yield Mismatch("history_differs", row.id, detail=f"the status is {row.status!r}; of its events {what}")

    def _original(self, row: Columns) -> Iterator[Mismatch]:
        path = self._store.original(row.sha256)
        try:
            with open_regular(path) as file:
                code = None if hashlib.file_digest(file, "sha256").hexdigest() == row.sha256 else "digest_differs"
        except FileNotFoundError:
            code = "missing_original"
        except (Refused, OSError):
            code = "unreadable_original"
        if code is None:
            return
        if is_told(code, row):
            self.told.add(row.id)
        else:
            yield Mismatch(code, row.id, str(path.relative_to(self._home)))

    def _purged(self, row: Columns) -> Iterator[Mismatch]:
        for path in (self._store.original(row.sha256), self._store.render(row.sha256)):
            if os.path.lexists(path):
                yield Mismatch("purged_file", row.id, str(path.relative_to(self._home)))

    def _done(self, row: Columns, predictions: Sequence[Columns]) -> Iterator[Mismatch]:
        if not predictions:
            yield Mismatch("no_prediction", row.id)
        else:
            newest = predictions[-1]
            said = (newest.label, newest.confidence, newest.needs_review)
            if said != (row.label, row.confidence, row.needs_review):
                yield Mismatch("prediction_differs", row.id)
        if row.media_type == "application/dicom" and row.sha256 is not None:
            render = self._store.render(row.sha256)
            if not render.is_file():
                yield Mismatch("missing_render", row.id, str(render.relative_to(self._home)))
