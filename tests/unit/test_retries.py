"""Transactions are tried again when the database is locked or restarted: a few times, further and further apart."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from worker import retries
from worker.retries import tried_again


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(retries.time, "sleep", found.append)
    return found


def failing(times: int) -> Callable[[str], str]:
    """A transaction that fails at first."""
    left = [times]

    @tried_again
    def transaction(value: str) -> str:
        if left[0]:
            left[0] -= 1
            raise OperationalError("UPDATE", {}, sqlite3.OperationalError("database is locked"))
        return value

    return transaction


def test_a_database_that_is_locked_for_a_moment_is_asked_again(pauses: list[float]) -> None:
    assert failing(2)("done") == "done"
    assert len(pauses) == 2


def test_a_database_that_stays_away_is_not_asked_for_ever(pauses: list[float]) -> None:
    with pytest.raises(OperationalError):
        failing(6)("done")
    assert failing(5)("done") == "done"


def test_pauses_grow_up_to_a_limit_and_are_drawn_at_random(pauses: list[float]) -> None:
    for _ in range(20):
        failing(5)("done")
    rounds = [pauses[start : start + 5] for start in range(0, 100, 5)]
    for limit, drawn in zip((0.2, 0.4, 0.8, 1.6, 2.0), zip(*rounds, strict=True), strict=True):
        assert all(limit / 2 <= pause <= limit for pause in drawn)
        assert len(set(drawn)) > 1


def test_what_asking_again_does_not_mend_is_not_asked_again(pauses: list[float]) -> None:
    @tried_again
    def transaction() -> None:
        raise IntegrityError("INSERT", {}, sqlite3.IntegrityError("UNIQUE constraint failed"))

    with pytest.raises(IntegrityError):
        transaction()
    assert pauses == []
