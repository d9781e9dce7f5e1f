"""The order in which a person sees images: in pages on the dashboard, and in an export."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest
from clinic import NOON, prediction, seconds
from sqlalchemy import Engine

from triage import queries
from triage.queries import Sort
from triage.records import Image, reading_sessions, sessions

MakeImage = Callable[..., int]
SORTS: tuple[Sort, ...] = get_args(Sort)
SIZE = 4


@pytest.fixture
def with_ties(engine: Engine, make_image: MakeImage) -> list[int]:
    """Done images of which many share confidence, review and time of arrival."""
    return [
        make_image(
            confidence=(0.9, 0.5, 0.5, 0.125)[number % 4],
            needs_review=number % 3 == 0,
            received_at=NOON + seconds(number // 5),
        )
        for number in range(21)
    ]


def expected(engine: Engine, sort: Sort) -> list[int]:
    keys: dict[Sort, Callable[[Image], tuple[object, ...]]] = {
        "triage": lambda image: (not image.needs_review, -(image.confidence or 0), image.id),
        "confidence_down": lambda image: (-(image.confidence or 0), image.id),
        "confidence_up": lambda image: (image.confidence, image.id),
        "oldest": lambda image: (image.received_at, image.id),
        "newest": lambda image: (-image.received_at.timestamp(), -image.id),
    }
    with sessions(engine)() as session:
        return [image.id for image in sorted(session.query(Image), key=keys[sort])]


@pytest.mark.parametrize("sort", SORTS)
def test_pages_forwards_visit_every_image_once_in_order(engine: Engine, with_ties: list[int], sort: Sort) -> None:
    seen: list[int] = []
    with reading_sessions(engine)() as session:
        page = queries.list_page(session, sort, size=SIZE)
        assert page.previous is None
        seen += [image.id for image in page.images]
        while page.next is not None:
            page = queries.list_page(session, sort, size=SIZE, after=page.next)
            seen += [image.id for image in page.images]
    assert seen == expected(engine, sort)
    assert sorted(seen) == with_ties


@pytest.mark.parametrize("sort", SORTS)
def test_pages_backwards_visit_every_image_once_in_order(engine: Engine, with_ties: list[int], sort: Sort) -> None:
    with reading_sessions(engine)() as session:
        page = queries.list_page(session, sort, size=SIZE)
        while page.next is not None:
            page = queries.list_page(session, sort, size=SIZE, after=page.next)
        seen = [image.id for image in page.images]
        while page.previous is not None:
            page = queries.list_page(session, sort, size=SIZE, before=page.previous)
            seen = [image.id for image in page.images] + seen
    assert seen == expected(engine, sort)
    assert sorted(seen) == with_ties


@pytest.mark.parametrize("sort", SORTS)
def test_a_row_knows_how_many_stand_before_it(engine: Engine, with_ties: list[int], sort: Sort) -> None:
    del with_ties
    with reading_sessions(engine)() as session:
        images = queries.list_page(session, sort, size=100).images
        assert [queries.rows_before(session, sort, image) for image in images] == list(range(21))


def test_an_image_that_arrives_while_somebody_pages_shifts_nothing(
    engine: Engine, with_ties: list[int], make_image: MakeImage
) -> None:
    with reading_sessions(engine)() as session:
        first = queries.list_page(session, "triage", size=SIZE)
    late = make_image(confidence=0.99, needs_review=True)
    with reading_sessions(engine)() as session:
        second = queries.list_page(session, "triage", size=100, after=first.next)
    ids = [image.id for image in [*first.images, *second.images]]
    assert late not in ids
    assert sorted(ids) == with_ties


def test_only_what_is_done_is_listed_unless_told_otherwise(engine: Engine, make_image: MakeImage) -> None:
    done = make_image(confidence=0.5)
    quarantined = [make_image(status="quarantined", error_code="damaged") for _ in range(5)]
    make_image()
    with reading_sessions(engine)() as session:
        assert [image.id for image in queries.list_page(session, "triage", size=10).images] == [done]
        page = queries.list_page(session, "newest", size=3, statuses=("quarantined",))
        rest = queries.list_page(session, "newest", size=3, statuses=("quarantined",), after=page.next)
    assert [image.id for image in [*page.images, *rest.images]] == quarantined[::-1]


def test_an_empty_list_is_one_empty_page(engine: Engine) -> None:
    with reading_sessions(engine)() as session:
        page = queries.list_page(session, "triage", size=SIZE)
    assert (page.images, page.previous, page.next) == ([], None, None)


def test_an_export_ranks_as_promised(engine: Engine, make_image: MakeImage) -> None:
    in_order = {
        "review, sure": make_image(confidence=0.9, needs_review=True, received_at=NOON + seconds(50)),
        "review, unsure, older": make_image(confidence=0.25, needs_review=True, received_at=NOON),
        "review, unsure, newer": make_image(confidence=0.25, needs_review=True, received_at=NOON + seconds(1)),
        "clear, sure": make_image(confidence=0.99),
        "clear, less sure": make_image(confidence=0.75),
        "waits, older": make_image(status="processing", received_at=NOON),
        "waits, newer": make_image(status="queued", received_at=NOON + seconds(1)),
        "quarantined": make_image(status="quarantined", received_at=NOON),
        "discarded": make_image(status="discarded", received_at=NOON),
    }
    with reading_sessions(engine)() as session:
        assert [image.id for image in queries.all_ranked(session, chunk=2)] == list(in_order.values())
        some = queries.images_by_id(session, list(in_order.values())[::2])
    assert [image.id for image in some] == list(in_order.values())[::2]


def test_a_quarantined_image_that_was_sure_once_ranks_behind_all_that_is_done(
    engine: Engine, make_image: MakeImage
) -> None:
    sure = make_image(confidence=0.99, needs_review=True)
    unsure = make_image(confidence=0.125)
    with sessions(engine).begin() as session:
        image = session.get(Image, sure)
        assert image is not None
        queries.quarantine(session, image, "damaged", "It is.", actor="test", at=NOON)
    with reading_sessions(engine)() as session:
        assert [image.id for image in queries.all_ranked(session)] == [unsure, sure]


def test_records_of_very_many_images_can_be_asked_for(engine: Engine) -> None:
    with sessions(engine).begin() as session:
        session.add_all(
            Image(source="once", source_name="x", sha256=f"{n:064x}", status="queued", received_at=NOON)
            for n in range(1200)
        )
    with reading_sessions(engine)() as session:
        assert [image.id for image in queries.images_by_id(session, range(1, 1101))] == list(range(1, 1101))


def test_the_newest_prediction_is_the_one_that_is_shown(engine: Engine, make_image: MakeImage) -> None:
    image_id = make_image(confidence=0.5)
    with sessions(engine).begin() as session:
        queries.keep_model_version(session, "v2", "e" * 64, ["x"], NOON)
        image = session.get(Image, image_id)
        assert image is not None
        queries.finish(session, image, prediction(0.875, version="v2"), actor="worker")
    with reading_sessions(engine)() as session:
        (image,) = queries.list_page(session, "triage", size=SIZE).images
        assert (image.confidence, image.predictions[-1].model_version) == (0.875, "v2")
