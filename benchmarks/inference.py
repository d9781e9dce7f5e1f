"""What the classifier costs beside the bare interpreter, and what the further outputs cost.

``python -m benchmarks.inference``: three ways over the same pictures, in turn, on one thread; prints a table, and
JSON with ``--json``. Needs the train extra: the twin with probabilities alone is made from the bundle's Keras model.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from triage.bundle import find_bundle, open_bundle
from triage.classifier import PROBABILITIES, Classifier
from triage.settings import get_settings
from triage.synthetic import draw_radiograph

BARE_ALONE = "bare interpreter, probabilities alone"
BARE_ALL = "bare interpreter, all outputs"
CLASSIFY = "Classifier.classify: all outputs, checks, sets, reasons"


def bare(content: bytes, pictures: Any) -> Callable[[], object]:
    """The least that can be done: set the tensor, invoke, read the probabilities."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    signature = interpreter.get_signature_runner()
    (source,) = signature.get_input_details().values()
    target = signature.get_output_details()[PROBABILITIES]

    def run() -> None:
        for picture in pictures:
            interpreter.set_tensor(source["index"], picture[np.newaxis, :, :, np.newaxis].astype(np.float32))
            interpreter.invoke()
            interpreter.get_tensor(target["index"])

    return run


def measure(bundle_path: Path, count: int, rounds: int) -> dict[str, Any]:
    """Images per second of each way, and ratios within each round."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras

    from training.export import to_litert

    bundle = open_bundle(bundle_path)
    side = bundle.input_side
    pictures = np.stack([draw_radiograph(np.random.default_rng(seed), side, side) for seed in range(count)])
    model = keras.saving.load_model(bundle.keras_path, compile=False)
    alone = keras.Model(model.input, {PROBABILITIES: model.output[PROBABILITIES]})
    if bundle.litert_path is None:
        raise SystemExit(f"{bundle.version} has no LiteRT twin")
    classifier = Classifier(bundle)
    ways: dict[str, Callable[[], object]] = {
        BARE_ALONE: bare(to_litert(alone, side), pictures),
        BARE_ALL: bare(bundle.litert_path.read_bytes(), pictures),
        CLASSIFY: lambda: classifier.classify(pictures),
    }
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            if number:  # the first round warms up
                speeds[name].append(count / (time.perf_counter() - started))
    return {
        "version": bundle.version,
        "pictures": count,
        "rounds": rounds,
        "images_per_second": {name: round(statistics.median(values), 1) for name, values in speeds.items()},
        "ratio": {
            name: [round(value / base, 3) for value, base in zip(values, speeds[BARE_ALONE], strict=True)]
            for name, values in speeds.items()
        },
    }


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser("python -m benchmarks.inference", description=__doc__)
    parser.add_argument("--bundle", type=Path, help="default: the active one")
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options.bundle or find_bundle(get_settings()), options.pictures, options.rounds)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    table = Table(title=f"{found['version']}, {found['pictures']} pictures, one thread")
    for header in ("way", "images/s", "of the bare interpreter, median", "lowest", "highest"):
        table.add_column(header)
    for name, speed in found["images_per_second"].items():
        ratios = found["ratio"][name]
        table.add_row(
            name, f"{speed}", *(f"{one:.3f}" for one in (statistics.median(ratios), min(ratios), max(ratios)))
        )
    Console().print(table)


if __name__ == "__main__":
    main()
