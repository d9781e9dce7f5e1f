"""A worker that runs goes over to a promoted model, and the open worklist with it: real processes throughout."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bundles import copy_bundle, make_active, spoil
from live_stack import LiveStack, running, settle
from triage_command import TRIAGE
from waiting import wait_until
from xray_files import jpeg, many_jpegs

from triage.stack import environment_of
from triage.store import Store


@pytest.fixture
def stack(tmp_path: Path, model_path: Path) -> Iterator[LiveStack]:
    settings = settle(tmp_path / "home", workers=2, images_per_message=2, republish_seconds=2.0)
    for version in ("own-1", "own-2"):
        copy_bundle(model_path, settings.models_dir, version)
    make_active(settings.models_dir, "own-1")
    with running(settings) as found:
        yield found


def triage(stack: LiveStack, *arguments: str) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(
        [TRIAGE, *arguments],
        capture_output=True, text=True, env=environment_of(stack.settings) | {"PATH": str(Path(sys.executable).parent)},
        cwd=stack.settings.home_dir, timeout=120,
    )  # fmt: skip
    assert "Traceback" not in result.stderr, result.stderr
    return result


def versions(stack: LiveStack, names: list[str]) -> set[str]:
    return {record["model_version"] for name in names if (record := stack.record(name))}


def test_a_running_worker_takes_the_promoted_model_and_rescore_brings_the_worklist_over(stack: LiveStack) -> None:
    names = stack.drop_all(many_jpegs(7))
    for name in names:
        stack.finished(name)
    assert versions(stack, names) == {"own-1"}
    children = {child.pid for child in stack.worker_children()}

    promoted = triage(stack, "model", "promote", "own-2", "--force", "a test")
    assert promoted.returncode == 0, promoted.stderr
    stack.drop("after.jpg", jpeg(50))
    assert stack.finished("after.jpg")["model_version"] == "own-2"
    assert versions(stack, names) == {"own-1"}

    lost = stack.record(names[0])
    assert lost is not None
    Store(stack.settings.home_dir).original(lost["sha256"]).unlink()
    result = triage(stack, "rescore")
    assert (result.returncode, result.stdout) == (1, "6 images were classified again, by own-2\n")
    assert "1 keep what they had: original_missing" in result.stderr
    assert versions(stack, names[1:]) == {"own-2"}
    assert stack.record(names[0]) == lost
    assert stack.events(names[1])[-1] == "rescored"
    assert {child.pid for child in stack.worker_children()} == children
    assert "model own-2 takes over from own-1" in stack.log

    assert triage(stack, "model", "rollback").returncode == 0
    sent = triage(stack, "rescore", "--no-wait")
    assert (sent.returncode, sent.stdout) == (0, "7 images were sent to the workers, for own-1\n")
    back = [*names[1:], "after.jpg"]
    wait_until(lambda: versions(stack, back) == {"own-1"}, "all are back at own-1")
    assert "Traceback" not in stack.log


def test_a_damaged_model_is_not_promoted_and_a_pointer_to_it_stops_no_worker(stack: LiveStack) -> None:
    spoil(stack.settings.models_dir / "own-2")
    refused = triage(stack, "model", "promote", "own-2", "--force", "a test")
    assert refused.returncode == 1
    assert "is not the file that training wrote" in refused.stderr
    make_active(stack.settings.models_dir, "own-2")  # by hand, past every check
    for number, data in enumerate(many_jpegs(4, seed=3)):
        stack.drop(f"{number}.jpg", data)
    assert {stack.finished(f"{number}.jpg")["model_version"] for number in range(4)} == {"own-1"}
    assert 1 <= stack.log.count("the active model cannot be used, own-1 stays in use") <= 2  # once a child


def classified_and_out_of_date(stack: LiveStack) -> list[str]:
    """Four images that another model than the active one has classified, and workers that stand still."""
    names = stack.drop_all(many_jpegs(4))
    for name in names:
        stack.finished(name)
    make_active(stack.settings.models_dir, "own-2")
    for child in stack.worker_children():
        child.suspend()
    return names


def test_rescored_images_that_a_flushed_broker_lost_go_out_again(stack: LiveStack) -> None:
    names = classified_and_out_of_date(stack)
    command = subprocess.Popen(
        [TRIAGE, "rescore"], env=environment_of(stack.settings) | {"TRIAGE_IMAGES_PER_MESSAGE": "1"},
        cwd=stack.settings.home_dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    client = stack.redis()
    wait_until(lambda: client.llen("folder") == 2 and client.hlen("unacked") == 2, "two messages are out, and two wait")
    client.flushall()
    for child in stack.worker_children():
        child.resume()
    out, err = command.communicate(timeout=120)
    assert (command.returncode, out) == (0, "4 images were classified again, by own-2\n"), err
    assert versions(stack, names) == {"own-2"}


def test_ctrl_c_ends_the_command_and_the_workers_go_on(stack: LiveStack) -> None:
    names = classified_and_out_of_date(stack)
    command = subprocess.Popen(
        [TRIAGE, "rescore"], env=environment_of(stack.settings), cwd=stack.settings.home_dir,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    client = stack.redis()
    wait_until(lambda: client.llen("folder") + client.hlen("unacked") == 2, "the messages are out")
    command.send_signal(signal.SIGINT)
    out, err = command.communicate(timeout=60)
    assert (command.returncode, out) == (130, "")
    assert "Traceback" not in err
    for child in stack.worker_children():
        child.resume()
    wait_until(lambda: versions(stack, names) == {"own-2"}, "what was sent is worked on")
