"""The last weeks on the reader's clock, and what the database tells of each; one that is over is kept for a while."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Final

import streamlit as st
from sqlalchemy.orm import Session

from dashboard import connections

WEEKS: Final = 12

Read = Callable[[Session, tuple[datetime, ...]], list[Any]]
"""Reads what there is between each of these moments and the next."""


@dataclass(frozen=True)
class Week:
    """Seven days from a Monday on.

    Attributes:
        monday: the first of them.
        begin: their first moment.
        end: the first one behind them.
        is_over: whether that has passed.
    """

    monday: date
    begin: datetime
    end: datetime
    is_over: bool


def last_weeks(now: datetime, zone: tzinfo, count: int = WEEKS) -> list[Week]:
    """So many weeks, the current one last."""
    today = now.astimezone(zone).date()
    this_monday = today - timedelta(days=today.weekday())
    return [_week(this_monday - timedelta(weeks=back), now, zone) for back in range(count - 1, -1, -1)]


def _week(monday: date, now: datetime, zone: tzinfo) -> Week:
    begin, end = (datetime.combine(day, time(), zone).astimezone(UTC) for day in (monday, monday + timedelta(weeks=1)))
    return Week(monday, begin, end, end <= now)


def read(weeks: list[Week], what: str, ask: Read) -> list[Any]:
    """What the database tells of each week; the same ``what`` is the same question.

    Args:
        weeks: the last of them is not over.
        what: the question's name.
        ask: reads the answers.
    """
    return _kept(what, tuple(week.begin for week in weeks), ask) + _fresh(what, (weeks[-1].begin, weeks[-1].end), ask)


# What is over changes little: by a purge, or by somebody who thinks better of a verdict.
@st.cache_resource(ttl=900, show_spinner=False, max_entries=40)
def _kept(what: str, moments: tuple[datetime, ...], _ask: Read) -> list[Any]:
    return _read(moments, _ask)


@st.cache_resource(ttl=20, show_spinner=False, max_entries=40)
def _fresh(what: str, moments: tuple[datetime, ...], _ask: Read) -> list[Any]:
    return _read(moments, _ask)


def _read(moments: tuple[datetime, ...], ask: Read) -> list[Any]:
    with connections.reading() as session:
        return ask(session, moments)
