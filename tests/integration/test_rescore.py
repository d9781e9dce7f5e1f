"""What a worker does with done images that another model version is to speak of, and the command that asks for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from bundles import copy_bundle, make_active
from clinic import NOON, Clinic, seconds
from sqlalchemy import Engine
from xray_files import jpeg, many_jpegs

from triage import queries, rescore
from triage.classifier import Classification
from triage.database import reading_sessions, sessions
from triage.records import Image, Review
from triage.rescore import run_rescore
from triage.settings import Settings
from triage.stack import PartMissing
from triage.store import Store
from worker import work as module
from worker.work import Work

LABELS = ("Greenstick fracture", "Spiral fracture")


class Model:
    """Has one opinion of every picture."""

    def __init__(self, version: str, confidence: float, needs_review: bool = False) -> None:
        self.bundle = SimpleNamespace(
            version=version,
            labels=LABELS,
            input_side=32,
            digests={"model.keras": "d" * 64},
            keras_path=Path("model.keras"),
        )
        self.said = Classification(
            label=LABELS[confidence > 0.5],
            confidence=max(confidence, 1 - confidence),
            probabilities=dict(zip(LABELS, (1 - confidence, confidence), strict=True)),
            prediction_set=(LABELS[confidence > 0.5],),
            needs_review=needs_review,
            reasons=("ambiguous",) if needs_review else (),
        )

    def classify(self, inputs: Any) -> list[Classification]:
        return [self.said] * len(inputs)


OLD, NEW = Model("old", 0.9), Model("new", 0.3, needs_review=True)


def worker(clinic: Clinic, model: Model, later: float = 0.0) -> Work:
    return Work(clinic.settings, clinic.engine, lambda: model, lambda: NOON + seconds(later))  # type: ignore[arg-type, return-value]


@pytest.fixture
def ids(clinic: Clinic) -> list[int]:
    """Three images that the old version has classified."""
    admissions = clinic.admit(*(clinic.put(f"{number}.jpg", data) for number, data in enumerate(many_jpegs(3))))
    found = [admission.image_id for admission in admissions if admission]
    worker(clinic, OLD).run(found, SoftTimeLimitExceeded)
    return found


def shown(clinic: Clinic, image_id: int) -> tuple[Any, ...]:
    record = clinic.record(image_id)
    with reading_sessions(clinic.engine)() as session:
        image = session.get(Image, image_id)
        assert image is not None
        repeated = (image.label, image.confidence, image.needs_review)
    assert repeated == (record["label"], record["confidence"], record["needs_review"])
    return record["status"], record["model_version"], record["label"], record["confidence"], record["reasons"]


def open_images(clinic: Clinic, version: str) -> list[int]:
    with reading_sessions(clinic.engine)() as session:
        return queries.open_for_rescore(session, version)


def review(clinic: Clinic, image_id: int) -> None:
    with sessions(clinic.engine).begin() as session:
        session.add(Review(image_id=image_id, verdict="agree", reviewer="AB", created_at=NOON))


BY_OLD = ("done", "old", "Spiral fracture", 0.9, [])
BY_NEW = ("done", "new", "Greenstick fracture", 0.7, ["ambiguous"])


def test_the_new_version_speaks_of_the_open_worklist_and_the_old_predictions_stay(
    clinic: Clinic, ids: list[int]
) -> None:
    finished = clinic.record(ids[0])["finished_at"]
    assert open_images(clinic, "new") == ids
    assert worker(clinic, NEW, 100).rescore(ids, SoftTimeLimitExceeded) == 3
    assert [shown(clinic, image_id) for image_id in ids] == [BY_NEW] * 3
    assert clinic.record(ids[0])["finished_at"] == finished
    assert open_images(clinic, "new") == []
    with reading_sessions(clinic.engine)() as session:
        image = queries.image_with_all(session, ids[0])
        assert image is not None
        assert [prediction.model_version for prediction in image.predictions] == ["old", "new"]
        event = queries.events_of(session, ids[0])[-1]
    assert (event.event, event.detail) == ("rescored", {"model_version": "new", "before": "old"})


def test_a_message_that_comes_twice_changes_nothing(clinic: Clinic, ids: list[int]) -> None:
    assert [worker(clinic, NEW).rescore(ids, SoftTimeLimitExceeded) for _ in range(2)] == [3, 0]
    assert clinic.events(ids[0]).count("rescored") == 1


def test_a_version_that_was_rolled_back_to_speaks_again_with_what_it_said_before(
    clinic: Clinic, ids: list[int]
) -> None:
    worker(clinic, NEW).rescore(ids, SoftTimeLimitExceeded)
    assert open_images(clinic, "old") == ids
    assert worker(clinic, OLD).rescore(ids, SoftTimeLimitExceeded) == 3
    assert [shown(clinic, image_id) for image_id in ids] == [BY_OLD] * 3
    assert open_images(clinic, "old") == []
    assert worker(clinic, NEW).rescore(ids[:1], SoftTimeLimitExceeded) == 1
    assert shown(clinic, ids[0]) == BY_NEW
    with reading_sessions(clinic.engine)() as session:
        image = queries.image_with_all(session, ids[0])
        assert image is not None
        assert len(image.predictions) == 2


def test_what_a_clinician_has_reviewed_is_left_alone(clinic: Clinic, ids: list[int]) -> None:
    review(clinic, ids[1])
    assert open_images(clinic, "new") == [ids[0], ids[2]]
    assert worker(clinic, NEW).rescore(ids, SoftTimeLimitExceeded) == 2
    assert shown(clinic, ids[1]) == BY_OLD


def test_a_verdict_that_comes_meanwhile_is_about_what_was_shown_then(
    clinic: Clinic, ids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = module.read_for_network

    def interrupted_by_a_clinician(*arguments: Any) -> Any:
        monkeypatch.setattr(module, "read_for_network", read)
        review(clinic, ids[0])
        return read(*arguments)

    monkeypatch.setattr(module, "read_for_network", interrupted_by_a_clinician)
    assert worker(clinic, NEW).rescore(ids, SoftTimeLimitExceeded) == 2
    assert shown(clinic, ids[0]) == BY_OLD


def test_an_original_that_is_gone_leaves_the_image_done_and_a_trace(clinic: Clinic, ids: list[int]) -> None:
    Store(clinic.settings.home_dir).original(clinic.record(ids[0])["sha256"]).unlink()
    assert worker(clinic, NEW).rescore(ids, SoftTimeLimitExceeded) == 2
    assert shown(clinic, ids[0]) == BY_OLD
    assert clinic.events(ids[0])[-1] == "rescore_failed"
    with reading_sessions(clinic.engine)() as session:
        assert queries.rescore_failures(session, ids, 0) == {ids[0]: "original_missing"}
        assert queries.rescore_failures(session, ids, queries.newest_event(session)) == {}


def test_images_that_are_not_done_are_none_of_its_business(clinic: Clinic) -> None:
    waiting = clinic.drop("waiting.jpg", jpeg(1))["image_id"]
    assert worker(clinic, NEW).rescore([waiting, 4711], SoftTimeLimitExceeded) == 0
    assert clinic.record(waiting)["status"] == "queued"


def test_what_takes_too_long_keeps_what_it_had(clinic: Clinic, ids: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: object) -> None:
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(module, "read_for_network", slow)
    assert worker(clinic, NEW).rescore(ids, SoftTimeLimitExceeded) == 0
    assert [shown(clinic, image_id) for image_id in ids] == [BY_OLD] * 3


def test_workers_that_get_the_same_images_at_the_same_time_speak_of_each_once(clinic: Clinic, ids: list[int]) -> None:
    together = threading.Barrier(2)
    done: list[int] = []

    class Slow(Model):
        def classify(self, inputs: Any) -> list[Classification]:
            together.wait(30)  # both have looked what there is to do, and found the same
            return super().classify(inputs)

    def work(order: Callable[[list[int]], Any]) -> None:
        done.append(worker(clinic, Slow("new", 0.3, True)).rescore(list(order(ids)), SoftTimeLimitExceeded))

    threads = [threading.Thread(target=work, args=(order,)) for order in (list, reversed)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(done) == 3
    assert [shown(clinic, image_id) for image_id in ids] == [BY_NEW] * 3
    assert [clinic.events(image_id).count("rescored") for image_id in ids] == [1] * 3


# -- the command, without workers ---------------------------------------------------------------------------


@pytest.fixture
def settings_with_new(sqlite_engine: Engine, settings: Settings, model_path: Path) -> Settings:
    """A home with one done image of the version v1, and another version that is active."""
    copy_bundle(model_path, settings.models_dir, "new-1")
    make_active(settings.models_dir, "new-1")
    clinic = Clinic(settings, sqlite_engine)
    clinic.finish(clinic.drop("a.jpg", jpeg(1))["image_id"])
    return settings


def test_without_a_broker_it_says_so_at_once(settings_with_new: Settings) -> None:
    for wait in (True, False):
        with pytest.raises(PartMissing, match="the broker does not answer"):
            run_rescore(settings_with_new, lambda *_: None, wait=wait)


def test_nothing_to_do_needs_no_broker(settings: Settings, sqlite_engine: Engine, model_path: Path) -> None:
    copy_bundle(model_path, settings.models_dir, "new-1")
    make_active(settings.models_dir, "new-1")
    result = run_rescore(settings, lambda *_: None)
    assert (result.version, result.found, result.failed) == ("new-1", 0, {})


class Sent:
    """A broker that takes messages, and a worker that is alive and never comes to an end with them."""

    messages: list[list[int]]

    def __init__(self, *_: object) -> None:
        self.messages = []

    def send(self, messages: list[list[int]], queue: str, task: str) -> bool:
        assert (queue, task) == ("folder", "triage.rescore")
        self.messages += messages
        return True


def test_without_a_worker_it_gives_up_after_a_while(
    settings_with_new: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescore, "Publisher", Sent)
    monkeypatch.setattr(rescore, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(rescore, "NO_WORKER_SECONDS", 0.2)
    with pytest.raises(PartMissing, match="no worker answers; 1 images wait for one"):
        run_rescore(settings_with_new, lambda *_: None)


def test_what_gets_lost_goes_out_again_and_is_given_up_in_the_end(
    settings_with_new: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = Sent()
    monkeypatch.setattr(rescore, "Publisher", lambda _: sent)
    monkeypatch.setattr(rescore, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(rescore, "children_alive", lambda _: 1)
    impatient = settings_with_new.model_copy(update={"republish_seconds": 0.1})
    result = run_rescore(impatient, lambda *_: None)
    assert sent.messages == [[1]] * 3
    assert (result.found, result.failed) == (1, {1: "no_answer"})
