"""Another model version by way of a process of its own, as the dashboard asks for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from bundles import add_images, copy_bundle, held_out, labels_of, make_active, spoil
from sqlalchemy import Engine, select

from triage import switching
from triage.bundle import find_bundle
from triage.database import reading_sessions
from triage.records import AuditEvent
from triage.settings import Settings
from triage.switching import Answer, Request, switch


def own(settings: Settings, model_path: Path, version: str, right: int) -> Path:
    """A bundle of the clinic's own; so many of 60 held-out images are right."""
    bundle = copy_bundle(model_path, settings.models_dir, version)
    add_images(bundle, held_out(labels_of(bundle), right, 60 - right))
    return bundle


def test_compared_promoted_and_gone_back_by_a_person(
    settings: Settings, sqlite_engine: Engine, model_path: Path
) -> None:
    own(settings, model_path, "old-1", 40), own(settings, model_path, "new-1", 30)
    make_active(settings.models_dir, "old-1")

    tried = switch(settings, Request("preview", "Ada", "new-1"))
    assert (tried.outcome, tried.before, tried.after) == ("tried", "old-1", "new-1")
    assert tried.comparison is not None
    assert (tried.comparison.images, tried.comparison.top_1.candidate) == (60, 0.5)
    assert str(tried.objection).startswith("new-1 is worse than old-1 on the same 60 held-out images")
    assert find_bundle(settings).name == "old-1"

    done = switch(settings, Request("promote", "Ada", "new-1", "on purpose", expected="old-1"))
    assert (done.outcome, done.before, done.after) == ("switched", "old-1", "new-1")
    assert find_bundle(settings).name == "new-1"
    back = switch(settings, Request("roll_back", "Grace", expected="new-1"))
    assert (back.outcome, back.before, back.after) == ("switched", "new-1", "old-1")
    assert find_bundle(settings).name == "old-1"

    with reading_sessions(sqlite_engine)() as session:
        trail = [(event.actor, event.event, event.detail["reason"]) for event in session.scalars(select(AuditEvent))]
    assert trail == [("Ada", "model_promoted", "on purpose"), ("Grace", "model_rolled_back", None)]


def test_a_refusal_comes_in_its_own_words(settings: Settings, sqlite_engine: Engine, model_path: Path) -> None:
    spoil(own(settings, model_path, "new-1", 30))
    found = switch(settings, Request("preview", "Ada", "new-1"))
    assert found.outcome == "refused"
    assert str(found.message).startswith("new-1 is damaged: ")


def test_a_process_that_does_not_answer_has_failed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switching, "LONGEST_SECONDS", 0.01)
    assert switch(settings, Request("roll_back", "Ada")) == Answer("failed")
