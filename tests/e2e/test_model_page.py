"""The parts of the model page that change something or tell of weeks, without a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from bundles import copy_bundle, make_active
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from dashboard import model_switch, reader
from dashboard.permission import Person
from triage import queries
from triage.comparison import Comparison, Difference
from triage.intake import utc_now
from triage.records import open_database, sessions
from triage.schema import migrate
from triage.settings import Settings, get_settings
from triage.switching import Answer, Request

BETTER = Comparison(60, 30, Difference(0.5, 0.4, 0.1, 0.02, 0.18), Difference(1.5, 1.7, -0.2, -0.3, -0.1))


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


@pytest.fixture
def two_versions(tmp_path: Path, model_path: Path, engine: Engine) -> None:
    """Two bundles of the clinic's own, of which the first is active, and was so after the one that ships."""
    models = Settings(home=tmp_path).models_dir
    copy_bundle(model_path, models, "old-1"), copy_bundle(model_path, models, "new-1")
    make_active(models, "old-1")
    with sessions(engine).begin() as session:
        detail = {"from": model_path.name, "to": "old-1"}
        queries.record_event(session, "model_promoted", None, actor="Ada", at=utc_now(), detail=detail)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """What the page asks the other process for; each preview finds the version better, and each switch is done."""
    requests: list[Request] = []

    def switch(_settings: Settings, request: Request) -> Answer:
        requests.append(request)
        if request.action == "preview":
            return Answer("tried", "old-1", request.version, BETTER)
        return Answer("switched", request.expected, request.version or "the-one-before")

    monkeypatch.setattr(model_switch, "switch", switch)
    return requests


def shown(app: AppTest) -> str:
    assert not app.exception, app.exception
    return "\n".join(block.proto.body for block in app.get("html"))


def versions(name: str = "Ada") -> AppTest:
    app = AppTest.from_function(_versions, default_timeout=30)
    app.session_state["reader_name"] = name
    return app.run()


def _versions() -> None:
    from dashboard import model_versions

    model_versions.show()


def click(app: AppTest, key: str) -> str:
    return shown(app.button(key=key).click().run())


@pytest.mark.usefixtures("two_versions")
def test_a_version_is_compared_confirmed_and_made_active(asked: list[Request]) -> None:
    app = versions()
    app.selectbox(key="model_version_chosen").select("new-1")
    said = click(app, "model_compare")
    assert "Make new-1 active?" in said
    assert "Active now: old-1." in said
    assert "On the same 60 held-out images" in said
    assert "40.0 %" in said
    assert "+10.0 points (+2.0 to +18.0)" in said
    assert [button.key for button in app.button] == ["model_confirm", "model_cancel"]
    said = click(app, "model_confirm")
    assert "new-1 is active; it was old-1. The audit trail says that it was Ada." in said
    assert asked == [Request("preview", "Ada", "new-1"), Request("promote", "Ada", "new-1", expected="old-1")]


@pytest.mark.usefixtures("two_versions")
def test_what_is_left_as_it_is_asks_for_nothing_more(asked: list[Request]) -> None:
    app = versions()
    click(app, "model_compare")
    assert "Make" not in click(app, "model_cancel")
    assert [request.action for request in asked] == ["preview"]


@pytest.mark.usefixtures("two_versions", "asked")
def test_going_back_says_where_to_before_it_does(asked: list[Request], model_path: Path) -> None:
    app = versions()
    said = click(app, "model_go_back")
    assert f"Go back to {model_path.name}?" in said
    assert "Active now: old-1." in said
    assert asked == []
    app.text_input(key="model_switch_reason").set_value(" wrong on hands ")
    assert "the-one-before is active; it was old-1." in click(app, "model_confirm")
    assert asked == [Request("roll_back", "Ada", reason="wrong on hands", expected="old-1")]


@pytest.mark.usefixtures("two_versions")
def test_an_objection_takes_a_reason_and_a_refusal_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[Request] = []

    def switch(_settings: Settings, request: Request) -> Answer:
        requests.append(request)
        if request.action == "preview":
            return Answer("tried", "old-1", "new-1", objection="new-1 is worse than old-1")
        return Answer("refused", message="other-1 is active by now, not old-1: somebody was faster.")

    monkeypatch.setattr(model_switch, "switch", switch)
    app = versions()
    app.selectbox(key="model_version_chosen").select("new-1")
    assert "It takes a reason: new-1 is worse than old-1." in click(app, "model_compare")
    assert "Say why before you make this version active." in click(app, "model_confirm")
    assert len(requests) == 1
    app.text_input(key="model_switch_reason").set_value("better on hands")
    said = click(app, "model_confirm")
    assert "The active version stays. Other-1 is active by now, not old-1: somebody was faster." in said
    assert requests[1:] == [Request("promote", "Ada", "new-1", "better on hands", "old-1")]


@pytest.mark.usefixtures("two_versions")
def test_a_process_that_failed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_switch, "switch", lambda *_: Answer("failed"))
    assert "That did not come to an end." in click(versions(), "model_compare")


@pytest.mark.usefixtures("two_versions")
def test_whoever_may_not_change_the_model_sees_no_buttons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "person", lambda: Person("Eve", "eve@clinic.example", signed_in=True))
    app = versions("")
    assert "You cannot change the model here" in shown(app)
    assert (list(app.button), list(app.selectbox)) == ([], [])


@pytest.mark.usefixtures("two_versions")
def test_nobody_changes_the_model_without_a_name(asked: list[Request]) -> None:
    app = versions("")
    assert list(app.button) == []
    assert app.text_input[0].label.startswith("Who changes the model?")
    app.text_input[0].set_value("Grace").run()
    click(app, "model_compare")
    assert [request.actor for request in asked] == ["Grace"]


@pytest.mark.usefixtures("two_versions")
def test_a_pinned_model_is_not_changed_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[Request]
) -> None:
    monkeypatch.setenv("TRIAGE_MODEL", str(Settings(home=tmp_path).models_dir / "new-1"))
    get_settings.cache_clear()
    app = versions()
    assert "TRIAGE_MODEL names the model" in shown(app)
    assert [button.disabled for button in app.button] == [True, True]
    assert asked == []


def test_with_one_version_there_is_nothing_to_change_to(engine: Engine) -> None:
    app = versions()
    assert "There is no other usable version." in shown(app)
    assert [button.disabled for button in app.button] == [True, True]
