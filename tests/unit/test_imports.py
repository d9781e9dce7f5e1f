"""TensorFlow costs seconds and hundreds of megabytes: what serves never imports it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LOADED = "import sys; print(*sorted({name.split('.')[0] for name in sys.modules}))"


def modules_after(statement: str, home: Path) -> set[str]:
    result = subprocess.run(
        [sys.executable, "-c", f"{statement}\n{LOADED}"],
        capture_output=True,
        text=True,
        check=True,
        cwd=home,
    )
    return set(result.stdout.split())


@pytest.mark.parametrize(
    "statement", ["import worker.work, worker.tasks", "import watcher.__main__", "import triage.cli"]
)
def test_no_serving_process_imports_tensorflow(statement: str, tmp_path: Path) -> None:
    assert not {"tensorflow", "keras", "jax", "torch"} & modules_after(statement, tmp_path)


def test_classifying_imports_no_tensorflow_either(tmp_path: Path, model_path: Path) -> None:
    statement = f"""
import numpy
from pathlib import Path
from triage.classifier import load_classifier
from triage.settings import Settings
classifier = load_classifier(Settings(model=Path({str(model_path)!r})))
side = classifier.bundle.input_side
assert len(classifier.classify(numpy.zeros((1, side, side), numpy.uint8))[0].probabilities) == 10
"""
    assert not {"tensorflow", "keras"} & modules_after(statement, tmp_path)


def test_the_command_starts_without_what_only_the_worker_needs(tmp_path: Path) -> None:
    assert not {"ai_edge_litert", "pydicom", "streamlit"} & modules_after("import triage.cli", tmp_path)


def test_a_worker_child_computes_in_one_thread_unless_told_otherwise(tmp_path: Path) -> None:
    # OpenBLAS starts its threads when numpy is loaded.
    script = (
        "import worker.tasks, os, numpy; print(os.environ['OPENBLAS_NUM_THREADS'], len(os.listdir('/proc/self/task')))"
    )

    def said(**asked: str) -> list[str]:
        plain = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
        command = [sys.executable, "-c", script]
        return subprocess.run(
            command, env=plain | asked, stdout=subprocess.PIPE, text=True, check=True, cwd=tmp_path
        ).stdout.split()

    assert said() == ["1", "1"]
    assert said(OPENBLAS_NUM_THREADS="2")[0] == "2"
