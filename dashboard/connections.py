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
from triage.broker import Publisher, connect, workers_alive
from triage.condition import open_existing
from triage.records import reading_sessions, sessions
from triage.settings import get_settings
from triage.store import Store

log = logging.getLogger(__name__)

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
def answering() -> Iterator[None]:
    """For what needs the database: if it does not answer, says so on the page and ends this run.

    What comes behind it on the page is then missing; `is_back` tells when it can be drawn.
    """
    try:
        yield
    except SQLAlchemyError:
        st.session_state[_AWAY] = True
        log.exception("the database does not answer")
        st.html(markup.alert(wording.DATABASE_AWAY))
        st.stop()


def is_back() -> bool:
    """Asked by what has just had an answer: whether there was none before; true once."""
    return bool(st.session_state.pop(_AWAY, False))


@contextmanager
def reading() -> Iterator[Session]:
    """A session for reading, if the database is `answering`."""
    with answering(), reading_sessions(engine())() as session:
        yield session


@contextmanager
def writing() -> Iterator[Session]:
    """A session for writing, committed at the end, if the database is `answering`."""
    with answering(), sessions(engine()).begin() as session:
        yield session
