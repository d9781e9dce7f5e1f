"""What the Model page's figures by week cost the database, with a million images.

``python -m benchmarks.model_page`` fills a fresh database of each kind with images over a year, and with as many over
twelve weeks, nine of ten with a verdict, then reads what the page reads: each of the last twelve weeks, the verdicts of
all time, and what was active before. Prints a table to stderr and JSON to stdout.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from benchmarks.dashboard import END, console, database, fill
from triage import queries
from triage.agreement import agreement, agreement_by_span
from triage.bundle import find_bundle, open_bundle
from triage.database import reading_sessions
from triage.drift import body_parts, judged
from triage.settings import Settings

WEEKS = 12


def add_verdicts(engine: Engine) -> None:
    """Verdicts for nine of ten images, two days after the prediction, and distances for all of them."""
    later = "datetime(created_at, '+2 days')" if engine.dialect.name == "sqlite" else "created_at + interval '2 days'"
    with engine.begin() as connection:
        connection.execute(text("UPDATE predictions SET unfamiliarity = 0.8 + id % 100 * 0.009"))
        connection.execute(
            text(
                "INSERT INTO reviews (image_id, prediction_id, verdict, reviewer, created_at) SELECT image_id, id, "
                f"CASE WHEN id % 3 = 0 THEN 'correct' ELSE 'agree' END, 'AB', {later} FROM predictions "
                "WHERE id % 10 <> 0"
            )
        )
        connection.execute(text("UPDATE images SET reviewed = true WHERE id % 10 <> 0"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE" if engine.dialect.name == "sqlite" else "VACUUM ANALYZE"))


def measure(engine: Engine, repeats: int) -> dict[str, float]:
    """Milliseconds for each kind of read; for those by week, of the slowest week."""
    bundle = replace(
        open_bundle(find_bundle(Settings(_env_file=None, model=None, home=Path("/nowhere")))), version="v1"
    )
    weeks = [(END - timedelta(weeks=back), END - timedelta(weeks=back - 1)) for back in range(WEEKS, 0, -1)]

    def each(read: Callable[[Session, datetime, datetime], Any]) -> float:
        return max(timed(lambda session, week=week: read(session, *week)) for week in weeks)

    def timed(read: Callable[..., Any]) -> float:
        times = []
        for _ in range(repeats):
            with reading_sessions(engine)() as session:
                begin = time.perf_counter()
                read(session)
                times.append(1000 * (time.perf_counter() - begin))
        return median(times)

    return {
        "what was said in a week": each(lambda session, *week: judged(session, bundle, *week)),
        "body parts of a week": each(body_parts),
        "verdicts of a week": each(lambda session, *week: agreement_by_span(session, "v1", week)),
        "verdicts of eleven weeks": timed(lambda session: agreement_by_span(session, "v1", [a for a, _ in weeks])),
        "verdicts of all before": timed(lambda session: agreement(session, "v1", end=weeks[0][0])),
        "what was active before": timed(lambda session: queries.version_before(session, "v1")),
    }


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, nargs="+", default=[365, 84], help="that the images are spread over")
    parser.add_argument("--databases", nargs="+", choices=("sqlite", "postgresql"), default=["sqlite", "postgresql"])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    results = []
    for kind in options.databases:
        for days in options.days:
            with database(kind) as engine:
                fill(engine, options.studies, days)
                add_verdicts(engine)
                results.append({"database": kind, "days": days, "ms": measure(engine, options.repeats)})
    table = Table("read", *(f"{row['database']}, {row['days']} days" for row in results), title="milliseconds")
    for name in results[0]["ms"]:
        table.add_row(name, *(f"{row['ms'][name]:.0f}" for row in results))
    console.print(table)
    json.dump(results, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
