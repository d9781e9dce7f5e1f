"""Which model is in use: promoting, refusing to, and going back, with copies of the bundle that ships."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from bundles import add_images, copy_bundle, held_out, labels_of, make_active, rewrite, spoil
from clinic import LABELS, NOON
from sqlalchemy import Engine, select
from triage_command import TriageCommand

import triage.settings
from triage import promotion, queries
from triage.bundle import NoSuchVersion, find_bundle
from triage.database import reading_sessions, sessions
from triage.promotion import PromotionRefused, promote, roll_back
from triage.records import AuditEvent
from triage.settings import Settings


@pytest.fixture
def copy(settings: Settings, model_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Makes a bundle of the clinic's own: so many of 60 held-out images are right. The one that ships is active."""
    shipped = tmp_path / "shipped"
    copy_bundle(model_path, shipped, "shipped-1")
    make_active(shipped, "shipped-1")
    monkeypatch.setattr(triage.settings, "BUNDLES_DIR", shipped)

    def make(version: str, right: int | None = None, **fields: Any) -> Path:
        bundle = copy_bundle(model_path, settings.models_dir, version, **fields)
        if right is not None:
            add_images(bundle, held_out(labels_of(bundle), right, 60 - right))
        return bundle

    return make


def active(settings: Settings) -> str:
    return find_bundle(settings).name


def trail(engine: Engine) -> list[tuple[str, str | None, str]]:
    """What happened to the model: the event, from, to."""
    return [(event.event, event.detail["from"], event.detail["to"]) for event in events(engine)]


def events(engine: Engine) -> list[AuditEvent]:
    with reading_sessions(engine)() as session:
        return list(session.scalars(select(AuditEvent).where(AuditEvent.image_id.is_(None)).order_by(AuditEvent.id)))


# -- promote ---------------------------------------------------------------------------------------------------


def test_a_version_that_is_better_is_promoted_with_its_figures(settings: Settings, engine: Engine, copy: Any) -> None:
    copy("old-1", 30), copy("new-1", 40)
    make_active(settings.models_dir, "old-1")
    switch = promote(settings, engine, "new-1", clock=lambda: NOON)
    assert switch is not None
    assert (switch.before, switch.after, active(settings)) == ("old-1", "new-1", "new-1")
    (event,) = events(engine)
    assert (event.event, event.actor, event.at) == ("model_promoted", "command line", NOON)
    assert event.detail["user"]
    assert (event.detail["from"], event.detail["to"]) == ("old-1", "new-1")
    assert event.detail["comparison"]["top_1"]["difference"] == 0.16667
    assert (event.detail["objection"], event.detail["reason"]) == (None, None)
    assert promote(settings, engine, "new-1") is None
    assert len(events(engine)) == 1
    assert sorted(path.name for path in settings.models_dir.iterdir()) == [
        ".switching.lock", "ACTIVE", "new-1", "old-1",
    ]  # fmt: skip


def test_a_version_that_is_worse_is_refused_unless_forced(settings: Settings, sqlite_engine: Engine, copy: Any) -> None:
    copy("old-1", 40), copy("new-1", 39)
    make_active(settings.models_dir, "old-1")
    with pytest.raises(PromotionRefused) as refused:
        promote(settings, sqlite_engine, "new-1")
    assert str(refused.value).startswith(
        "new-1 is worse than old-1 on the same 60 held-out images: top-1 65.0% against 66.7%"
    )
    assert "`triage model promote new-1 --force REASON`" in str(refused.value)
    assert (active(settings), events(sqlite_engine)) == ("old-1", [])
    promote(settings, sqlite_engine, "new-1", force="better on hands")
    assert active(settings) == "new-1"
    (event,) = events(sqlite_engine)
    assert event.detail["reason"] == "better on hands"
    assert event.detail["objection"].startswith("new-1 is worse than old-1")


def test_what_cannot_be_compared_is_refused_unless_forced(settings: Settings, sqlite_engine: Engine, copy: Any) -> None:
    copy("new-1", 60)
    with pytest.raises(PromotionRefused, match=r"nothing to compare on: shipped-1 .* --force"):
        promote(settings, sqlite_engine, "new-1")
    promote(settings, sqlite_engine, "new-1", force="the first of our own")
    assert trail(sqlite_engine) == [("model_promoted", "shipped-1", "new-1")]


def test_other_labels_are_not_compared(settings: Settings, sqlite_engine: Engine, copy: Any) -> None:
    copy("old-1", 30)
    new = copy("new-1")
    rewrite(new, labels=[f"{label} of the hand" for label in labels_of(new)])
    add_images(new, held_out(labels_of(new), 60, 0))
    make_active(settings.models_dir, "old-1")
    with pytest.raises(PromotionRefused, match="know different labels"):
        promote(settings, sqlite_engine, "new-1")


@pytest.mark.parametrize("force", [None, "I insist"])
def test_a_bundle_that_is_damaged_is_refused_whatever_is_forced(
    settings: Settings, sqlite_engine: Engine, copy: Any, force: str | None
) -> None:
    spoil(copy("new-1"))
    with pytest.raises(PromotionRefused, match=r"new-1 is damaged: .* is not the file that training wrote"):
        promote(settings, sqlite_engine, "new-1", force)
    assert (active(settings), events(sqlite_engine)) == ("shipped-1", [])


def test_a_bundle_that_does_not_run_is_refused_whatever_is_forced(
    settings: Settings, sqlite_engine: Engine, copy: Any
) -> None:
    rewrite(copy("new-1"), labels=["one", "two"])
    with pytest.raises(PromotionRefused, match=r"new-1 does not run: .* does not have the input and output"):
        promote(settings, sqlite_engine, "new-1", "I insist")


def test_a_name_that_means_two_bundles_is_refused(settings: Settings, sqlite_engine: Engine, copy: Any) -> None:
    copy("shipped-1"), copy("new-1")
    make_active(settings.models_dir, "new-1")
    with pytest.raises(PromotionRefused, match="shipped-1 is both in"):
        promote(settings, sqlite_engine, "shipped-1", "I insist")


def test_a_folder_must_be_named_as_its_version(settings: Settings, sqlite_engine: Engine, copy: Any) -> None:
    shutil.move(copy("new-1"), settings.models_dir / "renamed-1")
    with pytest.raises(PromotionRefused, match="calls itself new-1"):
        promote(settings, sqlite_engine, "renamed-1", "I insist")


def test_a_version_that_meant_another_model_is_refused(settings: Settings, sqlite_engine: Engine, copy: Any) -> None:
    copy("new-1")
    with sessions(sqlite_engine).begin() as session:
        queries.keep_model_version(session, "new-1", "f" * 64, LABELS, NOON)
    with pytest.raises(PromotionRefused, match="another model has classified images here under the name new-1"):
        promote(settings, sqlite_engine, "new-1", "I insist")


def test_a_pinned_model_is_not_argued_with(settings: Settings, sqlite_engine: Engine, copy: Any) -> None:
    pinned = settings.model_copy(update={"model": copy("new-1")})
    for attempt in (lambda: promote(pinned, sqlite_engine, "new-1", "x"), lambda: roll_back(pinned, sqlite_engine)):
        with pytest.raises(PromotionRefused, match=r"TRIAGE_MODEL pins .* Unset it first"):
            attempt()


def test_a_version_that_is_not_there_is_not_found(settings: Settings, sqlite_engine: Engine, copy: Any) -> None:
    del copy
    with pytest.raises(NoSuchVersion):
        promote(settings, sqlite_engine, "gone-1")


def test_a_broken_pointer_is_mended_by_a_promotion(settings: Settings, sqlite_engine: Engine, copy: Any) -> None:
    copy("new-1")
    make_active(settings.models_dir, "gone-1")
    with pytest.raises(PromotionRefused, match="no usable active model"):
        promote(settings, sqlite_engine, "new-1")
    promote(settings, sqlite_engine, "new-1", "the other one was deleted")
    assert active(settings) == "new-1"


# -- roll back -------------------------------------------------------------------------------------------------


def test_rolling_back_goes_one_promotion_back_at_a_time(settings: Settings, engine: Engine, copy: Any) -> None:
    copy("one-1"), copy("two-1")
    promote(settings, engine, "one-1", "x")
    promote(settings, engine, "two-1", "x")
    assert [roll_back(settings, engine, "bad").after, roll_back(settings, engine).after] == ["one-1", "shipped-1"]
    assert active(settings) == "shipped-1"
    with pytest.raises(PromotionRefused, match="no version was active before shipped-1"):
        roll_back(settings, engine)
    assert trail(engine)[2:] == [
        ("model_rolled_back", "two-1", "one-1"), ("model_rolled_back", "one-1", "shipped-1"),
    ]  # fmt: skip
    assert events(engine)[2].detail["reason"] == "bad"


def test_who_decided_on_another_version_than_the_one_that_is_active_is_refused(
    settings: Settings, sqlite_engine: Engine, copy: Any
) -> None:
    copy("one-1"), copy("two-1")
    promote(settings, sqlite_engine, "one-1", "x", actor="Ada", expected="shipped-1")
    with pytest.raises(PromotionRefused, match="one-1 is active by now, not shipped-1: somebody was faster"):
        promote(settings, sqlite_engine, "two-1", "x", expected="shipped-1")
    assert roll_back(settings, sqlite_engine, actor="Grace", expected="one-1").after == "shipped-1"
    # Two who go back at once go back once.
    with pytest.raises(PromotionRefused, match="shipped-1 is active by now"):
        roll_back(settings, sqlite_engine, expected="one-1")
    assert active(settings) == "shipped-1"
    assert [event.actor for event in events(sqlite_engine)] == ["Ada", "Grace"]


def test_a_crash_between_the_trail_and_the_switch_leaves_the_old_version_and_can_be_mended(
    settings: Settings, sqlite_engine: Engine, copy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy("one-1"), copy("two-1")
    promote(settings, sqlite_engine, "one-1", "x")
    with monkeypatch.context() as patch:
        patch.setattr(promotion, "_write_active", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
        with pytest.raises(OSError, match="No space left"):
            promote(settings, sqlite_engine, "two-1", "x")
    assert active(settings) == "one-1"
    # The event without a switch misleads nobody: what was before one-1 is still known.
    assert roll_back(settings, sqlite_engine).after == "shipped-1"
    promote(settings, sqlite_engine, "two-1", "again")
    assert active(settings) == "two-1"


def test_what_cannot_run_any_more_is_not_gone_back_to(settings: Settings, sqlite_engine: Engine, copy: Any) -> None:
    one = copy("one-1")
    copy("two-1")
    promote(settings, sqlite_engine, "one-1", "x")
    promote(settings, sqlite_engine, "two-1", "x")
    spoil(one)
    with pytest.raises(PromotionRefused, match="one-1 is damaged"):
        roll_back(settings, sqlite_engine)
    shutil.rmtree(one)
    with pytest.raises(PromotionRefused, match="one-1, which was active before, cannot be used"):
        roll_back(settings, sqlite_engine)
    assert active(settings) == "two-1"


def test_a_version_whose_bundle_was_deleted_can_be_gone_back_from(
    settings: Settings, sqlite_engine: Engine, copy: Any
) -> None:
    one = copy("one-1")
    promote(settings, sqlite_engine, "one-1", "x")
    shutil.rmtree(one)
    assert roll_back(settings, sqlite_engine).after == "shipped-1"


# -- the command -----------------------------------------------------------------------------------------------


def test_models_are_listed_promoted_and_rolled_back(tmp_path: Path, model_path: Path) -> None:
    command = TriageCommand(tmp_path)
    models = command.home / "models"
    shipped = model_path.name
    figures = {"figures": {"top_1": {"value": 0.456}}}
    copy_bundle(model_path, models, "own-1", metrics=figures, created="2026-01-31T10:00:00+00:00")
    spoil(copy_bundle(model_path, models, "own-2"))

    assert command.run("model", "promote", "own-1").returncode == 3  # there is no database yet
    assert command.run("migrate").returncode == 0
    listed = command.run("model", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    rows = {row["version"]: row for row in json.loads(listed.stdout)}
    assert rows["own-1"] == {
        "version": "own-1", "active": False, "origin": "own", "created": "2026-01-31T10:00:00+00:00", "top_1": 0.456,
        "error": None,
    }  # fmt: skip
    assert "is not the file that training wrote" in rows["own-2"]["error"]
    assert (rows[shipped]["active"], rows[shipped]["origin"]) == (True, "shipped")
    assert rows[shipped]["top_1"] is not None

    refused = command.run("model", "promote", "own-1")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "nothing to compare on" in refused.stderr
    assert command.run("model", "promote", "own-1", "--force", " ").returncode == 2
    assert command.run("model", "promote", "own-3").returncode == 2
    assert command.run("model", "promote", "own-2", "--force", "x").returncode == 1
    assert command.run("model", "promote", "own-1", "--force", "x", TRIAGE_MODEL=str(models / "own-1")).returncode == 1
    forced = command.run("model", "promote", "own-1", "--force", "ours")
    assert (forced.returncode, forced.stdout) == (0, f"own-1 is active; it was {shipped}\n")
    again = command.run("model", "promote", "own-1")
    assert (again.returncode, again.stdout) == (0, "own-1 is active already\n")
    lines = command.run("model", "list").stdout.splitlines()
    assert [line.split()[:5] for line in lines if "own-1" in line] == [["*", "own-1", "own", "2026-01-31", "45.6%"]]
    assert json.loads(command.run("model", "show").stdout)["version"] == "own-1"
    assert json.loads(command.run("model", "show", shipped).stdout)["version"] == shipped
    assert command.run("model", "show", "own-3").returncode == 2

    back = command.run("model", "rollback", "--reason", "no good")
    assert (back.returncode, back.stdout) == (0, f"{shipped} is active; it was own-1\n")
    assert command.run("model", "rollback").returncode == 1


def test_rescore_without_a_database_or_anything_to_do(tmp_path: Path) -> None:
    command = TriageCommand(tmp_path)
    assert command.run("rescore").returncode == 3
    command.run("migrate")
    result = command.run("rescore")
    assert result.returncode == 0
    assert result.stdout.startswith("0 images were classified again, by ")
