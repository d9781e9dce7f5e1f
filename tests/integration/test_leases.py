"""Who works on an image, and what becomes of it: every transition, with the trail that it leaves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from clinic import LABELS, NOON, prediction, seconds
from sqlalchemy import Engine, func, select

from triage import queries
from triage.database import open_database, sessions
from triage.records import AuditEvent, Image, Prediction

MakeImage = Callable[..., int]


def look(engine: Engine, image_id: int) -> Image:
    with sessions(engine)() as session:
        image = session.get(Image, image_id)
        assert image is not None
        return image


def trail(engine: Engine, image_id: int) -> list[tuple[str, str, dict[str, Any]]]:
    with sessions(engine)() as session:
        return [(event.event, event.actor, event.detail) for event in queries.events_of(session, image_id)]


def lease(engine: Engine, ids: list[int], owner: str = "one", at: Any = NOON) -> list[int]:
    with sessions(engine).begin() as session:
        return [image.id for image in queries.lease(session, ids, owner=owner, now=at, seconds=120)]


def test_a_lease_says_who_works_and_until_when(engine: Engine, make_image: MakeImage) -> None:
    image_id = make_image()
    assert lease(engine, [image_id]) == [image_id]
    image = look(engine, image_id)
    assert (image.status, image.lease_owner, image.leased_until) == ("processing", "one", NOON + seconds(120))
    assert trail(engine, image_id) == [("leased", "one", {})]


def test_what_is_not_queued_cannot_be_leased(engine: Engine, make_image: MakeImage) -> None:
    ids = [make_image(status=status) for status in ("processing", "done", "quarantined", "discarded")]
    assert lease(engine, [*ids, 4711]) == []


def test_a_second_message_for_the_same_images_finds_nothing_to_do(engine: Engine, make_image: MakeImage) -> None:
    ids = [make_image(), make_image()]
    assert sorted(lease(engine, ids, "one")) == ids
    assert lease(engine, ids, "other") == []
    assert {look(engine, image_id).lease_owner for image_id in ids} == {"one"}


def test_two_workers_never_own_one_image(engine: Engine, make_image: MakeImage, database_url: str) -> None:
    ids = [make_image() for _ in range(40)]
    barrier = threading.Barrier(2)
    taken: dict[str, list[int]] = {"one": [], "other": []}

    def work(owner: str) -> None:
        own = open_database(database_url)
        barrier.wait()
        for start in range(0, len(ids), 4):
            taken[owner] += lease(own, ids[start : start + 4], owner)
        own.dispose()

    threads = [threading.Thread(target=work, args=(owner,)) for owner in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken["one"] + taken["other"]) == ids


def test_an_attempt_is_counted_only_for_an_image_that_is_alone_in_its_message(
    engine: Engine, make_image: MakeImage
) -> None:
    together, alone = [make_image(), make_image()], make_image()
    lease(engine, together)
    lease(engine, [alone])
    assert [look(engine, image_id).attempts for image_id in [*together, alone]] == [0, 0, 1]


def test_finishing_writes_prediction_and_status_together(engine: Engine, make_image: MakeImage) -> None:
    image_id = make_image()
    lease(engine, [image_id])
    with sessions(engine).begin() as session:
        queries.keep_model_version(session, "v1", "d" * 64, LABELS, NOON)
        image = queries.owned(session, [image_id], "one")[image_id]
        queries.finish(session, image, prediction(0.75), actor="one")
    image = look(engine, image_id)
    assert (image.status, image.label, image.confidence, image.needs_review) == ("done", "Spiral fracture", 0.75, False)
    assert (image.lease_owner, image.leased_until) == (None, None)
    assert image.finished_at == NOON + seconds(60)
    assert trail(engine, image_id)[-1] == ("done", "one", {"model_version": "v1"})


def test_finishing_twice_keeps_the_first_prediction(engine: Engine, make_image: MakeImage) -> None:
    image_id = make_image(confidence=0.75)
    with sessions(engine).begin() as session:
        image = session.get(Image, image_id)
        assert image is not None
        queries.finish(session, image, prediction(0.5), actor="late")
    with sessions(engine)() as session:
        assert session.scalar(select(func.count()).select_from(Prediction)) == 1
    assert look(engine, image_id).confidence == 0.75


def test_who_lost_the_lease_owns_nothing_any_more(engine: Engine, make_image: MakeImage) -> None:
    image_id = make_image()
    lease(engine, [image_id], "slow")
    with sessions(engine).begin() as session:
        (image,) = queries.expired_leases(session, NOON + seconds(121), 10)
        queries.give_back(session, image, actor="sweep", at=NOON + seconds(121), event="lease_expired")
    assert lease(engine, [image_id], "quick") == [image_id]
    with sessions(engine).begin() as session:
        assert queries.owned(session, [image_id], "slow") == {}
        assert list(queries.owned(session, [image_id], "quick")) == [image_id]


def test_a_lease_that_still_runs_is_not_taken_back(engine: Engine, make_image: MakeImage) -> None:
    lease(engine, [make_image()])
    with sessions(engine).begin() as session:
        assert queries.expired_leases(session, NOON + seconds(119), 10) == []


def test_what_is_given_back_waits_for_a_message_of_its_own(engine: Engine, make_image: MakeImage) -> None:
    image_id = make_image()
    lease(engine, [image_id])
    with sessions(engine).begin() as session:
        image = session.get(Image, image_id)
        assert image is not None
        queries.give_back(session, image, actor="sweep", at=NOON, event="lease_expired")
    image = look(engine, image_id)
    assert (image.status, image.travels_alone, image.published_at, image.lease_owner) == ("queued", True, None, None)
    assert [event for event, _, _ in trail(engine, image_id)] == ["leased", "lease_expired"]


def test_quarantine_keeps_the_reason_and_says_who(engine: Engine, make_image: MakeImage) -> None:
    image_id = make_image()
    lease(engine, [image_id])
    with sessions(engine).begin() as session:
        image = session.get(Image, image_id)
        assert image is not None
        queries.quarantine(session, image, "truncated", "Send it again.", actor="one", at=NOON + seconds(5))
    image = look(engine, image_id)
    assert (image.status, image.error_code, image.error_detail) == ("quarantined", "truncated", "Send it again.")
    assert (image.finished_at, image.lease_owner) == (NOON + seconds(5), None)
    assert trail(engine, image_id)[-1] == ("quarantined", "one", {"code": "truncated"})


@pytest.mark.parametrize("status", ["quarantined", "discarded"])
def test_a_retried_image_starts_afresh(engine: Engine, make_image: MakeImage, status: str) -> None:
    image_id = make_image(
        status=status,
        error_code="worker_crashed",
        error_detail="Lost.",
        attempts=3,
        travels_alone=True,
        finished_at=NOON,
    )
    with sessions(engine).begin() as session:
        image = session.get(Image, image_id)
        assert image is not None
        queries.requeue(session, image, actor="command line", at=NOON + seconds(9), event="retried")
    image = look(engine, image_id)
    assert (image.status, image.error_code, image.error_detail, image.finished_at) == ("queued", None, None, None)
    assert (image.attempts, image.travels_alone, image.published_at) == (0, False, NOON + seconds(9))
    assert trail(engine, image_id) == [("retried", "command line", {})]


def test_a_discarded_image_keeps_its_row_and_its_reason(engine: Engine, make_image: MakeImage) -> None:
    image_id = make_image(status="quarantined", error_code="damaged", error_detail="It is.")
    with sessions(engine).begin() as session:
        image = session.get(Image, image_id)
        assert image is not None
        queries.discard(session, image, actor="command line", at=NOON)
    assert (look(engine, image_id).status, look(engine, image_id).error_code) == ("discarded", "damaged")
    assert trail(engine, image_id) == [("discarded", "command line", {})]


def test_a_change_that_is_rolled_back_leaves_no_trail(engine: Engine, make_image: MakeImage) -> None:
    image_id = make_image()
    with sessions(engine)() as session:
        queries.lease(session, [image_id], owner="one", now=NOON, seconds=120)
        session.rollback()
    assert look(engine, image_id).status == "queued"
    with sessions(engine)() as session:
        assert session.scalar(select(func.count()).select_from(AuditEvent)) == 0


def test_counts_name_every_status(engine: Engine, make_image: MakeImage) -> None:
    for status in ("queued", "queued", "processing", "quarantined"):
        make_image(status=status)
    with sessions(engine)() as session:
        assert queries.counts(session) == {
            "queued": 2,
            "processing": 1,
            "done": 0,
            "quarantined": 1,
            "discarded": 0,
        }


def test_the_oldest_wait_is_of_what_still_waits(engine: Engine, make_image: MakeImage) -> None:
    with sessions(engine)() as session:
        assert queries.oldest_waiting(session) is None
    make_image(status="done", received_at=NOON)
    make_image(status="processing", received_at=NOON + seconds(2))
    make_image(status="queued", received_at=NOON + seconds(1))
    with sessions(engine)() as session:
        assert queries.oldest_waiting(session) == NOON + seconds(1)


def test_still_waiting_asks_in_pieces(engine: Engine, make_image: MakeImage) -> None:
    ids = [make_image(status=status) for status in ("queued", "done", "processing", "quarantined") * 3]
    with sessions(engine)() as session:
        waiting = queries.still_waiting(session, ids, chunk=5)
    assert waiting == {image_id for number, image_id in enumerate(ids) if number % 2 == 0}
