"""What the system page tells of the work, and the search of the audit trail, in both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from triage import queries, statistics
from triage.database import reading_sessions, sessions
from triage.records import DONE, QUARANTINED, QUEUED, Image
from triage.statistics import Delays, Waiting, quantile
from triage.trail import PEOPLE, TrailFilter, note_view, search

NOW = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


def add(
    engine: Engine, received: datetime, seconds: float | None = None, source: str = "folder", **more: object
) -> int:
    """An image that came in then, and was finished so many seconds later."""
    with sessions(engine).begin() as session:
        finished = None if seconds is None else received + timedelta(seconds=seconds)
        values = {"status": QUEUED if seconds is None else DONE} | more
        image = Image(source=source, source_name="a", received_at=received, finished_at=finished, attempts=0, **values)
        session.add(image)
        session.flush()
        return image.id


def test_what_waits_and_for_how_long(engine: Engine) -> None:
    add(engine, ago(hours=5), 10)
    add(engine, ago(minutes=5))
    add(engine, ago(minutes=50), status="processing")
    add(engine, ago(seconds=3), source="upload")
    with reading_sessions(engine)() as session:
        assert statistics.waiting(session, uploads=False) == Waiting(2, ago(minutes=50))
        assert statistics.waiting(session, uploads=True) == Waiting(1, ago(seconds=3))


def test_images_by_hour_end_with_the_one_that_is_not_over(engine: Engine) -> None:
    for minutes in (0, 29, 31, 91, 24 * 60):
        add(engine, ago(minutes=minutes, seconds=1), 1)
    add(engine, ago(minutes=1), 1, status=QUARANTINED)
    add(engine, ago(minutes=1))
    with reading_sessions(engine)() as session:
        found = statistics.finished_by_hour(session, NOW, hours=3)
    assert found == [(ago(hours=2, minutes=30), 1), (ago(hours=1, minutes=30), 1), (ago(minutes=30), 3)]


def test_delays_are_those_of_the_newest_that_were_classified(engine: Engine) -> None:
    add(engine, ago(days=9), 5000)
    for number in range(1, 21):
        add(engine, ago(minutes=number), number)
    add(engine, ago(minutes=1), 900, status=QUARANTINED)
    add(engine, ago(minutes=2), 0.5, source="upload")
    with reading_sessions(engine)() as session:
        assert statistics.delays(session, uploads=False, sample=21) == Delays(20, 10, 19)
        assert statistics.delays(session, uploads=True) == Delays(1, 0.5, 0.5)


def test_no_image_has_no_delay(engine: Engine) -> None:
    with reading_sessions(engine)() as session:
        assert statistics.delays(session, uploads=False) == Delays(0, None, None)
        assert statistics.waiting(session, uploads=False) == Waiting(0, None)
        assert statistics.database_bytes(session) > 10_000


def test_a_quantile_is_a_value_that_was_measured() -> None:
    assert quantile([1, 2, 3, 4], 0.5) == 2
    assert quantile([7], 0.95) == 7
    assert quantile([], 0.5) is None


def test_the_last_progress_of_each_worker_process(engine: Engine) -> None:
    image = add(engine, ago(hours=1), 1)
    with sessions(engine).begin() as session:
        row = session.get(Image, image)
        for actor, event, minutes in (
            ("host-a:11:aaaa", "done", 9),
            ("host-a:11:bbbb", "done", 7),
            ("host-b:12:cccc", "quarantined", 5),
            ("host-b:12:dddd", "leased", 1),
            ("folder", "admitted", 0),
        ):
            queries.record_event(session, event, row, actor=actor, at=ago(minutes=minutes))
    with reading_sessions(engine)() as session:
        assert statistics.last_progress(session) == {"host-b:12": ago(minutes=5), "host-a:11": ago(minutes=7)}


@pytest.fixture
def trail(engine: Engine) -> Engine:
    """Twelve views of one image and three of another, a minute apart, between events of machines."""
    first, second = add(engine, ago(days=1), 1), add(engine, ago(days=1), 1)
    for number in range(15):
        with sessions(engine).begin() as session:
            image = first if number < 12 else second
            actor = "Ada Byron" if number % 2 else "50%_off"
            note_view(session, image, actor=actor, at=ago(minutes=60 - number))
            queries.record_event(
                session, "done", session.get(Image, image), actor="host:1:a", at=ago(minutes=60 - number)
            )
    return engine


def test_the_trail_is_paged_to_its_end_and_back(trail: Engine) -> None:
    wanted = TrailFilter(events=PEOPLE)
    with reading_sessions(trail)() as session:
        seen = []
        page = search(session, wanted, size=4)
        assert page.newer is None
        while True:
            seen += [event.id for event in page.events]
            if page.older is None:
                break
            last = page
            page = search(session, wanted, size=4, older_than=page.older)
        assert len(seen) == len(set(seen)) == 15
        assert seen == sorted(seen, reverse=True)
        back = search(session, wanted, size=4, newer_than=page.newer)
        assert [event.id for event in back.events] == [event.id for event in last.events]
        assert back.newer is not None


def test_the_trail_is_searched(trail: Engine) -> None:
    expected = [
        (TrailFilter(), 30),
        (TrailFilter(actor="ada"), 7),
        (TrailFilter(actor="50%_"), 8),
        (TrailFilter(actor="%"), 0),
        (TrailFilter(actor="byron"), 0),
        (TrailFilter(events=("viewed",), since=ago(minutes=50)), 5),
        (TrailFilter(events=("viewed",), until=ago(minutes=50)), 10),
        (TrailFilter(image_id=10**15), 0),
    ]
    with reading_sessions(trail)() as session:
        assert [(wanted, len(search(session, wanted, size=100).events)) for wanted, _ in expected] == expected
        ids = sorted({event.image_id for event in search(session, TrailFilter(), size=100).events if event.image_id})
        of_one = search(session, TrailFilter(image_id=ids[1], events=PEOPLE), size=100).events
    assert [event.actor for event in of_one] == ["50%_off", "Ada Byron", "50%_off"]


def test_a_view_of_an_image_that_is_gone_is_not_noted(trail: Engine) -> None:
    with sessions(trail).begin() as session:
        note_view(session, 10**9, actor="Ada", at=NOW)
    with reading_sessions(trail)() as session:
        assert len(search(session, TrailFilter(), size=100).events) == 30
