"""Workers are killed while another model version looks at what is done: nobody leaves the worklist."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from bundles import copy_bundle, make_active
from live_stack import SHORT_LEASES, LiveStack, running, settle
from planted_fault import PlantedFault
from xray_files import many_jpegs

from triage.rescore import NO_ANSWER, run_rescore
from triage.settings import Settings

FILES = many_jpegs(6)
NAMES = [f"image-{number}.jpg" for number in range(len(FILES))]


@pytest.fixture
def settings(tmp_path: Path, model_path: Path) -> Settings:
    """A home in which all images are done, and a version has been promoted since."""
    settings = settle(tmp_path / "home", **(SHORT_LEASES | {"republish_seconds": 1.0, "images_per_message": 3}))
    with running(settings) as stack:
        stack.drop_all(FILES)
        stack.wait_for(dict.fromkeys(NAMES, "done"))
    copy_bundle(model_path, settings.models_dir, "later-1")
    make_active(settings.models_dir, "later-1")
    return settings


def plant(tmp_path: Path, patch: pytest.MonkeyPatch, **more: Any) -> PlantedFault:
    touching = hashlib.sha256(FILES[2]).hexdigest()
    fault = PlantedFault(tmp_path / "fault", "worker.tasks", "Path.read_bytes", touching, **more)
    fault.plant(patch)
    return fault


def versions(stack: LiveStack) -> dict[str, str]:
    return {record["source_name"]: record["model_version"] for record in stack.records()}


def test_a_worker_that_dies_once_delays_the_rescoring(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = plant(tmp_path, monkeypatch)
    with running(settings) as stack:
        result = run_rescore(settings, lambda *_: None)
        assert (result.found, result.failed) == (6, {})
        assert len(fault.victims) == 2, "one died there, and another one came through"
        assert set(versions(stack).values()) == {"later-1"}
        assert [stack.events(name).count("rescored") for name in NAMES] == [1] * 6


def test_an_image_that_kills_each_worker_keeps_what_it_had(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = plant(tmp_path, monkeypatch, times=100)
    with running(settings) as stack:
        before = stack.record(NAMES[2])
        result = run_rescore(settings, lambda *_: None)
        assert list(result.failed.values()) == [NO_ANSWER]
        assert len(fault.victims) == 3, "in company, and twice alone"
        assert before is not None
        assert stack.record(NAMES[2]) == before
        assert {name for name, version in versions(stack).items() if version == "later-1"} == {*NAMES} - {NAMES[2]}
        assert set(stack.statuses().values()) == {"done"}
