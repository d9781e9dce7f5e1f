"""The clock jumps by an hour while work is under way: nothing is lost, nothing is done twice."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from clinic import Clinic, seconds
from sqlalchemy import func, select
from xray_files import many_jpegs

from triage import queries
from triage.broker import FOLDER
from triage.classifier import Classification
from triage.database import reading_sessions, sessions
from triage.records import Prediction
from worker.work import Work

if TYPE_CHECKING:
    from sweeping import Sweeper

pytest_plugins = ["sweeping"]

HOUR = timedelta(hours=1)


class Model:
    """Says the same of every picture; what happens meanwhile is up to the test."""

    bundle: Any = SimpleNamespace(
        version="v1", labels=("Spiral fracture",), input_side=32, digests={"model.keras": "d" * 64},
        keras_path=SimpleNamespace(name="model.keras"),
    )  # fmt: skip

    def __init__(self) -> None:
        self.meanwhile: Any = lambda: None

    def classify(self, inputs: Any) -> list[Classification]:
        self.meanwhile()
        said = Classification("Spiral fracture", 0.75, {"Spiral fracture": 0.75}, ("Spiral fracture",), False, ())
        return [said] * len(inputs)


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def worker(sweeper: Sweeper, model: Model) -> Work:
    clinic = sweeper.clinic
    return Work(clinic.settings, clinic.engine, lambda: model, lambda: sweeper.now)  # type: ignore[arg-type, return-value]


def drop(clinic: Clinic, count: int) -> list[int]:
    files = [clinic.put(f"{number}.jpg", data) for number, data in enumerate(many_jpegs(count))]
    return [admission.image_id for admission in clinic.admit(*files) if admission]


def statuses(clinic: Clinic) -> set[str]:
    return {record["status"] for record in clinic.records()}


def predictions(clinic: Clinic) -> int:
    with reading_sessions(clinic.engine)() as session:
        return session.scalar(select(func.count()).select_from(Prediction)) or 0


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_jump_while_a_worker_is_at_work(sweeper: Sweeper, worker: Work, model: Model, jump: timedelta) -> None:
    """The sweep takes the images back, the worker finds that they are not its own any more, another one does them."""
    clinic = sweeper.clinic
    ids = drop(clinic, 3)

    def leap() -> None:
        sweeper.now += jump
        sweeper.sweep.run()

    model.meanwhile = leap
    worker.run(ids, SoftTimeLimitExceeded)
    assert statuses(clinic) == {"queued"}
    assert predictions(clinic) == 0
    model.meanwhile = lambda: None
    for message in sweeper.messages(FOLDER):
        worker.run(message, SoftTimeLimitExceeded)
    assert statuses(clinic) == {"done"}
    assert predictions(clinic) == 3
    assert [clinic.events(image_id).count("done") for image_id in ids] == [1, 1, 1]


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_worker_that_died_before_a_jump(sweeper: Sweeper, worker: Work, jump: timedelta) -> None:
    clinic = sweeper.clinic
    ids = drop(clinic, 2)
    with sessions(clinic.engine).begin() as session:
        queries.lease(session, ids, owner="lost", now=sweeper.now, seconds=clinic.settings.lease_seconds)
    sweeper.now += jump
    assert sweeper.run().taken_back == 2
    for message in sweeper.messages(FOLDER):
        worker.run(message, SoftTimeLimitExceeded)
    assert statuses(clinic) == {"done"}
    assert predictions(clinic) == 2


@pytest.mark.parametrize("emptied", [False, True])
@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_messages_that_were_lost_before_a_jump(sweeper: Sweeper, worker: Work, jump: timedelta, emptied: bool) -> None:
    clinic = sweeper.clinic
    sweeper.run()  # leaves the marker that says that Redis was not emptied
    ids = drop(clinic, 2)
    with sessions(clinic.engine).begin() as session:
        queries.set_published(session, ids, sweeper.now)
    if emptied:
        sweeper.client.flushall()
    sweeper.now += jump
    assert sweeper.run().published == 2
    messages = sweeper.messages(FOLDER)
    assert sorted(image_id for message in messages for image_id in message) == ids
    assert sweeper.run().published == 0, "the next pass finds the messages of this one"
    for message in messages:
        worker.run(message, SoftTimeLimitExceeded)
    assert predictions(clinic) == 2


def test_clocks_that_differ_a_little_take_nothing_away(sweeper: Sweeper) -> None:
    clinic = sweeper.clinic
    ids = drop(clinic, 1)
    ahead = sweeper.now + seconds(clinic.settings.lease_seconds / 2)
    with sessions(clinic.engine).begin() as session:
        queries.lease(session, ids, owner="on another machine", now=ahead, seconds=clinic.settings.lease_seconds)
    assert sweeper.run().taken_back == 0
