"""What a purge removes, what it leaves, and that nothing is lost where it meets the rest of the system."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from clinic import NOON, Clinic
from sqlalchemy import Engine, select
from working import ask, busy, work_on
from xray_files import dicom_bytes, jpeg

from triage import queries
from triage.backup import back_up
from triage.database import reading_sessions, sessions
from triage.intake import utc_now
from triage.purge import Purge, Purged
from triage.reconcile import Reconciliation
from triage.records import Review, SearchKey, Study
from triage.settings import Settings
from triage.store import Filed, Store
from triage.verdicts import give_verdict

TAGS = {"AccessionNumber": "A77", "StudyDate": "20260301", "BodyPartExamined": "WRIST"}


def a_purge(clinic: Clinic, *, later: timedelta = timedelta(days=365), unreviewed: bool = False) -> Purge:
    """What is older than 30 days, as if so much time had gone by."""
    return Purge(
        clinic.settings,
        clinic.engine,
        timedelta(days=30),
        unreviewed=unreviewed,
        actor="command line",
        clock=lambda: utc_now() + later,
    )


def mismatches(clinic: Clinic) -> list[str]:
    found = Reconciliation(clinic.settings, clinic.engine, wait=lambda _: None).run()
    # There is no broker in these tests.
    return [mismatch.code for mismatch in found if mismatch.code != "never_published"]


def files(clinic: Clinic) -> list[str]:
    home = clinic.settings.home_dir
    roots = (home / "originals", home / "renders")
    return sorted(path.suffix or "original" for root in roots for path in root.rglob("*") if path.is_file())


def review(clinic: Clinic, *ids: int) -> None:
    with sessions(clinic.engine).begin() as session:
        for image_id in ids:
            give_verdict(session, image_id, "agree", reviewer="AB", at=NOON, note="as in Anna's chart")


@pytest.fixture
def scan(clinic: Clinic) -> int:
    """A DICOM image that was classified and reviewed."""
    image_id: int = clinic.drop("Anna wrist.dcm", dicom_bytes(clinic.settings.home_dir, 1, **TAGS))["image_id"]
    assert work_on(clinic, image_id) == 1
    review(clinic, image_id)
    return image_id


def test_files_names_and_identifiers_go_and_what_was_said_of_the_image_stays(clinic: Clinic, scan: int) -> None:
    before = clinic.record(scan)
    assert before["accession_number"] == "A77"
    assert files(clinic) == [".png", "original"]
    done = a_purge(clinic).run()
    assert (done.images, done.kept) == (1, 0)
    assert done.size_bytes > 10_000
    assert files(clinic) == []

    record = clinic.record(scan)
    for name in ("sop_instance_uid", "study_instance_uid", "series_instance_uid", "accession_number", "study_date"):
        assert record[name] is None, name
    assert (record["source_name"], record["source_names"]) == ("(purged)", [])
    assert (record["status"], record["error_code"]) == ("discarded", "purged")
    assert record["error_detail"].endswith(": older than 30 days.")
    assert record["sha256"] == before["sha256"]
    assert (record["review"]["verdict"], record["review"]["note"]) == ("agree", None)
    with reading_sessions(clinic.engine)() as session:
        image = queries.image_with_all(session, scan)
        assert image is not None
        assert [said.label for said in image.predictions] == ["Spiral fracture"]
        assert session.scalars(select(SearchKey)).all() == []
        assert session.scalars(select(Study.accession_number)).all() == [None]
        assert session.scalars(select(Review.note)).all() == [None]
        last = queries.events_of(session, scan)[-1]
        assert (last.event, last.actor, last.detail) == ("purged", "command line", {"was": "done"})
    assert mismatches(clinic) == []


def test_only_what_people_are_through_with_is_purged_unless_asked(clinic: Clinic) -> None:
    home = busy(clinic)
    review(clinic, home.done)
    done = a_purge(clinic).run()
    # The reviewed one and the discarded one; not the open scan, nor the two in quarantine.
    assert (done.images, done.kept) == (2, 3)
    status = {record["image_id"]: record["error_code"] or record["status"] for record in clinic.records()}
    assert status[home.done] == status[home.discarded] == "purged"
    assert (status[home.dicom], status[home.queued], status[home.processing]) == ("done", "queued", "processing")

    done = a_purge(clinic, unreviewed=True).run()
    assert (done.images, done.kept) == (3, 0)
    status = {record["image_id"]: record["error_code"] or record["status"] for record in clinic.records()}
    assert sorted(status.values()) == ["processing", "purged", "purged", "purged", "purged", "purged", "queued"]
    assert files(clinic) == ["original", "original"]


def test_nothing_younger_is_touched(clinic: Clinic, scan: int) -> None:
    before = clinic.records()
    assert a_purge(clinic, later=timedelta(days=29)).run() == Purged()
    assert clinic.records() == before
    assert a_purge(clinic, later=timedelta(days=31)).run().images == 1


def test_looking_first_changes_nothing_and_says_the_same(clinic: Clinic, scan: int) -> None:
    before = clinic.records()
    said = a_purge(clinic).look()
    assert (said.images, files(clinic), clinic.records()) == (1, [".png", "original"], before)
    assert a_purge(clinic).run() == said
    assert a_purge(clinic).run() == Purged()


def test_a_study_is_still_found_by_what_is_left_of_it(clinic: Clinic) -> None:
    home = clinic.settings.home_dir
    uids = {**TAGS, "StudyInstanceUID": "1.2.3"}
    first = clinic.drop("first.dcm", dicom_bytes(home, 1, **uids))["image_id"]
    second = clinic.drop("second.dcm", dicom_bytes(home, 2, **uids))["image_id"]
    work_on(clinic, first, second)
    review(clinic, first)
    assert a_purge(clinic).run().images == 1
    with reading_sessions(clinic.engine)() as session:
        assert sorted(session.scalars(select(SearchKey.key))) == ["a77", "second.dcm"]
    assert clinic.record(second)["study_instance_uid"] == "1.2.3"
    assert mismatches(clinic) == []


def test_the_same_file_that_comes_again_is_looked_at_anew(clinic: Clinic, scan: int) -> None:
    data = dicom_bytes(clinic.settings.home_dir, 1, **TAGS)
    before = clinic.record(scan)
    a_purge(clinic).run()
    again = clinic.drop("again.dcm", data)
    assert (again["image_id"], again["status"], again["source_name"]) == (scan, "queued", "again.dcm")
    for name in ("sop_instance_uid", "study_instance_uid", "accession_number", "study_date"):
        assert again[name] == before[name], name
    assert work_on(clinic, scan) == 1
    assert files(clinic) == [".png", "original"]
    assert mismatches(clinic) == []


def test_a_file_that_comes_in_while_it_is_purged_keeps_its_bytes(
    clinic: Clinic, scan: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_purge(clinic).run()
    image = clinic.drop("again.dcm", dicom_bytes(clinic.settings.home_dir, 1, **TAGS))
    work_on(clinic, scan)
    keep = Store.keep_original
    purged: list[Purged] = []

    def keep_and_purge(store: Store, filed: Filed) -> Path:
        kept = keep(store, filed)
        if not purged:  # after the bytes were found in their place, before the row is looked at
            purged.append(a_purge(clinic, unreviewed=True).run())
        return kept

    monkeypatch.setattr(Store, "keep_original", keep_and_purge)
    once_more = clinic.drop("once more.dcm", dicom_bytes(clinic.settings.home_dir, 1, **TAGS))
    assert purged[0].images == 1
    assert (once_more["image_id"], once_more["status"]) == (image["image_id"], "queued")
    assert "original" in files(clinic)
    assert work_on(clinic, scan) == 1


def test_a_purge_that_was_cut_off_is_noticed_and_finished_by_the_next(
    clinic: Clinic, scan: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Purge, "_remove_files", killed)
        with pytest.raises(KeyboardInterrupt):
            a_purge(clinic).run()
    assert files(clinic) == [".png", "original"]
    assert mismatches(clinic) == ["purged_file", "purged_file"]
    assert a_purge(clinic).run() == Purged()
    assert files(clinic) == []
    assert mismatches(clinic) == []


def test_a_backup_misses_nothing_of_what_was_purged(
    settings: Settings, sqlite_engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    clinic = Clinic(settings, sqlite_engine)
    image_id = clinic.drop("old.jpg", jpeg(1))["image_id"]
    clinic.finish(image_id)
    review(clinic, image_id)
    clinic.drop("stays.jpg", jpeg(5))
    a_purge(clinic).run()
    done = back_up(settings, tmp_path_factory.mktemp("disk") / "backup.tar", lambda *_: None)
    assert (done.images, done.missing) == (2, [])
    assert done.files["originals"] == 1


def test_the_command_says_what_it_did_and_what_stays(
    settings: Settings,
    sqlite_engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    clinic = Clinic(settings, sqlite_engine)
    image_id = clinic.drop("old.jpg", jpeg(1))["image_id"]
    clinic.finish(image_id)  # in March 2026
    clinic.finish(clinic.drop("open.jpg", jpeg(2))["image_id"])
    review(clinic, image_id)

    status, out, err = ask(monkeypatch, capsys, clinic.settings, "purge", "--older-than", "1", "--dry-run")
    assert (status, out.startswith("1 images would be purged, ")) == (0, True)
    assert "1 older ones stay: nobody has reviewed or discarded them" in err
    assert clinic.record(image_id)["source_name"] == "old.jpg"
    status, out, _ = ask(monkeypatch, capsys, clinic.settings, "purge", "--older-than", "1")
    assert (status, out.startswith("1 images purged, ")) == (0, True)
    assert clinic.record(image_id)["error_code"] == "purged"
    status, _, err = ask(monkeypatch, capsys, clinic.settings, "purge", "--older-than", "0")
    assert status == 2
