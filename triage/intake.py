"""The one way in: ``admit`` takes files from the inbox, an upload, or the command line, and queues them."""

from __future__ import annotations

import contextlib
import errno
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self

from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from triage import queries
from triage.pixels import Header, ImageRejected, Limits, read_header, same_pixel_data
from triage.records import DISCARDED, QUARANTINED, QUEUED, Image, reading_sessions, sessions
from triage.settings import Settings
from triage.store import Filed, Filing, Refused, Store, abandoned, check_readable, fingerprint

log = logging.getLogger(__name__)

Source = Literal["folder", "upload", "once"]
Publish = Callable[[Sequence[int], str], bool]
"""Sends messages for images of a source; False if the broker did not take them."""


@dataclass(frozen=True)
class Arrival:
    """A settled file: where it lies, the name to keep for it, and whether it stays there."""

    path: Path
    name: str
    keep: bool = False


@dataclass(frozen=True)
class Admission:
    """What became of an arrival: the image it is, its status, and whether it was known already."""

    image_id: int
    status: str
    known: bool


@dataclass(frozen=True)
class _Candidate:
    name: str
    fingerprint: str | None
    filed: Filed | None = None
    header: Header | None = None
    problem: Refused | ImageRejected | None = None


def utc_now() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)


def storable_name(name: str) -> str:
    """A file's name as text that any database takes: bytes that are no UTF-8, and NUL, are written out."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").replace("\0", "\\x00")


def safe_upload_name(name: str) -> str:
    """The last part of an uploaded name, usable as a file's name: a browser can send anything."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1].replace("\0", "")
    shortened = last.encode("utf-8", "replace")[-200:].decode("utf-8", "ignore")
    return shortened if shortened.strip(". ") else "upload"


class Intake:
    """Admits arrivals of one source. Close it when done, or use it as a context manager.

    Args:
        settings: where things lie, and the limits.
        engine: the database.
        source: kept with each image.
        publish: called after the commit with the ids to work on.
        clock: gives the time now, in UTC.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        source: Source,
        publish: Publish,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._settings = settings
        self._limits = Limits.of(settings)
        self._sessions = sessions(engine)
        self._reading = reading_sessions(engine)
        self._source = source
        self._publish = publish
        self._clock = clock
        self._store = Store(settings.home_dir)
        self._filing = Filing(settings.home_dir, source)
        # Taken out of the inbox, but not committed because the database did not answer.
        self._uncommitted: list[_Candidate] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End this process's filing session."""
        self._filing.close()

    def admit(self, arrivals: Sequence[Arrival]) -> list[Admission | None]:
        """File, hash, commit and then publish some arrivals; the whole lot shares one commit.

        A file leaves its place only by a rename into ``filing/`` and leaves that only once its row is
        committed, so a crash at any point leaves it in exactly one place from which it goes on.

        Returns:
            For each arrival what became of it; None if it went away before it could be taken.
        """
        taken = [self._take(arrival) for arrival in arrivals]
        try:
            return self._commit(taken)
        except (SQLAlchemyError, OSError):
            self._uncommitted += [candidate for candidate in taken if candidate is not None]
            raise

    def commit_pending(self) -> None:
        """Commit what an earlier ``admit`` took but could not commit, now that the database may answer."""
        while self._uncommitted:
            self._commit(self._uncommitted[:1])
            del self._uncommitted[0]

    def admit_bytes(self, data: bytes, name: str) -> Admission:
        """Admit uploaded bytes.

        Raises:
            ImageRejected: they are more than the limit; nothing is kept.
        """
        if len(data) > self._limits.max_bytes:
            raise ImageRejected(
                "too_large",
                f"The file has {len(data):,} bytes; the limit is {self._limits.max_bytes:,}.",
            )
        name = safe_upload_name(name)
        filed = self._filing.write(data, name)
        try:
            (admission,) = self._commit([self._inspect(filed, name, None)])
        except BaseException:
            self._filing.release(filed.path)  # whoever uploads sees the error, and still has the file
            raise
        assert admission is not None
        return admission

    def recover(self) -> int:
        """Admit what processes that died had taken but not committed; how many files that was."""
        found = 0
        for path, name, source in abandoned(self._settings.home_dir):
            self._commit([self._inspect(Filing.hash(path), name, None)], source=source)
            found += 1
        return found

    def known(self, arrivals: Sequence[Arrival]) -> set[Arrival]:
        """Those that stay in their place and were admitted, or refused, as they are now."""
        marks: dict[str, Arrival] = {}
        for arrival in arrivals:
            with contextlib.suppress(OSError):
                marks[fingerprint(arrival.path.lstat(), arrival.name)] = arrival
        with self._reading() as session:
            return {marks[mark] for mark in queries.seen_fingerprints(session, marks)}

    def _take(self, arrival: Arrival) -> _Candidate | None:
        try:
            found = arrival.path.lstat()
            mark = fingerprint(found, arrival.name)
            check_readable(arrival.path, self._limits.max_bytes)
            if arrival.keep or self._settings.leave_in_place:
                return self._inspect(self._filing.copy(arrival.path, arrival.name), arrival.name, mark)
            try:
                return self._inspect(self._filing.move(arrival.path, arrival.name), arrival.name, None)
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.EACCES, errno.EPERM, errno.EROFS):
                    raise
                return self._copy_out(arrival, mark, error.errno == errno.EXDEV)
        except Refused as problem:
            return _Candidate(arrival.name, mark, problem=problem)
        except FileNotFoundError:
            return None

    def _copy_out(self, arrival: Arrival, mark: str, remove: bool) -> _Candidate:
        """The inbox is on another disk, or may not be changed: copy, and remove the file if that is allowed.

        It is removed only if it is still the file that was copied.
        """
        filed = self._filing.copy(arrival.path, arrival.name)
        if remove and fingerprint(arrival.path.lstat(), arrival.name) == mark:
            arrival.path.unlink()
        return self._inspect(filed, arrival.name, None if remove else mark)

    def _inspect(self, filed: Filed, name: str, mark: str | None) -> _Candidate:
        try:
            header, problem = read_header(filed.path, self._limits), None
        except ImageRejected as rejected:
            header, problem = None, rejected
        return _Candidate(name, mark, filed, header, problem)

    def _commit(self, candidates: Sequence[_Candidate | None], source: str | None = None) -> list[Admission | None]:
        now = self._clock()
        source = source or self._source
        for candidate in candidates:
            if candidate is not None and candidate.filed is not None:
                self._store.keep_original(candidate.filed)
        try:
            images = self._record_all(candidates, source, now)
        except IntegrityError:
            # Another process admitted the same bytes between our look and our commit; now they are there.
            images = self._record_all(candidates, source, now)
        fresh = [image.id for image, known in filter(None, images) if image.status == QUEUED and not known]
        for candidate in candidates:
            if candidate is not None and candidate.filed is not None:
                self._filing.release(candidate.filed.path)
        if fresh and not self._publish(fresh, source):
            # The row waits without a message; the sweep publishes it once the broker is back.
            with self._sessions.begin() as session:
                queries.set_published(session, fresh, None)
        return [found and Admission(found[0].id, found[0].status, found[1]) for found in images]

    def _record_all(
        self, candidates: Sequence[_Candidate | None], source: str, now: datetime
    ) -> list[tuple[Image, bool] | None]:
        with self._sessions.begin() as session:
            return [self._record(session, candidate, source, now) if candidate else None for candidate in candidates]

    def _record(self, session: Session, candidate: _Candidate, source: str, now: datetime) -> tuple[Image, bool]:
        """Find or make the row of a candidate; the image, and whether nothing is to be done for it."""
        name = storable_name(candidate.name)
        if candidate.filed is None:
            return self._record_unread(session, candidate, name, source, now)
        image = queries.image_by_sha256(session, candidate.filed.sha256)
        if image is not None:
            if queries.add_name(session, image, name, source, now, candidate.fingerprint):
                queries.record_event(session, "named_again", image, actor=source, at=now)
            if image.status not in (QUARANTINED, DISCARDED) or image.error_code == "sop_uid_conflict":
                return image, True
            if candidate.problem is None:
                queries.requeue(session, image, actor=source, at=now, event="dropped_again")
                return image, False
            self._refuse(session, image, candidate.problem, source, now)
            return image, True

        header = candidate.header
        study = queries.study_for(session, header.study_instance_uid if header else None, now)
        # The same name could not be read before, and now it can: it is the same image, going on.
        image = queries.unread_image_by_name(session, name) or Image(
            source=source, source_name=name, received_at=now, attempts=0, travels_alone=False
        )
        image.study_id = study.id
        image.sha256, image.size_bytes = candidate.filed.sha256, candidate.filed.size_bytes
        image.media_type = header.media_type if header else None
        image.status, image.published_at = QUEUED, now
        image.error_code = image.error_detail = image.finished_at = None
        owner = self._owner_of_uid(session, header)
        image.sop_instance_uid = header.sop_instance_uid if header else None
        session.add(image)
        session.flush()
        queries.add_name(session, image, name, source, now, candidate.fingerprint)
        queries.record_event(session, "admitted", image, actor=source, at=now)
        if candidate.problem is not None:
            self._refuse(session, image, candidate.problem, source, now)
        elif owner is not None:
            self._refuse(session, image, self._uid_conflict(owner, candidate.filed), source, now)
        return image, False

    def _record_unread(
        self, session: Session, candidate: _Candidate, name: str, source: str, now: datetime
    ) -> tuple[Image, bool]:
        assert candidate.problem is not None
        image = queries.unread_image_by_name(session, name)
        known = image is not None
        if image is None:
            image = Image(source=source, source_name=name, received_at=now, attempts=0, travels_alone=False)
            image.status = QUARANTINED
            session.add(image)
            session.flush()
        queries.add_name(session, image, name, source, now, candidate.fingerprint)
        self._refuse(session, image, candidate.problem, source, now)
        return image, known

    @staticmethod
    def _refuse(session: Session, image: Image, problem: Refused | ImageRejected, source: str, now: datetime) -> None:
        queries.quarantine(session, image, problem.code, problem.detail, actor=source, at=now)

    @staticmethod
    def _owner_of_uid(session: Session, header: Header | None) -> Image | None:
        if header is None or header.sop_instance_uid is None:
            return None
        return queries.image_by_sop_instance_uid(session, header.sop_instance_uid)

    def _uid_conflict(self, owner: Image, filed: Filed) -> ImageRejected:
        assert owner.sha256 is not None
        same = same_pixel_data(self._store.original(owner.sha256), filed.path)
        what = {
            True: "the pixels are the same",
            False: "the pixels differ",
            None: "the pixels could not be compared",
        }
        return ImageRejected(
            "sop_uid_conflict",
            f"Image {owner.id} came with the same SOP Instance UID but other bytes ({what[same]}). "
            "Nothing was overwritten. Ask the sending station which of the two is right.",
        )
