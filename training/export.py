"""From a trained model to a bundle on disk: the LiteRT twin, its proof, digests, an all-or-nothing write."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from training import TrainingError
from triage.bundle import ACTIVE_FILE, BUNDLE_FILE, KERAS_FILE, LITERT_FILE, open_bundle
from triage.classifier import Classifier

TWIN_TOLERANCE: Final = 1e-4
"""Largest difference of any probability between the Keras model and its twin."""


class ExportError(TrainingError):
    """The model cannot be written as a bundle."""


def next_version(created: datetime, folders: list[Path], prefix: str) -> str:
    """A name that sorts by date and is free in all of the folders, like ``mobilenetv2-2026.01.31-01``."""
    stem = f"{prefix}-{created:%Y.%m.%d}"
    taken = {entry.name for folder in folders if folder.is_dir() for entry in folder.iterdir()}
    return next(name for number in range(1, 1000) if (name := f"{stem}-{number:02}") not in taken)


def to_litert(model: Any, side: int) -> bytes:
    """The LiteRT float32 twin of a model, for one picture at a time, outputs by name.

    Args:
        model: (n, side, side, 1) float32 -> dict of named outputs.
        side: pixels.
    """

    # An export archive, not a plain SavedModel: from that the converter keeps variables, which LiteRT never
    # fills.
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serving_default",
        lambda image: model(image, training=False),
        input_signature=[tf.TensorSpec((1, side, side, 1), tf.float32, name="image")],
    )
    with tempfile.TemporaryDirectory() as scratch:
        archive.write_out(scratch, verbose=False)
        return bytes(tf.lite.TFLiteConverter.from_saved_model(scratch).convert())


def write_bundle(
    folder: Path,
    model: Any,
    details: dict[str, Any],
    pictures: npt.NDArray[np.uint8],
    add_report: Callable[[Path, dict[str, Any]], None],
) -> tuple[Path, float]:
    """Writes ``<folder>/<version>/``, after checking the twin against the model as saved.

    Everything is written into a folder beside it, flushed to disk, and renamed: a bundle is there whole or
    not at all.

    Args:
        folder: where the bundle goes.
        model: as `training.network.assemble` made it.
        details: ``bundle.json`` but for the files and the twin's difference.
        pictures: (n, side, side) uint8, real inputs to compare the twin on.
        add_report: writes card and plots into the folder it is given.

    Returns:
        the bundle's path and the largest difference of a probability.

    Raises:
        ExportError: the twin differs, or the version exists.
    """
    final = folder / details["version"]
    if final.exists():
        raise ExportError(f"{final} exists already; a version is never overwritten.")
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
    try:
        scratch.chmod(0o755)
        model.save(scratch / KERAS_FILE)
        (scratch / LITERT_FILE).write_bytes(to_litert(model, details["input"]["side"]))
        details = details | {"files": {name: _describe(scratch / name) for name in (KERAS_FILE, LITERT_FILE)}}
        _write_details(scratch, details)
        difference = twin_difference(scratch, pictures)
        details = details | {
            "twin": {
                "largest_difference": float(f"{difference:.2e}"),
                "tolerance": TWIN_TOLERANCE,
                "pictures": len(pictures),
            }
        }
        _write_details(scratch, details)
        add_report(scratch, details)
        _flush(scratch)
        scratch.rename(final)
        _flush_folder(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return final, difference


def twin_difference(folder: Path, pictures: npt.NDArray[np.uint8]) -> float:
    """Runs both models of a bundle through the code that serves them.

    Returns:
        the largest absolute difference of any probability.

    Raises:
        ExportError: it is above `TWIN_TOLERANCE`.
    """
    bundle = open_bundle(folder)
    twin = Classifier(bundle, "litert").predict(pictures)
    original = Classifier(bundle, "keras").predict(pictures)
    difference = float(np.abs(twin - original).max())
    if not difference <= TWIN_TOLERANCE:
        raise ExportError(
            f"The LiteRT twin differs from the Keras model by {difference:.2g} in a probability, more than "
            f"{TWIN_TOLERANCE}. No bundle was written."
        )
    return difference


def install_bundle(bundle: Path, models: Path) -> Path:
    """Copies a bundle to the folder of shipped models and makes it the active one.

    Raises:
        ExportError: that version is there already.
    """
    final = models / bundle.name
    if final.exists():
        raise ExportError(f"{final} exists already; a version is never overwritten.")
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".installing-", dir=models) as scratch:
        copy = Path(shutil.copytree(bundle, Path(scratch) / bundle.name))
        open_bundle(copy)
        _flush(copy)
        copy.rename(final)
        pointer = Path(scratch) / ACTIVE_FILE
        pointer.write_text(f"{bundle.name}\n", encoding="utf-8")
        _flush_file(pointer)
        pointer.replace(models / ACTIVE_FILE)
    _flush_folder(models)
    return final


def _describe(file: Path) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(file.read_bytes()).hexdigest(), "bytes": file.stat().st_size}


def _write_details(folder: Path, details: dict[str, Any]) -> None:
    text = json.dumps(details, indent=2, ensure_ascii=False) + "\n"
    (folder / BUNDLE_FILE).write_text(text, encoding="utf-8")


def _flush(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir():
            _flush(entry)
        else:
            _flush_file(entry)
    _flush_folder(folder)


def _flush_file(file: Path) -> None:
    with file.open("rb+") as stream:
        os.fsync(stream.fileno())


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
