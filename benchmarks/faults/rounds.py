"""One round: files are dropped, a fault strikes, and then every file must be accounted for exactly once."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from benchmarks.faults.catalogue import Fault
from benchmarks.faults.home import Dropped, Home, wait_until
from triage.database import reading_sessions
from triage.reconcile import Reconciliation
from triage.records import DONE, PROCESSING, QUEUED, AuditEvent, Image, Prediction, SourceName

STRIKE_SECONDS = 120.0
RECOVERY_SECONDS = 150.0


@dataclass
class Outcome:
    """What one round showed.

    Attributes:
        fault: the title of the fault.
        database: under which kind of database.
        strikes: how many faults struck.
        images: distinct files that were dropped.
        lost: files without a row, or names that no row knows.
        duplicated: images with two rows, two predictions of a version, or finished twice; names twice.
        unfinished: images that were not done in time, or left in the inbox or in ``filing/``.
        recovery_seconds: from the last strike until the last image was done.
        audit: what did not fit of the whole home; None if it was not looked at.
        trouble: what went wrong with the round itself.
    """

    fault: str
    database: str
    strikes: int = 0
    images: int = 0
    lost: int = 0
    duplicated: int = 0
    unfinished: int = 0
    recovery_seconds: float | None = None
    audit: list[str] | None = None
    trouble: str | None = None
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        """Whether all was as it must be."""
        return not (self.lost or self.duplicated or self.unfinished or self.audit or self.trouble)

    @property
    def record(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)


def play(home: Home, fault: Fault, name: str, *, images: int, times: int = 1, audit: bool = False) -> Outcome:
    """Drop files, let the fault strike, wait until all is well again, and check.

    Args:
        home: a home whose stack runs.
        fault: what befalls it.
        name: of the folder of files; never used before on this home.
        images: distinct files.
        times: strikes at each planted point.
        audit: look at the whole home afterwards, as ``triage doctor --audit`` does.
    """
    outcome = Outcome(fault.title, home.database, images=images)
    expected = fault.arm(home.planting, times if fault.repeats else 1)
    dropped = home.drop(name, images)
    try:
        if fault.befall is not None:
            wait_until(lambda: _count(home, dropped, DONE, PROCESSING), "work has begun", STRIKE_SECONDS)
            struck_at = time.time()
            fault.befall(home)
            outcome.strikes = 1
        else:
            wait_until(
                lambda: len(home.planting.strikes()) >= expected, "all faults have struck", STRIKE_SECONDS, every=0.1
            )
            struck_at = home.planting.strikes()[-1].at
            outcome.strikes = expected
    except TimeoutError as error:
        outcome.strikes, outcome.trouble = len(home.planting.strikes()), str(error)
        struck_at = time.time()
    home.planting.clear()
    with contextlib.suppress(TimeoutError):
        wait_until(
            lambda: _count(home, dropped, DONE) == images and not _left(home, name),
            "all is done",
            RECOVERY_SECONDS,
            every=0.2,  # the times are taken from the rows
        )
    wait_until(lambda: _check(home, dropped, outcome, struck_at), "the database answers")
    outcome.unfinished += _left(home, name)
    if audit:
        outcome.audit = mismatches_of(home)
    home.forget(name)
    return outcome


def _count(home: Home, dropped: Dropped, *statuses: str) -> int:
    """How many of these images have one of these statuses; 0 also while the database is away."""
    try:
        with reading_sessions(home.engine)() as session:
            query = select(func.count()).where(Image.sha256.in_(dropped.digests), Image.status.in_(statuses))
            return session.scalar(query) or 0
    except DBAPIError:
        return 0


def _left(home: Home, name: str) -> int:
    """Files of a round that are still in the inbox or in ``filing/``."""
    places = (home.settings.inbox_dir / name, home.settings.home_dir / "filing")
    return sum(1 for place in places for path in place.rglob("*") if path.is_file() and path.name != ".lock")


def _check(home: Home, dropped: Dropped, outcome: Outcome, struck_at: float) -> bool:
    """Compare what the database says of the files with what was dropped; False if it does not answer."""
    try:
        with reading_sessions(home.engine)() as session:
            rows = session.execute(
                select(Image.id, Image.sha256, Image.status, Image.finished_at, Image.error_code).where(
                    Image.sha256.in_(dropped.digests)
                )
            ).all()
            ids = [row.id for row in rows]
            names = session.scalars(select(SourceName.name).where(SourceName.name.in_(dropped.names))).all()
            predictions = session.execute(
                select(Prediction.image_id, Prediction.model_version).where(Prediction.image_id.in_(ids))
            ).all()
            finished = session.scalars(
                select(AuditEvent.image_id).where(AuditEvent.image_id.in_(ids), AuditEvent.event == "done")
            ).all()
    except DBAPIError:
        return False
    found_names = Counter(names)
    outcome.lost = len(set(dropped.digests) - {row.sha256 for row in rows}) + len(
        set(dropped.names) - found_names.keys()
    )
    outcome.duplicated = sum(
        sum(count - 1 for count in counted.values())
        for counted in (
            Counter(row.sha256 for row in rows),
            found_names,
            Counter((image_id, version) for image_id, version in predictions),
            Counter(finished),
        )
    )
    predicted = {image_id for image_id, _ in predictions}
    unfinished = [row for row in rows if row.status != DONE or row.id not in predicted or row.id not in finished]
    outcome.unfinished = len(unfinished)
    if unfinished:
        outcome.details["unfinished"] = [[row.id, row.status, row.error_code] for row in unfinished]
    elif rows:
        outcome.recovery_seconds = round(max(0.0, max(r.finished_at.timestamp() for r in rows) - struck_at), 3)
    return True


def mismatches_of(home: Home) -> list[str]:
    """What ``triage doctor --audit`` finds on a home."""
    return [f"{found.code}: {found.about}" for found in Reconciliation(home.settings, home.engine).run()]


def at_rest(home: Home) -> list[str]:
    """What must hold of a whole home at the end and does not: nothing waits, and the audit is clean."""
    with reading_sessions(home.engine)() as session:
        waiting = session.scalar(select(func.count()).where(Image.status.in_((QUEUED, PROCESSING)))) or 0
    found = mismatches_of(home)
    return [f"{waiting} images still wait or are being worked on", *found] if waiting else found
