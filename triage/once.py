"""``triage once``: put files through the queue that the folder uses, wait, and hand back their records."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.progress import Progress
from sqlalchemy import Engine

from triage import queries
from triage.arrivals import find_files
from triage.broker import Publisher, children_alive
from triage.bundle import find_bundle, open_bundle
from triage.database import open_database, reading_sessions
from triage.export import record_of
from triage.intake import Arrival, Intake
from triage.settings import Settings
from triage.stack import START_SECONDS, AlreadyRunning, PartMissing, hold_home, is_running, prepare_home, specs_for
from triage.supervisor import StartFailed, Supervisor

LOT = 32
POLL_SECONDS = 0.1
NO_WORKER_SECONDS = 60.0
LOOK_SECONDS = 1.0


def gather(paths: Sequence[Path]) -> list[Arrival]:
    """The files to take: a file as it is, a folder with every file in it at any depth.

    Raises:
        FileNotFoundError: a path is not there.
    """
    arrivals = []
    for path in paths:
        if not os.path.lexists(path):
            raise FileNotFoundError(f"there is nothing at {path}")
        if path.is_dir() and not path.is_symlink():
            found = sorted(find_files(path))
            arrivals += [Arrival(entry, str(entry.relative_to(path)), keep=True) for entry in found]
        else:
            arrivals.append(Arrival(path, path.name, keep=True))
    return arrivals


def run_once(settings: Settings, arrivals: Sequence[Arrival], progress: Progress) -> list[dict[str, Any]]:
    """Admit copies of the files, wait until each is done or quarantined, and return their records, ranked.

    Raises:
        PartMissing: what is needed could not be started, or nobody works on the images.
        BundleError: there is no usable model.
    """
    prepare_home(settings)
    engine = open_database(settings.database)
    try:
        with _workers_for(settings) as own, Intake(settings, engine, "once", Publisher(settings).publish) as intake:
            intake_bar = progress.add_task("taking in", total=len(arrivals))
            ids: set[int] = set()
            for start in range(0, len(arrivals), LOT):
                lot = arrivals[start : start + LOT]
                ids |= {admission.image_id for admission in intake.admit(lot) if admission}
                progress.advance(intake_bar, len(lot))
            waiting_bar = progress.add_task("classifying", total=len(ids))

            def tell(waiting: int) -> None:
                progress.update(waiting_bar, completed=len(ids) - waiting)

            pending = _wait(settings, engine, ids, own, tell)
        while pending:  # whoever ran the workers that were used here has ended
            with _workers_for(settings) as own:
                pending = _wait(settings, engine, pending, own, tell)
        with reading_sessions(engine)() as session:
            return [record_of(image) for image in queries.images_by_id(session, sorted(ids))]
    finally:
        engine.dispose()


@contextlib.contextmanager
def _workers_for(settings: Settings) -> Iterator[bool]:
    """Use the workers that run on this home (False), or start some for as long as this lasts (True)."""
    if _workers_are_there(settings):
        yield False
        return
    open_bundle(find_bundle(settings))  # without a model, a worker would start and classify nothing
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(hold_home(settings))
        except AlreadyRunning:  # somebody was quicker
            yield False
            return
        held.enter_context(_own_workers(settings))
        yield True


def _workers_are_there(settings: Settings) -> bool:
    return is_running(settings) or (settings.broker_url is not None and children_alive(settings) > 0)


@contextlib.contextmanager
def _own_workers(settings: Settings) -> Iterator[None]:
    with (settings.home_dir / "run" / "once.log").open("w") as log:
        supervisor = Supervisor(
            specs_for(settings, dashboard=False, watch=False), settings.home_dir / "run" / "pids.json", log
        )
        keeper = threading.Thread(target=supervisor.keep, daemon=True)
        for number in (signal.SIGTERM, signal.SIGHUP):  # end as Ctrl-C does: what was started here is stopped
            signal.signal(number, _end)
        try:
            try:
                supervisor.start(START_SECONDS, together_after=0 if settings.broker_url else 1)
            except StartFailed as error:
                raise PartMissing(str(error)) from error
            keeper.start()
            yield
        finally:
            supervisor.request_stop()
            if keeper.is_alive():
                keeper.join()
            supervisor.stop()


def _end(number: int, _: object) -> None:
    sys.exit(128 + number)


def _wait(settings: Settings, engine: Engine, ids: set[int], own: bool, tell: Callable[[int], None]) -> set[int]:
    """Wait until none of ``ids`` waits any more; those that do when the workers of somebody else have ended."""
    pending = set(ids)
    last_life = last_look = time.monotonic()
    sessions = reading_sessions(engine)
    while True:
        with sessions() as session:
            pending = queries.still_waiting(session, pending)
        tell(len(pending))
        if not pending:
            return pending
        now = time.monotonic()
        if now - last_look > LOOK_SECONDS:
            last_look = now
            if not own and not _workers_are_there(settings):
                return pending
            if children_alive(settings):
                last_life = now
        if now - last_life > NO_WORKER_SECONDS:
            raise PartMissing(
                f"no worker answers; {len(pending)} images stay queued and are classified once one runs (`triage up`)"
            )
        time.sleep(POLL_SECONDS)
