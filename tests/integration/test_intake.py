"""The one way in: what becomes of each file that is dropped, on both databases."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clinic import Clinic
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError
from xray_files import dicom, dicom_bytes, jpeg, many_jpegs, png, png_bomb

from triage.database import open_database
from triage.filing import Filing
from triage.intake import Arrival, DiskFailed, Intake, Recovered, safe_upload_name
from triage.pixels import ImageRejected
from triage.settings import Settings
from triage.store import Filed, Store

# -- good files -------------------------------------------------------------------------------------------


def test_a_radiograph_is_filed_recorded_and_then_published(clinic: Clinic) -> None:
    record = clinic.drop("room 1/wrist.jpg", jpeg(1))
    assert (record["status"], record["source"], record["media_type"]) == ("queued", "folder", "image/jpeg")
    assert record["source_names"] == ["room 1/wrist.jpg"]
    assert clinic.published == [([record["image_id"]], "folder")]
    assert clinic.events(record["image_id"]) == ["admitted"]
    assert clinic.inbox() == []
    assert clinic.left_in_filing() == []
    assert clinic.originals() == 1


def test_what_is_published_is_committed_already(clinic: Clinic) -> None:
    seen: list[str] = []

    def publish(ids: Any, source: str) -> bool:
        del source
        seen.extend(clinic.record(image_id)["status"] for image_id in ids)
        return True

    clinic.publish = publish  # type: ignore[method-assign]
    clinic.drop("a.jpg", jpeg(1))
    assert seen == ["queued"]


def test_a_lot_shares_one_message_list(clinic: Clinic) -> None:
    arrivals = [clinic.put(f"{n}.jpg", data) for n, data in enumerate(many_jpegs(5))]
    admissions = clinic.admit(*arrivals)
    ids = [admission.image_id for admission in admissions if admission]
    assert clinic.published == [(ids, "folder")]
    assert len(set(ids)) == 5


def test_a_broker_that_is_away_leaves_the_images_queued_without_a_message(clinic: Clinic, engine: Engine) -> None:
    clinic.broker_answers = False
    assert clinic.drop("a.jpg", jpeg(1))["status"] == "queued"
    with engine.connect() as connection:
        assert connection.execute(text("SELECT published_at FROM images")).scalar() is None


def test_files_of_one_dicom_study_share_it_and_a_lone_picture_is_a_study_of_one(clinic: Clinic, tmp_path: Path) -> None:
    studies = [
        clinic.drop(f"{n}.dcm", dicom_bytes(tmp_path, n, StudyInstanceUID=study))["study_id"]
        for n, study in enumerate(("1.2.3", "1.2.3", "1.2.4"))
    ]
    pictures = [clinic.drop(f"{n}.jpg", jpeg(n))["study_id"] for n in range(2)]
    assert studies[0] == studies[1]
    assert len({studies[0], studies[2], *pictures}) == 4


@pytest.mark.parametrize(
    ("name", "kept_as"),
    [
        ("a name with spaces.jpg", "a name with spaces.jpg"),
        ("two\nlines.jpg", "two\nlines.jpg"),
        ("..jpg", "..jpg"),
        ("Müller^Anna 1970-01-01 手.jpg", "Müller^Anna 1970-01-01 手.jpg"),
        ("no extension", "no extension"),
        ("wrong.extension.docx", "wrong.extension.docx"),
        ("=cmd|calc.jpg", "=cmd|calc.jpg"),
        (os.fsdecode(b"r\xf6ntgen.jpg"), r"r\xf6ntgen.jpg"),
        ("deep/" * 12 + "wrist.jpg", "deep/" * 12 + "wrist.jpg"),
        ("x" * 251 + ".jpg", "x" * 251 + ".jpg"),
    ],
)
def test_a_file_of_any_name_is_admitted_and_keeps_it(clinic: Clinic, name: str, kept_as: str) -> None:
    if name.startswith("."):
        name = kept_as = f"x{name}"
    record = clinic.drop(name, jpeg(1))
    assert (record["status"], record["source_name"]) == ("queued", kept_as)


def test_a_path_longer_than_a_database_can_index_is_shortened_from_the_left(clinic: Clinic) -> None:
    rng = iter(range(10_000))
    folders = "/".join("".join(chr(0x4E00 + (next(rng) * 7919) % 20_000) for _ in range(80)) for _ in range(14))
    with clinic.intake("once") as intake:
        path = clinic.put("short.jpg", jpeg(1)).path
        (admission,) = intake.admit([Arrival(path, f"{folders}/wrist.jpg", keep=True)])
    assert admission is not None
    record = clinic.record(admission.image_id)
    assert record["status"] == "queued"
    assert record["source_name"].endswith("/wrist.jpg")
    assert len(record["source_name"].encode()) < 2000


@pytest.mark.parametrize(
    ("sent", "kept_as"),
    [
        ("wrist.jpg", "wrist.jpg"),
        ("../../etc/cron.d/wrist.jpg", "wrist.jpg"),
        (r"C:\Users\me\wrist.jpg", "wrist.jpg"),
        ("..", "upload"),
        ("", "upload"),
        ("room/", "upload"),
        ("nul\0byte.jpg", "nulbyte.jpg"),
        ("x" * 300 + ".jpg", "x" * 196 + ".jpg"),
    ],
)
def test_an_uploaded_name_cannot_leave_its_place(sent: str, kept_as: str) -> None:
    assert safe_upload_name(sent) == kept_as


def test_an_upload_is_admitted_like_a_file(clinic: Clinic) -> None:
    with clinic.intake("upload") as intake:
        admission = intake.admit_bytes(png(1), "../wrist.png")
    record = clinic.record(admission.image_id)
    assert (record["status"], record["source"], record["source_name"]) == ("queued", "upload", "wrist.png")
    assert clinic.published == [([admission.image_id], "upload")]
    assert clinic.left_in_filing() == []


def test_an_upload_that_is_too_large_is_refused_and_leaves_nothing(clinic: Clinic, engine: Engine) -> None:
    small = clinic.settings.model_copy(update={"max_bytes": 100})
    with (
        Intake(small, engine, "upload", clinic.publish) as intake,
        pytest.raises(ImageRejected, match="too_large: The file has 101 bytes; the limit is 100"),
    ):
        intake.admit_bytes(bytes(101), "a.jpg")
    assert clinic.records() == []
    assert clinic.left_in_filing() == []


def test_an_upload_that_the_database_does_not_take_leaves_nothing(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    with clinic.intake("upload") as intake:
        monkeypatch.setattr(intake, "_record", failing_database)
        with pytest.raises(SQLAlchemyError):
            intake.admit_bytes(jpeg(1), "a.jpg")
    assert clinic.left_in_filing() == []


# -- bad files: each with a clear reason, and nothing lost ----------------------------------------------------


def test_every_kind_of_bad_file_gets_its_reason_and_the_good_ones_beside_it_go_on(
    clinic: Clinic, tmp_path: Path
) -> None:
    whole = png(3)
    bad = {
        "empty.jpg": (b"", "empty_file"),
        "text.jpg": (b"This is a text file.\n", "unknown_type"),
        "page.dcm": (b"%PDF-1.7 a report", "unsupported_type"),
        "half.jpg": (jpeg(2)[:200], "truncated"),
        "head.png": (whole[:20], "truncated"),
        "zeros.png": (bytes(5000), "truncated"),
        "bomb.png": (png_bomb(), "too_many_pixels"),
        "no-pixels.dcm": (dicom_without_pixels(tmp_path), "dicom_no_pixels"),
    }
    good = {"wrong-extension.png": jpeg(4), "no-extension": whole, "room/wrist.dcm": dicom_bytes(tmp_path, 5)}
    arrivals = [clinic.put(name, data) for name, (data, _) in bad.items()]
    arrivals += [clinic.put(name, data) for name, data in good.items()]
    clinic.admit(*arrivals)

    found = {record["source_name"]: record for record in clinic.records()}
    assert {name: found[name]["error_code"] for name in bad} == {name: code for name, (_, code) in bad.items()}
    assert {found[name]["status"] for name in bad} == {"quarantined"}
    assert {name: found[name]["status"] for name in good} == dict.fromkeys(good, "queued")
    assert all(found[name]["error_detail"].endswith(".") for name in bad)
    assert all(found[name]["sha256"] for name in bad)
    assert clinic.published == [([found[name]["image_id"] for name in good], "folder")]
    assert clinic.inbox() == []
    assert clinic.originals() == len(bad) + len(good)


def dicom_without_pixels(folder: Path) -> bytes:
    from triage.samples import write_dicom

    path = write_dicom(folder / ".no-pixels.dcm", None)
    return path.read_bytes()


def test_links_and_pipes_are_reported_once_and_stay_where_they_are(clinic: Clinic) -> None:
    inbox = clinic.settings.inbox_dir
    (inbox / "link.jpg").symlink_to("/etc/passwd")
    os.mkfifo(inbox / "pipe.jpg")
    arrivals = [clinic.arrival("link.jpg"), clinic.arrival("pipe.jpg")]
    clinic.admit(*arrivals)

    found = {record["source_name"]: record for record in clinic.records()}
    assert {name: record["error_code"] for name, record in found.items()} == {
        "link.jpg": "link",
        "pipe.jpg": "not_a_file",
    }
    assert [record["sha256"] for record in found.values()] == [None, None]
    assert clinic.inbox() == ["link.jpg", "pipe.jpg"]
    with clinic.intake() as intake:
        assert intake.known(arrivals) == set(arrivals)
    assert clinic.published == []


def test_a_file_over_the_limit_is_never_read(clinic: Clinic, engine: Engine) -> None:
    small = Clinic(clinic.settings.model_copy(update={"max_bytes": 1000}), engine)
    record = small.drop("large.jpg", bytes(1001))
    assert (record["error_code"], record["sha256"]) == ("too_large", None)
    assert small.inbox() == ["large.jpg"]
    assert small.originals() == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_reported_and_stays(clinic: Clinic) -> None:
    arrival = clinic.put("mine.jpg", jpeg(1))
    arrival.path.chmod(0)
    (admission,) = clinic.admit(arrival)
    assert admission is not None
    assert clinic.record(admission.image_id)["error_code"] == "no_permission"
    assert clinic.inbox() == ["mine.jpg"]


def test_a_link_that_is_replaced_by_the_file_goes_on_as_the_same_image(clinic: Clinic) -> None:
    link = clinic.settings.inbox_dir / "wrist.jpg"
    link.symlink_to("/nowhere")
    (refused,) = clinic.admit(clinic.arrival("wrist.jpg"))
    link.unlink()
    mended = clinic.drop("wrist.jpg", jpeg(1))
    assert refused is not None
    assert mended["image_id"] == refused.image_id
    assert (mended["status"], mended["error_code"], mended["source_names"]) == ("queued", None, ["wrist.jpg"])
    assert clinic.events(mended["image_id"]) == ["quarantined", "admitted"]
    assert clinic.published == [([mended["image_id"]], "folder")]


def test_a_file_that_was_too_large_is_taken_as_the_same_image_once_the_limit_is_raised(
    clinic: Clinic, engine: Engine
) -> None:
    data = png(1)
    small = Clinic(clinic.settings.model_copy(update={"max_bytes": 100}), engine)
    refused = small.drop("wrist.png", data)
    arrival = clinic.arrival("wrist.png")
    with small.intake() as intake:
        assert intake.known([arrival]) == {arrival}
    with clinic.intake() as intake:  # the same file, after a restart with a higher limit
        assert intake.known([arrival]) == set()
        (admission,) = intake.admit([arrival])
    assert admission is not None
    assert admission.image_id == refused["image_id"]
    assert admission.status == "queued"


def test_a_link_that_is_seen_again_changed_is_reported_on_the_same_row(clinic: Clinic) -> None:
    link = clinic.settings.inbox_dir / "wrist.jpg"
    ids = []
    for target in ("/nowhere", "/still/nowhere"):
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        (admission,) = clinic.admit(clinic.arrival("wrist.jpg"))
        assert admission is not None
        ids.append(admission.image_id)
    assert ids[0] == ids[1]
    assert len(clinic.records()) == 1


def test_a_file_that_went_away_is_no_ones_fault(clinic: Clinic) -> None:
    assert clinic.admit(clinic.arrival("gone.jpg")) == [None]
    assert clinic.records() == []


# -- the same again -------------------------------------------------------------------------------------------


def test_the_same_bytes_under_another_name_are_the_same_image(clinic: Clinic) -> None:
    first = clinic.drop("wrist.jpg", jpeg(1))
    second = clinic.drop("copy of wrist.jpg", jpeg(1))
    assert second["image_id"] == first["image_id"]
    assert second["source_name"] == "wrist.jpg"
    assert second["source_names"] == ["wrist.jpg", "copy of wrist.jpg"]
    assert clinic.events(first["image_id"]) == ["admitted", "named_again"]
    assert clinic.published == [([first["image_id"]], "folder")]
    assert clinic.inbox() == []


def test_duplicates_within_one_lot_are_one_image(clinic: Clinic) -> None:
    admissions = clinic.admit(*(clinic.put(name, jpeg(1)) for name in ("a.jpg", "b.jpg", "c.jpg")))
    assert len({admission.image_id for admission in admissions if admission}) == 1
    (record,) = clinic.records()
    assert record["source_names"] == ["a.jpg", "b.jpg", "c.jpg"]
    assert clinic.published == [([record["image_id"]], "folder")]


def test_the_same_name_with_other_bytes_is_another_image(clinic: Clinic) -> None:
    ids = [clinic.drop("image.jpg", data)["image_id"] for data in (jpeg(1), jpeg(2))]
    assert len(set(ids)) == 2


def test_bytes_that_are_done_are_not_classified_again(clinic: Clinic) -> None:
    image_id = clinic.drop("a.jpg", jpeg(1))["image_id"]
    clinic.finish(image_id)
    again = clinic.drop("b.jpg", jpeg(1))
    assert (again["image_id"], again["status"], again["source_names"]) == (image_id, "done", ["a.jpg", "b.jpg"])
    assert len(clinic.published) == 1


def test_bytes_that_were_quarantined_by_a_worker_are_tried_again(clinic: Clinic) -> None:
    image_id = clinic.drop("a.jpg", jpeg(1))["image_id"]
    clinic.quarantine(image_id, "worker_crashed")
    again = clinic.drop("a.jpg", jpeg(1))
    assert (again["image_id"], again["status"], again["error_code"]) == (image_id, "queued", None)
    assert clinic.published == [([image_id], "folder"), ([image_id], "folder")]
    assert clinic.events(image_id)[-1] == "dropped_again"


def test_bytes_that_are_still_bad_are_refused_again_and_not_published(clinic: Clinic) -> None:
    ids = {clinic.drop("a.jpg", b"text")["image_id"] for _ in range(2)}
    assert len(ids) == 1
    assert clinic.events(ids.pop()) == ["admitted", "quarantined", "quarantined"]
    assert clinic.published == []


def test_two_processes_that_admit_the_same_bytes_at_once_make_one_image(
    clinic: Clinic, database_url: str, settings: Settings
) -> None:
    barrier = threading.Barrier(2)
    problems: list[BaseException] = []

    def admit(prefix: str) -> None:
        own = Clinic(settings, open_database(database_url))
        try:
            arrivals = [own.put(f"{prefix}-{n}.jpg", data) for n, data in enumerate(many_jpegs(10))]
            barrier.wait()
            for arrival in arrivals:
                own.admit(arrival)
        except BaseException as error:  # noqa: BLE001 - told to the main thread
            problems.append(error)
        finally:
            own.engine.dispose()

    threads = [threading.Thread(target=admit, args=(prefix,)) for prefix in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    records = clinic.records()
    assert len(records) == 10
    assert {len(record["source_names"]) for record in records} == {2}


# -- DICOM identity -------------------------------------------------------------------------------------------


def test_a_uid_that_comes_back_with_other_pixels_is_put_aside_and_overwrites_nothing(
    clinic: Clinic, tmp_path: Path
) -> None:
    first = clinic.drop("a.dcm", dicom_bytes(tmp_path, 1, SOPInstanceUID="1.2.3"))
    second = clinic.drop("b.dcm", dicom_bytes(tmp_path, 2, SOPInstanceUID="1.2.3"))
    assert (second["status"], second["error_code"]) == ("quarantined", "sop_uid_conflict")
    assert f"Image {first['image_id']} came with the same" in second["error_detail"]
    assert "(the pixels differ)" in second["error_detail"]
    assert clinic.record(first["image_id"])["status"] == "queued"
    assert clinic.originals() == 2
    assert clinic.published == [([first["image_id"]], "folder")]


def test_a_uid_that_comes_back_with_the_same_pixels_says_so(clinic: Clinic, tmp_path: Path) -> None:
    clinic.drop("a.dcm", dicom_bytes(tmp_path, 1, SOPInstanceUID="1.2.3"))
    second = clinic.drop("b.dcm", dicom_bytes(tmp_path, 1, SOPInstanceUID="1.2.3", StationName="ROOM 2"))
    assert second["error_code"] == "sop_uid_conflict"
    assert "(the pixels are the same)" in second["error_detail"]


def test_a_uid_conflict_within_one_lot_is_seen(clinic: Clinic, tmp_path: Path) -> None:
    files = [dicom_bytes(tmp_path, seed, SOPInstanceUID="1.2.3") for seed in (1, 2)]
    clinic.admit(*(clinic.put(f"{n}.dcm", data) for n, data in enumerate(files)))
    assert [record["error_code"] for record in clinic.records()] == [None, "sop_uid_conflict"]


def test_a_conflict_that_is_dropped_again_stays_a_conflict(clinic: Clinic, tmp_path: Path) -> None:
    clinic.drop("a.dcm", dicom_bytes(tmp_path, 1, SOPInstanceUID="1.2.3"))
    other = dicom_bytes(tmp_path, 2, SOPInstanceUID="1.2.3")
    ids = {clinic.drop("b.dcm", other)["image_id"] for _ in range(2)}
    assert len(ids) == 1
    assert clinic.record(ids.pop())["error_code"] == "sop_uid_conflict"


@pytest.mark.parametrize("code", ["changed_after_admission", "damaged"])
def test_a_whole_file_sent_after_a_spoiled_one_is_no_conflict(clinic: Clinic, tmp_path: Path, code: str) -> None:
    # "Drop it again once it is whole", says the reason: then that must work.
    spoiled = clinic.drop("a.dcm", dicom_bytes(tmp_path, 1, SOPInstanceUID="1.2.3"))
    clinic.quarantine(spoiled["image_id"], code)
    whole = clinic.drop("a.dcm", dicom_bytes(tmp_path, 2, SOPInstanceUID="1.2.3"))
    assert (whole["status"], whole["error_code"]) == ("queued", None)


def test_a_conflict_is_over_once_the_first_image_is_out_of_the_way(clinic: Clinic, tmp_path: Path) -> None:
    first = clinic.drop("a.dcm", dicom_bytes(tmp_path, 1, SOPInstanceUID="1.2.3"))
    other = dicom_bytes(tmp_path, 2, SOPInstanceUID="1.2.3")
    assert clinic.drop("b.dcm", other)["error_code"] == "sop_uid_conflict"
    clinic.quarantine(first["image_id"], "damaged")
    assert clinic.drop("b.dcm", other)["status"] == "queued"


# -- when something is in the way -----------------------------------------------------------------------------


def failing_database(*_: object) -> None:
    raise SQLAlchemyError("the database is away")


def test_what_was_taken_while_the_database_was_away_is_committed_when_it_is_back(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    with clinic.intake() as intake:
        with monkeypatch.context() as patch:
            patch.setattr(intake, "_record", failing_database)
            with pytest.raises(SQLAlchemyError):
                intake.admit([clinic.put("a.jpg", jpeg(1)), clinic.put("b.jpg", jpeg(2))])
            with pytest.raises(SQLAlchemyError):
                intake.commit_pending()
        assert clinic.records() == []
        assert sorted(name.split("~")[-1] for name in clinic.left_in_filing()) == ["a.jpg", "b.jpg"]
        intake.commit_pending()
    assert sorted(record["source_name"] for record in clinic.records()) == ["a.jpg", "b.jpg"]
    assert clinic.left_in_filing() == []
    assert sorted(ids[0] for ids, _ in clinic.published) == [1, 2]


def test_a_file_that_the_disk_cannot_read_does_not_take_its_neighbours_along(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrivals = [clinic.put(name, jpeg(n)) for n, name in enumerate(("a.jpg", "b.jpg", "c.jpg"))]
    rename = Path.rename

    def broken_sector(self: Path, target: Path) -> Path:
        if self.name == "b.jpg":
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", broken_sector)
    with clinic.intake() as intake:
        with pytest.raises(OSError, match="Input/output"):
            intake.admit(arrivals)
        assert sorted(record["source_name"] for record in clinic.records()) == ["a.jpg", "c.jpg"]
        assert clinic.inbox() == ["b.jpg"]
        monkeypatch.undo()
        intake.admit(arrivals)
    assert sorted(record["source_name"] for record in clinic.records()) == ["a.jpg", "b.jpg", "c.jpg"]
    assert clinic.left_in_filing() == []


def test_a_file_that_the_disk_fails_on_once_it_was_moved_goes_back_to_its_place(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrivals = [clinic.put(name, jpeg(n)) for n, name in enumerate(("a.jpg", "b.jpg"))]
    with clinic.intake() as intake:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", failing_on(jpeg(0), os.fsync))
            with pytest.raises(DiskFailed) as failed:
                intake.admit(arrivals)
        assert failed.value.arrivals == [arrivals[0]]
        assert failed.value.errno == errno.ENOSPC
        assert clinic.inbox() == ["a.jpg"]
        assert clinic.left_in_filing() == []
        intake.admit([arrivals[0]])
    assert sorted(record["source_name"] for record in clinic.records()) == ["a.jpg", "b.jpg"]


def test_a_file_goes_back_to_its_place_over_no_other_file(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    arrival = clinic.put("a.jpg", jpeg(0))
    fail = failing_on(jpeg(0), os.fsync)

    def overtaken(descriptor: int) -> None:
        arrival.path.write_bytes(jpeg(1))
        fail(descriptor)

    with clinic.intake() as intake:
        monkeypatch.setattr(os, "fsync", overtaken)
        with pytest.raises(DiskFailed):
            intake.admit([arrival])
        monkeypatch.undo()
        assert arrival.path.read_bytes() == jpeg(1)
        assert clinic.left_in_filing() == ["1~a.jpg"]
    with clinic.intake() as intake:
        assert intake.recover() == Recovered(admitted=1)


def failing_on(data: bytes, real: Callable[[int], None]) -> Callable[[int], None]:
    """An ``fsync`` that finds the disk full for a file of this size."""

    def full(descriptor: int) -> None:
        if os.fstat(descriptor).st_size == len(data):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    return full


def broken_original(digest: str, real: Callable[..., Path]) -> Callable[..., Path]:
    """A store whose disk cannot take the original of this hash."""

    def keep(self: Store, filed: Filed) -> Path:
        if filed.sha256 == digest:
            raise OSError(errno.EIO, "Input/output error")
        return real(self, filed)

    return keep


def test_an_original_that_the_disk_does_not_take_keeps_no_other_file_waiting(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrivals = [clinic.put(name, jpeg(n)) for n, name in enumerate(("a.jpg", "b.jpg", "c.jpg"))]
    digest = hashlib.sha256(jpeg(0)).hexdigest()
    with clinic.intake() as intake:
        monkeypatch.setattr(Store, "keep_original", broken_original(digest, Store.keep_original))
        with pytest.raises(OSError, match="Input/output"):
            intake.admit(arrivals)
        assert intake.commit_pending() == 1
        assert sorted(record["source_name"] for record in clinic.records()) == ["b.jpg", "c.jpg"]
        assert intake.commit_pending() == 1
        monkeypatch.undo()
        assert intake.commit_pending() == 0
    assert sorted(record["source_name"] for record in clinic.records()) == ["a.jpg", "b.jpg", "c.jpg"]
    assert clinic.left_in_filing() == []


def test_a_file_of_a_killed_process_that_the_disk_fails_on_keeps_no_other_file_waiting(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = Filing(clinic.settings.home_dir, "folder")
    for number, name in enumerate(("a.jpg", "b.jpg", "c.jpg")):
        dying.move(clinic.put(name, jpeg(number)).path, name)
    dying.close()
    digest = hashlib.sha256(jpeg(1)).hexdigest()
    with clinic.intake() as intake:
        monkeypatch.setattr(Store, "keep_original", broken_original(digest, Store.keep_original))
        assert intake.recover() == Recovered(admitted=2, failed=1)
        monkeypatch.undo()
        assert intake.recover() == Recovered(admitted=1)
    assert sorted(record["source_name"] for record in clinic.records()) == ["a.jpg", "b.jpg", "c.jpg"]
    assert clinic.left_in_filing() == []


def on_another_disk(self: Path, target: Path) -> Path:
    raise OSError(errno.EXDEV, "Invalid cross-device link")


def test_an_inbox_on_another_disk_is_copied_from_and_emptied(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    arrival = clinic.put("a.jpg", jpeg(1))
    with clinic.intake() as intake:
        monkeypatch.setattr(Path, "rename", on_another_disk)
        (admission,) = intake.admit([arrival])
    assert admission is not None
    assert admission.status == "queued"
    assert clinic.inbox() == []
    assert clinic.left_in_filing() == []


def test_an_inbox_that_may_not_be_changed_is_copied_from_once(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    arrival = clinic.put("a.jpg", jpeg(1))
    unlink = Path.unlink

    def read_only(self: Path, missing_ok: bool = False) -> None:
        if self == arrival.path:
            raise OSError(errno.EROFS, "Read-only file system")
        unlink(self, missing_ok)

    with clinic.intake() as intake:
        monkeypatch.setattr(Path, "rename", on_another_disk)
        monkeypatch.setattr(Path, "unlink", read_only)
        (admission,) = intake.admit([arrival])
        assert admission is not None
        assert admission.status == "queued"
        assert intake.known([arrival]) == {arrival}
    assert clinic.inbox() == ["a.jpg"]
    assert clinic.left_in_filing() == []


def test_files_may_be_left_in_place_and_are_known_by_their_looks(clinic: Clinic, engine: Engine) -> None:
    staying = Clinic(clinic.settings.model_copy(update={"leave_in_place": True}), engine)
    arrival = staying.put("a.jpg", jpeg(1))
    staying.admit(arrival)
    assert staying.inbox() == ["a.jpg"]
    with staying.intake() as intake:
        assert intake.known([arrival]) == {arrival}
        staying.put("a.jpg", jpeg(2))
        assert intake.known([arrival]) == set()
        intake.admit([arrival])
    assert len(staying.records()) == 2


# -- after a crash --------------------------------------------------------------------------------------------


def test_what_a_killed_process_had_filed_is_admitted_under_its_own_name_and_source(clinic: Clinic) -> None:
    names = ["wrist.jpg", "room 1/two\nlines.jpg", "~odd~.jpg"]
    dying = clinic.intake("upload")
    for number, name in enumerate(names):
        arrival = clinic.put(name, jpeg(number))
        dying._filing.move(arrival.path, arrival.name)
    dying.close()

    with clinic.intake() as intake:
        assert intake.recover() == Recovered(admitted=3)
    records = clinic.records()
    assert sorted(record["source_name"] for record in records) == sorted(names)
    assert {(record["status"], record["source"]) for record in records} == {("queued", "upload")}
    assert clinic.left_in_filing() == []


def test_a_crash_after_the_commit_makes_no_second_image(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    dying = clinic.intake()
    monkeypatch.setattr(dying._filing, "release", lambda _: None)  # killed before it came to that
    dying.admit([clinic.put("wrist.jpg", jpeg(1))])
    dying.close()
    with clinic.intake() as intake:
        assert intake.recover() == Recovered(admitted=1)
    (record,) = clinic.records()
    assert (record["source_names"], record["status"]) == (["wrist.jpg"], "queued")
    assert clinic.left_in_filing() == []


def test_what_cannot_be_read_among_what_a_killed_process_left_stops_nothing_and_is_not_removed(
    clinic: Clinic,
) -> None:
    dying = clinic.intake()
    taken = dying._filing.move(clinic.put("wrist.jpg", jpeg(1)).path, "wrist.jpg")
    (taken.path.parent / "2~link.jpg").symlink_to("/etc/passwd")
    dying.close()
    with clinic.intake() as intake:
        intake.recover()
    assert {record["source_name"]: record["error_code"] for record in clinic.records()} == {
        "wrist.jpg": None,
        "link.jpg": "link",
    }
    assert clinic.left_in_filing() == ["2~link.jpg"]


# -- privacy --------------------------------------------------------------------------------------------------


def test_a_name_is_not_told_by_what_the_database_complains_about(
    clinic: Clinic, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE source_names RENAME TO elsewhere"))
    with clinic.intake() as intake, pytest.raises(SQLAlchemyError) as caught:
        intake.admit([clinic.put("Mustermann^Erika.jpg", jpeg(1))])
    assert "Mustermann" not in str(caught.value)


def test_nothing_of_the_patient_is_kept_of_a_dicom_file(clinic: Clinic, tmp_path: Path, engine: Engine) -> None:
    path = dicom(
        tmp_path / "made.dcm", 1, PatientName="Mustermann^Erika", PatientID="MRN-4711", PatientBirthDate="19640812"
    )
    clinic.drop("a.dcm", path.read_bytes())
    with engine.connect() as connection:
        tables = connection.execute(
            text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
            if engine.dialect.name == "postgresql"
            else text("SELECT name FROM sqlite_master WHERE type = 'table'")
        ).scalars()
        everything = repr([connection.execute(text(f"SELECT * FROM {table}")).all() for table in tables])
    assert "made" not in everything
    for secret in ("Mustermann", "Erika", "MRN-4711", "19640812"):
        assert secret not in everything
