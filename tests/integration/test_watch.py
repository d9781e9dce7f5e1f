"""The watcher's eyes on a real inbox, with a clock that the test holds."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from clinic import Clinic
from sqlalchemy import Engine
from xray_files import jpeg, many_jpegs

from triage.condition import examine
from triage.filing import Filing
from triage.intake import Admission, Arrival, Intake
from triage.settings import Settings
from triage.store import Filed
from watcher import watch as module
from watcher.watch import Watch, by_polling


@dataclass
class Room:
    """An inbox that is looked at whenever the test says so; a file settles after two seconds."""

    clinic: Clinic
    intake: Intake
    watch: Watch
    now: float = 100.0

    def tick(self, seconds: float = 0.0) -> list[str]:
        """Let time pass and scan; the names of all images that are known then."""
        self.now += seconds
        self.watch.begin_tick()
        self.watch.scan()
        for lot in self.watch.settled():
            self.watch.admit(lot)
        return sorted(name for record in self.clinic.records() for name in record["source_names"])


@pytest.fixture
def clinic(settings: Settings, sqlite_engine: Engine) -> Clinic:
    return Clinic(settings.model_copy(update={"quiet_seconds": 2.0}), sqlite_engine)


@pytest.fixture
def room(clinic: Clinic) -> Iterator[Room]:
    with clinic.intake() as intake:
        yield watched(clinic, intake)


def watched(clinic: Clinic, intake: Intake) -> Room:
    found = Room(clinic, intake, Watch(clinic.settings, intake, clock=lambda: found.now))
    return found


def test_a_file_is_admitted_once_it_has_settled(room: Room) -> None:
    room.clinic.put("wrist.jpg", jpeg(1))
    assert room.tick() == []
    assert room.tick(1.9) == []
    assert room.tick(0.1) == ["wrist.jpg"]
    assert room.clinic.inbox() == []


def test_a_file_that_is_still_written_is_left_alone(room: Room) -> None:
    data = jpeg(1)
    room.clinic.put("wrist.jpg", data[:1000])
    room.tick()
    room.clinic.put("wrist.jpg", data)
    assert room.tick(2.0) == []
    assert room.tick(2.0) == ["wrist.jpg"]
    (record,) = room.clinic.records()
    assert record["status"] == "queued"


def test_a_file_under_a_temporary_name_is_taken_once_it_is_renamed(room: Room) -> None:
    path = room.clinic.put("wrist.jpg.part", jpeg(1)).path
    room.tick()
    assert room.tick(60.0) == []
    path.rename(path.with_name("wrist.jpg"))
    room.tick()
    assert room.tick(2.0) == ["wrist.jpg"]


def test_a_file_that_is_deleted_while_it_settles_is_forgotten(room: Room) -> None:
    path = room.clinic.put("wrist.jpg", jpeg(1)).path
    room.tick()
    path.unlink()
    assert room.tick(2.0) == []
    room.clinic.put("wrist.jpg", jpeg(2))
    assert room.tick() == []


def test_a_long_list_is_admitted_in_lots(room: Room) -> None:
    for number, data in enumerate(many_jpegs(140)):
        room.clinic.put(f"{number}.jpg", data)
    room.tick()
    assert len(room.tick(2.0)) == 140
    assert [len(ids) for ids, _ in room.clinic.published] == [64, 64, 12]


def test_a_folder_that_is_moved_in_is_looked_through(room: Room, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "wrist.jpg").write_bytes(jpeg(1))
    room.watch.scan()
    moved = outside.rename(room.clinic.settings.inbox_dir / "room 1")
    room.watch.notice([moved])
    room.now += 2.0
    lots = list(room.watch.settled())
    assert lots == [[moved / "deep" / "wrist.jpg"]]


def test_a_new_file_that_takes_the_place_of_the_one_just_taken_is_not_missed(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.clinic.put("image.jpg", jpeg(1))
    admit = room.intake.admit

    def and_the_next_one_arrives(arrivals: list[Arrival]) -> list[Admission | None]:
        admissions = admit(arrivals)
        if arrivals:
            monkeypatch.setattr(room.intake, "admit", admit)
            room.clinic.put("image.jpg", jpeg(2))
        return admissions

    monkeypatch.setattr(room.intake, "admit", and_the_next_one_arrives)
    room.tick()
    room.tick(2.0)
    room.tick()
    room.tick(2.0)
    assert len(room.clinic.records()) == 2
    assert room.clinic.inbox() == []


def test_a_link_is_reported_once_however_often_it_is_seen(room: Room) -> None:
    (room.clinic.settings.inbox_dir / "link.jpg").symlink_to("/nowhere")
    for _ in range(5):
        room.tick(2.0)
    (record,) = room.clinic.records()
    assert record["error_code"] == "link"
    assert room.clinic.events(record["image_id"]) == ["quarantined"]


def test_a_link_is_not_reported_again_after_a_restart(room: Room) -> None:
    (room.clinic.settings.inbox_dir / "link.jpg").symlink_to("/nowhere")
    for _ in range(2):
        room.tick(2.0)
    again = watched(room.clinic, room.intake)
    for _ in range(3):
        again.tick(2.0)
    assert room.clinic.events(room.clinic.records()[0]["image_id"]) == ["quarantined"]


@pytest.fixture
def staying(clinic: Clinic) -> Iterator[Room]:
    left = Clinic(clinic.settings.model_copy(update={"leave_in_place": True}), clinic.engine)
    with left.intake() as intake:
        yield watched(left, intake)


def test_files_left_in_place_are_admitted_once_and_not_again_after_a_restart(staying: Room) -> None:
    staying.clinic.put("wrist.jpg", jpeg(1))
    for _ in range(4):
        staying.tick(2.0)
    again = watched(staying.clinic, staying.intake)
    for _ in range(4):
        again.tick(2.0)
    (record,) = staying.clinic.records()
    assert staying.clinic.events(record["image_id"]) == ["admitted"]
    assert staying.clinic.inbox() == ["wrist.jpg"]


def test_a_file_left_in_place_that_changes_is_another_image(staying: Room) -> None:
    staying.clinic.put("wrist.jpg", jpeg(1))
    staying.tick()
    staying.tick(2.0)
    staying.clinic.put("wrist.jpg", jpeg(2))
    staying.tick()
    staying.tick(2.0)
    assert len(staying.clinic.records()) == 2


def test_a_file_left_in_place_that_changes_while_it_is_copied_is_not_missed(
    staying: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    staying.clinic.put("wrist.jpg", jpeg(1))
    admit = staying.intake.admit

    def and_it_changes(arrivals: list[Arrival]) -> list[Admission | None]:
        admissions = admit(arrivals)
        monkeypatch.setattr(staying.intake, "admit", admit)
        staying.clinic.put("wrist.jpg", jpeg(2))
        return admissions

    staying.tick()
    monkeypatch.setattr(staying.intake, "admit", and_it_changes)
    staying.tick(2.0)
    staying.tick()
    staying.tick(2.0)
    assert len(staying.clinic.records()) == 2


def test_an_inbox_that_goes_away_and_comes_back_is_watched_again(room: Room) -> None:
    inbox = room.clinic.settings.inbox_dir
    inbox.rmdir()
    assert room.tick() == []
    inbox.mkdir()
    room.clinic.put("wrist.jpg", jpeg(1))
    room.tick()
    assert room.tick(2.0) == ["wrist.jpg"]


def test_events_outside_the_inbox_or_on_the_inbox_itself_are_harmless(room: Room) -> None:
    inbox = room.clinic.settings.inbox_dir
    room.watch.notice([inbox, inbox.parent, inbox / "gone.jpg", inbox / ".hidden"])
    assert list(room.watch.settled()) == []


def test_a_folder_that_may_not_be_entered_stops_nothing(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    room.clinic.put("closed/a.jpg", jpeg(1))
    room.clinic.put("open/b.jpg", jpeg(2))
    lstat, stat = os.lstat, os.stat

    def guarded(look: Any) -> Any:
        def looked(path: Any, *arguments: Any, **options: Any) -> Any:
            if str(path).endswith("closed/a.jpg"):
                raise PermissionError(13, "Permission denied", str(path))
            return look(path, *arguments, **options)

        return looked

    monkeypatch.setattr(os, "lstat", guarded(lstat))
    monkeypatch.setattr(os, "stat", guarded(stat))
    room.tick()
    assert room.tick(2.0) == ["open/b.jpg"]


def failing(name: str, tries: list[float], room: Room) -> Callable[..., Filed]:
    """A disk that always fails on one file; when it was tried is noted."""
    real = Filing.hash

    def hash_or_fail(place: Path) -> Filed:
        if place.name.endswith(name):
            tries.append(room.now)
            raise OSError(errno.EIO, "Input/output error")
        return real(place)

    return hash_or_fail


def test_a_file_that_the_disk_keeps_failing_on_is_tried_less_and_less_often(
    room: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[float] = []
    monkeypatch.setattr(Filing, "hash", staticmethod(failing("bad.jpg", tries, room)))
    room.clinic.put("bad.jpg", jpeg(1))
    room.clinic.put("good.jpg", jpeg(2))
    room.tick()
    assert room.tick(2.0) == ["good.jpg"]
    for _ in range(300):
        room.tick(1.0)
    pauses = [later - earlier for earlier, later in pairwise(tries)]
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert "bad.jpg" not in caplog.text
    assert "the disk fails on 1 files (Input/output error); trying again in 60 s" in caplog.text
    assert room.clinic.inbox() == ["bad.jpg"]

    monkeypatch.undo()
    assert room.tick(60.0) == ["bad.jpg", "good.jpg"]


def test_a_file_that_is_written_anew_is_not_put_off(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[float] = []
    monkeypatch.setattr(Filing, "hash", staticmethod(failing("scan.jpg", tries, room)))
    room.clinic.put("scan.jpg", jpeg(1))
    room.tick()
    for _ in range(20):
        room.tick(1.0)
    assert len(tries) == 5
    monkeypatch.undo()
    room.clinic.put("scan.jpg", jpeg(2) + b"longer")
    room.tick()
    assert room.tick(2.0) == ["scan.jpg"]


def test_folders_that_may_not_be_read_are_reported_once_and_without_their_names(
    room: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    room.clinic.put("Mustermann^Erika/a.jpg", jpeg(1))
    room.clinic.put("open/b.jpg", jpeg(2))
    scandir = os.scandir

    def guarded(path: Path) -> Any:
        if Path(path).name == "Mustermann^Erika":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", guarded)
        room.tick()
        assert room.tick(2.0) == ["open/b.jpg"]
        room.tick(2.0)
        (inbox,) = [finding for finding in examine(room.clinic.settings) if finding.name == "inbox"]
    assert caplog.text.count("1 folders in the inbox may not be read; `triage doctor` names them") == 1
    assert "Mustermann" not in caplog.text
    assert inbox.wrong
    assert inbox.text.endswith(f"user {os.getuid()} may not read them: Mustermann^Erika")
    room.tick()
    assert room.tick(2.0) == ["Mustermann^Erika/a.jpg", "open/b.jpg"]


@pytest.mark.parametrize(
    ("watch", "kind", "polling"),
    [
        ("auto", "ext4", False),
        ("auto", "cifs", True),
        ("auto", None, False),
        ("poll", "ext4", True),
        ("events", "cifs", False),
    ],
)
def test_network_shares_are_polled_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, watch: Any, kind: str | None, polling: bool
) -> None:
    monkeypatch.setattr(module, "file_system", lambda _: kind)
    assert by_polling(Settings(watch=watch)) is polling
