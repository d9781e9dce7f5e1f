"""Do disk, database and queue agree? What ``triage doctor --audit`` looks at.

The system may run meanwhile. So whatever seems wrong is looked at again a little later, and only what is wrong both
times is told: a file that was just being taken in has its row by then, and a lease its worker or the sweep.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

import redis
from sqlalchemy import Engine, func, select

from triage.database import reading_sessions
from triage.disk_checks import DiskChecks
from triage.intake import utc_now
from triage.mismatches import Mismatch
from triage.queue_checks import broker_takes_more, check_messages
from triage.records import Image
from triage.row_checks import RowChecks, State, states_after, states_of
from triage.settings import Settings

PAGE = 500
"""Images that are read from the database at once."""

_MESSAGES = ("message_unreadable", "message_of_no_image")


class Reconciliation:
    """One audit. ``notes`` says what could not be looked at, and what is known already, once it has run.

    Args:
        settings: where things lie.
        engine: the database.
        tell: called with the number of images that were looked at, and of all.
        clock: gives the time now, in UTC.
        wait: waits for so many seconds.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        tell: Callable[[int, int], None] = lambda done, total: None,
        clock: Callable[[], datetime] = utc_now,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        if engine.dialect.name == "postgresql":  # what is read of a page must be of one moment, as it is on SQLite
            engine = engine.execution_options(isolation_level="REPEATABLE READ")
        self._settings = settings
        self._sessions = reading_sessions(engine)
        self._rows = RowChecks(settings.home_dir, settings.sweep_seconds)
        self._disk = DiskChecks(settings.home_dir, self._sessions)
        self._tell = tell
        self._clock = clock
        self._wait = wait
        # Two sweeps: whoever is at work has gone on by then, and what was lost is taken back.
        self._pause_seconds = 2 * settings.sweep_seconds
        self._suspected: deque[tuple[float, Mismatch]] = deque()
        self.notes: list[str] = []
        self.images = 0

    def run(self) -> Iterator[Mismatch]:
        """Look at everything; what was wrong twice, as it is found.

        Raises:
            SQLAlchemyError: the database failed.
            OSError: a folder of the home cannot be read.
        """
        for found in self._look():
            self._suspected += [(time.monotonic(), mismatch) for mismatch in found]
            yield from self._look_again(time.monotonic() - self._pause_seconds)
        if self._suspected:
            self._wait(max(0.0, self._suspected[-1][0] + self._pause_seconds - time.monotonic()))
            yield from self._look_again(time.monotonic())
        if self._rows.told:
            self.notes.append(f"{len(self._rows.told)} images were put aside because their original is gone or changed")

    def _look(self) -> Iterator[list[Mismatch]]:
        """The first look, in portions. Originals are there before their rows: rows first, and files against rows."""
        with self._sessions() as session:
            total = session.scalar(select(func.count()).select_from(Image)) or 0
        last = 0
        while True:
            with self._sessions() as session:
                states = states_after(session, last, PAGE)
            if not states:
                break
            yield self._check_rows(states, told_of=total)
            last = states[-1].row.id
        for paths in self._disk.folders():
            yield self._disk.check(paths, self._clock())
        yield self._disk.check_filing()
        yield self._check_messages()

    def _check_rows(self, states: Sequence[State], told_of: int | None = None) -> list[Mismatch]:
        takes_more = broker_takes_more(self._settings)
        found: list[Mismatch] = []
        for state in states:
            found += self._rows.check(state, self._clock(), broker_takes_more=takes_more)
            if told_of is not None:
                self.images += 1
                self._tell(self.images, max(told_of, self.images))
        return found

    def _check_messages(self) -> list[Mismatch]:
        try:
            with self._sessions() as session:
                return check_messages(self._settings, session)
        except (redis.RedisError, OSError) as error:
            note = f"the broker does not answer ({type(error).__name__}), so the queue was not looked at"
            self.notes += [] if note in self.notes else [note]
            return []

    def _look_again(self, before: float) -> Iterator[Mismatch]:
        """Those suspected before then that are still wrong."""
        due: list[Mismatch] = []
        while self._suspected and self._suspected[0][0] <= before:
            due.append(self._suspected.popleft()[1])
        if not due:
            return
        still: set[Mismatch] = set()
        ids = sorted({m.image_id for m in due if m.image_id is not None and m.code not in _MESSAGES})
        for start in range(0, len(ids), PAGE):
            with self._sessions() as session:
                states = states_of(session, ids[start : start + PAGE])
            still.update(self._check_rows(states))
        still.update(self._disk.check([m.place for m in due if m.place is not None], self._clock()))
        if any(m.code == "abandoned_files" for m in due):
            still.update(self._disk.check_filing())
        if any(m.code in _MESSAGES for m in due):
            still.update(self._check_messages())
        yield from (mismatch for mismatch in dict.fromkeys(due) if mismatch in still)
