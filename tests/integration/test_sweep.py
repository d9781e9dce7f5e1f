"""What brings lost work back, with a real Redis and a clock that the test holds."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from clinic import NOON, Clinic, seconds
from xray_files import many_jpegs

from triage import queries
from triage.broker import FOLDER, UPLOADS, Publisher, connect, queue_lengths
from triage.database import sessions
from triage.settings import Settings
from watcher.sweep import Sweep, Swept

if TYPE_CHECKING:
    from sweeping import Sweeper

pytest_plugins = ["sweeping"]


def queued(clinic: Clinic, count: int, source: str = "folder", start: int = 0) -> list[int]:
    """Images that were admitted and published at noon."""
    ids = []
    with clinic.intake(source) as intake:
        for data in many_jpegs(count, seed=start):
            ids.append(intake.admit_bytes(data, "a.jpg").image_id)
    with sessions(clinic.engine).begin() as session:
        queries.set_published(session, ids, NOON)
    return ids


def lease(clinic: Clinic, ids: list[int], at: datetime) -> None:
    with sessions(clinic.engine).begin() as session:
        queries.lease(session, ids, owner="lost", now=at, seconds=120)


def test_a_redis_that_was_emptied_gets_all_messages_again_at_once(sweeper: Sweeper) -> None:
    ids = queued(sweeper.clinic, 3)
    assert sweeper.run(1.0).published == 3
    assert sorted(image_id for ids in sweeper.messages(FOLDER) for image_id in ids) == ids
    sweeper.client.flushall()
    assert sweeper.run(1.0).published == 3


def test_messages_that_are_young_are_not_sent_again(sweeper: Sweeper) -> None:
    sweeper.run()
    queued(sweeper.clinic, 3)
    assert sweeper.run(59.0) == Swept()
    assert queue_lengths(sweeper.client) == {UPLOADS: 0, FOLDER: 0}


def test_messages_that_are_old_while_few_wait_are_sent_again(sweeper: Sweeper) -> None:
    sweeper.run()
    ids = queued(sweeper.clinic, 3)
    assert sweeper.run(61.0).published == 3
    assert sorted(image_id for ids in sweeper.messages(FOLDER) for image_id in ids) == ids


def test_messages_that_are_old_because_the_queue_is_long_are_not_doubled(sweeper: Sweeper) -> None:
    sweeper.run()
    queued(sweeper.clinic, 3)
    Publisher(sweeper.clinic.settings.model_copy(update={"home": sweeper.sweep._settings.home})).send(
        [[99]] * 3, FOLDER
    )
    assert sweeper.run(3600.0).published == 0


def test_a_lease_that_ran_out_is_taken_back_and_goes_out_alone(sweeper: Sweeper) -> None:
    sweeper.run()
    ids = queued(sweeper.clinic, 3)
    lease(sweeper.clinic, ids, NOON)
    assert sweeper.run(119.0) == Swept()
    assert sweeper.run(2.0) == Swept(taken_back=3, published=3)
    assert sweeper.messages(FOLDER) == [[image_id] for image_id in ids]


def test_the_image_that_loses_its_worker_each_time_is_the_only_one_to_be_blamed(sweeper: Sweeper) -> None:
    clinic = sweeper.clinic
    sweeper.run()
    killer, *others = queued(clinic, 4)
    lease(clinic, [killer, *others], sweeper.now)
    sweeper.run(121.0)
    for image_id in others:
        clinic.finish(image_id)
    given_up = []
    for _ in range(3):
        lease(clinic, [killer], sweeper.now)
        given_up.append(sweeper.run(121.0).given_up)
    assert given_up == [0, 0, 1]
    record = clinic.record(killer)
    assert (record["status"], record["error_code"]) == ("quarantined", "worker_crashed")
    assert record["error_detail"].startswith("The worker was lost each time it worked on this file (3).")
    assert [clinic.record(image_id)["status"] for image_id in others] == ["done"] * 3


def test_an_upload_that_lost_its_message_goes_to_the_uploads_again(sweeper: Sweeper) -> None:
    (upload,) = queued(sweeper.clinic, 1, "upload")
    (folder,) = queued(sweeper.clinic, 1, start=1)
    sweeper.run(1.0)
    assert sweeper.messages(UPLOADS) == [[upload]]
    assert sweeper.messages(FOLDER) == [[folder]]


def test_an_image_without_a_message_gets_one_even_while_others_wait(sweeper: Sweeper) -> None:
    sweeper.run()
    (image_id,) = queued(sweeper.clinic, 1)
    with sessions(sweeper.clinic.engine).begin() as session:
        queries.set_published(session, [image_id], None)
    sweeper.client.lpush(FOLDER, *(["{}"] * 5))
    assert sweeper.run(1.0).published == 1


def test_a_broker_that_is_away_loses_nothing(clinic: Clinic, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ids = queued(clinic, 2)
    nowhere = clinic.settings.model_copy(update={"broker_url": f"redis+socket://{tmp_path}/no.sock"})
    lease(clinic, ids[:1], NOON)
    sweep = Sweep(nowhere, clinic.engine, Publisher(nowhere), connect(nowhere), clock=lambda: NOON + seconds(121))
    assert sweep.run() == Swept(taken_back=1)
    assert "the broker does not answer" in caplog.text
    assert [clinic.record(image_id)["status"] for image_id in ids] == ["queued", "queued"]


def test_a_message_is_json_and_carries_ids_and_no_names(sweeper: Sweeper, redis_home: Path) -> None:
    publisher = Publisher(Settings(home=redis_home, workers=1))
    assert publisher.publish([3, 4, 5], "folder")
    (raw,) = sweeper.client.lrange(FOLDER, 0, -1)
    message: dict[str, Any] = json.loads(raw)
    assert (message["content-type"], message["headers"]["task"]) == ("application/json", "triage.classify")
    body = json.loads(base64.b64decode(message["body"]))
    assert body[:2] == [[[3, 4, 5]], {}]
    assert message["headers"]["argsrepr"] == "[[3, 4, 5]]"


def test_an_upload_travels_alone_and_apart_from_the_folder(sweeper: Sweeper, redis_home: Path) -> None:
    publisher = Publisher(Settings(home=redis_home, workers=1))
    publisher.publish([1, 2], "upload")
    publisher.publish([3, 4], "folder")
    publisher.publish([5], "once")
    assert sweeper.messages(UPLOADS) == [[1], [2]]
    assert sweeper.messages(FOLDER) == [[3, 4], [5]]
