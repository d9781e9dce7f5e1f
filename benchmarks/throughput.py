"""The whole system against the limits beside it, in one run.

``python -m benchmarks.throughput`` makes distinct JPEGs of 1600 x 2000 pixels and measures, in turn and
several times, so that a machine whose speed drifts does not decide the ratio:

- *bare loop*: two processes that decode and classify the same files with the same code, and nothing else;
- *whole system*: ``triage up`` on an empty home, the files put into its inbox, from the first file admitted to
  the last row committed;
- *naive*: one ``keras.Model.predict`` a picture, decoded at full size (a sample; needs the ``train`` extra).

Prints a table to stderr and JSON to stdout.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from sqlalchemy import func, select

import worker  # noqa: F401 - its processes have one thread each, and so have those of the bare loop
from benchmarks.pictures import write_pictures
from benchmarks.running import running_stack
from triage.database import reading_sessions
from triage.records import DONE, Image
from triage.settings import get_settings

console = Console(stderr=True)


def _bare_worker(paths: Sequence[Path], barrier: Barrier) -> None:
    from triage.classifier import load_classifier
    from triage.pixels import Limits, read_for_network
    from worker.memory import keep_freed_memory

    keep_freed_memory()
    settings = get_settings()
    classifier, limits = load_classifier(settings), Limits.of(settings)
    barrier.wait()
    for path in paths:
        _, network_input = read_for_network(path.read_bytes(), limits, classifier.bundle.input_side)
        classifier.classify(network_input[None])
    barrier.wait()


def bare_loop(paths: Sequence[Path], processes: int) -> float:
    """Images per second of some processes that do nothing but decode and classify."""
    context = get_context("spawn")
    barrier = context.Barrier(processes + 1)
    loops = [context.Process(target=_bare_worker, args=(paths[part::processes], barrier)) for part in range(processes)]
    for loop in loops:
        loop.start()
    barrier.wait()
    began = time.perf_counter()
    barrier.wait()
    seconds = time.perf_counter() - began
    for loop in loops:
        loop.join()
    return len(paths) / seconds


def naive(paths: Sequence[Path]) -> float:
    """Images per second of one ``keras.Model.predict`` call a picture, decoded at full size."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import numpy as np
    from PIL import Image as Picture

    from triage.bundle import find_bundle, open_bundle

    bundle = open_bundle(find_bundle(get_settings()))
    model = keras.saving.load_model(bundle.keras_path)
    side = bundle.input_side

    def look(path: Path) -> Any:
        grey = Picture.open(path).convert("L").resize((side, side))
        return model.predict(np.asarray(grey, np.float32)[None, ..., None], verbose=0)

    look(paths[0])
    began = time.perf_counter()
    for path in paths:
        look(path)
    return len(paths) / (time.perf_counter() - began)


def whole_system(paths: Sequence[Path], processes: int, folder: Path) -> dict[str, float]:
    """Images per second of ``triage up`` with these files in its inbox; seconds to ready; memory of a child."""
    home = folder / "home"
    staged = folder / "staged"
    staged.mkdir()
    for path in paths:
        shutil.copyfile(path, staged / path.name)
    os.sync()  # making the copies is not what is measured, and neither is writing them to the disk
    try:
        with running_stack(home, {"workers": processes}) as stack:
            for path in sorted(staged.iterdir()):
                path.rename(home / "inbox" / path.name)
            memory = 0
            while stack.count(DONE) < len(paths):
                time.sleep(1.0)  # a measurement that asks more often slows what it measures
                memory = max(memory, stack.memory().get("worker child", 0))
                stack.check()
            with reading_sessions(stack.engine)() as session:
                first, last = session.execute(select(func.min(Image.received_at), func.max(Image.finished_at))).one()
    finally:
        shutil.rmtree(home, ignore_errors=True)
        staged.rmdir()
    seconds = (last - first).total_seconds()
    return {"rate": len(paths) / seconds, "ready_seconds": stack.ready_seconds, "child_megabytes": memory / 1e6}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--naive-images", type=int, default=40, help="0 leaves the naive way out")
    parser.add_argument("--folder", type=Path, help="where to work; default: the temporary folder")
    return parser.parse_args()


def main() -> None:
    """Measure, and print."""
    asked = _arguments()
    with tempfile.TemporaryDirectory(dir=asked.folder, prefix="triage-benchmark-") as name:
        folder = Path(name)
        size = write_pictures(folder / "pictures", asked.images, asked.processes)
        paths = sorted((folder / "pictures").iterdir())
        rounds = []
        for number in range(asked.rounds):
            bare = bare_loop(paths, asked.processes)
            system = whole_system(paths, asked.processes, folder)
            rounds.append({"bare": bare, **system, "ratio": system["rate"] / bare})
            console.print(
                f"round {number + 1}: bare loop {bare:.1f}, whole system {system['rate']:.1f} images/s, "
                f"ratio {system['rate'] / bare:.2f}"
            )
        with_naive = asked.naive_images > 0 and find_spec("tensorflow") is not None
        naive_rate = naive(paths[: asked.naive_images]) if with_naive else None

    def median(key: str) -> float:
        return statistics.median(entry[key] for entry in rounds)

    result = {
        "images": asked.images,
        "mean_bytes": size // asked.images,
        "processes": asked.processes,
        "cores": os.cpu_count(),
        "rounds": rounds,
        "median": {key: median(key) for key in rounds[0]},
        "naive_rate": naive_rate,
        "system_to_naive": naive_rate and median("rate") / naive_rate,
    }
    table = Table("what", "median", "lowest", "highest")
    for key, title in (
        ("bare", "bare loop, images/s"),
        ("rate", "whole system, images/s"),
        ("ratio", "whole system / bare loop"),
        ("ready_seconds", "`triage up` ready, s"),
        ("child_megabytes", "worker child, MB resident"),
    ):
        values = [entry[key] for entry in rounds]
        table.add_row(title, f"{median(key):.2f}", f"{min(values):.2f}", f"{max(values):.2f}")
    if naive_rate:
        table.add_row("naive: model.predict per image, images/s", f"{naive_rate:.2f}", "", "")
        table.add_row("whole system / naive", f"{median('rate') / naive_rate:.1f}", "", "")
    console.print(table)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
