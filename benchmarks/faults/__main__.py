"""Faults at every step of a running system, again and again: nothing lost, nothing done twice.

``python -m benchmarks.faults --rounds N`` starts some homes side by side, half on SQLite and half on PostgreSQL. In
each round a folder of small radiographs is dropped into one of them, a fault strikes (a process is killed at a named
step, a disk is full, Redis is flushed, everything is killed at once), and the round ends when every file is accounted
for exactly once. What it needs beside the program is the ``dev`` extra, for the PostgreSQL server.

It can be interrupted and goes on where it was: results are kept in ``--folder``. Prints a table to stderr and JSON to
stdout; exit 1 if anything was lost, doubled, left unfinished, or did not fit in an audit.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.faults.catalogue import FAULTS, POINTS, Fault
from benchmarks.faults.home import Home
from benchmarks.faults.rounds import at_rest, play
from benchmarks.faults.table import as_markdown, as_table, summary

console = Console(stderr=True)
AUDIT_EVERY = 15
"""Rounds on one home between two looks at all of it."""


def plan(rounds: int, seed: int) -> list[tuple[str, Fault]]:
    """Which fault comes in which round, and on which database: each as often as the others, in random order."""
    chance = random.Random(seed)
    pairs = [
        (database, fault)
        for fault in FAULTS
        for database in ("sqlite", "postgresql")
        if fault.database in (None, database)
    ]
    planned: list[tuple[str, Fault]] = []
    while len(planned) < rounds:
        planned += chance.sample(pairs, len(pairs))
    return planned[:rounds]


class Sweep:
    """Homes that work off a plan side by side.

    Args:
        folder: where homes and results lie; results that are there are not played again.
        images: files in each round.
        planned: database and fault of each round.
    """

    def __init__(self, folder: Path, images: int, planned: list[tuple[str, Fault]]) -> None:
        self._folder = folder
        self._images = images
        self._planned = planned
        self._file = folder / "rounds.jsonl"
        self._lock = threading.Lock()
        self._begun = {entry["round"] for entry in self.results()}
        self.end_at = float("inf")
        self.faulty: list[str] = []

    def results(self) -> list[dict[str, Any]]:
        """All rounds that were played."""
        if not self._file.exists():
            return []
        return [json.loads(line) for line in self._file.read_text().splitlines()]

    def _next(self, database: str) -> int | None:
        """The next round for a home with this database; None if there is none, or no time left."""
        with self._lock:
            if time.monotonic() > self.end_at:
                return None
            for number, (wanted, _) in enumerate(self._planned):
                if wanted == database and number not in self._begun:
                    self._begun.add(number)
                    return number
        return None

    def run(self, number: int, database: str) -> None:
        """Play on one home until the plan is worked off."""
        home = Home(self._folder / f"{database}-{number}", POINTS, database, number)
        try:
            home.start()
            played = 0
            while (chosen := self._next(database)) is not None:
                played += 1
                name = f"round-{chosen}-{time.time_ns()}"
                fault = self._planned[chosen][1]
                outcome = play(
                    home,
                    fault,
                    name,
                    images=self._images,
                    times=1 + chosen % 2,
                    audit=played % AUDIT_EVERY == 0,
                )
                with self._lock, self._file.open("a") as file:
                    file.write(json.dumps({"round": chosen, "home": number, **outcome.record}) + "\n")
                if not outcome.is_clean:
                    console.print(f"round {chosen} on {database}-{number}: {outcome.record}", style="red")
            self.faulty += [f"{database}-{number}: {text}" for text in at_rest(home)]
        except Exception as error:  # noqa: BLE001 - one home that fails must be told, and stops no other
            self.faulty.append(f"{database}-{number}: {type(error).__name__}: {error}")
        finally:
            home.close()


def _report(entries: Iterable[dict[str, Any]], faulty: list[str], *, markdown: bool) -> int:
    entries = list(entries)
    lines = summary(sorted(entries, key=lambda entry: (entry["fault"], entry["database"])))
    console.print(as_table(lines))
    for text in faulty:
        console.print(text, style="red")
    print(as_markdown(lines) if markdown else json.dumps({"summary": lines, "at_rest": faulty}, indent=2))
    unclean = any(
        entry["lost"] or entry["duplicated"] or entry["unfinished"] or entry["audit"] or entry["trouble"]
        for entry in entries
    )
    return 1 if faulty or unclean else 0


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser("python -m benchmarks.faults", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--images", type=int, default=48, help="distinct files in each round")
    parser.add_argument("--homes", type=int, default=4, help="homes side by side, SQLite and PostgreSQL in turn")
    parser.add_argument("--minutes", type=float, help="begin no round after so many minutes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/triage-faults"), help="homes and results")
    parser.add_argument("--report", action="store_true", help="only tell what was played so far")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown, not JSON")
    asked = parser.parse_args()
    logging.getLogger("triage").setLevel(logging.ERROR)
    asked.folder.mkdir(parents=True, exist_ok=True)
    sweep = Sweep(asked.folder.resolve(), asked.images, plan(asked.rounds, asked.seed))
    if not asked.report:
        if asked.minutes is not None:
            sweep.end_at = time.monotonic() + 60 * asked.minutes
        threads = [
            threading.Thread(target=sweep.run, args=(number, ("sqlite", "postgresql")[number % 2]))
            for number in range(asked.homes)
        ]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except KeyboardInterrupt:
            sweep.end_at = 0.0
            console.print("ending with the rounds that are being played")
            for thread in threads:
                thread.join()
    return _report(sweep.results(), sweep.faulty, markdown=asked.markdown)


if __name__ == "__main__":
    sys.exit(main())
