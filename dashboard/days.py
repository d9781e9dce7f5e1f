"""Days as a reader means them: on their own clock, from the first moment of one to the last of another."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, tzinfo


def begin(day: date | None, zone: tzinfo) -> datetime | None:
    """When a day begins; None: no day is given."""
    return None if day is None else datetime.combine(day, time(), zone)


def end(day: date | None, zone: tzinfo) -> datetime | None:
    """When a day is over; None: no day is given, or it is the last that there is."""
    return begin(day + timedelta(days=1), zone) if day is not None and day < date.max else None
