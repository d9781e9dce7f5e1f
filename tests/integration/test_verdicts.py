"""What clinicians say is kept beside what the model says, and can be taken back without a trace being lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from clinic import NOON, Clinic, seconds
from sqlalchemy import Engine, func, select
from xray_files import jpeg

from triage import queries
from triage.database import reading_sessions, sessions
from triage.records import Review
from triage.verdicts import VerdictRefused, give_verdict, withdraw_verdict


@pytest.fixture
def done(clinic: Clinic) -> int:
    image_id: int = clinic.drop("wrist.jpg", jpeg(1))["image_id"]
    clinic.finish(image_id)
    return image_id


@pytest.fixture
def say(engine: Engine) -> Callable[..., None]:
    def say(image_id: int, verdict: str, **more: Any) -> None:
        usual: dict[str, Any] = {"reviewer": "AB", "at": NOON + seconds(90)}
        with sessions(engine).begin() as session:
            give_verdict(session, image_id, verdict, **(usual | more))

    return say


def test_a_verdict_stands_beside_the_prediction(clinic: Clinic, done: int, say: Callable[..., None]) -> None:
    say(done, "correct", label="Greenstick fracture", note=" seen on the second view ")
    record = clinic.record(done)
    assert (record["label"], record["status"]) == ("Spiral fracture", "done")
    assert record["review"] == {
        "verdict": "correct",
        "label": "Greenstick fracture",
        "reviewer": "AB",
        "at": "2026-03-01T12:01:30.000Z",
        "note": "seen on the second view",
    }
    with reading_sessions(clinic.engine)() as session:
        event = queries.events_of(session, done)[-1]
        assert (event.event, event.actor) == ("reviewed", "AB")
        assert event.detail == {"verdict": "correct", "label": "Greenstick fracture", "model_version": "v1"}


def test_correcting_to_what_the_model_says_is_agreeing(clinic: Clinic, done: int, say: Callable[..., None]) -> None:
    say(done, "correct", label="Spiral fracture")
    assert (clinic.record(done)["review"]["verdict"], clinic.record(done)["review"]["label"]) == ("agree", None)


def test_a_verdict_is_taken_back_and_the_rows_stay(clinic: Clinic, done: int, say: Callable[..., None]) -> None:
    say(done, "no_fracture")
    with sessions(clinic.engine).begin() as session:
        assert withdraw_verdict(session, done, reviewer="CD", at=NOON + seconds(100))
        assert not withdraw_verdict(session, done, reviewer="CD", at=NOON + seconds(101))
    assert clinic.record(done)["review"] is None
    assert clinic.events(done)[-2:] == ["reviewed", "review_withdrawn"]
    with reading_sessions(clinic.engine)() as session:
        assert session.scalar(select(func.count()).select_from(Review)) == 2
        assert queries.open_for_rescore(session, "v2") == [done], "nobody's word stands in the way of a new version"
    say(done, "agree")
    assert clinic.record(done)["review"]["verdict"] == "agree"
    with reading_sessions(clinic.engine)() as session:
        assert queries.open_for_rescore(session, "v2") == []


@pytest.mark.parametrize(
    ("verdict", "more", "why"),
    [
        ("perhaps", {}, "none of"),
        ("correct", {}, "names the fracture type"),
        ("agree", {"label": "Spiral fracture"}, "no other verdict does"),
        ("correct", {"label": "Broken heart"}, "no fracture type of this model"),
        ("agree", {"reviewer": "  "}, "somebody's name"),
        ("agree", {"reviewer": "x" * 101}, "100 characters"),
    ],
)
def test_what_makes_no_sense_is_refused(
    clinic: Clinic, done: int, say: Callable[..., None], verdict: str, more: dict[str, Any], why: str
) -> None:
    with pytest.raises(VerdictRefused, match=why):
        say(done, verdict, **more)
    assert clinic.record(done)["review"] is None


def test_what_is_not_done_has_nothing_to_speak_of(clinic: Clinic, say: Callable[..., None]) -> None:
    waiting = clinic.drop("waiting.jpg", jpeg(2))["image_id"]
    for image_id in (waiting, 4711):
        with pytest.raises(VerdictRefused, match="no result"):
            say(image_id, "agree")
