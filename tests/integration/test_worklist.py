"""The order in which a person sees images: in pages on the dashboard, and in an export."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import pytest
import xray_files
from clinic import LABELS, NOON, Clinic, prediction, seconds
from sqlalchemy import Engine

from triage import queries, worklist
from triage.database import reading_sessions, sessions
from triage.records import NEEDS_REVIEW, OTHERS, OVERDUE, REVIEWED, Image, Study, WorklistEntry
from triage.urgency_weights import Weights, WeightsRefused, bring_up_to_date, change_weights, current_weights
from triage.verdicts import give_verdict, withdraw_verdict
from triage.worklist import Count, Filters, Sort, View, body_parts, read_page
from triage.worklist_entries import find_by, raise_overdue, search_key

MakeImage = Callable[..., int]
SORTS: tuple[Sort, ...] = get_args(Sort)
SIZE = 4


@pytest.fixture
def with_ties(engine: Engine, make_image: MakeImage) -> list[int]:
    """Studies of one done image each, many of which share confidence, lane and time of arrival."""
    made = [
        make_image(
            confidence=(0.9, 0.5, 0.5, 0.125)[number % 4],
            needs_review=number % 3 == 0,
            received_at=NOON + seconds(number // 5),
        )
        for number in range(21)
    ]
    review(engine, made[4], made[9])
    with sessions(engine).begin() as session:
        assert raise_overdue(session, NOON + seconds(2), limit=100) == 8
    return made


def review(engine: Engine, *image_ids: int, verdict: str = "agree") -> None:
    with sessions(engine).begin() as session:
        for image_id in image_ids:
            give_verdict(session, image_id, verdict, reviewer="AB", at=NOON)


def expected(engine: Engine, sort: Sort) -> list[int]:
    keys: dict[Sort, Callable[[WorklistEntry], tuple[object, ...]]] = {
        "triage": lambda entry: (
            (-entry.lane, entry.received_at.timestamp(), entry.study_id)
            if entry.lane == OVERDUE
            else (-entry.lane, -entry.confidence, -entry.study_id)
        ),
        "confidence_down": lambda entry: (-entry.confidence, -entry.study_id),
        "confidence_up": lambda entry: (entry.confidence, entry.study_id),
        "urgency": lambda entry: (-entry.urgency, -entry.study_id),
        "oldest": lambda entry: (entry.received_at, entry.study_id),
        "newest": lambda entry: (-entry.received_at.timestamp(), -entry.study_id),
    }
    with sessions(engine)() as session:
        return [entry.image_id for entry in sorted(session.query(WorklistEntry), key=keys[sort])]


EVERY = Filters()


def walk(engine: Engine, sort: Sort, filters: Filters = EVERY, size: int = SIZE) -> list[View]:
    """All pages, forwards."""
    pages: list[View] = []
    with reading_sessions(engine)() as session:
        while not pages or pages[-1].next is not None:
            after = pages[-1].next if pages else None
            pages.append(read_page(session, filters, sort, size=size, after=after))
    return pages


def shown(*pages: View) -> list[int]:
    return [entry.image_id for page in pages for entry in page.entries]


FILTERS = {
    "none": Filters(),
    "few by type": Filters(label="Spiral fracture"),
    "few by time": Filters(since=NOON, until=NOON + seconds(60)),
}


@pytest.mark.parametrize("filters", FILTERS.values(), ids=FILTERS)
@pytest.mark.parametrize("sort", SORTS)
def test_pages_visit_every_study_once_in_order_both_ways(
    engine: Engine, with_ties: list[int], sort: Sort, filters: Filters
) -> None:
    pages = walk(engine, sort, filters)
    assert pages[0].previous is None
    assert shown(*pages) == expected(engine, sort)
    assert sorted(shown(*pages)) == with_ties
    assert [page.before.number for page in pages] == [0, 4, 8, 12, 16, 20]
    assert {page.total.number for page in pages} == {21}

    page = pages[-1]
    seen = shown(page)
    with reading_sessions(engine)() as session:
        while page.previous is not None:
            page = read_page(session, filters, sort, size=SIZE, before=page.previous)
            seen = shown(page) + seen
    assert seen == expected(engine, sort)


@pytest.mark.parametrize(
    ("fetched", "bounded"), [(100, 100), (5, 100), (5, 5)], ids=["fetched", "met between two studies", "met anywhere"]
)
@pytest.mark.parametrize("sort", SORTS)
def test_a_search_shows_all_that_it_finds_in_order_however_many_they_are(
    engine: Engine, with_ties: list[int], monkeypatch: pytest.MonkeyPatch, sort: Sort, fetched: int, bounded: int
) -> None:
    monkeypatch.setattr(worklist, "FETCH_LIMIT", fetched)
    monkeypatch.setattr(worklist, "BOUNDS_LIMIT", bounded)
    march = with_ties[5:17]
    with sessions(engine).begin() as session:
        entries = list(session.query(WorklistEntry))
        find_by(
            session,
            {each.study_id: {f"2026-0{3 if each.image_id in march else 4}-{each.study_id}.jpg"} for each in entries},
        )
    pages = walk(engine, sort, Filters(search="2026-03"))
    in_order = [image_id for image_id in expected(engine, sort) if image_id in march]
    assert shown(*pages) == in_order
    assert {page.total.is_exact for page in pages} == {fetched >= len(march)}
    page, seen = pages[-1], shown(pages[-1])
    with reading_sessions(engine)() as session:
        while page.previous is not None:
            page = read_page(session, Filters(search="2026-03"), sort, size=SIZE, before=page.previous)
            seen = shown(page) + seen
    assert seen == in_order


def test_a_search_that_finds_more_than_is_counted_says_so_and_shows_all(
    engine: Engine, with_ties: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worklist, "COUNT_LIMIT", 5)
    with sessions(engine).begin() as session:
        find_by(session, {each.study_id: {f"x-{each.study_id}"} for each in session.query(WorklistEntry)})
    pages = walk(engine, "confidence_down", Filters(search="x-"))
    assert sorted(shown(*pages)) == with_ties
    lanes = {lane: (count.number, count.is_exact) for lane, count in pages[0].lanes.items()}
    assert lanes == {OVERDUE: (5, False), NEEDS_REVIEW: (3, True), OTHERS: (5, False), REVIEWED: (2, True)}
    assert not pages[0].total.is_exact


@pytest.mark.parametrize("fetched", [100, 5], ids=["fetched", "met on the way"])
def test_a_number_finds_its_study_and_the_names_that_begin_so(
    engine: Engine, with_ties: list[int], monkeypatch: pytest.MonkeyPatch, fetched: int
) -> None:
    monkeypatch.setattr(worklist, "FETCH_LIMIT", fetched)
    with sessions(engine).begin() as session:
        entries = list(session.query(WorklistEntry))
        wanted = entries[20].study_id
        find_by(session, {each.study_id: {f"{wanted}-{each.study_id}.jpg"} for each in entries[:12]})
    found = shown(*walk(engine, "oldest", Filters(search=str(wanted))))
    assert sorted(found) == sorted([each.image_id for each in entries[:12]] + [entries[20].image_id])


def test_a_study_that_arrives_while_somebody_pages_shifts_nothing(
    engine: Engine, with_ties: list[int], make_image: MakeImage
) -> None:
    with reading_sessions(engine)() as session:
        first = read_page(session, Filters(), "confidence_down", size=SIZE)
    late = make_image(confidence=0.99, needs_review=True)
    with reading_sessions(engine)() as session:
        second = read_page(session, Filters(), "confidence_down", size=100, after=first.next)
    assert late not in shown(first, second)
    assert sorted(shown(first, second)) == with_ties


def test_an_empty_list_is_one_empty_page(engine: Engine) -> None:
    (page,) = walk(engine, "triage")
    assert (page.entries, page.previous, page.next, page.total) == ([], None, None, Count(0))


def test_a_study_is_one_row_and_its_worst_image_stands_for_it(engine: Engine, make_image: MakeImage) -> None:
    with sessions(engine).begin() as session:
        session.add(study := Study(study_instance_uid="1.2.3", created_at=NOON))
        session.flush()
        study_id = study.id
    of_study = {"study_id": study_id}
    sure = make_image(confidence=0.9, **of_study)
    flagged = make_image(confidence=0.25, needs_review=True, body_part="HAND", **of_study)
    make_image(status="queued", **of_study)

    def row() -> tuple[int, int, int, str | None]:
        (page,) = walk(engine, "triage")
        (entry,) = page.entries
        return entry.image_id, entry.images, entry.lane, entry.body_part

    assert row() == (flagged, 3, NEEDS_REVIEW, "HAND")
    review(engine, flagged)
    assert row() == (sure, 3, OTHERS, None)
    review(engine, sure)
    assert row() == (flagged, 3, REVIEWED, "HAND")
    with sessions(engine).begin() as session:
        withdraw_verdict(session, sure, reviewer="AB", at=NOON)
    assert row() == (sure, 3, OTHERS, None)


def test_lanes_stand_one_above_the_other_and_a_reviewed_study_goes_to_the_last(
    engine: Engine, make_image: MakeImage
) -> None:
    clear, flagged = make_image(confidence=0.75), make_image(confidence=0.25, needs_review=True)
    reviewed = make_image(confidence=0.99, needs_review=True)
    review(engine, reviewed)
    old = make_image(confidence=0.125, received_at=NOON - seconds(3600))
    with sessions(engine).begin() as session:
        assert raise_overdue(session, NOON - seconds(1800), limit=10) == 1
        assert raise_overdue(session, NOON - seconds(1800), limit=10) == 0
    (page,) = walk(engine, "triage", size=10)
    assert shown(page) == [old, flagged, clear, reviewed]
    assert {lane: count.number for lane, count in page.lanes.items()} == {
        OVERDUE: 1, NEEDS_REVIEW: 1, OTHERS: 1, REVIEWED: 1
    }  # fmt: skip
    assert shown(*walk(engine, "confidence_down", size=10)) == [reviewed, clear, flagged, old]
    assert shown(*walk(engine, "triage", Filters(reviewed=False), 10)) == [old, flagged, clear]
    assert shown(*walk(engine, "oldest", Filters(lane=OVERDUE), 10)) == [old]

    # A longer wait is allowed now; then somebody looks at it.
    with sessions(engine).begin() as session:
        assert raise_overdue(session, NOON - seconds(7200), limit=10) == 1
    assert shown(*walk(engine, "triage", size=10)) == [flagged, clear, old, reviewed]
    review(engine, old)
    with sessions(engine).begin() as session:
        assert raise_overdue(session, NOON + seconds(3600), limit=10) == 2
    assert shown(*walk(engine, "triage", size=10)) == [clear, flagged, reviewed, old]


def test_an_overdue_study_stays_so_when_another_model_speaks_of_it(engine: Engine, make_image: MakeImage) -> None:
    image_id = make_image(confidence=0.75)
    with sessions(engine).begin() as session:
        raise_overdue(session, NOON + seconds(3600), limit=10)
    with sessions(engine).begin() as session:
        queries.keep_model_version(session, "v2", "e" * 64, LABELS, NOON)
        (image,) = queries.locked_for_rescore(session, [image_id], "v2")
        queries.rescore(session, image, prediction(0.5, version="v2"), actor="worker")
    (page,) = walk(engine, "triage")
    assert [(entry.lane, entry.confidence) for entry in page.entries] == [(OVERDUE, 0.5)]


def test_filters_let_through_what_they_say(engine: Engine, make_image: MakeImage) -> None:
    hand = make_image(confidence=0.5, body_part="HAND", source="upload", received_at=NOON)
    knee = make_image(confidence=0.25, body_part="KNEE", received_at=NOON + seconds(3600))
    waiting = make_image(body_part="KNEE")
    processing = make_image(status="processing")
    refused = make_image(status="quarantined", error_code="damaged")

    def found(**filters: Any) -> list[int]:
        return shown(*walk(engine, "confidence_down", Filters(**filters)))

    assert found() == [hand, knee]
    assert found(body_part="HAND") == [hand]
    assert found(body_part="FOOT") == []
    assert found(source="upload") == [hand]
    assert found(source="upload", body_part="KNEE") == []
    assert found(label="Spiral fracture") == [hand, knee]
    assert found(label="Hairline fracture") == []
    assert found(since=NOON + seconds(1)) == [knee]
    assert found(until=NOON + seconds(3600)) == [hand]
    assert sorted(found(status="queued")) == [waiting, processing]
    assert found(status="queued", body_part="KNEE") == [waiting]
    assert found(status="quarantined") == [refused]
    with reading_sessions(engine)() as session:
        assert body_parts(session) == ["HAND", "KNEE"]


@pytest.mark.parametrize(
    ("text", "finds"),
    [
        ("ward", True), ("WARD 3/Hand", True), ("hand-ÄRM.p", True), ("A-20", True), ("a-2026", True),
        ("and-", False), ("%", False), ("_", False), ("2026", False), ("", True),
        ("#1", True), ("1", True), ("2", False),
    ],
)  # fmt: skip
def test_a_search_finds_what_begins_so(clinic: Clinic, text: str, finds: bool) -> None:
    record = clinic.drop("Ward 3/hand-ärm.png", xray_files.png(1))
    with sessions(clinic.engine).begin() as session:
        find_by(session, {record["study_id"]: {search_key("A-2026")}})
    (page,) = walk(clinic.engine, "oldest", Filters(status="queued", search=text))
    assert bool(page.entries) is finds


def test_a_dicom_file_is_found_by_its_accession_number_and_by_a_second_name(clinic: Clinic, tmp_path: Path) -> None:
    data = xray_files.dicom_bytes(tmp_path, 1, AccessionNumber="ACC77")
    clinic.drop("IM0001", data)
    clinic.drop("copy-of.dcm", data)
    for text in ("acc7", "im0", "COPY"):
        (page,) = walk(clinic.engine, "oldest", Filters(status="queued", search=text))
        assert len(page.entries) == 1


def test_an_image_that_comes_to_an_end_moves_to_what_is_done(clinic: Clinic) -> None:
    image_id = clinic.drop("a.png", xray_files.png(1))["image_id"]
    assert shown(*walk(clinic.engine, "oldest", Filters(status="queued"))) == [image_id]
    clinic.finish(image_id)
    assert shown(*walk(clinic.engine, "oldest", Filters(status="queued"))) == []
    (page,) = walk(clinic.engine, "triage")
    (entry,) = page.entries
    assert (entry.image_id, entry.label, entry.confidence) == (image_id, "Spiral fracture", 0.75)
    # 0.75 x 0.6 for spiral and 0.25 x 0.4 for greenstick
    assert entry.urgency == pytest.approx(0.55)


def test_changed_weights_reach_what_is_there_and_what_comes(engine: Engine, make_image: MakeImage) -> None:
    make_image(confidence=0.75)
    with sessions(engine).begin() as session:
        change_weights(session, {"Spiral fracture": 1.0, "Greenstick fracture": 0.0}, actor="AB", at=NOON)
    make_image(confidence=0.5)
    assert [entry.urgency for entry in walk(engine, "oldest")[0].entries] == pytest.approx([0.55, 0.5])
    with sessions(engine).begin() as session:
        assert bring_up_to_date(session, limit=10) == 1
        assert bring_up_to_date(session, limit=10) == 0
    assert [entry.urgency for entry in walk(engine, "oldest")[0].entries] == pytest.approx([0.75, 0.5])
    with sessions(engine).begin() as session, pytest.raises(WeightsRefused, match="between 0 and 1"):
        change_weights(session, {"Spiral fracture": 1.5}, actor="AB", at=NOON)
    with reading_sessions(engine)() as session:
        assert current_weights(session) == Weights(1, {"Spiral fracture": 1.0, "Greenstick fracture": 0.0}, "AB", NOON)


def test_counting_ends_at_its_limit_and_says_so(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, make_image: MakeImage
) -> None:
    for _ in range(7):
        make_image(confidence=0.5)
    monkeypatch.setattr(worklist, "COUNT_LIMIT", 5)
    monkeypatch.setattr(worklist, "POSITION_LIMIT", 2)
    pages = walk(engine, "confidence_down", Filters(label="Spiral fracture"), size=3)
    assert [len(page.entries) for page in pages] == [3, 3, 1]
    assert {(page.total.number, page.total.is_exact) for page in pages} == {(5, False)}
    assert [(page.before.number, page.before.is_exact) for page in pages] == [(0, True), (2, False), (2, False)]
    found = walk(engine, "urgency", Filters(search="image-"), size=3)
    assert found[0].total == Count(0)


def test_two_workers_that_finish_images_of_one_study_at_once_both_show(engine: Engine, make_image: MakeImage) -> None:
    with sessions(engine).begin() as session:
        session.add(study := Study(study_instance_uid="1.2.3", created_at=NOON))
        session.flush()
        study_id = study.id
    ids = [make_image(study_id=study_id) for _ in range(8)]
    with sessions(engine).begin() as session:
        queries.keep_model_version(session, "v1", "d" * 64, LABELS, NOON)
    with sessions(engine).begin() as session:
        queries.lease(session, ids, owner="worker", now=NOON, seconds=60)

    def finish(image_id: int) -> None:
        with sessions(engine).begin() as session:
            (image,) = queries.owned(session, [image_id], "worker").values()
            queries.finish(session, image, prediction(image_id / 10), actor="worker")

    with ThreadPoolExecutor(len(ids)) as pool:
        list(pool.map(finish, ids))
    (page,) = walk(engine, "triage")
    assert [(entry.image_id, entry.images, entry.confidence) for entry in page.entries] == [(8, 8, 0.8)]


def test_the_quarantine_is_paged_from_the_newest(engine: Engine, make_image: MakeImage) -> None:
    quarantined = [make_image(status="quarantined", error_code="damaged") for _ in range(5)]
    with reading_sessions(engine)() as session:
        page = queries.quarantined_page(session, size=3)
        rest = queries.quarantined_page(session, size=3, after=page.next)
        back = queries.quarantined_page(session, size=3, before=rest.previous)
    assert [image.id for image in [*page.images, *rest.images]] == quarantined[::-1]
    assert [image.id for image in back.images] == [image.id for image in page.images]
    assert (page.previous, rest.next, back.previous) == (None, None, None)


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
        (image,) = [entry.image for entry in read_page(session, Filters(), "triage", size=SIZE).entries]
        assert (image.confidence, image.predictions[-1].model_version) == (0.875, "v2")
