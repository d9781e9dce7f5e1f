"""The real thing for tests: a private Redis, a Celery worker and a watcher as processes, on a home of their own."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil
import redis
from sqlalchemy import Engine, select
from waiting import wait_until

from triage import queries
from triage.broker import connect
from triage.database import open_database, reading_sessions
from triage.export import record_of
from triage.records import Image
from triage.settings import Settings
from triage.stack import prepare_home, specs_for
from triage.supervisor import Supervisor

IMPATIENT: dict[str, Any] = {
    "workers": 2,
    "quiet_seconds": 0.2,
    "poll_seconds": 0.2,
    "rescan_seconds": 1.0,
    "sweep_seconds": 0.3,
}
SHORT_LEASES: dict[str, Any] = {
    "soft_time_limit_seconds": 2,
    "hard_time_limit_seconds": 3,
    "lease_seconds": 4,
    "visibility_timeout_seconds": 5,
    "republish_seconds": 2.0,
}


def settle(home: Path, **values: Any) -> Settings:
    """Settings of an impatient clinic."""
    return Settings(home=home, **(IMPATIENT | values))


@dataclass
class LiveStack:
    """What runs on one home, and what is known there."""

    settings: Settings
    watch: bool = True
    engine: Engine = field(init=False)
    supervisor: Supervisor = field(init=False)
    _keeper: threading.Thread = field(init=False)
    _log: IO[str] = field(init=False)

    def __post_init__(self) -> None:
        prepare_home(self.settings)
        self.engine = open_database(self.settings.database)

    @property
    def log_file(self) -> Path:
        return self.settings.home_dir / "stack.log"

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def start(self) -> None:
        self._log = self.log_file.open("a")
        specs = specs_for(self.settings, dashboard=False, watch=self.watch)
        self.supervisor = Supervisor(specs, self.settings.home_dir / "run" / "pids.json", self._log)
        self.supervisor.start(60.0)
        self._keeper = threading.Thread(target=self.supervisor.keep, daemon=True)
        self._keeper.start()

    def stop(self) -> None:
        self.supervisor.request_stop()
        self._keeper.join()
        self.supervisor.stop()
        self._log.close()

    def close(self) -> None:
        self.engine.dispose()

    def drop(self, name: str, data: bytes) -> Path:
        """Put a whole file into the inbox at once."""
        arriving = self.settings.inbox_dir / f".{uuid.uuid4().hex}"
        arriving.write_bytes(data)
        target = self.settings.inbox_dir / name
        target.parent.mkdir(parents=True, exist_ok=True)
        return arriving.rename(target)

    def drop_all(self, files: Sequence[bytes], name: str = "image-{}.jpg") -> list[str]:
        """Put several files into the inbox; their names."""
        return [self.drop(name.format(number), data).name for number, data in enumerate(files)]

    def records(self) -> list[dict[str, Any]]:
        with reading_sessions(self.engine)() as session:
            return [record_of(image) for image in queries.all_ranked(session)]

    def record(self, name: str) -> dict[str, Any] | None:
        """The record of the image that came under a name."""
        return next((found for found in self.records() if name in found["source_names"]), None)

    def statuses(self) -> dict[str, str]:
        with reading_sessions(self.engine)() as session:
            return {image.source_name: image.status for image in session.scalars(select(Image))}

    def finished(self, name: str, seconds: float = 60.0) -> dict[str, Any]:
        """The record of an image, once it is done or quarantined."""

        def found() -> dict[str, Any] | None:
            record = self.record(name)
            return record if record and record["status"] in ("done", "quarantined") else None

        record = wait_until(found, f"{name!r} is finished", seconds)
        assert record is not None
        return record

    def wait_for(self, statuses: dict[str, str], seconds: float = 60.0) -> None:
        """Wait until these names have these statuses."""
        wait_until(
            lambda: statuses.items() <= self.statuses().items(),
            f"{statuses}; now { ({name: status for name, status in self.statuses().items() if name in statuses}) }",
            seconds,
        )

    def events(self, name: str) -> list[str]:
        record = self.record(name)
        assert record is not None
        with reading_sessions(self.engine)() as session:
            return [event.event for event in queries.events_of(session, record["image_id"])]

    def process(self, name: str) -> psutil.Process:
        return psutil.Process(self.supervisor.pids()[name])

    def worker_children(self) -> list[psutil.Process]:
        return [child for child in self.process("worker").children() if child.status() != psutil.STATUS_ZOMBIE]

    def redis(self) -> redis.Redis:
        return connect(self.settings)


@contextlib.contextmanager
def running(settings: Settings, *, watch: bool = True) -> Iterator[LiveStack]:
    """A started stack, stopped at the end."""
    stack = LiveStack(settings, watch)
    try:
        stack.start()
        try:
            yield stack
        finally:
            stack.stop()
    finally:
        stack.close()
