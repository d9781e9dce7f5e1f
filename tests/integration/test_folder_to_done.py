"""The whole way with real processes: a file is dropped, and its record says what the model says of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import psutil
import pytest
from live_stack import LiveStack, running, settle
from waiting import wait_until
from xray_files import dicom_bytes, jpeg, many_jpegs, png, png_bomb

from triage.broker import Publisher, private_socket
from triage.bundle import open_bundle
from triage.database import sessions
from triage.intake import Intake
from triage.records import AuditEvent
from triage.store import Store


def test_a_dropped_radiograph_is_classified(stack: LiveStack, model_path: Path) -> None:
    bundle = open_bundle(model_path)
    stack.drop("whole way/wrist.jpg", jpeg(101))
    record = stack.finished("whole way/wrist.jpg")
    assert (record["status"], record["source"], record["model_version"]) == ("done", "folder", bundle.version)
    assert list(record["probabilities"]) == list(bundle.labels)
    assert sum(record["probabilities"].values()) == pytest.approx(1.0, abs=1e-4)
    assert record["confidence"] == max(record["probabilities"].values()) == record["probabilities"][record["label"]]
    assert record["label"] in record["prediction_set"]
    assert record["needs_review"] is bool(record["reasons"])
    assert record["received_at"] < record["finished_at"]
    assert stack.events("whole way/wrist.jpg") == ["admitted", "leased", "done"]


def test_every_kind_of_file_comes_out_done_or_with_a_reason(stack: LiveStack, tmp_path: Path) -> None:
    whole = png(102)
    expected = {
        "mixed/a name with spaces.jpg": "done",
        "mixed/two\nlines.png": "done",
        "mixed/wrist..left..": "done",
        "mixed/wrong.docx": "done",
        "mixed/wrist.dcm": "done",
        "mixed/half.png": "truncated",
        "mixed/text.jpg": "unknown_type",
        "mixed/empty.dcm": "empty_file",
        "mixed/bomb.png": "too_many_pixels",
        "mixed/link.jpg": "link",
        "mixed/flipped.png": "damaged",
    }
    good = iter(many_jpegs(4, seed=103))
    content: dict[str, bytes] = {
        "mixed/wrist.dcm": dicom_bytes(tmp_path, 104),
        "mixed/half.png": whole[: len(whole) * 2 // 3],
        "mixed/text.jpg": b"This is a text file.",
        "mixed/empty.dcm": b"",
        "mixed/bomb.png": png_bomb(),
        "mixed/flipped.png": whole[:3000] + bytes(byte ^ 255 for byte in whole[3000:3100]) + whole[3100:],
    }
    for name in expected:
        if name == "mixed/link.jpg":
            (stack.settings.inbox_dir / name).symlink_to("/etc/passwd")
        else:
            stack.drop(name, content.get(name) or (next(good) if expected[name] == "done" else b""))
    records = {name: stack.finished(name) for name in expected}
    assert {name: record["error_code"] or record["status"] for name, record in records.items()} == expected
    assert [path.name for path in stack.settings.inbox_dir.rglob("*") if not path.is_dir()] == ["link.jpg"]


def test_one_bad_image_in_a_message_of_eight_leaves_seven_done(stack: LiveStack) -> None:
    # Damage that only decoding finds, so that the bad one travels with the others.
    files = many_jpegs(8, seed=105)
    broken = png(106)
    files[3] = broken[:3000] + bytes(100) + broken[3100:]
    names = stack.drop_all(files, "eight-{}.img")
    statuses = [stack.finished(name)["status"] for name in names]
    assert statuses == ["done"] * 3 + ["quarantined"] + ["done"] * 4


def test_a_duplicate_becomes_a_further_name_of_the_first(stack: LiveStack) -> None:
    data = jpeg(107)
    stack.drop("first.jpg", data)
    first = stack.finished("first.jpg")
    stack.drop("second.jpg", data)
    wait_until(lambda: stack.record("second.jpg"), "the second name is known")
    assert stack.record("second.jpg") == first | {"source_names": ["first.jpg", "second.jpg"]}


def test_a_dicom_file_gets_a_picture_for_people(stack: LiveStack, tmp_path: Path) -> None:
    stack.drop("shown.dcm", dicom_bytes(tmp_path, 108))
    record = stack.finished("shown.dcm")
    assert Store(stack.settings.home_dir).render(record["sha256"]).read_bytes().startswith(b"\x89PNG")


def test_a_file_that_arrives_slowly_is_taken_whole(stack: LiveStack) -> None:
    data = png(109)
    path = stack.settings.inbox_dir / "slow.png"
    with path.open("wb") as writer:
        for start in range(0, len(data), len(data) // 20):
            writer.write(data[start : start + len(data) // 20])
            writer.flush()
            # Longer than a tick, shorter than the quiet time: this is the speed of a slow share.
            stack.supervisor._stop.wait(0.05)
    assert stack.finished("slow.png")["status"] == "done"


def test_no_part_listens_on_a_port(stack: LiveStack) -> None:
    processes = [psutil.Process(pid) for pid in stack.supervisor.pids().values()]
    family = [member for process in processes for member in (process, *process.children(recursive=True))]
    assert len(family) >= 5
    listening = [
        connection
        for process in family
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening == []


def test_the_private_redis_may_be_opened_by_its_owner_only(stack: LiveStack) -> None:
    socket = private_socket(stack.settings.home_dir)
    assert socket.stat().st_mode & 0o077 == 0


def test_a_patients_name_is_in_no_log_line_and_in_no_key_of_redis(stack: LiveStack, tmp_path: Path) -> None:
    secrets = ("Mustermann", "Erika", "MRN-4711", "19640812")
    patient = {"PatientName": "Mustermann^Erika", "PatientID": "MRN-4711", "PatientBirthDate": "19640812"}
    monitor = stack.redis().monitor()
    with monitor as watched:
        good = dicom_bytes(tmp_path, 110, **patient)
        stack.drop("Mustermann^Erika 19640812.dcm", good)
        stack.drop("Erika-Mustermann.jpg", b"not a picture")
        stack.drop("MRN-4711.dcm", good[: len(good) // 2])
        (stack.settings.inbox_dir / "Mustermann.lnk").symlink_to("/nowhere")
        for name in ("Mustermann^Erika 19640812.dcm", "Erika-Mustermann.jpg", "MRN-4711.dcm", "Mustermann.lnk"):
            stack.finished(name)
        stack.redis().set("triage:test:end", 1, ex=1)
        said = []
        while not said or "triage:test:end" not in said[-1]:
            said.append(str(watched.next_command()["command"]))
    in_redis = "\n".join(said)
    assert "LPUSH folder" in in_redis
    for secret in secrets:
        assert secret not in in_redis
        assert secret not in stack.log


def test_the_log_shows_no_trace_of_an_error(stack: LiveStack) -> None:
    stack.drop("last.jpg", jpeg(111))
    stack.finished("last.jpg")
    assert "Traceback" not in stack.log
    assert re.findall(r"^.*\b(?:ERROR|CRITICAL)\b.*$", stack.log, re.MULTILINE) == []


def move_in(stack: LiveStack, data: bytes) -> str:
    """Move a folder into the inbox with a file in it; the file's name there."""
    outside = stack.settings.home_dir / "outside"
    outside.mkdir()
    (outside / "moved.jpg").write_bytes(data)
    outside.rename(stack.settings.inbox_dir / "room 1")
    return "room 1/moved.jpg"


def test_events_alone_admit_what_is_there_and_what_comes(tmp_path: Path, pinned_model: Path | None) -> None:
    settings = settle(tmp_path, watch="events", rescan_seconds=3600.0, model=pinned_model, workers=1)
    first, second, third = many_jpegs(3)
    settings.inbox_dir.mkdir()
    (settings.inbox_dir / "before.jpg").write_bytes(first)
    with running(settings) as stack:
        stack.finished("before.jpg")
        stack.drop("after.jpg", second)
        stack.finished("after.jpg")
        stack.finished(move_in(stack, third))
        assert "watching by events" in stack.log


def test_polling_admits_files_that_are_left_in_place_once_even_by_a_new_watcher(
    tmp_path: Path, pinned_model: Path | None
) -> None:
    settings = settle(tmp_path, watch="poll", leave_in_place=True, model=pinned_model, workers=1)
    first, second, third = many_jpegs(3)
    with running(settings) as stack:
        stack.drop("stays.jpg", first)
        stack.finished("stays.jpg")
        stack.process("watcher").kill()
        stack.drop("new.jpg", second)
        stack.finished("new.jpg")
        stack.finished(move_in(stack, third))
        assert stack.events("stays.jpg") == ["admitted", "leased", "done"]
        assert sorted(path.name for path in settings.inbox_dir.rglob("*.jpg")) == ["moved.jpg", "new.jpg", "stays.jpg"]
        assert stack.log.count("watching by polling") == 2


def events_in_order(stack: LiveStack, event: str) -> list[int]:
    from sqlalchemy import select

    with sessions(stack.engine)() as session:
        return list(
            session.scalars(select(AuditEvent.image_id).where(AuditEvent.event == event).order_by(AuditEvent.id))
        )


def test_an_upload_overtakes_a_long_folder_queue(tmp_path: Path, pinned_model: Path | None) -> None:
    settings = settle(tmp_path, model=pinned_model, workers=1, images_per_message=1)
    stack = LiveStack(settings, watch=False)
    publisher = Publisher(settings)
    ids: list[int] = []

    def later(wanted: Any, source: str) -> bool:
        del source
        ids.extend(wanted)
        return True

    with Intake(settings, stack.engine, "folder", later) as intake:
        for data in many_jpegs(200):
            intake.admit_bytes(data, "folder.jpg")
    stack.start()
    try:
        publisher.publish(ids, "folder")
        wait_until(lambda: len(events_in_order(stack, "done")) >= 3, "the folder is being worked on")
        with Intake(settings, stack.engine, "upload", publisher.publish) as intake:
            before = len(events_in_order(stack, "done"))
            upload = intake.admit_bytes(png(1), "urgent.png").image_id
        wait_until(lambda: upload in events_in_order(stack, "done"), "the upload is done")
        place = events_in_order(stack, "leased").index(upload)
        assert place <= before + 10
        assert len(events_in_order(stack, "done")) < 200
    finally:
        stack.stop()
        stack.close()


def test_a_redis_that_is_emptied_in_the_middle_loses_no_image(tmp_path: Path, pinned_model: Path | None) -> None:
    settings = settle(tmp_path, model=pinned_model, workers=1, images_per_message=1, republish_seconds=1.0)
    with running(settings) as stack:
        names = stack.drop_all(many_jpegs(60))
        wait_until(lambda: "done" in stack.statuses().values(), "work has begun")
        stack.redis().flushall()
        late = stack.drop_all(many_jpegs(5, seed=2), "late-{}.jpg")
        stack.wait_for(dict.fromkeys([*names, *late], "done"))
        assert len(stack.records()) == 65
        assert [len(events_in_order(stack, "done"))] == [65]
