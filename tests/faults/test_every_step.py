"""Faults at every step, on SQLite and PostgreSQL side by side: nothing is lost, and nothing done twice.

A short run of what ``python -m benchmarks.faults`` does a thousand times. Here each round arms many points at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.faults.catalogue import FAULTS, POINTS, WATCHER, WORKER, Fault
from benchmarks.faults.home import Home
from benchmarks.faults.planting import Point
from benchmarks.faults.rounds import Outcome, at_rest, play
from triage.schema import is_current

pytestmark = pytest.mark.timeout(420)
IMAGES = 60


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory, pinned_model: Path | None) -> Iterator[list[Home]]:
    """A running stack on each kind of database."""
    folder = tmp_path_factory.mktemp("faults")
    found = [
        Home(folder / database, POINTS, database, seed, model=pinned_model)
        for seed, database in enumerate(("sqlite", "postgresql"))
    ]
    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(Home.start, found))
        yield found
    finally:
        for home in found:
            home.close()


def on_both(homes: list[Home], name: str, *faults: Fault) -> list[Outcome]:
    def on_one(home: Home) -> list[Outcome]:
        befalls = [fault for fault in faults if fault.database in (None, home.database)]
        return [play(home, fault, f"{name}-{n}", images=IMAGES) for n, fault in enumerate(befalls)]

    with ThreadPoolExecutor() as pool:
        return [outcome for outcomes in pool.map(on_one, homes) for outcome in outcomes]


def planted(act: str, process: str, title: str = "killed at each step") -> Fault:
    """All faults of the catalogue that befall one kind of process in this way, one after the other in one round."""
    points: dict[Point, None] = {}
    for fault in FAULTS:
        for point, wanted in fault.planted:
            if wanted == act and point.process == process:
                points[point] = None
    return Fault(title, tuple((point, act) for point in points))  # type: ignore[arg-type]


def titled(*titles: str) -> list[Fault]:
    found = [fault for fault in FAULTS if fault.title in titles]
    assert len(found) == len(titles)
    return found


def assert_clean(outcomes: list[Outcome]) -> None:
    assert [outcome.record for outcome in outcomes if not outcome.is_clean] == []


def test_a_watcher_that_is_killed_at_each_of_its_steps_loses_nothing(homes: list[Home]) -> None:
    fault = planted("kill", WATCHER)
    # A lease that the sweep gives back needs a worker that is lost.
    lost = next(fault.planted[0] for fault in FAULTS if fault.title == "child killed after the lease")
    outcomes = on_both(homes, "watcher", Fault(fault.title, (lost, *fault.planted)))
    assert_clean(outcomes)
    assert [outcome.strikes for outcome in outcomes] == [14, 14]


def test_a_worker_that_is_killed_at_each_of_its_steps_loses_nothing(homes: list[Home]) -> None:
    outcomes = on_both(homes, "worker", planted("kill", WORKER))
    assert_clean(outcomes)
    assert [outcome.strikes for outcome in outcomes] == [9, 9]


def test_disks_that_fail_databases_that_are_locked_and_children_that_hang_lose_nothing(homes: list[Home]) -> None:
    acts = [(act, process) for act in ("disk_full", "disk_error", "database_locked") for process in (WATCHER, WORKER)]
    every = [strike for act, process in acts for strike in planted(act, process).planted]
    assert len(every) == 9
    outcomes = on_both(homes, "failing", Fault("failing", tuple(every)), *titled("child stopped at work (SIGSTOP)"))
    assert_clean(outcomes)


def test_redis_and_databases_that_are_restarted_or_emptied_lose_nothing(homes: list[Home]) -> None:
    outcomes = on_both(
        homes,
        "servers",
        *titled("Redis killed", "Redis flushed", "database server restarted", "database server crashed (kill -9)"),
    )
    assert_clean(outcomes)


def test_a_database_that_is_migrated_while_a_worker_runs_loses_nothing(homes: list[Home]) -> None:
    outcomes = on_both(homes, "migrated", *titled("database migrated to another release's schema and back"))
    assert_clean(outcomes)
    assert [is_current(home.engine) for home in homes] == [True, True]


def test_everything_that_is_killed_at_once_and_started_again_goes_on(homes: list[Home]) -> None:
    assert_clean(on_both(homes, "all", *titled("everything killed during the shutdown")))
    # Of all that was dropped in this module.
    assert [at_rest(home) for home in homes] == [[], []]
