"""How long a broker that was away is missed: Redis is stopped for a while, and started again.

``python -m benchmarks.reconnect`` runs ``triage up`` with its ordinary settings against a Redis of its own. For each
outage it stops Redis, puts files into the inbox and uploads one, sees when they are admitted, starts Redis again, and
measures when the first image is taken and when all are done. Prints a table to stderr and JSON to stdout.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, func, select

from benchmarks.faults.home import wait_until
from benchmarks.pictures import write_pictures
from benchmarks.running import running_stack
from triage.broker import Publisher, broker_url, connect
from triage.database import reading_sessions
from triage.intake import Intake
from triage.records import DONE, QUEUED, AuditEvent, Image
from triage.settings import Settings
from triage.stack import redis_spec

FILES = 12
console = Console(stderr=True)


class Redis:
    """A Redis that can be stopped and started; what it held is there again."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self._settings = settings
        self._log = log
        self.start()

    def start(self) -> float:
        """Start it, and wait until it answers; when that was, in seconds since the epoch."""
        with self._log.open("a") as log:
            command = list(redis_spec(self._settings).command)
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

        def answers() -> bool:
            try:
                with connect(self._settings) as client:
                    return bool(client.ping())
            except OSError:
                return False
            except Exception:  # noqa: BLE001 - still loading, or not there yet
                return False

        wait_until(answers, "Redis answers", every=0.01)
        return time.time()

    def stop(self) -> None:
        """Stop it well."""
        self._process.terminate()
        self._process.wait()


def _count(engine: Engine, after: int, *statuses: str) -> int:
    with reading_sessions(engine)() as session:
        query = select(func.count()).select_from(Image).where(Image.id > after, Image.status.in_(statuses))
        return session.scalar(query) or 0


def outage(redis: Redis, settings: Settings, engine: Engine, seconds: float, files: list[Path]) -> dict[str, Any]:
    """Stop Redis for so many seconds; what was admitted meanwhile, and how soon it was worked on afterwards."""
    with reading_sessions(engine)() as session:
        last = session.scalar(select(func.max(Image.id))) or 0
    redis.stop()
    began = time.time()
    for path in files[1:]:
        path.rename(settings.inbox_dir / path.name)
    with Intake(settings, engine, "upload", Publisher(settings).publish) as intake:
        upload = intake.admit_bytes(files[0].read_bytes(), files[0].name)
    upload_seconds = time.time() - began
    time.sleep(max(0.0, began + seconds - time.time()))
    admitted = _count(engine, last, QUEUED)
    back = redis.start()
    wait_until(lambda: _count(engine, last, DONE) == len(files), "all are done", 300.0, every=0.1)
    with reading_sessions(engine)() as session:
        taken = session.scalar(
            select(func.min(AuditEvent.at)).where(AuditEvent.image_id > last, AuditEvent.event == "leased")
        )
        done = session.scalar(select(func.max(Image.finished_at)).where(Image.id > last))
    assert taken is not None
    assert done is not None
    return {
        "outage_seconds": seconds,
        "files": len(files),
        "admitted_during_outage": admitted,
        "upload_said": upload.status,
        "upload_seconds": round(upload_seconds, 2),
        "first_taken_seconds": round(taken.timestamp() - back, 2),
        "all_done_seconds": round(done.timestamp() - back, 2),
    }


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser("python -m benchmarks.reconnect", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seconds", type=float, nargs="+", default=[1.0, 30.0, 120.0], help="outages")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="triage-reconnect-") as name:
        folder = Path(name)
        (folder / "home" / "run").mkdir(parents=True)
        private = Settings(home=folder / "home", _env_file=None)
        redis = Redis(private, folder / "redis.log")
        settings = Settings(home=folder / "home", broker_url=broker_url(private), _env_file=None)
        results = []
        try:
            with running_stack(settings.home_dir, {"broker_url": settings.broker_url}) as stack:
                write_pictures(folder / "pictures", FILES * len(asked.seconds), 1)
                pictures = sorted((folder / "pictures").iterdir())
                for number, seconds in enumerate(asked.seconds):
                    files = pictures[number * FILES : (number + 1) * FILES]
                    results.append(outage(redis, settings, stack.engine, seconds, files))
                    console.print(results[-1])
        finally:
            redis.stop()
    table = Table(*results[0])
    for result in results:
        table.add_row(*(str(value) for value in result.values()))
    console.print(table)
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
