"""How the system is: what ``triage status`` and ``triage doctor`` tell."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import redis
from sqlalchemy import Engine

from triage import queries
from triage.arrivals import find_files
from triage.broker import WATCHER, children_alive, connect, parts_alive
from triage.broker import is_reachable as broker_is_reachable
from triage.bundle import BundleError, find_bundle, open_bundle
from triage.console import printable
from triage.database import is_reachable, open_database, reading_sessions
from triage.intake import utc_now
from triage.schema import is_current
from triage.settings import Settings
from triage.stack import PartMissing, check_home, is_running, redis_server

RATE_WINDOW_SECONDS = 60
LEAST_FREE_BYTES = 1_000_000_000
_NAMED = 5


def open_existing(settings: Settings) -> Engine:
    """The database of this home, if it is there, answers, and has the newest schema.

    Raises:
        PartMissing: it is not so; the message says what to do.
    """
    if settings.database_url is None and not (settings.home_dir / "triage.sqlite3").is_file():
        raise PartMissing(f"there is no database in {settings.home_dir} yet; `triage up` makes one")
    engine = open_database(settings.database)
    if not is_reachable(engine):
        problem = f"the database {engine.url.render_as_string(hide_password=True)} does not answer; is it running?"
    elif not is_current(engine):
        problem = "the database has another schema than this program; run `triage migrate`"
    else:
        return engine
    engine.dispose()
    raise PartMissing(problem)


def check_alive(settings: Settings, part: str) -> None:
    """Look for the sign of life of this machine's worker or watcher, for health checks of containers.

    Raises:
        PartMissing: there is none, or the watcher cannot take files out of the inbox.
    """
    try:
        with connect(settings) as client:
            names = parts_alive(client, part)
    except (redis.RedisError, OSError) as error:
        raise PartMissing("the broker does not answer") from error
    if not any(name.endswith(f"@{socket.gethostname()}") for name in names):
        raise PartMissing(f"no {part} of this machine gives a sign of life")
    if part == WATCHER and not _inbox_is_usable(settings):
        raise PartMissing(f"files cannot be taken out of {settings.inbox_dir} by user {os.getuid()}")


def _inbox_is_usable(settings: Settings) -> bool:
    needed = os.R_OK | os.X_OK | (0 if settings.leave_in_place else os.W_OK)
    return settings.inbox_dir.is_dir() and os.access(settings.inbox_dir, needed)


def status_of(settings: Settings) -> dict[str, Any]:
    """Counts per status, the oldest wait, the rate of the last minute, and which parts answer.

    Raises:
        PartMissing: there is no database to count in.
    """
    engine = open_existing(settings)
    now = utc_now()
    with reading_sessions(engine)() as session:
        counts = queries.counts(session)
        oldest = queries.oldest_waiting(session)
        finished = queries.finished_since(session, now - timedelta(seconds=RATE_WINDOW_SECONDS))
    engine.dispose()
    return {
        "home": str(settings.home_dir),
        "inbox": str(settings.inbox_dir),
        "counts": counts,
        "oldest_wait_seconds": None if oldest is None else round((now - oldest).total_seconds(), 3),
        "images_per_second": round(finished / RATE_WINDOW_SECONDS, 3),
        "workers_alive": children_alive(settings),
        "watchers_alive": children_alive(settings, WATCHER),
        "broker_reachable": broker_is_reachable(settings),
        "database_reachable": True,
    }


@dataclass(frozen=True)
class Finding:
    """One thing that ``triage doctor`` looked at; ``wrong`` ones say what to do."""

    name: str
    wrong: bool
    text: str


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at each part that the program needs, one finding a part."""
    yield _home(settings)
    yield _inbox(settings)
    try:
        engine = open_existing(settings)
        yield Finding("database", False, engine.url.render_as_string(hide_password=True))
        engine.dispose()
    except PartMissing as error:
        yield Finding("database", True, str(error))
    yield _broker(settings)
    children = children_alive(settings)
    yield Finding(
        "worker",
        children == 0,
        f"{children} children take messages" if children else "no worker is running; `triage up` starts one",
    )
    watchers = children_alive(settings, WATCHER)
    yield Finding("watcher", watchers == 0, "at work" if watchers else "none is running; `triage up` starts one")
    try:
        bundle = open_bundle(find_bundle(settings))
        yield Finding("model", False, f"{bundle.version}, complete and unaltered")
    except BundleError as error:
        yield Finding("model", True, str(error))
    there = find_spec("streamlit") is not None
    yield Finding("dashboard", not there, "installed" if there else "pip install 'fracture-triage[dashboard]'")


def _home(settings: Settings) -> Finding:
    try:
        check_home(settings)
    except PartMissing as error:
        return Finding("home", True, str(error))
    home = settings.home_dir
    if not home.is_dir():
        return Finding("home", True, f"{home} is not there yet; `triage up` makes it")
    if not os.access(home, os.W_OK):
        return Finding("home", True, f"{home} may not be written")
    free = shutil.disk_usage(home).free
    if free < LEAST_FREE_BYTES:
        return Finding("home", True, f"only {free / 1e9:.1f} GB are free on the disk of {home}")
    return Finding("home", False, f"{home}, {free / 1e9:.0f} GB free")


def _inbox(settings: Settings) -> Finding:
    inbox = settings.inbox_dir
    if not _inbox_is_usable(settings):
        return Finding("inbox", True, f"{inbox} is not there or may not be used")
    closed: list[Path] = []
    for _ in find_files(inbox, closed.append):
        pass
    if closed:
        names = ", ".join(printable(str(folder.relative_to(inbox))) for folder in closed[:_NAMED])
        more = f" and {len(closed) - _NAMED} more" if len(closed) > _NAMED else ""
        text = f"what lies in these folders of {inbox} is not taken in, for user {os.getuid()} may not read them: "
        return Finding("inbox", True, text + names + more)
    return Finding("inbox", False, str(inbox))


def _broker(settings: Settings) -> Finding:
    if broker_is_reachable(settings):
        return Finding("broker", False, "answers")
    if settings.broker_url:
        return Finding("broker", True, "TRIAGE_BROKER_URL does not answer; is Redis running, and the URL right?")
    try:
        server = redis_server()
    except PartMissing as error:
        return Finding("broker", True, str(error))
    running = is_running(settings)
    return Finding("broker", True, f"{server} is {'not answering' if running else 'started by `triage up`'}")
