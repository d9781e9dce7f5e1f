"""Which files have settled, with a clock that the test holds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from watcher.settling import Settling, Sight

FILE = Path("wrist.jpg")


def sight(size: int = 100, modified_ns: int = 1, inode: int = 7, mode: int = 0o100644) -> Sight:
    return Sight(device=1, inode=inode, size=size, modified_ns=modified_ns, mode=mode)


def test_a_file_settles_once_it_has_looked_the_same_for_long_enough() -> None:
    settling = Settling(quiet_seconds=2.0)
    seen = [settling.see(FILE, sight(), now) for now in (10.0, 11.0, 11.9, 12.0, 12.1)]
    assert seen == [False, False, False, True, True]


def test_a_file_that_grows_slowly_is_waited_for() -> None:
    settling = Settling(quiet_seconds=2.0)
    growing = [settling.see(FILE, sight(size=now), now) for now in range(10, 20)]
    assert growing == [False] * 10
    assert [settling.see(FILE, sight(size=19), now) for now in (20.0, 21.0)] == [False, True]


def test_a_copy_that_pauses_for_less_than_the_quiet_time_starts_the_wait_again() -> None:
    settling = Settling(quiet_seconds=2.0)
    assert not settling.see(FILE, sight(size=100), 10.0)
    assert not settling.see(FILE, sight(size=100), 11.9)
    assert not settling.see(FILE, sight(size=200), 12.0)
    assert not settling.see(FILE, sight(size=200), 13.9)
    assert settling.see(FILE, sight(size=200), 14.0)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(sight(modified_ns=2), id="written again with the same length"),
        pytest.param(sight(inode=8), id="replaced by another file of the same length and time"),
        pytest.param(sight(mode=0o100600), id="made readable"),
    ],
)
def test_an_overwrite_that_keeps_the_length_starts_the_wait_again(changed: Sight) -> None:
    settling = Settling(quiet_seconds=2.0)
    settling.see(FILE, sight(), 10.0)
    assert not settling.see(FILE, changed, 12.0)
    assert settling.see(FILE, changed, 14.0)


def test_a_clock_of_the_writer_that_is_wrong_does_not_matter() -> None:
    settling = Settling(quiet_seconds=2.0)
    next_year = sight(modified_ns=10**19)
    assert not settling.see(FILE, next_year, 10.0)
    assert settling.see(FILE, next_year, 12.0)


def test_a_file_that_went_away_and_came_back_waits_from_the_beginning() -> None:
    settling = Settling(quiet_seconds=2.0)
    settling.see(FILE, sight(), 10.0)
    settling.forget(FILE)
    assert FILE not in settling
    assert not settling.see(FILE, sight(), 12.0)


def test_without_a_quiet_time_a_file_settles_at_first_sight() -> None:
    assert Settling(quiet_seconds=0.0).see(FILE, sight(), 10.0)


def test_forgetting_a_file_that_was_never_seen_does_nothing() -> None:
    settling = Settling(quiet_seconds=2.0)
    settling.forget(FILE)
    assert len(settling) == 0


def test_files_wait_each_for_itself() -> None:
    settling = Settling(quiet_seconds=2.0)
    other = Path("ankle.jpg")
    settling.see(FILE, sight(), 10.0)
    settling.see(other, sight(inode=8), 11.0)
    assert [settling.due(now) for now in (11.9, 12.0, 13.0)] == [[], [FILE], [FILE, other]]
    assert settling.see(FILE, sight(), 12.0)
    assert not settling.see(other, sight(inode=8), 12.0)


def test_a_link_is_seen_itself_and_not_what_it_points_to(tmp_path: Path) -> None:
    target = tmp_path / "secret"
    target.write_bytes(b"12345")
    link = tmp_path / "link.jpg"
    link.symlink_to(target)
    before = Sight.of(link)
    target.write_bytes(b"more than it was")
    assert Sight.of(link) == before
    assert before.inode == os.lstat(link).st_ino
