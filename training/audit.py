"""What a labelled folder holds, before anything is trained on it: ``python -m training.audit --data DIR``."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from training import TrainingError
from training.audit_plots import write_conflicts, write_duplicates, write_sizes
from training.dataset import Dataset, read_dataset
from training.duplicates import EXACT, LANDMARKS, WHOLE, join, known_pairs
from training.inspection import Inspection
from training.reviews import read_reviews
from triage.pixels import Limits
from triage.settings import SettingsError, get_settings

TINTED: Final = 2.0
"""Mean chroma (of 255) from which on a picture counts as coloured; JPEG's own rounding stays below 1."""

NETWORK_SIDE: Final = 224


def audit(data: Dataset) -> dict[str, Any]:
    """What was found, for ``audit.json`` and the report. It names no file.

    Raises:
        ValueError: the dataset brings no inspection.
    """
    found = data.inspection
    if found is None:
        raise ValueError("this dataset was not made by read_dataset")
    files = found.files
    unreadable = Counter(skipped.reason for skipped in found.unreadable)
    copies = len(files) - len({file.digest for file in files})
    near = [link for link in found.links if EXACT not in link.methods]
    several = [size for size in np.bincount(found.pictures).tolist() if size > 1] if files else []
    coloured = sum(file.chroma > TINTED for file in files)
    result: dict[str, Any] = {
        "files": len(files) + len(found.unreadable),
        "readable": len(files),
        "unreadable": dict(sorted(unreadable.items())),
        "kept": len(data.targets),
        "left_out": len(data.skipped),
        "exact_duplicates": copies,
        "near_duplicate_pairs": len(near),
        "found_by": {
            "whole picture and landmarks": sum(link.methods == (WHOLE, LANDMARKS) for link in near),
            "whole picture only": sum(link.methods == (WHOLE,) for link in near),
            "landmarks only (crops, turns)": sum(link.methods == (LANDMARKS,) for link in near),
            "of these, mirrored": sum(link.mirrored for link in near),
        },
        "duplicate_groups": len(several),
        "files_in_duplicate_groups": sum(several),
        "largest_duplicate_group": max(several, default=1),
        "pictures_with_two_labels": len(found.conflicts),
        "files_left_out_for_that": sum(map(len, found.conflicts)),
        "coloured": coloured,
        "coloured_share": round(coloured / max(len(files), 1), 4),
        "media_types": dict(sorted(Counter(file.media_type for file in files).items())),
        "sizes": _sizes(found),
        "per_label": [
            {"label": label}
            | {origin: sum(file.label == label and _kind(file.origin) == origin for file in files) for origin in kinds}
            | {"kept": int((data.targets == target).sum())}
            for kinds in [sorted({_kind(file.origin) for file in files})]
            for target, label in enumerate(data.labels)
        ],
    }
    evaluating = data.evaluates_only()
    if data.held_back.any():
        result["test_folder"] = {
            "files": int(data.held_back.sum()),
            "kept out of training for being like one": int((evaluating & ~data.held_back).sum()),
        }
    if found.known:
        result["agreement_with_groups_file"] = compare_groups(found)
    return result


def _kind(origin: str) -> str:
    return origin.split(":")[0]


def _sizes(found: Inspection) -> dict[str, Any]:
    if not found.files:
        return {}
    widths = np.array([file.width for file in found.files])
    heights = np.array([file.height for file in found.files])
    aspects = widths / heights

    def spread(values: Any, digits: int = 0) -> str:
        return " / ".join(f"{value:.{digits}f}" for value in (values.min(), np.median(values), values.max()))

    return {
        "width, smallest / median / largest": spread(widths),
        "height, smallest / median / largest": spread(heights),
        "width : height, smallest / median / largest": spread(aspects, 2),
        "different sizes": len({(file.width, file.height) for file in found.files}),
        f"shorter side below {NETWORK_SIDE}": int((np.minimum(widths, heights) < NETWORK_SIDE).sum()),
    }


def compare_groups(found: Inspection) -> dict[str, int]:
    """Pairs that a list of groups and the search for copies agree on.

    Only files that the list knows count. A list of patients has pairs that no search for copies can find.
    """
    listed = [index for index, file in enumerate(found.files) if file.digest in found.known]
    digests = [found.files[index].digest for index in listed]
    given = join(len(listed), known_pairs(digests, found.known))
    here = found.pictures[listed]
    # Pairs inside groups, without forming them: n (n - 1) / 2 for each group.
    both = _pairs(np.unique(np.stack([given, here]), axis=1, return_counts=True)[1]) if listed else 0
    in_list, in_search = (_pairs(np.unique(one, return_counts=True)[1]) for one in (given, here))
    return {
        "files in the list": len(listed),
        "pairs in the list": in_list,
        "pairs found": both,
        "pairs missed": in_list - both,
        "further pairs": in_search - both,
    }


def _pairs(sizes: Any) -> int:
    return int((sizes * (sizes - 1) // 2).sum())


def write_audit(folder: Path, data: Dataset) -> dict[str, Any]:
    """Writes ``audit.json``, ``left-out.txt``, ``image-sizes.png``, ``duplicates.png`` and ``conflicts.png``.

    The last two hold pictures, and the list names files: they stay with whoever owns the data.

    Returns:
        what `audit` found.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = audit(data)
    (folder / "audit.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    lines = [f"{skipped.name}\t{skipped.reason}\n" for skipped in data.skipped]
    (folder / "left-out.txt").write_text("".join(lines), encoding="utf-8")
    if data.inspection is not None:
        write_sizes(folder, data.inspection)
        write_duplicates(folder, data.inspection)
        write_conflicts(folder, data.inspection)
    return found


def summarise(found: dict[str, Any]) -> list[Table]:
    """The findings as tables for a terminal."""
    main = Table("Found", "", title="Data audit")
    tables = [main]
    for key, value in found.items():
        title = key.replace("_", " ").capitalize()
        if isinstance(value, list):
            table = Table(*(str(column).capitalize() for column in value[0]), title=title)
            for row in value:
                table.add_row(*map(str, row.values()))
            tables.append(table)
        elif isinstance(value, Mapping):
            for inner, entry in value.items():
                main.add_row(f"{title}: {inner}", str(entry))
        else:
            main.add_row(title, str(value))
    return tables


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line; wrong usage exits with 2."""
    parser = argparse.ArgumentParser(
        "python -m training.audit", description="Looks at a labelled folder: copies, contradictions, sizes, balance."
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="DIR", help="<class>/Train|Test/ or <class>/ with images")
    add("--output", type=Path, metavar="DIR", help="where the findings go (default: runs/audit-<UTC time>)")
    add("--groups", type=Path, metavar="CSV", help="columns sha256, group: to compare with")
    add("--own-labels", action="store_true", help="folder names are labels as they are")
    add("--with-reviews", action="store_true", help="also what clinicians have labelled (TRIAGE_HOME)")
    options = parser.parse_args(arguments)
    if not options.data.is_dir():
        parser.error(f"--data: {options.data} is not a folder")
    if options.groups and not options.groups.is_file():
        parser.error(f"--groups: {options.groups} is not a file")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("training").setLevel(logging.INFO)
    options = parse(arguments)
    output = options.output or Path("runs") / f"audit-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    try:
        settings = get_settings()
        data = read_dataset(
            options.data,
            Limits.of(settings),
            NETWORK_SIDE,
            options.groups,
            own_labels=options.own_labels,
            reviews=read_reviews(settings) if options.with_reviews else None,
        )
        found = write_audit(output, data)
    except KeyboardInterrupt:
        return 130
    except (TrainingError, SettingsError) as error:
        logging.getLogger("training").error("%s", error)
        return getattr(error, "exit_code", 2)
    except OSError as error:
        logging.getLogger("training").error("%s", error)
        return 1
    console = Console()
    for table in summarise(found):
        console.print(table)
    console.print(f"Written to {output}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
