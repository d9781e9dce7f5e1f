"""Whether smaller numbers would do: the twin in float32, float16 and int8, measured on held-out images."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from training.calibration import prediction_sets
from training.evaluation import as_repeats
from training.export import PRECISIONS, to_litert
from training.figures import weigh
from triage.classifier import PROBABILITIES

Pixels = npt.NDArray[np.uint8]
ROUNDS = 3


def compare(
    model: Any, representative: Pixels, pictures: Pixels, targets: npt.NDArray[np.int64], quantile: float
) -> list[dict[str, Any]]:
    """Converts and measures; the precisions run in turn, so that noise falls on all of them.

    Args:
        model: from `network.assemble`, trained without ``pictures``.
        representative: (m, side, side) pictures whose activations set the ranges of int8.
        pictures: (n, side, side) held out.
        targets: (n,).
        quantile: of the prediction sets.

    Returns:
        rows for the report; float32, the first, is what ships.
    """
    side = pictures.shape[1]
    twins = {name: to_litert(model, side, name, representative) for name in PRECISIONS}
    runs = {name: _load(content) for name, content in twins.items()}
    found = {name: np.array([run(picture) for picture in pictures]) for name, run in runs.items()}
    seconds = dict.fromkeys(runs, float("inf"))
    for _ in range(ROUNDS):
        for name, run in runs.items():
            started = time.perf_counter()
            for picture in pictures[:60]:
                run(picture)
            seconds[name] = min(seconds[name], (time.perf_counter() - started) / len(pictures[:60]))
    rows = []
    ones = np.ones((1, len(targets)))
    for name, probabilities in found.items():
        figures = weigh(as_repeats(probabilities)[0], targets, ones)
        sets = prediction_sets(probabilities, quantile)
        rows.append(
            {
                "name": name,
                "bytes": len(twins[name]),
                "top_1": round(float(figures["top_1"][0]), 4),
                "calibration_error": round(float(figures["calibration_error"][0]), 4),
                "coverage": round(float(sets[np.arange(len(targets)), targets].mean()), 4),
                "set_size": round(float(sets.sum(axis=1).mean()), 2),
                "largest_difference": float(f"{np.abs(probabilities - found['float32']).max():.2e}"),
                "images_per_second": round(1 / seconds[name], 1),
                "kept": name == "float32",
            }
        )
    return rows


def _load(content: bytes) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    signature = interpreter.get_signature_runner()
    (source,) = signature.get_input_details().values()
    target = signature.get_output_details()[PROBABILITIES]

    def run(picture: Pixels) -> npt.NDArray[np.float64]:
        interpreter.set_tensor(source["index"], picture[np.newaxis, :, :, np.newaxis].astype(np.float32))
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(target["index"])[0], np.float64)

    return run
