"""No byte without a name, no original altered, and nothing forgotten when a process dies."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from triage import store as module
from triage.filing import Filing, abandoned
from triage.store import Filed, Refused, Store, check_readable, fingerprint, write_durably

BYTES = b"\x89PNG these bytes stand for a radiograph"
SHA256 = hashlib.sha256(BYTES).hexdigest()
WORST_NAMES = [
    "a name with spaces.jpg",
    "two\nlines.jpg",
    "..evil..jpg",
    "room 1/series 2/wrist.jpg",
    "-rf",
    "~tilde~.jpg",
    "1~2~3.jpg",
    "name:with*odd?chars|.jpg",
    "Röntgen-手.jpg",
    os.fsdecode(b"latin-r\xf6ntgen.jpg"),
    "x" * 251 + ".jpg",
    ".lock.jpg",
]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


@pytest.fixture
def filing(home: Path) -> Iterator[Filing]:
    found = Filing(home, "folder")
    yield found
    found.close()


def put(inbox: Path, name: str, data: bytes = BYTES) -> Path:
    path = inbox / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


# -- originals --------------------------------------------------------------------------------------------


def test_an_original_is_kept_under_its_hash(home: Path, inbox: Path, filing: Filing) -> None:
    filed = filing.move(put(inbox, "wrist.jpg"), "wrist.jpg")
    kept = Store(home).keep_original(filed)
    assert kept == home / "originals" / SHA256[:2] / SHA256
    assert kept.read_bytes() == BYTES


def test_keeping_an_original_copies_nothing(home: Path, inbox: Path, filing: Filing) -> None:
    inode = put(inbox, "wrist.jpg").stat().st_ino
    kept = Store(home).keep_original(filing.move(inbox / "wrist.jpg", "wrist.jpg"))
    assert kept.stat().st_ino == inode


def test_a_second_file_with_the_same_bytes_leaves_the_first_where_it_is(
    home: Path, inbox: Path, filing: Filing
) -> None:
    store = Store(home)
    first = store.keep_original(filing.move(put(inbox, "a.jpg"), "a.jpg"))
    inode = first.stat().st_ino
    second = store.keep_original(filing.move(put(inbox, "b.jpg"), "b.jpg"))
    assert second == first
    assert second.stat().st_ino == inode
    assert files_below(home / "originals") == [f"{SHA256[:2]}/{SHA256}"]


def test_an_original_that_was_damaged_on_disk_is_mended_by_the_same_file(
    home: Path, inbox: Path, filing: Filing
) -> None:
    store = Store(home)
    damaged = store.keep_original(filing.move(put(inbox, "a.jpg"), "a.jpg"))
    damaged.write_bytes(BYTES[:5])
    assert store.keep_original(filing.move(put(inbox, "b.jpg"), "b.jpg")).read_bytes() == BYTES
    assert files_below(home / "originals") == [f"{SHA256[:2]}/{SHA256}"]


def test_a_disk_without_hard_links_gets_a_copy(
    home: Path, inbox: Path, filing: Filing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    filed = filing.move(put(inbox, "a.jpg"), "a.jpg")
    kept = Store(home).keep_original(filed)
    assert kept.read_bytes() == BYTES
    assert kept.stat().st_ino != filed.path.stat().st_ino
    assert files_below(home / "originals") == [f"{SHA256[:2]}/{SHA256}"]


def test_a_full_disk_leaves_no_half_original(
    home: Path, inbox: Path, filing: Filing, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed = filing.move(put(inbox, "a.jpg"), "a.jpg")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr(module, "copy_durably", full)
    with pytest.raises(OSError, match="No space left"):
        Store(home).keep_original(filed)
    assert files_below(home / "originals") == []
    assert filed.path.read_bytes() == BYTES


def test_a_render_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "renders" / "ab" / "picture.png"
    write_durably(target, b"first")

    def power_cut(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", power_cut)
    with pytest.raises(OSError, match="Input/output"):
        write_durably(target, b"second, and longer")
    assert target.read_bytes() == b"first"
    assert files_below(tmp_path) == ["renders/ab/picture.png"]


# -- what may be read -------------------------------------------------------------------------------------


def refusal(path: Path, max_bytes: int = 1000) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        check_readable(path, max_bytes)
    return caught.value.code, caught.value.detail


def test_a_link_is_refused_wherever_it_points(tmp_path: Path) -> None:
    put(tmp_path, "real.jpg")
    for name, target in {"file": "real.jpg", "folder": ".", "nowhere": "missing", "secret": "/etc/passwd"}.items():
        (tmp_path / name).symlink_to(target)
        assert refusal(tmp_path / name) == (
            "link",
            "This is a symbolic link, not a file, and is never followed. Put the file itself here.",
        )


def test_pipes_sockets_and_folders_are_refused_without_being_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket.jpg"))
    found = {name: refusal(tmp_path / f"{name}.jpg") for name in ("pipe", "folder", "socket")}
    assert {code for code, _ in found.values()} == {"not_a_file"}
    assert "This is a named pipe" in found["pipe"][1]


def test_a_file_over_the_limit_is_refused_and_one_on_it_is_not(tmp_path: Path) -> None:
    assert check_readable(put(tmp_path, "fits.jpg", bytes(1000)), 1000).st_size == 1000
    assert refusal(put(tmp_path, "large.jpg", bytes(1001))) == (
        "too_large",
        "The file has 1,001 bytes; the limit is 1,000 (TRIAGE_MAX_BYTES).",
    )


def test_a_file_that_becomes_a_link_between_the_look_and_the_move_is_not_followed(
    home: Path, inbox: Path, filing: Filing
) -> None:
    put(inbox, "real.jpg")
    (inbox / "link.jpg").symlink_to(inbox / "real.jpg")
    with pytest.raises(Refused, match="never followed"):
        filing.move(inbox / "link.jpg", "link.jpg")
    with pytest.raises(Refused, match="never followed"):
        filing.copy(inbox / "link.jpg", "link.jpg")
    assert (inbox / "link.jpg").is_symlink()
    assert files_below(home / "filing") == [f"{next((home / 'filing').iterdir()).name}/.lock"]


def test_a_pipe_that_takes_a_files_place_does_not_hang_the_watcher(inbox: Path, filing: Filing) -> None:
    os.mkfifo(inbox / "pipe.jpg")
    with pytest.raises(Refused, match="not a regular file"):
        filing.move(inbox / "pipe.jpg", "pipe.jpg")


def test_a_link_that_was_moved_in_place_of_a_file_leaves_nothing_behind(
    home: Path, inbox: Path, filing: Filing, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(inbox, "wrist.jpg")
    rename = Path.rename

    def swapped(self: Path, target: Path) -> Path:
        if self == path:
            path.unlink()
            path.symlink_to("/etc/passwd")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", swapped)
    with pytest.raises(Refused, match="never followed"):
        filing.move(path, "wrist.jpg")
    filing.close()
    assert list(abandoned(home)) == []
    assert files_below(home / "filing") == []


# -- fingerprints -----------------------------------------------------------------------------------------


def test_a_fingerprint_tells_a_changed_file_from_one_that_stayed(tmp_path: Path) -> None:
    path = put(tmp_path, "wrist.jpg")
    os.utime(path, ns=(1, 1))
    before = fingerprint(path.lstat(), "wrist.jpg")
    assert len(before) == 64
    assert fingerprint(path.lstat(), "wrist.jpg") == before

    changes = []
    path.write_bytes(BYTES + b"!")
    os.utime(path, ns=(1, 1))
    changes.append(fingerprint(path.lstat(), "wrist.jpg"))
    os.utime(path, ns=(1, 2))
    changes.append(fingerprint(path.lstat(), "wrist.jpg"))
    path.chmod(0o600)
    changes.append(fingerprint(path.lstat(), "wrist.jpg"))
    changes.append(fingerprint(path.lstat(), "ankle.jpg"))
    assert len({before, *changes}) == 5


# -- filing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WORST_NAMES)
def test_a_file_of_any_name_is_moved_hashed_and_released(home: Path, inbox: Path, filing: Filing, name: str) -> None:
    path = put(inbox, name)
    filed = filing.move(path, name)
    assert (filed.sha256, filed.size_bytes) == (SHA256, len(BYTES))
    assert not path.exists()
    assert filed.path.is_relative_to(home / "filing")
    filing.release(filed.path)
    assert files_below(home / "filing") == [f"{filed.path.relative_to(home / 'filing').parts[0]}/.lock"]


@pytest.mark.parametrize("name", WORST_NAMES)
def test_a_file_that_was_filed_when_the_process_died_is_found_again_under_its_name(
    home: Path, inbox: Path, name: str
) -> None:
    filing = Filing(home, "upload")
    filing.move(put(inbox, name), name)
    filing.close()  # the lock goes, as it does when a process is killed; the file stays

    found = [(found_name, source, path.read_bytes()) for path, found_name, source in abandoned(home)]
    assert found == [(name, "upload", BYTES)]


def test_recovered_files_leave_no_folder_behind(home: Path, inbox: Path) -> None:
    filing = Filing(home, "folder")
    for name in WORST_NAMES:
        filing.move(put(inbox, name), name)
    filing.close()
    names = []
    for path, name, _ in abandoned(home):
        names.append(name)
        path.unlink()
    assert sorted(names) == sorted(WORST_NAMES)
    assert list((home / "filing").iterdir()) == []


def test_a_session_of_a_living_process_is_left_alone(home: Path, inbox: Path, filing: Filing) -> None:
    filing.move(put(inbox, "wrist.jpg"), "wrist.jpg")
    assert list(abandoned(home)) == []


def test_a_file_that_could_not_be_admitted_again_keeps_its_session(home: Path, inbox: Path) -> None:
    filing = Filing(home, "folder")
    filing.move(put(inbox, "wrist.jpg"), "wrist.jpg")
    filing.close()
    assert len(list(abandoned(home))) == 1
    assert len(list(abandoned(home))) == 1


def test_two_files_of_one_name_do_not_meet(inbox: Path, filing: Filing) -> None:
    first = filing.move(put(inbox, "wrist.jpg", b"first"), "wrist.jpg")
    second = filing.move(put(inbox, "wrist.jpg", b"second"), "wrist.jpg")
    assert [first.path.read_bytes(), second.path.read_bytes()] == [b"first", b"second"]


def test_a_move_that_is_not_possible_leaves_the_file_where_it_was(
    home: Path, inbox: Path, filing: Filing, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(inbox, "room/wrist.jpg")

    def other_disk(self: Path, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "rename", other_disk)
    with pytest.raises(OSError, match="cross-device"):
        filing.move(path, "room/wrist.jpg")
    assert path.read_bytes() == BYTES
    assert [name for name in files_below(home / "filing") if not name.endswith(".lock")] == []


def test_a_copy_leaves_its_source_and_hashes_what_it_wrote(inbox: Path, filing: Filing) -> None:
    path = put(inbox, "wrist.jpg", BYTES * 100_000)
    filed = filing.copy(path, "wrist.jpg")
    assert filed.sha256 == hashlib.sha256(BYTES * 100_000).hexdigest()
    assert filed.path.read_bytes() == path.read_bytes()


def test_uploaded_bytes_are_filed_under_their_name(filing: Filing) -> None:
    filed = filing.write(BYTES, "upload.png")
    assert filed == Filed(filed.path, SHA256, len(BYTES))
    assert filed.path.read_bytes() == BYTES


def test_an_empty_session_ends_without_a_trace(home: Path) -> None:
    Filing(home, "once").close()
    assert list((home / "filing").iterdir()) == []


def test_looking_for_abandoned_files_disturbs_nobody_who_begins_or_ends_at_that_moment(home: Path) -> None:
    stop = threading.Event()
    broken: list[BaseException] = []

    def look() -> None:
        while not stop.is_set():
            try:
                assert list(abandoned(home)) == []
            except BaseException as error:  # noqa: BLE001 - told to the main thread
                broken.append(error)
                return

    looker = threading.Thread(target=look)
    looker.start()
    try:
        for _ in range(300):
            filing = Filing(home, "upload")
            filing.release(filing.write(BYTES, "x.png").path)
            filing.close()
    finally:
        stop.set()
        looker.join()
    assert broken == []
