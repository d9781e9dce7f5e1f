"""The worklist: studies in lanes, filtered, sorted and paged in the database.

A page costs the same with a million studies as with a thousand. Each lane is read along one index from where the page
begins (keyset paging), and what is counted is counted up to a limit. Filters go one of two ways: where few studies
fit, those are fetched by the filter's index and sorted; where many do, they are close together in any order, and the
lane is read in order until the page is full.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Select, and_, any_, func, literal, or_, select, tuple_
from sqlalchemy.orm import Session, joinedload, selectinload

from triage.records import DONE, LANES, OVERDUE, REVIEWED, Image, WorklistEntry
from triage.worklist_search import found_by, is_found_by

COUNT_LIMIT: Final = 10_000
"""Studies are counted up to here; there may be more."""
POSITION_LIMIT: Final = 1_000
"""And those before a page up to here."""
SEARCH_LIMIT: Final = 2_000
"""Where a search finds very many, this many of them are counted."""
FETCH_LIMIT: Final = 25_000
"""What a search finds is fetched and sorted up to here; more are met on the way through the list."""
BOUNDS_LIMIT: Final = 100_000
"""And up to this many of them are looked at for the lowest and highest number of a study."""

_BY_NAME: Final = "NOT INDEXED"
"""The hint for SQLite where studies are found by their names: by their numbers, then."""

Sort = Literal["triage", "confidence_down", "confidence_up", "urgency", "oldest", "newest"]
Cursor = tuple[Any, ...]

_BY: dict[Sort, tuple[Any, bool]] = {
    "triage": (WorklistEntry.confidence, True),
    "confidence_down": (WorklistEntry.confidence, True),
    "confidence_up": (WorklistEntry.confidence, False),
    "urgency": (WorklistEntry.urgency, True),
    "oldest": (WorklistEntry.received_at, False),
    "newest": (WorklistEntry.received_at, True),
}
"""What a lane is sorted by, and whether it goes down.

`triage` has one lane after the other, the first of them by wait; the others mix the lanes.
"""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What is asked of studies, but for when they came in; None: whatever it is.

    Attributes:
        status: `done`, `queued` (which tells of `processing` too), `quarantined` or `discarded`.
        lane: one of `LANES`.
        reviewed: whether a verdict stands.
        label: the type that the model says of the image shown first.
        body_part: DICOM's, of the image shown first.
        source: how the image shown first came in.
        search: the beginning of a file's name or of an accession number, or the number of an image or study.
    """

    status: str = DONE
    lane: int | None = None
    reviewed: bool | None = None
    label: str | None = None
    body_part: str | None = None
    source: str | None = None
    search: str = ""


@dataclass(frozen=True, kw_only=True)
class Filters(Selection):
    """Which studies are listed.

    Attributes:
        since: not before, by when the study came in; UTC.
        until: before, likewise.
    """

    since: datetime | None = None
    until: datetime | None = None

    @property
    def lanes(self) -> tuple[int, ...]:
        """The lanes that can hold what is listed, from the top down."""
        wanted = LANES if self.lane is None else (self.lane,)
        return tuple(lane for lane in wanted if self.reviewed is None or self.reviewed == (lane == REVIEWED))


@dataclass(frozen=True)
class Count:
    """A number of studies; `is_exact` is False where counting ended early, and there are more."""

    number: int
    is_exact: bool = True


@dataclass(frozen=True)
class View:
    """One page of the worklist.

    Attributes:
        entries: from the top down, with image, predictions and study loaded.
        previous: cursor of the page before; None: there is none.
        next: cursor of the page after; None: there is none.
        lanes: how many studies each lane has that fit the filters, whatever lane is asked for.
        before: how many stand before this page.
    """

    entries: list[WorklistEntry]
    previous: Cursor | None
    next: Cursor | None
    lanes: dict[int, Count]
    before: Count

    @property
    def total(self) -> Count:
        """How many studies the lanes have together."""
        return Count(sum(count.number for count in self.lanes.values()), all(c.is_exact for c in self.lanes.values()))


def read_page(
    session: Session,
    filters: Filters,
    sort: Sort,
    *,
    size: int,
    after: Cursor | None = None,
    before: Cursor | None = None,
) -> View:
    """One page of studies, and how many there are.

    Args:
        session: a reading session.
        filters: which are listed.
        sort: the order.
        size: studies on a page.
        after: cursor of the study before the page; None: from the first one on.
        before: cursor of the study behind the page; not together with ``after``.
    """
    return _Reading(session, filters, sort).page(size, after, before)


def read_ids(session: Session, filters: Filters, sort: Sort, limit: int) -> list[int]:
    """The studies that fit, in order, at most ``limit`` of them: for an export."""
    found = _Reading(session, filters, sort).walk(limit, None, backwards=False)
    return [row[-1] for row in found]


class _Reading:
    """What one page takes to read: the filters as conditions, and by which index each lane is best looked at.

    SQLite knows nothing of how values are spread, so that it is told which index to take. PostgreSQL does, and is told
    by ``LIMIT`` in a subquery what comes first.
    """

    def __init__(self, session: Session, filters: Filters, sort: Sort, like: _Reading | None = None) -> None:
        self._session = session
        self._filters = filters
        self._sort = sort
        self._column, self._down = _BY[sort]
        self._equal = {
            name: getattr(WorklistEntry, name) == value
            for name in ("label", "body_part", "source")
            if (value := getattr(filters, name)) is not None
        }
        self._dates = _between(filters.since, filters.until)
        # Another order of the same: what was found out of the filters holds for it too.
        self._few_by: str | None = self._find_few() if like is None else like._few_by
        self._counted: dict[int, Count] = {} if like is None else like._counted
        self._bounds: list[ColumnElement[bool]] = self._find_bounds() if like is None else like._bounds
        # In its own order the top lane goes by wait: there a study has waited too long whatever the model says of it.
        self._by_wait = sort == "triage" and OVERDUE in filters.lanes
        self._lanes_in_order = tuple(lane for lane in filters.lanes if not (self._by_wait and lane == OVERDUE))

    # -- which index --------------------------------------------------------------------------------------

    def _find_few(self) -> str | None:
        """The hint by which the studies that fit are found, if one filter alone lets few through; else None."""
        candidates: dict[str, Any] = {}
        if self._filters.search:
            candidates[_BY_NAME] = select(found_by(self._filters.search).subquery())
        alone = {f"ix_worklist_{name}": [condition] for name, condition in self._equal.items()}
        if self._dates:
            alone["ix_worklist_received_at"] = [WorklistEntry.lane.in_(LANES), *self._dates]
        for index, conditions in alone.items():
            query = select(WorklistEntry.study_id).with_hint(WorklistEntry, f"INDEXED BY {index}", "sqlite")
            query = query.where(WorklistEntry.status == self._filters.status, *conditions)
            candidates[f"INDEXED BY {index}"] = query
        sizes = {hint: self._number(query.limit(_most(hint) + 1)) for hint, query in candidates.items()}
        few = {hint: size for hint, size in sizes.items() if size <= _most(hint)}
        return min(few, key=lambda hint: few[hint]) if few else None

    def _few(self, lanes: Sequence[int]) -> Select[Any]:
        """Select the few studies that fit, in no order."""
        assert self._few_by is not None
        conditions = [WorklistEntry.status == self._filters.status, WorklistEntry.lane.in_(lanes)]
        conditions += [*self._equal.values(), *self._dates]
        if self._few_by == _BY_NAME:
            conditions.append(self._is_one_of(found_by(self._filters.search)))
        elif self._filters.search:
            conditions.append(is_found_by(self._filters.search))
        return self._entries(self._few_by).where(*conditions).limit(_most(self._few_by))

    def _is_one_of(self, found: Any) -> ColumnElement[bool]:
        """Whether a study is among the few that were found: PostgreSQL reads the whole table if it may choose."""
        if self._session.get_bind().dialect.name == "postgresql":
            return WorklistEntry.study_id == any_(func.array(select(found.subquery()).scalar_subquery()))
        return WorklistEntry.study_id.in_(found)

    def _filters_lanes(self) -> tuple[int, ...]:
        """The lanes that are counted: those of the filters but for the lane itself."""
        return replace(self._filters, lane=None).lanes

    def _index_of_filters(self) -> str | None:
        """The index that finds what fits in a lane; None: each lane is read in order and looked through."""
        if self._filters.search:
            return None
        if {"label", "body_part"} <= self._equal.keys():
            return "ix_worklist_label_body_part"
        for name in self._equal:
            return f"ix_worklist_{name}"
        return "ix_worklist_received_at" if self._dates else None

    def _index_of_order(self) -> str:
        """The index that has a lane in the order asked for, and with the filter in it where there is one."""
        first = next(iter(self._equal), None)
        if first == "label" and self._column is WorklistEntry.urgency:
            return "ix_worklist_label_urgency"
        if first is not None and self._column is WorklistEntry.confidence:
            return self._index_of_filters() or f"ix_worklist_{first}"
        return f"ix_worklist_{self._column.key}"

    def _entries(self, hint: str) -> Select[Any]:
        columns = (WorklistEntry.lane, self._column.label("sorted_by"), WorklistEntry.study_id)
        return select(*columns).with_hint(WorklistEntry, hint, "sqlite")

    def _in_lane(self, lane: int, index: str) -> Select[Any]:
        query = self._entries(f"INDEXED BY {index}").where(
            WorklistEntry.status == self._filters.status,
            WorklistEntry.lane == lane,
            *self._equal.values(),
            *self._dates,
        )
        return query.where(*self._bounds, is_found_by(self._filters.search)) if self._filters.search else query

    def _find_bounds(self) -> list[ColumnElement[bool]]:
        """Between which numbers the studies lie that a search finds, where they are met on the way and it is known.

        Names and numbers of studies often grow together. Each study on the way is compared with two numbers, in a tenth
        of the time that it takes to look for its names.
        """
        if not self._filters.search or self._few_by is not None:
            return []
        found = found_by(self._filters.search).limit(BOUNDS_LIMIT + 1).subquery()
        row = self._session.execute(select(func.count(), func.min(found.c.study_id), func.max(found.c.study_id))).one()
        number, lowest, highest = row
        return [] if number > BOUNDS_LIMIT or not number else [WorklistEntry.study_id.between(lowest, highest)]

    # -- a page -------------------------------------------------------------------------------------------

    def page(self, size: int, after: Cursor | None, before: Cursor | None) -> View:
        self._counted = self._count_lanes()
        backwards = before is not None
        rows = self.walk(size + 1, before if backwards else after, backwards=backwards)
        more = len(rows) > size
        rows = rows[:size]
        if backwards:
            rows.reverse()
        has_previous, has_next = (more, True) if backwards else (after is not None, more)
        return View(
            entries=self._load([row[-1] for row in rows]),
            previous=self._cursor(rows[0]) if rows and has_previous else None,
            next=self._cursor(rows[-1]) if rows and has_next else None,
            lanes=self._counted,
            before=self._count_before(rows[0]) if rows and has_previous else Count(0),
        )

    def walk(self, limit: int, cursor: Cursor | None, *, backwards: bool) -> list[Any]:
        """Rows (lane, what is sorted by, study) behind the cursor, in the order asked for or against it."""
        if not self._by_wait:
            return self._walk(limit, cursor, backwards=backwards)
        in_top = cursor is not None and cursor[0] == OVERDUE
        if backwards:
            found = [] if in_top else self._walk(limit, cursor, backwards=True)
            behind = cursor[1:] if cursor is not None and in_top else None
            return found + self._overdue.walk(limit - len(found), behind, backwards=True)
        found = []
        if cursor is None or in_top:
            found = self._overdue.walk(limit, None if cursor is None else cursor[1:], backwards=False)
            cursor = None
        return found + (self._walk(limit - len(found), cursor, backwards=False) if len(found) < limit else [])

    @cached_property
    def _overdue(self) -> _Reading:
        return _Reading(self._session, replace(self._filters, lane=OVERDUE), "oldest", like=self)

    def _walk(self, limit: int, cursor: Cursor | None, *, backwards: bool) -> list[Any]:
        down = self._down != backwards
        if self._few_by is not None:
            return self._walk_few(limit, cursor, backwards=backwards)
        one_by_one = self._sort == "triage"
        found: list[Any] = []
        for lane in self._lanes(cursor, backwards=backwards):
            behind = None if cursor is None or (one_by_one and cursor[0] != lane) else cursor
            query = self._read_lane(lane, behind, down=down)
            found += self._session.execute(query.limit(limit - len(found) if one_by_one else limit)).all()
            if one_by_one and len(found) >= limit:
                break
        if not one_by_one:
            found.sort(key=lambda row: tuple(row[1:]), reverse=down)
        return found[:limit]

    def _lanes(self, cursor: Cursor | None, *, backwards: bool) -> list[int]:
        """The lanes to read, in the order of reading."""
        lanes = [lane for lane in self._lanes_in_order if self._counted.get(lane) != Count(0)]
        if self._sort == "triage" and cursor is not None:
            lanes = [lane for lane in lanes if (lane >= cursor[0] if backwards else lane <= cursor[0])]
        return lanes[::-1] if backwards else lanes

    def _read_lane(self, lane: int, behind: Cursor | None, *, down: bool) -> Select[Any]:
        index = self._index_of_filters()
        counted = self._counted.get(lane)
        if index is not None and index != self._index_of_order() and counted is not None and counted.is_exact:
            rows = self._in_lane(lane, index).limit(COUNT_LIMIT)
        else:
            query = self._in_lane(lane, self._index_of_order())
            if behind is not None:
                query = query.where(_beyond(self._column, WorklistEntry.study_id, behind, self._column, down=down))
            return query.order_by(*_order(self._column, WorklistEntry.study_id, down=down))
        few = rows.subquery()
        in_order: Select[Any] = select(few.c.lane, few.c.sorted_by, few.c.study_id)
        if behind is not None:
            in_order = in_order.where(_beyond(few.c.sorted_by, few.c.study_id, behind, self._column, down=down))
        return in_order.order_by(*_order(few.c.sorted_by, few.c.study_id, down=down))

    def _walk_few(self, limit: int, cursor: Cursor | None, *, backwards: bool) -> list[Any]:
        down = self._down != backwards
        found = self._few(self._lanes_in_order).subquery()
        lane, value, study_id = found.c.lane, found.c.sorted_by, found.c.study_id
        query: Select[Any] = select(lane, value, study_id)
        if self._sort == "triage":
            query = query.order_by(lane.asc() if backwards else lane.desc())
        if cursor is not None:
            behind = _beyond(value, study_id, cursor, self._column, down=down)
            if self._sort == "triage":
                further = lane > cursor[0] if backwards else lane < cursor[0]
                behind = or_(further, and_(lane == cursor[0], behind))
            query = query.where(behind)
        return list(self._session.execute(query.order_by(*_order(value, study_id, down=down)).limit(limit)).all())

    def _cursor(self, row: Any) -> Cursor:
        lane, value, study_id = row
        return (lane, value, study_id) if self._sort == "triage" else (value, study_id)

    def _load(self, study_ids: list[int]) -> list[WorklistEntry]:
        rows = self._session.scalars(
            select(WorklistEntry)
            .where(WorklistEntry.study_id.in_(study_ids))
            .options(
                joinedload(WorklistEntry.study),
                joinedload(WorklistEntry.image),
                selectinload(WorklistEntry.image, Image.predictions),
            )
        )
        by_id = {entry.study_id: entry for entry in rows}
        return [by_id[study_id] for study_id in study_ids if study_id in by_id]

    # -- counts -------------------------------------------------------------------------------------------

    def _count_lanes(self) -> dict[int, Count]:
        lanes = self._filters_lanes()
        if self._few_by is not None:
            few = self._few(lanes).with_only_columns(WorklistEntry.lane).subquery()
            query = select(few.c.lane, func.count()).group_by(few.c.lane)
            found = self._by_lane(query)
            return {lane: _capped(found.get(lane, 0)) for lane in lanes}
        if self._filters.search:
            return self._count_search()
        return {lane: self._count_lane(lane) for lane in lanes}

    def _count_lane(self, lane: int) -> Count:
        index = self._index_of_filters() or self._index_of_order()
        fit = self._in_lane(lane, index).with_only_columns(WorklistEntry.study_id)
        return _capped(self._number(fit.limit(COUNT_LIMIT + 1)))

    def _count_search(self) -> dict[int, Count]:
        """Where a search finds very many, those that are first by name tell how many each lane has at least."""
        some = select(found_by(self._filters.search).subquery()).limit(SEARCH_LIMIT).subquery()
        query = select(WorklistEntry.lane, func.count())
        query = query.with_hint(WorklistEntry, _BY_NAME, "sqlite").group_by(WorklistEntry.lane)
        query = query.where(WorklistEntry.study_id.in_(select(some)), WorklistEntry.status == self._filters.status)
        query = query.where(*self._equal.values(), *self._dates)
        found = self._by_lane(query)
        return {lane: Count(found.get(lane, 0), is_exact=False) for lane in self._filters_lanes()}

    def _count_before(self, first: Any) -> Count:
        if self._few_by is None and self._filters.search:
            return Count(0, is_exact=False)  # each study would have to be asked for its names
        limit = POSITION_LIMIT
        if self._few_by is None and self._index_of_filters() not in (None, self._index_of_order()):
            limit //= 10  # many are looked at for each that fits
        rows = len(self.walk(limit + 1, self._cursor(first), backwards=True))
        return Count(min(rows, limit), rows <= limit)

    def _by_lane(self, query: Any) -> dict[int, int]:
        return {lane: number for lane, number in self._session.execute(query)}  # noqa: C416 - no pair to a type checker

    def _number(self, query: Select[Any]) -> int:
        return self._session.scalar(select(func.count()).select_from(query.subquery())) or 0


def _most(hint: str) -> int:
    """How many are few, by how they are found."""
    return FETCH_LIMIT if hint == _BY_NAME else COUNT_LIMIT


def _capped(number: int) -> Count:
    return Count(min(number, COUNT_LIMIT), number <= COUNT_LIMIT)


def _between(since: datetime | None, until: datetime | None) -> list[ColumnElement[bool]]:
    ends = [] if since is None else [WorklistEntry.received_at >= since]
    return ends if until is None else [*ends, WorklistEntry.received_at < until]


def _beyond(value: Any, study_id: Any, cursor: Cursor, column: Any, *, down: bool) -> ColumnElement[bool]:
    there = tuple_(literal(cursor[-2], column.type), literal(cursor[-1], WorklistEntry.study_id.type))
    here = tuple_(value, study_id)
    return here < there if down else here > there


def _order(value: Any, study_id: Any, *, down: bool) -> tuple[Any, Any]:
    return (value.desc(), study_id.desc()) if down else (value.asc(), study_id.asc())


def body_parts(session: Session, status: str = DONE) -> list[str]:
    """The body parts that there are, by hops along the index: there may be a million rows of one."""
    found: list[str] = []
    while True:
        query = select(func.min(WorklistEntry.body_part)).where(WorklistEntry.status == status)
        query = query.where(WorklistEntry.body_part > found[-1]) if found else query
        following = session.scalar(query)
        if following is None:
            return found
        found.append(following)


def count_in_lane(session: Session, lane: int) -> int:
    """How many studies stand in a lane, up to `COUNT_LIMIT`; one more than that where there are more."""
    some = select(WorklistEntry.study_id).where(WorklistEntry.status == DONE, WorklistEntry.lane == lane)
    return session.scalar(select(func.count()).select_from(some.limit(COUNT_LIMIT + 1).subquery())) or 0
