"""How verdicts are counted by what the model named, in both databases."""

from __future__ import annotations

from collections.abc import Callable

from clinic import LABELS, NOON, prediction, seconds
from sqlalchemy import Engine

from triage import queries
from triage.agreement import Agreement, agreement
from triage.database import reading_sessions, sessions
from triage.records import Image
from triage.verdicts import give_verdict, withdraw_verdict

MakeImage = Callable[..., int]


def say(engine: Engine, image_id: int, verdict: str, label: str | None = None) -> None:
    with sessions(engine).begin() as session:
        give_verdict(session, image_id, verdict, reviewer="AB", at=NOON + seconds(300), label=label)


def test_only_the_newest_verdict_that_stands_counts(engine: Engine, make_image: MakeImage) -> None:
    images = [make_image(0.75) for _ in range(7)]
    say(engine, images[0], "agree")
    say(engine, images[1], "agree")
    say(engine, images[2], "correct", "Greenstick fracture")
    say(engine, images[3], "agree")
    say(engine, images[3], "no_fracture")
    say(engine, images[4], "unreadable")
    say(engine, images[5], "agree")
    with sessions(engine).begin() as session:
        withdraw_verdict(session, images[5], reviewer="CD", at=NOON + seconds(400))
    with reading_sessions(engine)() as session:
        found = agreement(session, "v1")
    assert found == [
        Agreement("Spiral fracture", {"agree": 2, "correct": 1, "no_fracture": 1, "unreadable": 1}),
    ]
    assert (found[0].agreed, found[0].total) == (2, 5)


def test_a_verdict_counts_for_the_version_that_it_was_about(engine: Engine, make_image: MakeImage) -> None:
    first, second = make_image(0.75), make_image(0.75)
    say(engine, first, "agree")
    with sessions(engine).begin() as session:
        queries.keep_model_version(session, "v2", "e" * 64, LABELS, NOON)
        for image_id in (first, second):
            later = prediction(version="v2")
            later.label = "Greenstick fracture"
            later.image_id, later.turn = image_id, 1
            session.add(later)
    say(engine, second, "other")
    with reading_sessions(engine)() as session:
        assert session.get(Image, first).reviewed
        assert agreement(session, "v1") == [Agreement("Spiral fracture", {"agree": 1})]
        assert agreement(session, "v2") == [Agreement("Greenstick fracture", {"other": 1})]
        assert agreement(session, "v3") == []
