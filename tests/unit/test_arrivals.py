from __future__ import annotations

import os
from pathlib import Path, PurePath

import pytest

from triage.arrivals import find_files, is_temporary


@pytest.mark.parametrize(
    "name",
    [
        ".wrist.jpg",
        ".DS_Store",
        "room-1/.hidden/wrist.jpg",
        "~$report.jpg",
        "wrist.jpg~",
        "wrist.jpg.part",
        "wrist.jpg.partial",
        "wrist.JPG.TMP",
        "wrist.temp",
        "wrist.jpg.crdownload",
        "wrist.jpg.filepart",
    ],
)
def test_a_name_of_an_unfinished_copy_is_left_alone(name: str) -> None:
    assert is_temporary(PurePath(name))


@pytest.mark.parametrize(
    "name", ["wrist.jpg", "WRIST", "room-1/wrist.dcm", "part.jpg", "tmp/wrist.jpg", "a~b.png", "wrist.", "partial"]
)
def test_any_other_name_is_taken_whatever_it_ends_in(name: str) -> None:
    assert not is_temporary(PurePath(name))


def test_files_are_found_at_any_depth_under_any_name(tmp_path: Path) -> None:
    names = ["a.jpg", "room 1/b.dcm", "room 1/deep/er/no-extension", "line\nbreak.png", "notes.txt"]
    for name in [*names, "room 1/.trash/c.jpg", "d.jpg.part"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert sorted(str(path.relative_to(tmp_path)) for path in find_files(tmp_path)) == sorted(names)


def test_links_are_found_but_never_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "passwords").touch()
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "folder-link").symlink_to(elsewhere)
    (inbox / "round").symlink_to(inbox)
    (inbox / "broken").symlink_to(tmp_path / "nothing")
    assert sorted(path.name for path in find_files(inbox)) == ["broken", "folder-link", "round"]


def test_names_that_are_no_utf_8_are_found(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/r\xf6ntgen.jpg"
    with open(raw, "wb"):  # noqa: PTH123 - Path takes no bytes
        pass
    assert [os.fsencode(path.name) for path in find_files(tmp_path)] == [b"r\xf6ntgen.jpg"]


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert list(find_files(tmp_path / "gone")) == []
