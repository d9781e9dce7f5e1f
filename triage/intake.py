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

from triage import queries
from triage.database import reading_sessions, sessions
from triage.filing import Filing, abandoned
from triage.pixels import ImageRejected, Limits, read_header
from triage.records import QUEUED, Image
from triage.register import Candidate, Register
from triage.rejections import failed_on_it
from triage.settings import Settings
from triage.store import Filed, Refused, Store, check_readable, fingerprint, open_regular

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


class DiskFailed(OSError):
    """A disk failed on some files, which stay where they were; what else arrived with them is admitted.

    Attributes:
        arrivals: the files that it failed on.
        admissions: what became of each arrival; None for these.
    """

    def __init__(self, error: OSError, arrivals: Sequence[Arrival], admissions: Sequence[Admission | None]) -> None:
        super().__init__(error.errno, error.strerror)
        self.arrivals = arrivals
        self.admissions = admissions


@dataclass(frozen=True)
class Recovered:
    """How many files of processes that died were admitted, and on how many the disk failed."""

    admitted: int = 0
    failed: int = 0


def utc_now() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)


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
        self._uncommitted: list[Candidate] = []

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

        Raises:
            DiskFailed: a disk failed on some files, which stay where they were; the others are admitted.
            OSError: the disk of the originals failed; `commit_pending` goes on from there.
            SQLAlchemyError: the database failed; `commit_pending` goes on from there.
        """
        taken: list[Candidate | None] = []
        trouble: OSError | None = None
        failed: list[Arrival] = []
        for arrival in arrivals:
            try:
                taken.append(self._take(arrival))
            except OSError as error:
                trouble = error
                failed.append(arrival)
                taken.append(None)
        try:
            admissions = self._commit(taken)
        except (SQLAlchemyError, OSError):
            self._uncommitted += [candidate for candidate in taken if candidate is not None]
            raise
        if trouble is not None:
            raise DiskFailed(trouble, failed, admissions) from trouble
        return admissions

    def commit_pending(self) -> int:
        """Commit what an earlier ``admit`` took but could not commit, now that database and disk may answer.

        Returns:
            How many files still wait, because the disk failed on them.

        Raises:
            SQLAlchemyError: the database failed; what is left waits for the next call.
        """
        failed: list[Candidate] = []
        try:
            while self._uncommitted:
                try:
                    self._commit(self._uncommitted[:1])
                except OSError:
                    failed.append(self._uncommitted[0])
                del self._uncommitted[0]
        finally:
            self._uncommitted = failed + self._uncommitted
        return len(failed)

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

    def recover(self) -> Recovered:
        """Admit what processes that died had taken but not committed.

        What cannot be read stays in ``filing/``: it is tried again by the next call, or the next start.

        Raises:
            SQLAlchemyError: the database failed; what is left waits for the next call.
        """
        admitted = failed = 0
        for path, name, source in abandoned(self._settings.home_dir):
            try:
                try:
                    candidate = self._inspect(Filing.hash(path), name, None)
                except Refused as problem:
                    candidate = Candidate(name, None, problem=problem)
                self._commit([candidate], source=source)
            except OSError as error:  # one file that the disk fails on must not stop the others
                log.error("the disk failed on a file that an earlier run had begun to file (%s)", error.strerror)
                failed += 1
            else:
                admitted += 1
        return Recovered(admitted, failed)

    def known(self, arrivals: Sequence[Arrival]) -> set[Arrival]:
        """Those that stay in their place and were admitted, or refused, as they are now.

        One that was refused unread counts only while it cannot be read: the limit or a permission that was in
        the way may have been changed without a trace on the file.
        """
        marks: dict[str, Arrival] = {}
        for arrival in arrivals:
            with contextlib.suppress(OSError):
                marks[fingerprint(arrival.path.lstat(), arrival.name)] = arrival
        with self._reading() as session:
            seen = queries.seen_fingerprints(session, marks)
        return {marks[mark] for mark, was_read in seen.items() if was_read or not self._may_be_read(marks[mark].path)}

    def _may_be_read(self, path: Path) -> bool:
        try:
            check_readable(path, self._limits.max_bytes)
            open_regular(path).close()
        except (Refused, OSError):
            return False
        return True

    def _take(self, arrival: Arrival) -> Candidate | None:
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
                return self._copy_out(arrival, mark)
        except Refused as problem:
            return Candidate(arrival.name, mark, problem=problem)
        except FileNotFoundError:
            return None

    def _copy_out(self, arrival: Arrival, mark: str) -> Candidate:
        """The inbox is on another disk, or may not be changed: copy, and remove the file if that is allowed.

        It is removed only if it is still the file that was copied; else it stays, marked as seen.
        """
        filed = self._filing.copy(arrival.path, arrival.name)
        with contextlib.suppress(OSError):
            if fingerprint(arrival.path.lstat(), arrival.name) == mark:
                arrival.path.unlink()
        return self._inspect(filed, arrival.name, mark)

    def _inspect(self, filed: Filed, name: str, mark: str | None) -> Candidate:
        try:
            header, problem = read_header(filed.path, self._limits), None
        except ImageRejected as rejected:
            header, problem = None, rejected
        except OSError:
            raise  # the disk's fault, not the file's
        except Exception:
            # One file that the program fails on must not stop the others that arrived with it.
            log.exception("the header of an arriving file could not be read")
            header, problem = None, failed_on_it()
        return Candidate(name, mark, filed, header, problem)

    def _commit(self, candidates: Sequence[Candidate | None], source: str | None = None) -> list[Admission | None]:
        now = self._clock()
        source = source or self._source
        present = [candidate for candidate in candidates if candidate is not None]
        for candidate in present:
            if candidate.filed is not None:
                self._store.keep_original(candidate.filed)
        try:
            recorded = self._record(present, source, now)
        except IntegrityError:
            # Another process admitted the same bytes between our look and our commit; now they are there.
            recorded = self._record(present, source, now)
        for candidate, (_, known) in zip(present, recorded, strict=True):
            if candidate.filed is not None:
                if not known and not self._store.original(candidate.filed.sha256).exists():
                    # A purge removed the same bytes between our look and our commit; from now on it leaves them.
                    self._store.keep_original(candidate.filed)
                self._filing.release(candidate.filed.path)
        fresh = [image.id for image, known in recorded if image.status == QUEUED and not known]
        if fresh and not self._publish(fresh, source):
            # The row waits without a message; the sweep publishes it once the broker is back.
            with self._sessions.begin() as session:
                queries.set_published(session, fresh, None)
        admissions = iter([Admission(image.id, image.status, known) for image, known in recorded])
        return [None if candidate is None else next(admissions) for candidate in candidates]

    def _record(self, candidates: Sequence[Candidate], source: str, now: datetime) -> list[tuple[Image, bool]]:
        with self._sessions.begin() as session:
            register = Register(session, self._store, candidates, actor=source, now=now)
            return [register.record(candidate) for candidate in candidates]
