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

from training import TrainingError, card, report
from triage.bundle import ACTIVE_FILE, BUNDLE_FILE, FEATURES_FILE, KERAS_FILE, LITERT_FILE, open_bundle
from triage.classifier import Classifier
from triage.familiarity import Familiarity

PRECISIONS: Final = ("float32", "float16", "int8")
TWIN_TOLERANCE: Final = 1e-4
"""Largest difference of any probability between the Keras model and its twin."""


class ExportError(TrainingError):
    """The model cannot be written as a bundle."""


def next_version(created: datetime, folders: list[Path], prefix: str) -> str:
    """A name that sorts by date and is free in all of the folders, like ``mobilenetv2-2026.01.31-01``."""
    stem = f"{prefix}-{created:%Y.%m.%d}"
    taken = {entry.name for folder in folders if folder.is_dir() for entry in folder.iterdir()}
    return next(name for number in range(1, 1000) if (name := f"{stem}-{number:02}") not in taken)


def to_litert(
    model: Any, side: int, precision: str = "float32", representative: npt.NDArray[np.uint8] | None = None
) -> bytes:
    """The LiteRT twin of a model, for one picture at a time, outputs by name.

    Args:
        model: (n, side, side, 1) float32 -> dict of named outputs.
        side: pixels.
        precision: one of `PRECISIONS`. Inputs and outputs are float32 in each.
        representative: (m, side, side) pictures whose activations set the ranges of int8.
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
        converter = tf.lite.TFLiteConverter.from_saved_model(scratch)
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if precision == "int8" and representative is not None:
            pictures = representative[:, np.newaxis, :, :, np.newaxis].astype(np.float32)
            converter.representative_dataset = lambda: ([picture] for picture in pictures)
        return bytes(converter.convert())


def write_bundle(
    folder: Path,
    model: Any,
    details: dict[str, Any],
    pictures: npt.NDArray[np.uint8],
    add_report: Callable[[Path, dict[str, Any]], None],
    add_files: Callable[[Path], None] | None = None,
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
        add_files: writes further files that the program reads, and whose digests count.

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
        if add_files:
            add_files(scratch)
        details = details | {"files": {file.name: _describe(file) for file in sorted(scratch.iterdir())}}
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


def write_familiarity(folder: Path, familiarity: Familiarity) -> None:
    """Writes ``features.npz``, in float32."""
    arrays: dict[str, Any] = {"mean": familiarity.mean, "whiten": familiarity.whiten}
    if familiarity.radiograph_weights is not None:
        arrays["radiograph_weights"] = familiarity.radiograph_weights
        arrays["radiograph_bias"] = np.array(familiarity.radiograph_bias)
    small: dict[str, Any] = {name: array.astype(np.float32) for name, array in arrays.items()}
    np.savez_compressed(folder / FEATURES_FILE, **small)


def add_report(folder: Path, details: dict[str, Any]) -> None:
    """Writes ``report.html``, ``card.md`` and their plots."""
    report.write_report(folder, details)
    card.write_card(folder, details)


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
