"""What the dashboard holds open for all who look at it: settings, database, queue, files."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import redis
import streamlit as st
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from dashboard import markup, wording
from triage import queries
from triage.broker import Publisher, connect, workers_alive
from triage.condition import open_existing
from triage.database import reading_sessions, sessions
from triage.settings import get_settings
from triage.store import Store

log = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS = 2.0
_AWAY = "database_away"


@dataclass(frozen=True)
class QueueState:
    """Whether the broker answers, and how many worker children take work from it."""

    reachable: bool
    children: int


@st.cache_resource(show_spinner=False)
def engine() -> Engine:
    """The database, once it is there, answers, and has the schema that this program expects.

    Raises:
        PartMissing: it is not so; the message says what to do. It is looked at again the next time.
    """
    return open_existing(get_settings())


@st.cache_resource(show_spinner=False)
def publisher() -> Publisher:
    """Sends messages to the worker."""
    return Publisher(get_settings())


@st.cache_resource(show_spinner=False)
def _broker() -> redis.Redis:
    return connect(get_settings())


def store() -> Store:
    """Originals and renders on disk."""
    return Store(get_settings().home_dir)


@st.cache_resource(ttl=2, show_spinner=False)
def queue_state() -> QueueState:
    """How the queue is; asked at most every two seconds, however many people look."""
    try:
        return QueueState(True, sum(workers_alive(_broker()).values()))
    except (redis.RedisError, OSError):
        return QueueState(False, 0)


@contextmanager
def answering(asked_by: str = "page") -> Iterator[None]:
    """For what needs the database: if it does not answer, says so on the page and ends this run.

    Of several parts of a page that ask, the first one says it, until there is an answer again. What comes behind it on
    the page is missing then, and is drawn when the database is back.
    """
    try:
        yield
    except SQLAlchemyError:
        log.exception("the database does not answer")
        if st.session_state.setdefault(_AWAY, asked_by) == asked_by:
            st.html(markup.alert(wording.DATABASE_AWAY))
        if asked_by == "page":
            _look_again([])  # before the stop, behind which nothing can be put on the page
        st.stop()


@st.fragment(run_every=LOOK_AGAIN_SECONDS)
def _look_again(looked: list[bool]) -> None:
    """Draw the whole page anew once the database answers. Not in the run that has just failed: it could go on so."""
    if not looked:
        looked.append(True)
        return
    try:
        with reading_sessions(engine())() as session:
            queries.status_of(session, 0)
    except SQLAlchemyError:
        return
    is_back()
    st.rerun()


def is_back() -> bool:
    """Asked by what has just had an answer: whether there was none before; true once."""
    return st.session_state.pop(_AWAY, None) is not None


@contextmanager
def reading(asked_by: str = "page") -> Iterator[Session]:
    """A session for reading, if the database is `answering`."""
    with answering(asked_by), reading_sessions(engine())() as session:
        yield session


@contextmanager
def writing() -> Iterator[Session]:
    """A session for writing, committed at the end, if the database is `answering`."""
    with answering(), sessions(engine()).begin() as session:
        yield session
