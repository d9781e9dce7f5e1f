"""Processes are killed in the middle of work: work is delayed, and none is lost."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from live_stack import SHORT_LEASES, LiveStack, running, settle
from planted_fault import PlantedFault
from waiting import wait_until
from xray_files import jpeg, many_jpegs

from triage import supervisor
from triage.settings import Settings

MakeSettings = Callable[..., Settings]


@pytest.fixture
def make_settings(tmp_path: Path, pinned_model: Path | None) -> MakeSettings:
    def make(**values: Any) -> Settings:
        return settle(tmp_path / "home", model=pinned_model, **(SHORT_LEASES | values))

    return make


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., PlantedFault]]:
    def planted(*what: Any, **more: Any) -> PlantedFault:
        fault = PlantedFault(tmp_path / "fault", *what, **more)
        fault.plant(monkeypatch)
        return fault

    return planted


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def drop_together(stack: LiveStack, files: list[bytes]) -> list[str]:
    """Drop files as one folder, so that they are admitted in one lot and share messages."""
    outside = stack.settings.home_dir / "outside"
    outside.mkdir()
    names = []
    for number, data in enumerate(files):
        (outside / f"{number}.jpg").write_bytes(data)
        names.append(f"together/{number}.jpg")
    outside.rename(stack.settings.inbox_dir / "together")
    return names


def test_a_worker_child_that_is_killed_at_work_delays_its_images_and_no_others(
    make_settings: MakeSettings, plant: Callable[..., PlantedFault]
) -> None:
    files = many_jpegs(6)
    fault = plant("worker.tasks", "Path.read_bytes", sha256(files[2]), act="wait")
    with running(make_settings(images_per_message=3)) as stack:
        names = drop_together(stack, files)
        wait_until(lambda: fault.victims, "a child works on the third image")
        os.kill(fault.victims[0], signal.SIGKILL)
        stack.wait_for(dict.fromkeys(names, "done"))
        delayed = [name for name in names if "lease_expired" in stack.events(name)]
        assert names[2] in delayed
        assert len(delayed) <= 3
        assert [stack.events(name).count("done") for name in names] == [1] * 6


def test_an_image_that_kills_its_worker_each_time_is_put_aside_and_its_neighbours_are_done(
    make_settings: MakeSettings, plant: Callable[..., PlantedFault]
) -> None:
    files = many_jpegs(8)
    fault = plant("worker.tasks", "Path.read_bytes", sha256(files[3]), times=100)
    with running(make_settings(workers=1, max_attempts=1)) as stack:
        names = drop_together(stack, files)
        killer = names.pop(3)
        stack.wait_for({killer: "quarantined", **dict.fromkeys(names, "done")}, seconds=90)
        record = stack.record(killer)
        assert record is not None
        assert record["error_code"] == "worker_crashed"
        assert "The worker was lost each time it worked on this file (1)." in record["error_detail"]
        # Once together with its neighbours, then alone.
        assert len(fault.victims) == 2


def test_an_image_that_takes_too_long_is_put_aside_and_its_neighbours_are_done(
    make_settings: MakeSettings, plant: Callable[..., PlantedFault]
) -> None:
    files = many_jpegs(4)
    plant("worker.tasks", "Path.read_bytes", sha256(files[1]), act="wait", times=100)
    limits = {"soft_time_limit_seconds": 1, "hard_time_limit_seconds": 3}
    with running(make_settings(workers=1, **limits)) as stack:
        names = drop_together(stack, files)
        slow = names.pop(1)
        stack.wait_for({slow: "quarantined", **dict.fromkeys(names, "done")})
        record = stack.record(slow)
        assert record is not None
        assert record["error_code"] == "took_too_long"


def test_a_celery_that_is_killed_is_started_again(make_settings: MakeSettings) -> None:
    with running(make_settings(images_per_message=2)) as stack:
        names = drop_together(stack, many_jpegs(30))
        wait_until(lambda: "done" in stack.statuses().values(), "work has begun")
        killed = stack.process("worker")
        children = [child.pid for child in killed.children()]
        killed.kill()
        stack.wait_for(dict.fromkeys(names, "done"))
        assert stack.supervisor.pids()["worker"] != killed.pid
        assert not set(children) & {child.pid for child in stack.worker_children()}


def test_a_redis_that_is_killed_loses_no_image(make_settings: MakeSettings) -> None:
    with running(make_settings(images_per_message=2)) as stack:
        names = drop_together(stack, many_jpegs(30))
        wait_until(lambda: "done" in stack.statuses().values(), "work has begun")
        stack.process("redis").kill()
        late = stack.drop_all(many_jpegs(3, seed=2), "late-{}.jpg")
        stack.wait_for(dict.fromkeys([*names, *late], "done"))
        assert [stack.events(name).count("done") for name in names] == [1] * 30


@pytest.mark.parametrize(
    ("at", "touching"),
    [
        pytest.param("os.link", "filing", id="after it was filed and before its row was committed"),
        pytest.param("os.unlink", "filing", id="after its row was committed and before its message went out"),
    ],
)
def test_a_watcher_that_is_killed_while_it_admits_forgets_no_file(
    make_settings: MakeSettings, plant: Callable[..., PlantedFault], at: str, touching: str
) -> None:
    fault = plant("watcher", at, f"{touching}/folder-")
    with running(make_settings()) as stack:
        names = ["Röntgen left.jpg", "room 1/two\nlines.jpg", "1~odd.jpg"]
        for number, name in enumerate(names):
            stack.drop(name, jpeg(number))
        stack.wait_for(dict.fromkeys(names, "done"))
        assert fault.victims[0] != stack.process("watcher").pid
        assert sorted(record["source_name"] for record in stack.records()) == sorted(names)
        assert [stack.events(name).count("done") for name in names] == [1] * 3
        left = [path.name for path in (stack.settings.home_dir / "filing").rglob("*") if path.is_file()]
        assert left == [".lock"]


def test_a_worker_that_runs_and_takes_nothing_is_replaced(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Long enough to start in on a busy machine.
    monkeypatch.setattr(supervisor, "STARTING_SECONDS", 15.0)
    with running(make_settings(workers=1, images_per_message=1)) as stack:
        deaf = stack.process("worker")
        # Stopped before it takes a message: no time limit ever begins.
        stack.worker_children()[0].suspend()
        names = drop_together(stack, many_jpegs(6))
        stack.wait_for(dict.fromkeys(names, "done"), seconds=120)
        assert stack.process("worker").pid != deaf.pid
        assert [stack.events(name).count("done") for name in names] == [1] * 6
    assert "worker runs, but takes no work although some waits; replacing it" in caplog.text


def test_a_broker_that_takes_connections_and_never_answers_stops_no_file_from_being_admitted(
    make_settings: MakeSettings,
) -> None:
    with running(make_settings()) as stack:
        redis = stack.process("redis")
        redis.suspend()
        try:
            names = drop_together(stack, many_jpegs(3))
            stack.wait_for(dict.fromkeys(names, "queued"))
        finally:
            redis.resume()
        stack.wait_for(dict.fromkeys(names, "done"))
