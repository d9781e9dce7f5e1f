"""A worker child goes over to a promoted version between two messages; no model is loaded here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bundles import make_active

import triage.settings
from triage.bundle import BundleError, find_bundle
from triage.settings import Settings
from worker.active import ActiveClassifier


@dataclass
class Loader:
    """Loads nothing, and counts; what it is told to is broken."""

    loaded: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    def __call__(self, settings: Settings) -> Any:
        path = find_bundle(settings)
        self.loaded.append(path.name)
        if path.name in self.broken:
            raise BundleError(f"{path.name} is broken")
        return SimpleNamespace(bundle=SimpleNamespace(version=path.name, path=path))


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    shipped = tmp_path / "shipped"
    monkeypatch.setattr(triage.settings, "BUNDLES_DIR", shipped)
    for folder, version in (
        (shipped, "old"),
        (tmp_path / "home" / "models", "new"),
        (tmp_path / "home" / "models", "newer"),
    ):
        (folder / version).mkdir(parents=True)
    make_active(shipped, "old")
    return Settings(_env_file=None, home=tmp_path / "home")


def version_in_use(active: ActiveClassifier) -> str:
    return active.current().bundle.version


def test_a_promoted_version_is_loaded_once(settings: Settings) -> None:
    loader = Loader()
    active = ActiveClassifier(settings, loader)
    assert [version_in_use(active) for _ in range(2)] == ["old", "old"]
    make_active(settings.models_dir, "new")
    assert [version_in_use(active) for _ in range(3)] == ["new"] * 3
    make_active(settings.models_dir, "newer")
    assert version_in_use(active) == "newer"
    assert loader.loaded == ["old", "new", "newer"]


def test_the_same_version_written_again_is_not_loaded_again(settings: Settings) -> None:
    loader = Loader()
    active = ActiveClassifier(settings, loader)
    make_active(settings.models_dir, "old")
    assert version_in_use(active) == "old"
    assert loader.loaded == ["old"]


def test_a_broken_version_is_logged_once_and_the_one_that_works_stays(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    loader = Loader(broken={"new"})
    active = ActiveClassifier(settings, loader)
    make_active(settings.models_dir, "new")
    assert [version_in_use(active) for _ in range(3)] == ["old"] * 3
    assert caplog.text.count("the active model cannot be used, old stays in use: new is broken") == 1
    make_active(settings.models_dir, "newer")
    assert version_in_use(active) == "newer"


def test_an_interruption_of_the_loading_leaves_it_to_the_next_message(settings: Settings) -> None:
    loader = Loader()
    active = ActiveClassifier(settings, loader)
    make_active(settings.models_dir, "new")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loader, "__call__", interrupted)
        with pytest.raises(TimeoutExpired):
            active.current()
    assert version_in_use(active) == "new"


class TimeoutExpired(Exception):
    """Stands for the soft time limit."""


def interrupted(*_: object) -> None:
    raise TimeoutExpired


def test_a_pointer_to_nothing_changes_nothing(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    active = ActiveClassifier(settings, Loader())
    make_active(settings.models_dir, "gone")
    assert version_in_use(active) == "old"
    assert "The active model gone is not in" in caplog.text


def test_a_pinned_model_is_never_exchanged(settings: Settings) -> None:
    pinned = settings.model_copy(update={"model": settings.models_dir / "newer"})
    active = ActiveClassifier(pinned, Loader())
    make_active(settings.models_dir, "new")
    assert version_in_use(active) == "newer"


def test_without_a_usable_model_there_is_no_classifier(settings: Settings) -> None:
    with pytest.raises(BundleError, match="old is broken"):
        ActiveClassifier(settings, Loader(broken={"old"}))
