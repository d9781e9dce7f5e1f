"""``triage up``: it stops with all that it started, runs once on a home, and survives a power cut."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from triage_command import Running, TriageCommand
from waiting import wait_until
from xray_files import jpeg, many_jpegs

SHORT_LEASES = {
    "TRIAGE_SOFT_TIME_LIMIT_SECONDS": "3",
    "TRIAGE_HARD_TIME_LIMIT_SECONDS": "4",
    "TRIAGE_LEASE_SECONDS": "5",
    "TRIAGE_VISIBILITY_TIMEOUT_SECONDS": "6",
    "TRIAGE_SWEEP_SECONDS": "0.3",
    "TRIAGE_REPUBLISH_SECONDS": "2",
    "TRIAGE_IMAGES_PER_MESSAGE": "2",
}


@pytest.fixture
def triage(tmp_path: Path, pinned_model: Path | None) -> Iterator[TriageCommand]:
    found = TriageCommand(tmp_path, pinned_model, dict(SHORT_LEASES))
    yield found
    found.end_all()


def start(triage: TriageCommand) -> Running:
    found = triage.start("up", "--no-dashboard")
    found.wait_until_it_says("ready after")
    return found


def counts(triage: TriageCommand) -> dict[str, int]:
    found: dict[str, int] = json.loads(triage.run("status", "--json").stdout)["counts"]
    return found


def put(folder: Path, files: list[bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(files):
        (folder / f".{number}").write_bytes(data)
        (folder / f".{number}").rename(folder / f"{number}.jpg")


@pytest.mark.parametrize(
    ("number", "status"),
    [
        pytest.param(signal.SIGINT, 130, id="Ctrl-C"),
        pytest.param(signal.SIGHUP, 0, id="terminal closed"),
    ],
)
def test_up_stops_cleanly_and_leaves_no_process(triage: TriageCommand, number: int, status: int) -> None:
    up = start(triage)
    assert len(triage.processes()) >= 4
    up.process.send_signal(number)
    assert up.end() == status
    assert triage.processes() == []
    assert "Traceback" not in up.said
    assert up.said.rstrip().endswith("stopped; what is queued goes on at the next start")


def test_up_that_is_stopped_while_it_starts_leaves_no_process(triage: TriageCommand) -> None:
    up = triage.start("up", "--no-dashboard")
    wait_until(lambda: len(triage.processes()) >= 3, "the first processes run")
    up.interrupt()
    assert up.end() == 130
    assert triage.processes() == []
    assert "Traceback" not in up.said


def test_a_running_stack_is_used_by_the_other_commands_and_runs_once_only(
    triage: TriageCommand, tmp_path: Path
) -> None:
    up = start(triage)
    second = triage.run("up", "--no-dashboard")
    assert second.returncode == 1
    assert f"triage already runs on {triage.home}" in second.stderr

    (tmp_path / "wrist.jpg").write_bytes(jpeg(1))
    running = len(triage.processes())
    once = triage.run("once", "wrist.jpg", "--json")
    assert (once.returncode, len(json.loads(once.stdout))) == (0, 1)
    assert len(triage.processes()) == running

    assert triage.run("status").returncode == 0
    doctor = triage.run("doctor")
    assert {line.split()[0] for line in doctor.stdout.splitlines()} == {"ok"}
    assert doctor.returncode == 0
    up.process.terminate()
    assert up.end() == 0
    assert triage.processes() == []


def test_up_on_a_port_that_is_taken_says_so(triage: TriageCommand) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = triage.run("up", "--port", str(taken.getsockname()[1]))
    assert result.returncode == 3
    assert "is in use; name another with --port" in result.stderr


def test_once_that_is_interrupted_leaves_no_process_and_loses_no_image(triage: TriageCommand, tmp_path: Path) -> None:
    put(tmp_path / "given", many_jpegs(400))
    once = triage.start("once", "given")
    log = triage.home / "run" / "once.log"
    wait_until(lambda: log.exists() and " ready." in log.read_text(), "the worker is ready")
    wait_until(lambda: sum(counts(triage).values()) > 0, "files are taken in")
    once.interrupt()
    assert once.end() == 130
    assert triage.processes() == []
    assert "Traceback" not in once.said
    found = counts(triage)
    assert found["done"] + found["queued"] == sum(found.values())
    assert len(list((tmp_path / "given").iterdir())) == 400


def test_once_goes_on_when_the_one_whose_workers_it_used_is_interrupted(triage: TriageCommand, tmp_path: Path) -> None:
    put(tmp_path / "many", many_jpegs(1200))
    put(tmp_path / "few", many_jpegs(10, seed=3))
    first = triage.start("once", "many")
    wait_until(lambda: (triage.home / "triage.sqlite3").exists() and counts(triage)["done"] > 0, "the first works")
    second = triage.start("once", "few")
    wait_until(lambda: sum(counts(triage).values()) == 1210, "both have taken in all of theirs", seconds=60)
    first.interrupt()

    assert first.end() == 130
    assert second.end() == 0
    assert triage.processes() == []


def test_after_a_power_cut_every_file_is_accounted_for(triage: TriageCommand) -> None:
    start(triage)
    put(triage.home / "inbox" / "first", many_jpegs(60))
    wait_until(lambda: 0 < counts(triage)["done"] < 60, "some are done")
    triage.end_all()
    put(triage.home / "inbox" / "second", many_jpegs(5, seed=2))

    start(triage)
    wait_until(lambda: counts(triage)["done"] == 65, "all are done")
    assert sum(counts(triage).values()) == 65
    assert [path for path in (triage.home / "inbox").rglob("*") if path.is_file()] == []


def test_what_a_killed_supervisor_left_running_is_ended_by_the_next_start(triage: TriageCommand) -> None:
    up = start(triage)
    up.process.kill()
    up.process.wait()
    orphans = {process.pid for process in triage.processes()}
    assert len(orphans) >= 3
    again = start(triage)
    assert not orphans & {process.pid for process in triage.processes()}
    assert "was left running by an earlier start that was killed" in again.said
    put(triage.home / "inbox", many_jpegs(3))
    wait_until(lambda: counts(triage)["done"] == 3, "all are done")
