"""The pages without a browser: what they say when there is little to show, or something is wrong."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
import streamlit as st
from clinic import prediction
from sqlalchemy import Engine, select
from streamlit.testing.v1 import AppTest

from dashboard import connections, model_simulation, quarantine, worklist_export
from triage import queries, trail, verdicts
from triage.broker import Publisher
from triage.bundle import find_bundle, open_bundle
from triage.database import open_database, sessions
from triage.records import DISCARDED, NEEDS_REVIEW, QUARANTINED, QUEUED, Image, Study
from triage.settings import Settings, get_settings
from triage.trail import TrailFilter
from triage.urgency_weights import current_weights
from triage.worklist import Filters

APP = str(Path(__file__).resolve().parents[2] / "dashboard" / "script.py")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


pytestmark = pytest.mark.usefixtures("own_home")


@pytest.fixture(autouse=True)
def _short_simulation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_simulation, "IMAGES", 500)


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


def test_an_exported_list_is_what_was_filtered_and_the_trail_says_who(engine: Engine) -> None:
    for number, name in enumerate(("=cmd.png", "b.png", "c.png")):
        with sessions(engine).begin() as session:
            queries.keep_model_version(session, "v1", "d" * 64, ["Spiral fracture"], NOW)
            image = Image(source="folder", source_name=name, sha256=f"{number:064x}", received_at=NOW, attempts=0,
                          status=QUEUED, study=Study(created_at=NOW))  # fmt: skip
            session.add(image)
            session.flush()
            queries.finish(session, image, prediction((number + 1) / 10, needs_review=number < 2), actor="worker")

    some = Filters(lane=NEEDS_REVIEW)
    sheet = worklist_export.listed(engine, some, "confidence_up", "csv", "AB").decode("utf-8-sig")
    assert [row["source_name"] for row in csv.DictReader(io.StringIO(sheet))] == ["'=cmd.png", "b.png"]
    every = json.loads(worklist_export.listed(engine, Filters(), "triage", "json", "AB"))
    assert [record["source_name"] for record in every] == ["b.png", "=cmd.png", "c.png"]
    with connections.reading() as session:
        events = trail.search(session, TrailFilter(events=("exported",)), size=10).events
    assert [(event.actor, event.detail) for event in events] == [
        ("AB", {"studies": 3, "format": "json"}),
        ("AB", {"studies": 2, "format": "csv"}),
    ]


def test_a_large_upload_has_pages_and_each_file_its_place(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Publisher, "publish", lambda *_: True)
    app = AppTest.from_function(_upload_page, default_timeout=60).run()
    names = [f"ward-{number:03d}.jpg" for number in range(60)]
    app.file_uploader[0].set_value([(name, name.encode() * 40, "image/jpeg") for name in names]).run()

    def listed() -> list[str]:
        return re.findall(r'class="name">([^<]+)<', shown(app))

    assert listed() == names[:25]
    assert "1–25 of 60" in shown(app)
    assert "60 of 60 finished" in shown(app)  # no X-rays: refused at once
    next(button for button in app.button if button.label == "Next").click().run()
    next(button for button in app.button if button.label == "Next").click().run()
    assert listed() == names[50:]
    assert "51–60 of 60" in shown(app)
    app.run()
    assert listed() == names[50:]
    with connections.reading() as session:
        assert sum(queries.counts(session).values()) == 60  # each was taken in once
    app.file_uploader[0].set_value([(name, name.encode() * 40, "image/jpeg") for name in names[:30]]).run()
    assert listed() == names[25:30]  # there is no third page any more


def _upload_page() -> None:
    from dashboard import upload

    upload.show()


def test_the_system_page_tells_what_is_missing(engine: Engine) -> None:
    said = shown(AppTest.from_function(_system_page, default_timeout=30).run())
    assert "The queue (Redis) does not answer" in said
    assert "No image came to an end in the last 24 hours." in said
    assert "Nothing in the trail fits" in said
    assert "sqlite" in said


def _system_page() -> None:
    from dashboard import system

    system.show()


def test_the_model_page_tells_what_the_active_bundle_says(engine: Engine) -> None:
    app = AppTest.from_function(_model_page, default_timeout=30).run()
    said = shown(app)
    bundle = open_bundle(find_bundle(get_settings()))
    assert f"{bundle.version}<span" in said
    assert said.count("<li><b>") == 9
    assert f'<th scope="row">{bundle.labels[0]}</th>' in said
    assert said.count("<td title=") == len(bundle.labels) ** 2
    assert "“No fracture” is not among them" in said
    assert "Nothing is known of the age" in said
    assert 'src="data:image/svg+xml;base64,' in said
    assert "No verdicts yet" in said
    assert f'<th scope="row">{bundle.version}</th><td class="">active</td>' in said
    assert "Go back to the version before" in [button.label for button in app.button]
    assert [expander.label for expander in app.expander] == ["How urgent each type is"]


def test_the_model_page_counts_verdicts(engine: Engine) -> None:
    version = open_bundle(find_bundle(get_settings())).version
    with sessions(engine).begin() as session:
        queries.keep_model_version(session, version, "d" * 64, ("Spiral fracture", "Greenstick fracture"), NOW)
        for number in range(20):
            image = Image(
                source="folder",
                source_name="a",
                received_at=NOW,
                status=QUEUED,
                study=Study(created_at=NOW),
                attempts=0,
            )
            session.add(image)
            session.flush()
            queries.finish(session, image, prediction(version=version), actor="worker")
            if number < 3:
                verdicts.give_verdict(session, image.id, "agree", reviewer="AB", at=NOW)
            elif number == 3:
                verdicts.give_verdict(session, image.id, "no_fracture", reviewer="AB", at=NOW)
    said = shown(AppTest.from_function(_model_page, default_timeout=30).run())
    assert "3 of 4: few verdicts" in said
    assert "No verdicts yet" not in said
    with sessions(engine).begin() as session:
        for image_id in session.scalars(select(Image.id).where(~Image.reviewed)):
            verdicts.give_verdict(session, image_id, "agree", reviewer="AB", at=NOW)
    st.cache_resource.clear()
    said = shown(AppTest.from_function(_model_page, default_timeout=30).run())
    assert "19 of 20: 95%" in said
    assert "few verdicts" not in said


def test_a_model_that_cannot_be_used_is_told(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIAGE_MODEL", str(tmp_path / "nowhere"))
    get_settings.cache_clear()
    said = shown(AppTest.from_function(_model_page, default_timeout=30).run())
    assert "No model can be used: TRIAGE_MODEL names" in said
    assert "Versions" in said


def test_a_bundle_without_figures_says_so(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bare.keras").write_bytes(b"not looked into")
    monkeypatch.setenv("TRIAGE_MODEL", str(tmp_path / "bare.keras"))
    get_settings.cache_clear()
    said = shown(AppTest.from_function(_model_page, default_timeout=30).run())
    assert "Nothing is known of how good this model is" in said
    assert "<li><b>" not in said
    assert 'class="confusion"' not in said
    assert "images measured" not in said


def _model_page() -> None:
    from dashboard import model

    model.show()


def test_the_weights_of_urgency_are_changed_by_hand(engine: Engine) -> None:
    app = AppTest.from_function(_urgency_editor, default_timeout=30)
    app.session_state["reader_name"] = "AB"
    app.run()
    assert "nobody has validated them in a clinic" in shown(app)
    field = next(field for field in app.number_input if field.label == "Hairline fracture")
    assert field.value == 0.2
    field.set_value(0.9)
    app.button[0].click().run()
    assert "Changed by AB" in shown(app)
    with connections.reading() as session:
        assert current_weights(session).weights["Hairline fracture"] == 0.9
        assert [event.detail for event in trail.search(session, TrailFilter(), size=10).events] == [
            {"revision": 1, "changed": {"Hairline fracture": 0.9}}
        ]


def _urgency_editor() -> None:
    from dashboard import urgency_editor

    urgency_editor.show()
