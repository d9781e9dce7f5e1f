"""A whole archive at once: many files appear in the inbox in one instant.

``python -m benchmarks.flood --files 100000`` writes so many distinct small radiographs into folders beside the inbox,
runs ``triage up`` on an empty home, and moves them in by one rename. Every few seconds it notes how many are admitted
and done, and what the processes hold; now and then it uploads one more, as somebody at the dashboard would. In the end
it audits the home and counts each file. Prints a table to stderr and JSON to stdout; exit 1 if anything is not
accounted for.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Picture
from rich.console import Console
from rich.progress import Progress, track
from rich.table import Table
from sqlalchemy import func, select

from benchmarks.pictures import with_comment
from benchmarks.running import Running, running_stack
from triage.broker import Publisher
from triage.database import reading_sessions
from triage.intake import Intake
from triage.records import DONE, Image, Prediction, SourceName
from triage.samples import draw_radiograph
from triage.settings import Settings

HEIGHT, WIDTH = 300, 240
DRAWN = 32
FOLDER = 1_000
"""Files in a folder."""
SAMPLE_SECONDS = 5.0
UPLOAD_SECONDS = 30.0
console = Console(stderr=True)


def write_files(folder: Path, files: int) -> list[bytes]:
    """Write distinct JPEGs in folders of a thousand; the drawings that they were made of."""
    drawn = []
    for seed in range(DRAWN):
        buffer = io.BytesIO()
        Picture.fromarray(draw_radiograph(np.random.default_rng(seed), HEIGHT, WIDTH)).save(buffer, "JPEG", quality=85)
        drawn.append(buffer.getvalue())
    for number in track(range(files), "writing files", console=console, transient=True):
        if number % FOLDER == 0:
            (folder / f"{number // FOLDER:04}").mkdir(parents=True)
        path = folder / f"{number // FOLDER:04}" / f"{number:07}.jpg"
        path.write_bytes(with_comment(drawn[number % DRAWN], str(number)))
    os.sync()
    return drawn


def upload(stack: Running, data: bytes, name: str) -> float:
    """Seconds from handing over an upload's bytes to its committed prediction."""
    settings = Settings(home=stack.home, _env_file=None)
    began = time.perf_counter()
    with Intake(settings, stack.engine, "upload", Publisher(settings).publish) as intake:
        image_id = intake.admit_bytes(data, name).image_id
    while True:
        with reading_sessions(stack.engine)() as session:
            if session.scalar(select(Image.status).where(Image.id == image_id)) == DONE:
                return time.perf_counter() - began
        time.sleep(0.02)


def watch(stack: Running, files: int, drawn: list[bytes]) -> tuple[list[dict[str, Any]], list[float]]:
    """Samples until all files are done, and how long each upload took meanwhile."""
    samples: list[dict[str, Any]] = []
    uploads: list[float] = []
    began = next_upload = time.perf_counter()
    with Progress(console=console) as progress:
        bars = {status: progress.add_task(status, total=files) for status in ("admitted", "done")}
        while not samples or samples[-1]["done"] < files:
            stack.check()
            time.sleep(SAMPLE_SECONDS)
            if time.perf_counter() >= next_upload + UPLOAD_SECONDS:
                next_upload = time.perf_counter()
                uploads.append(upload(stack, with_comment(drawn[0], f"upload {len(uploads)}"), f"{len(uploads)}.jpg"))
            admitted, done = stack.count() - len(uploads), stack.count(DONE) - len(uploads)
            progress.update(bars["admitted"], completed=admitted)
            progress.update(bars["done"], completed=done)
            seconds = round(time.perf_counter() - began, 1)
            samples.append({"seconds": seconds, "admitted": admitted, "done": done, "bytes": stack.memory()})
    return samples, uploads


def account(stack: Running, files: int) -> dict[str, int]:
    """What is wrong with the bookkeeping; all zero if nothing is."""
    with reading_sessions(stack.engine)() as session:
        folder = Image.source == "folder"
        images = session.scalar(select(func.count()).select_from(Image).where(folder)) or 0
        digests = session.scalar(select(func.count(func.distinct(Image.sha256))).where(folder)) or 0
        names = session.scalar(select(func.count(func.distinct(SourceName.name)))) or 0
        uploads = session.scalar(select(func.count()).select_from(Image).where(~folder)) or 0
        predictions = session.scalar(select(func.count()).select_from(Prediction)) or 0
    return {
        "files_without_a_row": files - digests,
        "rows_too_many": images - digests,
        "names_missing": files + uploads - names,
        "predictions_missing": files + uploads - predictions,
        "files_left_in_the_inbox": sum(len(names) for _, _, names in os.walk(stack.home / "inbox")),
    }


def audit(stack: Running) -> dict[str, Any]:
    """``triage doctor --audit``: images looked at, and what does not match."""
    command = [sys.executable, "-c", "from triage.cli import main; main()", "doctor", "--audit", "--json"]
    environment = {**os.environ, "TRIAGE_HOME": str(stack.home)}
    began = time.perf_counter()
    said = json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=False).stdout)
    seconds = time.perf_counter() - began
    return {"images": said["images"], "mismatches": len(said["mismatches"]), "seconds": round(seconds, 1)}


def rates(samples: list[dict[str, Any]], key: str, files: int) -> list[float]:
    """Per second, in each tenth of the files, by the sample that reached it first."""
    marks = [(0.0, 0)]
    for tenth in range(1, 11):
        reached = next(sample for sample in samples if sample[key] >= files * tenth / 10)
        marks.append((reached["seconds"], reached[key]))
    return [
        round((count - before) / (now - then), 1) if now > then else 0.0
        for (then, before), (now, count) in itertools.pairwise(marks)
    ]


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser("python -m benchmarks.flood", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where to work; default: the temporary folder")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder, prefix="triage-flood-") as name:
        drawn = write_files(Path(name) / "archive", asked.files)
        with running_stack(Path(name) / "home", {"workers": asked.workers}) as stack:
            (Path(name) / "archive").rename(stack.home / "inbox" / "archive")
            samples, uploads = watch(stack, asked.files, drawn)
            wrong, audited = account(stack, asked.files), audit(stack)
    first = {key: next(sample["seconds"] for sample in samples if sample[key]) for key in ("admitted", "done")}
    result = {
        "files": asked.files,
        "first_seen_after_seconds": first,
        "all_admitted_seconds": next(s["seconds"] for s in samples if s["admitted"] >= asked.files),
        "all_done_seconds": samples[-1]["seconds"],
        "admitted_per_second_by_tenth": rates(samples, "admitted", asked.files),
        "done_per_second_by_tenth": rates(samples, "done", asked.files),
        "most_megabytes": {
            kind: round(max(sample["bytes"].get(kind, 0) for sample in samples) / 1e6, 1)
            for kind in sorted({kind for sample in samples for kind in sample["bytes"]})
        },
        "uploads_seconds": [round(seconds, 2) for seconds in uploads],
        "wrong": wrong,
        "audit": audited,
    }
    table = Table("what", "", title=f"{asked.files:,} files at once")
    for key, value in result.items():
        table.add_row(key.replace("_", " "), json.dumps(value).strip("{}"))
    if uploads:
        table.add_row("an upload meanwhile, median", f"{statistics.median(uploads):.2f} s")
    console.print(table)
    print(json.dumps({**result, "samples": samples}, indent=2))
    if any(wrong.values()) or audited["mismatches"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
