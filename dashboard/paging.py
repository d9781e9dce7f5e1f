"""Where a reader is: order, page and selected image, kept in the address so that a reload or a link finds them."""

from __future__ import annotations

import json
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, get_args

from dashboard.choice import Choice, read_choice, written
from triage.records import DONE, LANES, OVERDUE
from triage.worklist import Cursor, Sort

PAGE_SIZE = 25
SORTS: tuple[Sort, ...] = ("triage", "urgency", "confidence_down", "confidence_up", "oldest")
DEFAULT_SORT = SORTS[0]


class _Lane(int):
    """A number that names a lane."""


class _Share(float):
    """A number between 0 and 1."""


_KINDS: dict[Sort, tuple[type[Any], ...]] = {
    "triage": (_Lane, _Share, int),
    "confidence_down": (_Share, int),
    "confidence_up": (_Share, int),
    "urgency": (_Share, int),
    "oldest": (datetime, int),
    "newest": (datetime, int),
}
assert set(_KINDS) == set(get_args(Sort))

_LARGEST_ID = 2**63 - 1


@dataclass(frozen=True)
class Place:
    """Where a reader is in a list.

    Attributes:
        sort: the order of rows.
        after: cursor of the row before the page; None: not given.
        before: cursor of the row behind the page; None: not given. Without both it is the first page.
        image_id: the image that is open, if one is.
        choice: what is listed.
        beside_id: the image of the same study that is shown beside it, if one is.
    """

    sort: Sort = DEFAULT_SORT
    after: Cursor | None = None
    before: Cursor | None = None
    image_id: int | None = None
    choice: Choice = field(default_factory=Choice)
    beside_id: int | None = None

    def opening(self, image_id: int) -> Place:
        """The same place with another image open, and none beside it."""
        return replace(self, image_id=image_id, beside_id=None)

    def at_start(self) -> Place:
        """The first page of the same order, with the same image open."""
        return replace(self, after=None, before=None)


def write_cursor(cursor: Cursor) -> str:
    """A cursor as short text for an address."""
    return json.dumps(
        [value.isoformat() if isinstance(value, datetime) else value for value in cursor],
        separators=(",", ":"),
    )


def read_cursor(text: str | None, sort: Sort) -> Cursor | None:
    """A cursor from an address; None if it is not one of this order: anybody can type an address."""
    if not text:
        return None
    try:
        values = json.loads(text)
        kinds = _KINDS[sort]
        if sort == "triage" and isinstance(values, list) and values[:1] == [OVERDUE]:
            kinds = (_Lane, datetime, int)  # this lane goes by wait
        if not isinstance(values, list) or len(values) != len(kinds):
            return None
        return tuple(_read_value(value, kind) for value, kind in zip(values, kinds, strict=True))
    except (ValueError, TypeError, RecursionError):
        return None


def _read_value(value: Any, kind: type[Any]) -> Any:
    if kind is datetime:
        at = datetime.fromisoformat(value)
        if at.tzinfo is None:
            raise ValueError("a time without a zone")
        return at
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("no number")
    if kind is _Share and 0 <= value <= 1:
        return float(value)
    if kind is _Lane and value in LANES:
        return int(value)
    if kind is int and isinstance(value, int) and 0 <= value <= _LARGEST_ID:
        return value
    raise ValueError("another kind of value")


def read_place(params: Mapping[str, str], sorts: tuple[Sort, ...] = SORTS) -> Place:
    """The place that an address names; what cannot be read in it is left out."""
    sort = next((known for known in sorts if known == params.get("sort")), sorts[0])
    choice = read_choice(params)
    if choice.status != DONE and "oldest" in sorts:
        sort = "oldest"  # the model has said nothing of them to sort by
    after = read_cursor(params.get("after"), sort)
    before = None if after is not None else read_cursor(params.get("before"), sort)
    return Place(sort, after, before, _read_id(params.get("image")), choice, _read_id(params.get("beside")))


def _read_id(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None


def write_place(params: MutableMapping[str, str], place: Place, sorts: tuple[Sort, ...] = SORTS) -> None:
    """Put a place into the address; what is as it would be anyway stays out."""
    wanted = {
        "sort": None if place.sort == sorts[0] else place.sort,
        "after": write_cursor(place.after) if place.after is not None else None,
        "before": write_cursor(place.before) if place.before is not None else None,
        "image": None if place.image_id is None else str(place.image_id),
        "beside": None if place.beside_id is None else str(place.beside_id),
        **written(place.choice),
    }
    for name, value in wanted.items():
        if value is None:
            params.pop(name, None)
        elif params.get(name) != value:
            params[name] = value
