"""What a version said week by week, in both databases, and from which index it is read."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bundles import add_images, copy_bundle, held_out, labels_of
from clinic import LABELS, NOON, prediction, seconds
from sqlalchemy import Engine, event, text

from triage import queries
from triage.agreement import Agreement, agreement, agreement_by_span
from triage.bundle import Bundle, open_bundle
from triage.database import reading_sessions, sessions
from triage.drift import Judged, Reference, body_parts, judged, reference
from triage.records import Image, Study
from triage.verdicts import give_verdict

WEEK = timedelta(weeks=1)


@pytest.fixture
def bundle(model_path: Path) -> Bundle:
    return replace(open_bundle(model_path), version="v1", thresholds={"unlike_training_data": 1.5})


def add(engine: Engine, after: timedelta, confidence: float = 0.5, distance: float | None = 1.0, **more: Any) -> int:
    """An image that a version judged so long after noon."""
    version = more.pop("version", "v1")
    with sessions(engine).begin() as session:
        queries.keep_model_version(session, version, version * 32, LABELS, NOON)
        values = {"source": "folder", "source_name": "a", "received_at": NOON, "attempts": 0, "status": "queued"}
        image = Image(study=Study(created_at=NOON), **(values | more))
        session.add(image)
        session.flush()
        said = prediction(confidence, confidence < 0.3, version)
        said.created_at, said.unfamiliarity = NOON + after, distance
        queries.finish(session, image, said, actor="worker")
        return image.id


def test_a_week_is_what_was_said_in_it(engine: Engine, bundle: Bundle) -> None:
    for number, confidence in enumerate((0.2, 0.4, 0.41, 0.8)):
        add(engine, seconds(number), confidence, 1.0 + 0.2 * number)  # 1.0, 1.2, 1.4, 1.6
    add(engine, seconds(5), 0.9, None)
    add(engine, -seconds(1), 0.1), add(engine, WEEK, 0.1), add(engine, seconds(6), 0.1, version="v2")
    with reading_sessions(engine)() as session:
        assert judged(session, bundle, NOON, NOON + WEEK) == Judged(5, (0.4, 0.41, 0.8), review=1, measured=4, unlike=1)
        unable = replace(bundle, thresholds={})
        assert judged(session, unable, NOON, NOON + WEEK) == Judged(5, (0.4, 0.41, 0.8), review=1, measured=0, unlike=0)
        assert judged(session, bundle, NOON + 2 * WEEK, NOON + 3 * WEEK) == Judged(0, None, 0, 0, 0)


def test_body_parts_are_those_of_images_that_were_classified(engine: Engine) -> None:
    for part in ("HAND", "HAND", "KNEE", None):
        image = add(engine, seconds(1), body_part=part)
    add(engine, WEEK, body_part="HIP")
    with sessions(engine).begin() as session:
        session.get_one(Image, image).status = "quarantined"
    add(engine, seconds(2), body_part=None)
    with reading_sessions(engine)() as session:
        assert body_parts(session, NOON, NOON + WEEK) == {"HAND": 2, "KNEE": 1, None: 1}


def test_a_verdict_counts_in_the_week_of_the_newest(engine: Engine) -> None:
    first, second = add(engine, seconds(1)), add(engine, seconds(2))
    for image_id, verdict, after in (
        (first, "agree", seconds(10)), (second, "agree", seconds(10)), (first, "no_fracture", WEEK),
    ):  # fmt: skip
        with sessions(engine).begin() as session:
            give_verdict(session, image_id, verdict, reviewer="AB", at=NOON + after)
    with reading_sessions(engine)() as session:
        weeks = agreement_by_span(session, "v1", [NOON + number * WEEK for number in range(-1, 3)])
        assert weeks == [
            [], [Agreement("Spiral fracture", {"agree": 1})], [Agreement("Spiral fracture", {"no_fracture": 1})],
        ]  # fmt: skip
        assert agreement(session, "v1", end=NOON + WEEK) == [Agreement("Spiral fracture", {"agree": 1})]
        assert agreement(session, "v1", end=NOON) == []


def test_weeks_are_read_from_an_index_alone(sqlite_engine: Engine, bundle: Bundle) -> None:
    asked: list[tuple[str, Any]] = []
    event.listen(sqlite_engine, "before_cursor_execute", lambda *given: asked.append((given[2], given[3])))
    with reading_sessions(sqlite_engine)() as session:
        judged(session, bundle, NOON, NOON + WEEK), body_parts(session, NOON, NOON + WEEK)
        agreement_by_span(session, "v1", [NOON, NOON + WEEK]), queries.version_before(session, "v1")
        selects = [one for one in asked if one[0].startswith("SELECT")]
        plans = [
            " | ".join(row[3] for row in session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values))
            for sql, values in selects
        ]
        assert session.execute(text("SELECT 1")).scalar() == 1
    assert len(plans) == 4
    assert "COVERING INDEX ix_predictions_by_time (model_version=? AND created_at>? AND created_at<?)" in plans[0]
    assert "COVERING INDEX ix_images_finished_at_status_body_part (finished_at>? AND finished_at<?)" in plans[1]
    assert "reviews USING INDEX ix_reviews_created_at (created_at>? AND created_at<?)" in plans[2]
    assert "audit_events USING INDEX ix_audit_events_image_id (image_id=?)" in plans[3]


def test_what_a_bundle_said_of_the_images_it_was_tested_on(tmp_path: Path, model_path: Path) -> None:
    told = {"review": {"any": 0.42, "unlike_training_data": 0.015}}
    path = copy_bundle(model_path, tmp_path, "new-1", metrics=told)
    assert reference(open_bundle(path)) == Reference(None, 0.42, 0.015)
    add_images(path, held_out(labels_of(path), 40, 20))
    assert reference(open_bundle(path)) == Reference((0.7, 0.7, 0.7), 0.42, 0.015)
    path = copy_bundle(model_path, tmp_path, "new-2", metrics={"review": [1]})
    assert reference(open_bundle(path)) == Reference()
