"""What a sweep showed, one line a fault: how often, what was lost or doubled, how long it took to recover."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table

COLUMNS = ("fault", "database", "rounds", "faults", "images", "lost", "twice", "unfinished", "p50 s", "p95 s", "max s")


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least this share of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 100) * len(ordered) // 100) - 1)]


def summary(rounds: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One entry for each fault and database, and one for all."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for entry in rounds:
        groups[entry["fault"], entry["database"]].append(entry)
        groups["all", "both"].append(entry)
    total = groups.pop(("all", "both"), [])
    lines = [_line(*key, entries) for key, entries in groups.items()]
    return [*lines, _line("all", "both", total)] if total else []


def _line(fault: str, database: str, entries: list[Mapping[str, Any]]) -> dict[str, Any]:
    seconds = [entry["recovery_seconds"] for entry in entries if entry["recovery_seconds"] is not None]
    return {
        "fault": fault,
        "database": database,
        "rounds": len(entries),
        "faults": sum(entry["strikes"] for entry in entries),
        "images": sum(entry["images"] for entry in entries),
        "lost": sum(entry["lost"] for entry in entries),
        "twice": sum(entry["duplicated"] for entry in entries),
        "unfinished": sum(entry["unfinished"] for entry in entries),
        "audits": sum(entry["audit"] is not None for entry in entries),
        "mismatches": sum(len(entry["audit"] or ()) for entry in entries),
        "p50 s": round(percentile(seconds, 0.5), 1) if seconds else None,
        "p95 s": round(percentile(seconds, 0.95), 1) if seconds else None,
        "max s": round(max(seconds), 1) if seconds else None,
    }


def as_table(lines: list[dict[str, Any]]) -> Table:
    """For a terminal."""
    table = Table(*COLUMNS)
    for line in lines:
        table.add_row(*(str(line[name]) for name in COLUMNS))
    return table


def as_markdown(lines: list[dict[str, Any]]) -> str:
    """For the documentation."""
    rows = [" | ".join(COLUMNS), " | ".join("---" for _ in COLUMNS)]
    rows += [" | ".join(str(line[name]) for name in COLUMNS) for line in lines]
    return "\n".join(f"| {row} |" for row in rows)
