"""A stack that a benchmark runs: ``triage up``, as a process of its own on a home of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from sqlalchemy import Engine, func, select

from triage.database import open_database, reading_sessions
from triage.records import Image

_PASSED_ON = ("TRIAGE_MODEL", "TRIAGE_RUNTIME")


@dataclass(frozen=True)
class Running:
    """A stack that is ready.

    Attributes:
        home: its home.
        process: the supervisor.
        engine: its database, to look into.
        ready_seconds: from the start of the command until it said so.
    """

    home: Path
    process: subprocess.Popen[bytes]
    engine: Engine
    ready_seconds: float

    def check(self) -> None:
        """Nothing can be measured of a stack that has ended.

        Raises:
            RuntimeError: it has.
        """
        if self.process.poll() is not None:
            raise RuntimeError("the stack ended early")

    def count(self, *statuses: str) -> int:
        """Images that have one of these statuses; without one, all."""
        query = select(func.count()).select_from(Image)
        if statuses:
            query = query.where(Image.status.in_(statuses))
        with reading_sessions(self.engine)() as session:
            return session.scalar(query) or 0

    def memory(self) -> dict[str, int]:
        """Resident bytes of the largest process of each kind: worker child, decoder, watcher, redis."""
        found: dict[str, int] = {}
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                parent = process.parent()
                kind = _kind(process.cmdline(), [] if parent is None else parent.cmdline())
                found[kind] = max(found.get(kind, 0), process.memory_info().rss)
            except psutil.Error:
                continue
        return found


def _kind(words: list[str], parent: list[str]) -> str:
    if "triage.codec_process" in words:
        return "decoder"
    if "celery" in words:
        return "worker child" if "celery" in parent else "worker"
    if any("redis-server" in word for word in words[:1]):
        return "redis"
    return "watcher" if "watcher" in words else "other"


@contextmanager
def running_stack(home: Path, settings: Mapping[str, object], *, dashboard: bool = False) -> Iterator[Running]:
    """Start the stack, wait until it is ready, and stop it in the end as Ctrl-C does.

    Args:
        home: where its state is to lie; its log lies beside it.
        settings: by their names without ``TRIAGE_``. Of what the caller's environment sets only the model is passed on:
            a clinic's inbox is no place for a benchmark.
        dashboard: whether it has one.

    Raises:
        RuntimeError: it did not start; the message quotes its log.
    """
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("TRIAGE_") or name in _PASSED_ON
    }
    environment |= {f"TRIAGE_{name.upper()}": str(value) for name, value in settings.items()}
    environment["TRIAGE_HOME"] = str(home)
    command = [
        sys.executable,
        "-c",
        "from triage.cli import main; main()",
        "up",
        "--dashboard" if dashboard else "--no-dashboard",
    ]
    said = home.with_name(f"{home.name}.log")
    began = time.perf_counter()
    with said.open("w") as log:
        process = subprocess.Popen(command, env=environment, stderr=log, stdout=log)
    try:
        while "ready after" not in said.read_text():
            if process.poll() is not None:
                raise RuntimeError(f"the stack did not start:\n{said.read_text()}")
            time.sleep(0.02)
        ready_seconds = time.perf_counter() - began
        engine = open_database(str(settings.get("database_url") or f"sqlite:///{home / 'triage.sqlite3'}"))
        try:
            yield Running(home, process, engine, ready_seconds)
        finally:
            engine.dispose()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()
