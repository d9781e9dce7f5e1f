"""The audit: each fault that is planted is found, and nothing else; what is at work is no fault."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from clinic import Clinic, prediction
from sqlalchemy import text
from working import Busy, ask, busy, work_on
from xray_files import jpeg, many_jpegs

from triage import queries, reconcile
from triage.broker import FOLDER, TASK, UPLOADS, Publisher, broker_url
from triage.database import sessions
from triage.filing import Filing
from triage.intake import Recovered, utc_now
from triage.mismatches import ADVICE, Mismatch
from triage.reconcile import Reconciliation
from triage.settings import Settings
from triage.store import Store
from triage.worklist_entries import raise_overdue, refresh_all

pytest_plugins = ["sweeping"]

LATER = timedelta(seconds=90)


@pytest.fixture
def filled(clinic: Clinic) -> Busy:
    return busy(clinic)


def audit(clinic: Clinic, settings: Settings | None = None, **options: Any) -> list[Mismatch]:
    """What is found when nothing happens between the first look and the second."""
    options = {"wait": lambda _: None} | options
    return list(Reconciliation(settings or clinic.settings, clinic.engine, **options).run())


def found(clinic: Clinic, settings: Settings | None = None, **options: Any) -> list[tuple[str, str]]:
    return [(mismatch.code, mismatch.about) for mismatch in audit(clinic, settings, **options)]


def change(clinic: Clinic, statement: str, **values: Any) -> None:
    with clinic.engine.begin() as connection:
        connection.execute(text(statement), values)


# -- a system that is well ------------------------------------------------------------------------------------


def test_a_home_with_an_image_of_each_kind_is_well(filled: Busy) -> None:
    told: list[tuple[int, int]] = []
    looked = Reconciliation(
        filled.clinic.settings, filled.clinic.engine, lambda done, total: told.append((done, total)), wait=pytest.fail
    )
    assert list(looked.run()) == []
    assert told[-1] == (7, 7)
    assert looked.notes == ["the broker does not answer (ConnectionError), so the queue was not looked at"]


def test_a_home_where_nothing_has_come_in_is_well(clinic: Clinic) -> None:
    assert found(clinic) == []


def test_rows_are_read_in_pages(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "PAGE", 3)
    ids = [clinic.drop(f"{number}.jpg", data)["image_id"] for number, data in enumerate(many_jpegs(7))]
    Store(clinic.settings.home_dir).original(clinic.record(ids[6])["sha256"]).unlink()
    assert [code for code, _ in found(clinic)] == ["missing_original"]


def test_what_was_put_aside_for_it_already_is_no_news(filled: Busy) -> None:
    clinic = filled.clinic
    gone, changed = (clinic.drop(f"{seed}.jpg", jpeg(seed))["image_id"] for seed in (10, 11))
    (filled.home / filled.original(gone)).unlink()
    (filled.home / filled.original(changed)).write_bytes(b"was still being written")
    assert [code for code, _ in found(clinic)] == ["missing_original", "digest_differs"]
    work_on(clinic, gone, changed)
    looked = Reconciliation(clinic.settings, clinic.engine, wait=pytest.fail)
    assert list(looked.run()) == []
    assert looked.notes[-1] == "2 images were put aside because their original is gone or changed"


def test_what_is_being_taken_in_at_the_moment_is_no_orphan(clinic: Clinic) -> None:
    with clinic.intake() as intake:
        arrival = clinic.put("a.jpg", jpeg(1))
        filed = Filing(clinic.settings.home_dir, "folder")
        taken = filed.move(arrival.path, "a.jpg")
        Store(clinic.settings.home_dir).keep_original(taken)
        assert found(clinic) == []  # it is filed by a process that lives
        filed.release(taken.path)
        filed.close()
        # It has left filing, and its row comes before the second look.
        assert found(clinic, wait=lambda _: intake.admit_bytes(jpeg(1), "a.jpg")) == []


def test_an_image_that_is_finished_between_two_looks_is_well(filled: Busy) -> None:
    clinic = filled.clinic
    change(clinic, "UPDATE images SET status = 'processing' WHERE id = :id", id=filled.queued)

    def end(_: float) -> None:
        change(clinic, "UPDATE images SET status = 'queued' WHERE id = :id", id=filled.queued)
        work_on(clinic, filled.queued)

    assert found(clinic, wait=end) == []


# -- originals and renders ------------------------------------------------------------------------------------


def test_an_original_that_is_gone(filled: Busy) -> None:
    path = filled.original(filled.done)
    (filled.home / path).unlink()
    assert found(filled.clinic) == [("missing_original", f"image {filled.done}, {path}")]


def test_an_original_of_an_image_that_was_put_aside_is_kept_too(filled: Busy) -> None:
    for image_id in (filled.quarantined, filled.discarded):
        (filled.home / filled.original(image_id)).unlink()
    assert [code for code, _ in found(filled.clinic)] == ["missing_original"] * 2


def test_an_original_with_one_bit_changed(filled: Busy) -> None:
    path = filled.original(filled.queued)
    data = bytearray((filled.home / path).read_bytes())
    data[100] ^= 1
    (filled.home / path).write_bytes(data)
    assert found(filled.clinic) == [("digest_differs", f"image {filled.queued}, {path}")]


def test_a_link_in_place_of_an_original_is_not_followed(filled: Busy, tmp_path: Path) -> None:
    path = filled.original(filled.done)
    (filled.home / path).rename(tmp_path / "elsewhere")
    (filled.home / path).symlink_to(tmp_path / "elsewhere")
    assert found(filled.clinic) == [("unreadable_original", f"image {filled.done}, {path}")]


def test_an_original_without_a_row(filled: Busy) -> None:
    path = filled.home / "originals" / "ab" / ("ab" * 32)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x")
    assert found(filled.clinic) == [("orphan_original", f"originals/ab/{'ab' * 32}")]


def test_the_picture_of_a_dicom_file_that_is_gone(filled: Busy) -> None:
    path = filled.render(filled.dicom)
    (filled.home / path).unlink()
    assert found(filled.clinic) == [("missing_render", f"image {filled.dicom}, {path}")]


def test_a_picture_without_a_row(filled: Busy) -> None:
    path = filled.home / "renders" / "ab" / f"{'ab' * 32}.png"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x")
    assert found(filled.clinic) == [("orphan_render", f"renders/ab/{'ab' * 32}.png")]


@pytest.mark.parametrize("folder", ["originals", "renders"])
def test_what_a_lost_process_left_half_written(filled: Busy, folder: str) -> None:
    name = f".{'ab' * 32}{'.png' if folder == 'renders' else ''}.{'0' * 32}"
    path = filled.home / folder / "ab" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x")
    assert found(filled.clinic) == []  # it may be written at this moment
    old = (utc_now() - LATER).timestamp()
    os.utime(path, (old, old))
    assert found(filled.clinic) == [("leftover_file", f"{folder}/ab/{name}")]


def test_a_file_that_is_not_ours_is_told_without_its_name(filled: Busy) -> None:
    (filled.home / "originals" / "Smith, John.jpg").write_bytes(b"x")
    digest = filled.sha256(filled.done)
    (filled.home / "originals" / digest).write_bytes(b"the right name, in the wrong folder")
    assert found(filled.clinic) == [("foreign_file", "originals/")]


def test_files_of_a_session_that_nobody_owns(filled: Busy) -> None:
    clinic = filled.clinic
    filing = Filing(filled.home, "folder")
    taken = filing.move(clinic.put("Smith, John.jpg", jpeg(20)).path, "Smith, John.jpg")
    Store(filled.home).keep_original(taken)
    session = taken.path.parent
    assert found(clinic) == []
    filing.close()  # as it looks when its process is gone
    assert found(clinic) == [("abandoned_files", f"filing/{session.name}")]
    with clinic.intake() as intake:
        assert intake.recover() == Recovered(admitted=1)
    assert found(clinic) == []


# -- rows -----------------------------------------------------------------------------------------------------


def test_a_done_image_of_which_nothing_was_said(filled: Busy) -> None:
    change(filled.clinic, "DELETE FROM predictions WHERE image_id = :id", id=filled.done)
    assert found(filled.clinic) == [("no_prediction", f"image {filled.done}")]


@pytest.mark.parametrize("what", ["label = 'Hairline fracture'", "confidence = 0.5", "needs_review = NOT needs_review"])
def test_a_row_that_repeats_something_else(filled: Busy, what: str) -> None:
    change(filled.clinic, f"UPDATE images SET {what} WHERE id = :id", id=filled.done)
    about = f"image {filled.done}"
    assert found(filled.clinic) == [("prediction_differs", about), ("worklist_differs", about)]


@pytest.mark.parametrize(
    "what",
    ["DELETE FROM worklist WHERE image_id = :id", "UPDATE worklist SET urgency = 1 WHERE image_id = :id",
     "UPDATE worklist SET lane = 0 WHERE image_id = :id"],
)  # fmt: skip
def test_a_worklist_that_shows_something_else(filled: Busy, what: str) -> None:
    change(filled.clinic, what, id=filled.done)
    assert found(filled.clinic) == [("worklist_differs", f"image {filled.done}")]
    with sessions(filled.clinic.engine).begin() as session:
        refresh_all(session)
    assert found(filled.clinic) == []


def test_an_overdue_study_is_listed_right(filled: Busy) -> None:
    with sessions(filled.clinic.engine).begin() as session:
        assert raise_overdue(session, utc_now() + LATER, 10) > 0
    assert found(filled.clinic) == []


def test_the_newest_prediction_is_what_counts(filled: Busy) -> None:
    with sessions(filled.clinic.engine).begin() as session:
        (image,) = queries.locked_for_rescore(session, [filled.done], "v2")
        queries.keep_model_version(session, "v2", "e" * 64, ("Spiral fracture",), utc_now())
        queries.rescore(session, image, prediction(0.5, True, "v2"), actor="worker")
    assert found(filled.clinic) == []


def test_two_predictions_of_one_version(filled: Busy) -> None:
    change(filled.clinic, "ALTER TABLE predictions RENAME TO kept")
    change(filled.clinic, "CREATE TABLE predictions AS SELECT * FROM kept")
    change(
        filled.clinic,
        "INSERT INTO predictions SELECT * FROM predictions WHERE image_id = :id AND 1 = 1",
        id=filled.done,
    )
    assert found(filled.clinic) == [("double_prediction", f"image {filled.done}")]


def test_a_lease_that_no_sweep_took_back(filled: Busy) -> None:
    clinic = filled.clinic
    assert found(clinic, clock=lambda: utc_now() + timedelta(seconds=150)) == []  # a sweep may yet come
    expected = [("lease_expired", f"image {filled.processing}")]
    assert found(clinic, clock=lambda: utc_now() + timedelta(seconds=190)) == expected
    change(clinic, "UPDATE images SET leased_until = NULL WHERE id = :id", id=filled.processing)
    assert found(clinic) == expected


def test_an_image_that_was_put_aside_without_a_reason(filled: Busy) -> None:
    change(filled.clinic, "UPDATE images SET error_code = NULL WHERE id = :id", id=filled.quarantined)
    assert found(filled.clinic) == [("no_reason", f"image {filled.quarantined}")]


def test_an_image_without_a_digest_that_was_not_put_aside(filled: Busy) -> None:
    clinic = filled.clinic
    change(clinic, "UPDATE images SET status = 'queued' WHERE id = :id", id=filled.unread)
    change(clinic, "UPDATE audit_events SET event = 'admitted' WHERE image_id = :id", id=filled.unread)
    assert found(clinic) == [("no_digest", f"image {filled.unread}")]


@pytest.mark.parametrize("status", ["done", "quarantined", "discarded", "processing"])
def test_a_status_that_the_trail_does_not_tell_of(filled: Busy, status: str) -> None:
    clinic = filled.clinic
    values = "error_code = 'truncated', leased_until = :soon"
    change(
        clinic,
        f"UPDATE images SET status = '{status}', {values} WHERE id = :id",
        id=filled.queued,
        soon=utc_now() + LATER,
    )
    expected = {"done": ["no_prediction", "worklist_differs"], "processing": []}.get(status, ["worklist_differs"])
    assert [code for code, _ in found(clinic)] == [*expected, "history_differs"]
    (mismatch,) = [one for one in audit(clinic) if one.code == "history_differs"]
    assert mismatch.text.startswith(f"the status is '{status}'; of its events the last is 'admitted'. ")


def test_an_image_of_which_the_trail_tells_nothing(filled: Busy) -> None:
    change(filled.clinic, "DELETE FROM audit_events WHERE image_id = :id", id=filled.done)
    assert found(filled.clinic) == [("history_differs", f"image {filled.done}")]


# -- the queue ------------------------------------------------------------------------------------------------


@pytest.fixture
def with_broker(filled: Busy, redis_home: Path, client: redis.Redis) -> Settings:
    """Settings under which a real Redis, which is empty, is the broker."""
    del client
    url = broker_url(Settings(home=redis_home))
    return filled.clinic.settings.model_copy(update={"broker_url": url})


def test_messages_of_images_are_well(filled: Busy, with_broker: Settings) -> None:
    publisher = Publisher(with_broker)
    assert publisher.publish([filled.queued, filled.processing], "folder")
    assert publisher.publish([filled.done], "upload")
    looked = Reconciliation(with_broker, filled.clinic.engine, wait=pytest.fail)
    assert list(looked.run()) == []
    assert looked.notes == []


def test_a_message_of_an_image_that_does_not_exist(filled: Busy, with_broker: Settings) -> None:
    assert Publisher(with_broker).send([[filled.queued, 4711], [1 << 70]], FOLDER)
    expected = [("message_of_no_image", "image 4711"), ("message_of_no_image", f"image {1 << 70}")]
    assert found(filled.clinic, with_broker) == expected


@pytest.mark.parametrize("message", [b"\xff\xfe not text", b"{}", b"[1]", b'{"body": "bm90IEpTT04="}'])
def test_a_message_that_is_not_ours(filled: Busy, with_broker: Settings, client: redis.Redis, message: bytes) -> None:
    client.lpush(UPLOADS, message)
    (mismatch,) = audit(filled.clinic, with_broker)
    assert (mismatch.code, mismatch.about) == ("message_unreadable", "the queue")
    assert mismatch.text.startswith("1 in the queue 'uploads'. ")


def test_an_argument_that_is_no_number_is_not_ours(filled: Busy, with_broker: Settings) -> None:
    publisher: Any = Publisher(with_broker)
    assert publisher.send([["1; DROP TABLE images"]], FOLDER, TASK)
    assert [code for code, _ in found(filled.clinic, with_broker)] == ["message_unreadable"]


def test_an_image_that_waits_without_a_message(filled: Busy, with_broker: Settings) -> None:
    clinic = filled.clinic
    change(clinic, "UPDATE images SET published_at = NULL WHERE id = :id", id=filled.queued)
    later: Callable[[], Any] = lambda: utc_now() + timedelta(seconds=70)  # noqa: E731
    assert found(clinic, with_broker) == []  # the sweep will come
    assert found(clinic, clock=later) == []  # without a broker nobody can publish
    assert found(clinic, with_broker, clock=later) == [("never_published", f"image {filled.queued}")]
    assert Publisher(with_broker).send([[filled.done]] * 125, FOLDER)
    assert found(clinic, with_broker, clock=later) == []  # the sweep does not double a long queue


# -- the command ----------------------------------------------------------------------------------------------


def test_each_code_says_what_to_do_and_no_text_names_a_file(filled: Busy) -> None:
    assert all(len(code) < 20 and advice.endswith(".") for code, advice in ADVICE.items())
    (filled.home / filled.original(filled.done)).unlink()
    (mismatch,) = audit(filled.clinic)
    assert "done.jpg" not in json.dumps(mismatch.as_json())


def test_the_command_answers_3_0_and_1(
    settings: Settings,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, out, err = ask(monkeypatch, capsys, settings, "doctor", "--audit")
    assert (status, out) == (3, "")
    assert "`triage up` makes one" in err

    filled = busy(Clinic(settings, request.getfixturevalue("sqlite_engine")))
    status, out, err = ask(monkeypatch, capsys, settings, "doctor", "--audit")
    assert (status, out) == (0, "")
    assert "7 images were looked at; no mismatches" in err

    path = filled.original(filled.done)
    (filled.home / path).unlink()
    status, out, _ = ask(monkeypatch, capsys, settings, "doctor", "--audit")
    assert (status, len(out.splitlines())) == (1, 1)
    assert out.startswith(f"missing_original    image {filled.done}, {path}: The original is gone.")
    status, out, _ = ask(monkeypatch, capsys, settings, "doctor", "--audit", "--json")
    answer = json.loads(out)
    assert (status, answer["images"], len(answer["notes"])) == (1, 7, 1)
    assert [(one["code"], one["image_id"]) for one in answer["mismatches"]] == [("missing_original", filled.done)]


def test_doctor_itself_answers_in_json_too(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = ask(monkeypatch, capsys, settings, "doctor", "--json")
    assert status == 1
    assert {"name", "wrong", "text"} == set(json.loads(out)[0])
