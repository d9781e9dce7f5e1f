"""The pages without a browser: what they say when there is little to show, or something is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import streamlit as st
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from dashboard import connections, quarantine
from triage import queries
from triage.broker import Publisher
from triage.records import DISCARDED, QUARANTINED, QUEUED, Image, open_database, sessions
from triage.schema import migrate
from triage.settings import Settings, get_settings

APP = str(Path(__file__).resolve().parents[2] / "dashboard" / "app.py")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("TRIAGE_HOME", str(tmp_path))
    get_settings.cache_clear()
    st.cache_resource.clear()
    yield
    get_settings.cache_clear()
    st.cache_resource.clear()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = open_database(Settings(home=tmp_path).database)
    migrate(made)
    yield made
    made.dispose()


def shown(app: AppTest) -> str:
    assert not app.exception, app.exception
    return "\n".join(block.proto.body for block in app.get("html"))


def run() -> AppTest:
    return AppTest.from_file(APP, default_timeout=30).run()


def add_quarantined(engine: Engine, name: str, code: str = "damaged", sha256: str | None = "ab" * 32) -> int:
    with sessions(engine).begin() as session:
        image = Image(source="folder", source_name=name, received_at=NOW, attempts=1, status=QUEUED, sha256=sha256)
        session.add(image)
        session.flush()
        queries.quarantine(session, image, code, "Export it again.", actor="test", at=NOW)
        return image.id


def test_without_a_database_it_says_what_to_do() -> None:
    assert "triage up" in shown(run())


def test_an_old_schema_is_told(tmp_path: Path) -> None:
    made = open_database(Settings(home=tmp_path).database)
    with made.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
    made.dispose()
    assert "triage migrate" in shown(run())


def test_a_wrong_setting_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIAGE_WORKERS", "many")
    assert "TRIAGE_WORKERS" in shown(run())


def test_an_empty_list_says_where_files_go(engine: Engine, tmp_path: Path) -> None:
    said = shown(run())
    assert "Nothing has been classified yet." in said
    assert str(tmp_path / "inbox") in said
    assert "The queue (Redis) does not answer" in said
    assert "not a diagnosis" in said


def test_a_database_that_goes_away_is_told(engine: Engine) -> None:
    app = run()
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        connection.exec_driver_sql("ALTER TABLE images RENAME TO elsewhere")
    app.run()
    assert "The database does not answer" in shown(app)


def test_retry_commits_and_publishes(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    image_id = add_quarantined(engine, "a.jpg")
    sent: list[tuple[list[int], str]] = []
    monkeypatch.setattr(Publisher, "publish", lambda _, ids, source: sent.append((list(ids), source)) or True)
    quarantine._retry(image_id)
    quarantine._retry(image_id)
    with connections.reading() as session:
        image = queries.image_with_all(session, image_id)
        events = [(event.event, event.actor) for event in queries.events_of(session, image_id)]
    assert image is not None
    assert (image.status, image.attempts, image.error_code) == (QUEUED, 0, None)
    assert events[-1] == ("retried", "dashboard")
    assert sent == [([image_id], "folder")]


def test_retry_without_a_queue_leaves_the_row_to_the_sweep(engine: Engine) -> None:
    image_id = add_quarantined(engine, "a.jpg")
    quarantine._retry(image_id)
    with connections.reading() as session:
        image = queries.image_with_all(session, image_id)
    assert image is not None
    assert (image.status, image.published_at) == (QUEUED, None)


@pytest.mark.parametrize(("code", "sha256"), [("link", None), ("sop_uid_conflict", "cd" * 32)])
def test_what_a_retry_cannot_mend_stays(engine: Engine, code: str, sha256: str | None) -> None:
    image_id = add_quarantined(engine, "a.jpg", code, sha256)
    quarantine._retry(image_id)
    with connections.reading() as session:
        assert queries.status_of(session, image_id) == QUARANTINED


def test_discard_keeps_the_row_and_says_who(engine: Engine) -> None:
    image_id = add_quarantined(engine, "a.jpg")
    quarantine._discard(image_id)
    with connections.reading() as session:
        assert queries.status_of(session, image_id) == DISCARDED
        assert queries.events_of(session, image_id)[-1].actor == "dashboard"


def test_rows_before_counts_in_every_order(engine: Engine) -> None:
    with sessions(engine).begin() as session:
        for number in range(7):
            session.add(
                Image(
                    source="folder", source_name=f"{number}", received_at=NOW, attempts=0, status="done",
                    needs_review=number % 2 == 0, confidence=(number % 3) / 10, label="Spiral fracture",
                )
            )  # fmt: skip
    with connections.reading() as session:
        for sort in ("triage", "confidence_down", "confidence_up", "oldest", "newest"):
            images = queries.list_page(session, sort, size=10).images  # type: ignore[arg-type]
            assert [queries.rows_before(session, sort, image) for image in images] == list(range(7))  # type: ignore[arg-type]


def test_the_system_page_tells_what_is_missing(engine: Engine) -> None:
    said = shown(AppTest.from_function(_system_page, default_timeout=30).run())
    assert "The queue (Redis) does not answer" in said
    assert "No image came to an end in the last 24 hours." in said
    assert "Nothing in the trail fits" in said
    assert "sqlite" in said


def _system_page() -> None:
    from dashboard import system

    system.show()
