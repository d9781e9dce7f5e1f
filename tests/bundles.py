"""Bundles for tests: copies of the one that ships, under other names."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Row = tuple[str, str, str, Sequence[float] | None]
"""SHA-256, label, group, and the probabilities while it was held out (None: it never was)."""


def copy_bundle(source: Path, folder: Path, version: str, **fields: Any) -> Path:
    """Copy a bundle under another version, but not what it said of held-out images: `add_images` gives it some."""
    target = folder / version
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("images.csv"))
    files = json.loads((target / "bundle.json").read_text())["files"]
    files.pop("images.csv", None)
    rewrite(target, version=version, files=files, **fields)
    return target


def rewrite(bundle: Path, **fields: Any) -> None:
    """Change fields of ``bundle.json``."""
    file = bundle / "bundle.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def add_file(bundle: Path, name: str, data: bytes) -> None:
    """Put a file into a bundle, listed with its digest."""
    (bundle / name).write_bytes(data)
    files = json.loads((bundle / "bundle.json").read_text())["files"]
    rewrite(bundle, files=files | {name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}})


def add_images(bundle: Path, rows: Sequence[Row]) -> None:
    """Give a bundle what it said of held-out images."""
    labels = json.loads((bundle / "bundle.json").read_text())["labels"]
    path = bundle / "images.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sha256", "label", "group", "fold", "origin", *(f"p:{label}" for label in labels)])
        for sha256, label, group, probabilities in rows:
            writer.writerow([sha256, label, group, 0, "folder", *(probabilities or [""] * len(labels))])
    add_file(bundle, "images.csv", path.read_bytes())


def held_out(labels: Sequence[str], right: int, wrong: int, sure: float = 0.7) -> list[Row]:
    """Images of the first label, of which so many are given their label and the others the second one."""
    rest = (1 - sure) / (len(labels) - 1)
    rows: list[Row] = []
    for number in range(right + wrong):
        best = 0 if number < right else 1
        probabilities = [sure if index == best else rest for index in range(len(labels))]
        rows.append((f"{number:064x}", labels[0], f"group {number // 2}", probabilities))
    return rows


def spoil(bundle: Path, name: str = "model.tflite") -> None:
    """Change one bit in the middle of a file."""
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)


def make_active(models: Path, version: str) -> None:
    """Write the pointer, as a promotion does."""
    models.mkdir(parents=True, exist_ok=True)
    arriving = models / ".arriving"
    arriving.write_text(f"{version}\n")
    arriving.replace(models / "ACTIVE")


def labels_of(bundle: Path) -> list[str]:
    found: Mapping[str, Any] = json.loads((bundle / "bundle.json").read_text())
    return list(found["labels"])
