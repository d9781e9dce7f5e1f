"""``triage purge``: what a clinic need not, or may not, keep any longer is removed.

Of an image go: original and picture, the names that it came under, its DICOM identifiers, notes of reviews; of a
study whose images are all gone: its UID, accession number, date and time. What stays names nobody: that there was an
image with this SHA-256, what the model said, the verdict, and the audit trail. So the same file is known when it comes
again (it is then looked at anew), and how well the model did can still be counted.

First the rows say so, in one transaction; then, in another one, the files of rows that still say so are removed. A
crash in between leaves files that the next purge removes and that an audit names (``purged_file``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Engine, and_, delete, func, or_, select, update
from sqlalchemy.orm import Session, selectinload, sessionmaker

from triage import queries
from triage.database import reading_sessions, sessions
from triage.intake import utc_now
from triage.records import DISCARDED, DONE, PURGED, QUARANTINED, Image, Review, SearchKey, SourceName, Study
from triage.settings import Settings
from triage.store import Store
from triage.worklist_entries import find_by, study_keys

PAGE: Final = 200
NO_NAME: Final = "(purged)"

_FINISHED = or_(Image.status == DONE, Image.status == QUARANTINED, Image.status == DISCARDED)
_IS_PURGED = and_(Image.status == DISCARDED, func.coalesce(Image.error_code, "") == PURGED)


@dataclass
class Purged:
    """What a purge did, or would do.

    Attributes:
        images: how many were purged.
        size_bytes: of their originals and pictures.
        kept: older ones that stay, because nobody is through with them.
    """

    images: int = 0
    size_bytes: int = 0
    kept: int = 0


class Purge:
    """Purges images that came to their end long ago.

    Args:
        settings: the home.
        engine: the database.
        older_than: since an image was done, refused or discarded.
        unreviewed: also those that nobody has reviewed, or that are still in quarantine.
        actor: who does it.
        clock: gives the time now, in UTC.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        older_than: timedelta,
        *,
        unreviewed: bool,
        actor: str,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._reading: sessionmaker[Any] = reading_sessions(engine)
        self._sessions: sessionmaker[Any] = sessions(engine)
        self._store = Store(settings.home_dir)
        self._now = clock()
        self._before = self._now - older_than
        self._days = older_than.days
        self._unreviewed = unreviewed
        self._actor = actor

    def look(self) -> Purged:
        """What `run` would do. Changes nothing."""
        result = Purged()
        for rows in self._pages():
            for row in rows:
                self._count(row, result)
        return result

    def run(self, tell: Callable[[int], None] = lambda _: None) -> Purged:
        """Purge.

        Args:
            tell: called with the number of images purged so far.

        Raises:
            SQLAlchemyError: the database failed; what is done is done, and the next purge goes on.
            OSError: a file could not be removed; the same holds.
        """
        result = Purged()
        for rows in self._pages():
            due = [row.id for row in rows if self._count(row, result)]
            if due:
                self._forget(due)
            # Files of rows that were purged before are there only if that purge was cut off.
            self._remove_files([row.id for row in rows if row.is_purged] + due)
            tell(result.images)
        return result

    def _pages(self) -> Iterator[Sequence[Any]]:
        ended = func.coalesce(Image.finished_at, Image.received_at)
        columns = (Image.id, Image.sha256, Image.status, Image.reviewed, _IS_PURGED.label("is_purged"))
        last = 0
        while True:
            query = select(*columns).where(Image.id > last, _FINISHED, ended < self._before).order_by(Image.id)
            with self._reading() as session:
                rows = session.execute(query.limit(PAGE)).all()
            if not rows:
                return
            yield rows
            last = rows[-1].id

    def _count(self, row: Any, result: Purged) -> bool:
        """Whether an image is to be purged now."""
        if row.is_purged:
            return False
        through = row.status == DISCARDED or (row.status == DONE and row.reviewed)
        if not through and not self._unreviewed:
            result.kept += 1
            return False
        result.images += 1
        if row.sha256 is not None:
            for path in (self._store.original(row.sha256), self._store.render(row.sha256)):
                with contextlib.suppress(OSError):
                    result.size_bytes += path.stat().st_size
        return True

    def _forget(self, ids: Sequence[int]) -> None:
        with self._sessions.begin() as session:
            wanted = select(Image).where(Image.id.in_(ids), _FINISHED).options(selectinload(Image.names))
            images = list(session.scalars(wanted.with_for_update()))
            for image in images:
                queries.record_event(
                    session, "purged", image, actor=self._actor, at=self._now, detail={"was": image.status}
                )
                image.status, image.error_code = DISCARDED, PURGED
                image.error_detail = f"Purged on {self._now:%Y-%m-%d}: older than {self._days} days."
                image.source_name = NO_NAME
                image.sop_instance_uid = image.series_instance_uid = None
            gone = [image.id for image in images]
            session.execute(delete(SourceName).where(SourceName.image_id.in_(gone)))
            session.execute(update(Review).where(Review.image_id.in_(gone)).values(note=None))
            session.flush()
            for study_id in {image.study_id for image in images} - {None}:
                _forget_study(session, study_id)

    def _remove_files(self, ids: Sequence[int]) -> None:
        if not ids:
            return
        # The rows are locked: one whose bytes are just coming in again is not purged any more, and keeps its file.
        with self._sessions.begin() as session:
            still = select(Image.sha256).where(Image.id.in_(ids), _IS_PURGED, Image.sha256.is_not(None))
            for sha256 in session.scalars(still.with_for_update()):
                self._store.original(sha256).unlink(missing_ok=True)
                self._store.render(sha256).unlink(missing_ok=True)


def _forget_study(session: Session, study_id: int) -> None:
    """Take back what a study is found by, as far as it came from images that are purged."""
    study = session.get_one(Study, study_id)
    session.execute(delete(SearchKey).where(SearchKey.study_id == study_id))
    here = Image.study_id == study_id
    if session.scalar(select(Image.id).where(here, ~_IS_PURGED).limit(1)) is None:
        study.study_instance_uid = study.accession_number = study.study_date = study.study_time = None
        return
    names = session.scalars(select(SourceName.name).join(Image, Image.id == SourceName.image_id).where(here))
    find_by(session, {study_id: study_keys(names, study.accession_number)})
