"""What a reader has chosen to see of the worklist, as an address names it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, tzinfo
from typing import Any

from dashboard import days
from triage.records import DISCARDED, DONE, LANES, NEEDS_REVIEW, OTHERS, OVERDUE, QUARANTINED, QUEUED, REVIEWED
from triage.worklist import Filters, Selection

LANE_NAMES: Mapping[int, str] = {
    OVERDUE: "overdue",
    NEEDS_REVIEW: "needs-review",
    OTHERS: "others",
    REVIEWED: "reviewed",
}
assert set(LANE_NAMES) == set(LANES)
STATUSES = (DONE, QUEUED, QUARANTINED, DISCARDED)
LONGEST_TEXT = 128


@dataclass(frozen=True, kw_only=True)
class Choice(Selection):
    """What a reader asks for; ``status`` is one of `STATUSES`.

    Attributes:
        first: the first day that a study may have come in on, on the reader's clock.
        last: and the last.
    """

    first: date | None = None
    last: date | None = None

    def filters(self, zone: tzinfo) -> Filters:
        """The same as the database is asked."""
        asked: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(Selection)}
        return Filters(**asked, since=days.begin(self.first, zone), until=days.end(self.last, zone))

    def set_count(self) -> int:
        """How many filters are set beside lane and search, which show that they are by themselves."""
        given = (self.reviewed, self.label, self.body_part, self.source, self.first or self.last)
        return sum(value is not None for value in given) + (self.status != DONE)


def read_choice(params: Mapping[str, str]) -> Choice:
    """The choice that an address names; what cannot be read in it is left out: anybody can type an address."""
    status = params.get("status", DONE)
    reviewed = {"yes": True, "no": False}.get(params.get("reviewed", ""))
    return Choice(
        status=status if status in STATUSES else DONE,
        lane=next((lane for lane, name in LANE_NAMES.items() if name == params.get("lane")), None),
        reviewed=reviewed,
        label=_text(params, "type"),
        body_part=_text(params, "part"),
        source=_text(params, "source"),
        first=_day(params, "from"),
        last=_day(params, "to"),
        search=_text(params, "search") or "",
    )


def written(choice: Choice) -> dict[str, str | None]:
    """Each parameter of an address for a choice; None: left out."""
    return {
        "status": None if choice.status == DONE else choice.status,
        "lane": None if choice.lane is None else LANE_NAMES[choice.lane],
        "reviewed": None if choice.reviewed is None else "yes" if choice.reviewed else "no",
        "type": choice.label,
        "part": choice.body_part,
        "source": choice.source,
        "from": None if choice.first is None else choice.first.isoformat(),
        "to": None if choice.last is None else choice.last.isoformat(),
        "search": choice.search or None,
    }


def _text(params: Mapping[str, str], name: str) -> str | None:
    text = params.get(name, "").replace("\0", "").strip()[:LONGEST_TEXT]
    # What cannot be written as UTF-8 is in no database.
    return text.encode("utf-8", "ignore").decode() or None


def _day(params: Mapping[str, str], name: str) -> date | None:
    try:
        return date.fromisoformat(params.get(name, ""))
    except ValueError:
        return None
