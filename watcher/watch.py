"""The loop: sees what is in the inbox, waits until it has settled, and admits it."""

from __future__ import annotations

import logging
import random
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError
from watchfiles import watch as watch_events

from triage.arrivals import find_files, is_temporary
from triage.intake import Admission, Arrival, DiskFailed, Intake
from triage.mounts import EVENTLESS_FILE_SYSTEMS, file_system
from triage.settings import Settings
from triage.stopping import StopRequest
from watcher.pauses import Pause
from watcher.settling import Settling, Sight
from watcher.sweep import Sweep

log = logging.getLogger(__name__)

LOT = 64
"""Files that are admitted together and share one commit."""
TICK_SECONDS = 0.25
"""How often arriving files are looked at between scans of the whole inbox."""


def by_polling(settings: Settings) -> bool:
    """Whether the inbox is watched by polling: it was asked for, or its file system reports no changes."""
    if settings.watch == "auto":
        return file_system(settings.inbox_dir) in EVENTLESS_FILE_SYSTEMS
    return settings.watch == "poll"


class Watch:
    """Knows the arriving files of one inbox.

    Args:
        settings: the inbox and how patient to be.
        intake: admits what has settled.
        clock: seconds that never go back.
    """

    def __init__(self, settings: Settings, intake: Intake, clock: Callable[[], float] = time.monotonic) -> None:
        self._inbox = settings.inbox_dir
        self._intake = intake
        self._clock = clock
        self._settling = Settling(settings.quiet_seconds)
        # Files that stay in the inbox (left in place, or refused unread), and what they looked like.
        self._staying: dict[Path, Sight] = {}
        # Files that the disk failed on, what they looked like then, and how long they are left alone.
        self._put_off: dict[Path, tuple[Sight, Pause]] = {}
        self._unreadable: set[Path] = set()
        self._missing = False
        self._recovered = False
        self._recovery = Pause()
        self._commit = Pause()

    def begin_tick(self) -> None:
        """First finish what an earlier run, or a tick that failed, had begun.

        A file that the disk keeps failing on is tried less and less often, and keeps nothing else from going on.
        """
        now = self._clock()
        if not self._recovered and self._recovery.is_over(now):
            recovered = self._intake.recover()
            if recovered.admitted:
                log.info("%d files that an earlier run had begun to file are admitted", recovered.admitted)
            self._recovered = not recovered.failed
            self._recovery.failed(now)
        if self._commit.is_over(now):
            left = self._intake.commit_pending()
            if left:
                self._commit.failed(now)
                log.error("the disk fails on %d files; trying again in %.0f s", left, self._commit.seconds)
            else:
                self._commit = Pause()

    def scan(self) -> None:
        """Look at everything in the inbox."""
        if not self._inbox.is_dir():
            if not self._missing:
                log.warning("the inbox is not there; waiting for it to come back")
            self._missing = True
            return
        if self._missing:
            log.info("the inbox is back")
        self._missing = False
        unreadable: set[Path] = set()
        found = set(find_files(self._inbox, unreadable.add))
        for known in (self._staying, self._put_off):
            for path in known.keys() - found:
                del known[path]
        if unreadable - self._unreadable:
            # Their names may be patients': `triage doctor` tells them to whoever asks.
            log.warning("%d folders in the inbox may not be read; `triage doctor` names them", len(unreadable))
        self._unreadable = unreadable
        self.notice(found)

    def notice(self, paths: Iterable[Path]) -> None:
        """Look at these paths: files that may be arriving, or folders that were moved in with their files."""
        for path in paths:
            if self._inbox not in path.parents or is_temporary(path.relative_to(self._inbox)):
                continue
            if _is_folder(path):
                self.notice(find_files(path))
            elif path not in self._settling:
                self._look(path)

    def _look(self, path: Path) -> bool:
        """Note what a file looks like; True if it has settled."""
        try:
            sight = Sight.of(path)
        except OSError:
            self._settling.forget(path)
            return False
        if self._staying.get(path) == sight:
            return False
        return self._settling.see(path, sight, self._clock())

    def settled(self) -> Iterator[list[Path]]:
        """Files that have settled, in lots."""
        lot: list[Path] = []
        for path in self._settling.due(self._clock()):
            if self._look(path) and not self._is_put_off(path):
                lot.append(path)
            if len(lot) == LOT:
                yield lot
                lot = []
        if lot:
            yield lot

    def admit(self, lot: list[Path]) -> int:
        """Admit a lot of settled files; how many were new here."""
        arrivals = [Arrival(path, str(path.relative_to(self._inbox))) for path in lot]
        seen = {path: self._settling.sight(path) for path in lot}
        known = self._intake.known(arrivals)
        failed: set[Path] = set()
        admitted: Sequence[Admission | None]
        try:
            admitted = self._intake.admit([arrival for arrival in arrivals if arrival not in known])
        except DiskFailed as error:
            admitted = error.admissions
            failed = {arrival.path for arrival in error.arrivals}
            for path in failed:
                self._put_off.setdefault(path, (seen[path], Pause()))[1].failed(self._clock())
            pauses = [self._put_off[path][1].seconds for path in failed]
            log.error(
                "the disk fails on %d files (%s); trying again in %.0f s", len(failed), error.strerror, min(pauses)
            )
        for path in lot:
            if path in failed:  # it has settled, and is tried again
                continue
            self._settling.forget(path)
            self._put_off.pop(path, None)
            # What looks otherwise by now is another file, which came in the place of the one just taken.
            try:
                stays = Sight.of(path) == seen[path]
            except OSError:
                stays = False
            if stays:
                self._staying[path] = seen[path]
            else:
                self._staying.pop(path, None)
        return sum(1 for admission in admitted if admission and not admission.known)

    def _is_put_off(self, path: Path) -> bool:
        """Whether the disk failed on this file, as it is now, a short while ago."""
        sight, pause = self._put_off.get(path, (None, None))
        if pause is None:
            return False
        if sight != self._settling.sight(path):
            del self._put_off[path]
            return False
        return not pause.is_over(self._clock())


def run(settings: Settings, watch: Watch, sweep: Sweep, stop: StopRequest) -> None:
    """Watch until ``stop`` is set.

    Events only say where to look sooner: the whole inbox is scanned at the start and every
    ``rescan_seconds`` all the same, because events get lost. Where there are none, it is scanned every
    ``poll_seconds``.
    """
    polling = by_polling(settings)
    log.info("watching by %s", "polling" if polling else "events")
    scan_every = settings.poll_seconds if polling else settings.rescan_seconds
    next_scan = next_sweep = 0.0
    for changed in _ticks(settings, polling, stop):
        try:
            watch.begin_tick()
            if changed is None:
                next_scan = 0.0
            else:
                watch.notice(changed)
            if time.monotonic() >= next_scan:
                watch.scan()
                next_scan = time.monotonic() + scan_every
            for lot in watch.settled():
                admitted = watch.admit(lot)
                if admitted:
                    log.info("admitted %d images", admitted)
                next_sweep = _sweep_if_due(sweep, next_sweep, settings)
                if stop.is_set():
                    return
            next_sweep = _sweep_if_due(sweep, next_sweep, settings)
        except (SQLAlchemyError, OSError) as error:
            # The database is away, or the disk of the originals is full. Nothing was taken out of the inbox without
            # its row: what was on its way is in `filing/`, and the rest is seen again at the next scan.
            # Without the error's own text: it may quote the name of a file, which may be a patient's.
            reason = error.strerror if isinstance(error, OSError) else type(error).__name__
            log.error("could not admit all that has arrived (%s); trying again", reason)
            stop.wait(random.uniform(0.5, 1.5))  # watchers of several machines do not come back in step
            next_scan = 0.0


def _sweep_if_due(sweep: Sweep, due: float, settings: Settings) -> float:
    if time.monotonic() < due:
        return due
    sweep.run()
    return time.monotonic() + settings.sweep_seconds


def _is_folder(path: Path) -> bool:
    """Whether this is a folder itself, and no link to one; what may not be seen is none."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _identity(folder: Path) -> tuple[int, int] | None:
    """Which folder is found at a path: one that was moved away and made anew is another one."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _ticks(settings: Settings, polling: bool, stop: StopRequest) -> Iterator[set[Path] | None]:
    """Yield paths that events point to, about every ``TICK_SECONDS``; the set is empty when nothing came.

    None says that events may have been missed: everything is to be looked at.
    """
    inbox = settings.inbox_dir
    while not stop.is_set():
        watched = _identity(inbox)
        if polling or watched is None:
            yield set()
            stop.wait(TICK_SECONDS)
            continue
        try:
            yield None
            for changes in watch_events(
                inbox,
                watch_filter=None,
                debounce=int(TICK_SECONDS * 1000),
                step=50,
                rust_timeout=int(TICK_SECONDS * 1000),
                yield_on_timeout=True,
                stop_event=stop,
                raise_interrupt=False,
            ):
                yield {Path(path) for _, path in changes}
                if _identity(inbox) != watched:
                    break
        except (OSError, RuntimeError) as error:
            log.warning("no change events (%s); scanning instead", type(error).__name__)
            yield None
            stop.wait(settings.poll_seconds)
