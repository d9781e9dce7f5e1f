"""Fixtures: a sweep beside a real Redis, without worker and watcher. The test holds the clock and sees the messages.

Test modules name this in `pytest_plugins`.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
import redis
from clinic import NOON, Clinic, seconds

from triage.broker import Publisher, connect
from triage.settings import Settings
from triage.stack import redis_spec
from triage.supervisor import Supervisor
from watcher.sweep import Sweep, Swept


@pytest.fixture(scope="module")
def redis_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with a private Redis and nothing else."""
    home = tmp_path_factory.mktemp("redis")
    (home / "run").mkdir()
    with (home / "redis.log").open("w") as log:
        supervisor = Supervisor([redis_spec(Settings(home=home))], home / "run" / "pids.json", log)
        supervisor.start(30.0)
        yield home
        supervisor.stop()


@pytest.fixture
def client(redis_home: Path) -> Iterator[redis.Redis]:
    with connect(Settings(home=redis_home)) as found:
        found.flushall()
        yield found


@dataclass
class Sweeper:
    clinic: Clinic
    sweep: Sweep
    client: redis.Redis
    now: datetime = NOON

    def run(self, later: float = 0.0) -> Swept:
        self.now += seconds(later)
        return self.sweep.run()

    def messages(self, queue: str) -> list[list[int]]:
        """The ids in each waiting message, the next one first."""
        return [ids_in(raw) for raw in reversed(self.client.lrange(queue, 0, -1))]


def ids_in(raw: str) -> list[int]:
    arguments, _, _ = json.loads(base64.b64decode(json.loads(raw)["body"]))
    (ids,) = arguments
    return list(ids)


@pytest.fixture
def sweeper(clinic: Clinic, redis_home: Path, client: redis.Redis) -> Sweeper:
    shutil.rmtree(redis_home / "originals", ignore_errors=True)
    settings = clinic.settings.model_copy(update={"home": redis_home})
    sweep = Sweep(settings, clinic.engine, Publisher(settings), client, clock=lambda: found.now)
    found = Sweeper(clinic, sweep, client)
    return found
