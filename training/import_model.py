"""Makes a bundle of a bare Keras file; ``triage model import`` runs it, in a process of its own.

The bundle's model takes what every other takes, grey pictures 0..255: scaling and channels are put around the model,
and nothing of it is changed. Nothing is known of how good it is, and the bundle says so.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from training import TrainingError
from triage import NOTICE
from triage.bundle import DEFAULT_THRESHOLDS, SCHEMA, BundleError, bundle_folders
from triage.classifier import PROBABILITIES
from triage.settings import SettingsError, get_settings
from triage.synthetic import draw_radiograph

log = logging.getLogger("training")

INPUT_RANGES: Final = {"0..255": (0.0, 255.0), "0..1": (0.0, 1.0), "-1..1": (-1.0, 1.0)}
PICTURES: Final = 8
"""Synthetic radiographs that are put through the model before anything is written."""

SUFFIXES: Final = (".keras", ".h5")


class ImportRefused(TrainingError):
    """The file cannot be made a bundle of; the message says why and what to do."""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line; wrong usage exits with 2."""
    parser = argparse.ArgumentParser("triage model import", description="Makes a bundle of a bare Keras file.")
    add = parser.add_argument
    add("file", type=Path)
    add("--labels", type=_labels, required=True)
    add("--input-range", choices=sorted(INPUT_RANGES), required=True)
    add("--side", type=int)
    add("--name", type=_name)
    add("--data-note", default="")
    options = parser.parse_args(arguments)
    if options.file.suffix not in SUFFIXES:
        parser.error(f"{options.file.name} is neither a .keras nor a .h5 file")
    if not options.file.is_file():
        parser.error(f"there is no file at {options.file}")
    return options


def _labels(text: str) -> tuple[str, ...]:
    """Labels in the order of the model's outputs: a line each of a file, or with commas between."""
    try:
        parts = Path(text).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise argparse.ArgumentTypeError(f"{text} cannot be read as text") from error
    except OSError:
        parts = text.split(",")
    labels = tuple(label for part in parts if (label := part.strip()))
    if len(labels) < 2 or len(set(labels)) != len(labels):
        raise argparse.ArgumentTypeError(
            f"two labels or more, all different, or a file with one a line, are needed; these are {list(labels)}"
        )
    return labels


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,40}", text):
        raise argparse.ArgumentTypeError("letters, digits, '.', '_' and '-', at most 41, a letter or digit first")
    return text


def import_model(options: argparse.Namespace) -> Path:
    """Checks the model, and writes the bundle into the home.

    Returns:
        the bundle's folder.

    Raises:
        TrainingError: the file is no model that could be used here.
        ImportError: the train extra is not installed.
    """
    from training import export

    settings = get_settings()
    model, side = _load(options.file, options.side)
    wrapped = _wrap(model, side, INPUT_RANGES[options.input_range])
    pictures = np.stack([draw_radiograph(np.random.default_rng(seed), side, side) for seed in range(PICTURES)])
    _check_probabilities(wrapped, pictures, options.labels)
    created = datetime.now(UTC)
    prefix = options.name or _slug(options.file.stem)
    details = _describe(options, export.next_version(created, list(bundle_folders(settings)), prefix), created, side)
    path, difference = export.write_bundle(settings.models_dir, wrapped, details, pictures, _write_card)
    log.info("the LiteRT twin differs by at most %.1e from the Keras model", difference)
    return path


def _load(file: Path, side: int | None) -> tuple[Any, int]:
    """The model, and the side of the pictures that it takes."""
    import keras

    try:
        model: Any = keras.saving.load_model(file, compile=False)
    except Exception as error:
        # Keras raises whatever a layer's own code raises.
        raise ImportRefused(f"{file.name} cannot be loaded by Keras ({_first_line(error)}).") from error
    shape = getattr(model, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[1] != shape[2] or shape[3] not in (1, 3):
        raise ImportRefused(f"{file.name} must take square pictures of 1 or 3 channels, channels last, not {shape}.")
    if shape[1] is None and side is None:
        raise ImportRefused(f"{file.name} takes pictures of any size: name the one it was trained on with --side.")
    if shape[1] is not None and side not in (None, shape[1]):
        raise ImportRefused(f"{file.name} takes pictures of {shape[1]} pixels, not {side}; leave --side out.")
    return model, int(shape[1] or side or 0)


def _wrap(model: Any, side: int, input_range: tuple[float, float]) -> Any:
    """Puts scaling and channels around a model: (n, side, side, 1) float32 in 0..255 -> ``probabilities``."""
    import keras

    low, high = input_range
    image = keras.Input((side, side, 1), name="image")
    scaled = keras.layers.Rescaling((high - low) / 255.0, offset=low, name="to_input_range")(image)
    if model.input_shape[3] == 3:
        scaled = keras.layers.Concatenate(name="grey_to_three_channels")([scaled, scaled, scaled])
    outputs = model(scaled, training=False)
    if isinstance(outputs, dict):
        outputs = outputs.get(PROBABILITIES)
    if outputs is None or isinstance(outputs, list | tuple):
        raise ImportRefused(f"the model has several outputs, and none is named {PROBABILITIES}.")
    return keras.Model(image, {PROBABILITIES: outputs}, name="triage")


def _check_probabilities(model: Any, pictures: Any, labels: tuple[str, ...]) -> None:
    found = np.asarray(model(pictures[..., np.newaxis].astype(np.float32), training=False)[PROBABILITIES])
    if found.shape != (len(pictures), len(labels)):
        raise ImportRefused(
            f"the model gives {'x'.join(map(str, found.shape[1:])) or 'one'} values for a picture, and {len(labels)} "
            "labels are named: --labels must name one for each, in the order of the outputs."
        )
    if not (found.min() >= 0 and np.abs(found.sum(axis=1) - 1).max() < 1e-3):
        raise ImportRefused(
            "what the model gives are no probabilities that sum to 1 (logits, perhaps). "
            "Put a Softmax layer behind it, and save it again."
        )


def _describe(options: argparse.Namespace, version: str, created: datetime, side: int) -> dict[str, Any]:
    import keras
    import tensorflow as tf

    return {
        "schema": SCHEMA,
        "version": version,
        "created": created.isoformat(timespec="seconds"),
        "smoke": False,
        "labels": list(options.labels),
        "input": {
            "side": side,
            "shape": [None, side, side, 1],
            "dtype": "float32",
            "range": [0, 255],
            "meaning": "greyscale picture stretched to a square, as triage.pixels.read_for_network makes it; scaling "
            f"to {options.input_range} and the channels are inside",
        },
        "outputs": {PROBABILITIES: "as the imported model gives them, not calibrated; look it up by this name"},
        "temperature": 1.0,
        "temperature_applied": "none",
        "thresholds": dict(DEFAULT_THRESHOLDS),
        "threshold_rules": dict.fromkeys(DEFAULT_THRESHOLDS, "set, not fitted"),
        "conformal": {"method": None, "coverage": None, "quantile": None},
        "training": {"data_note": options.data_note},
        "imported": {
            "file": options.file.name,
            "sha256": hashlib.sha256(options.file.read_bytes()).hexdigest(),
            "input_range": options.input_range,
        },
        "packages": {"keras": keras.__version__, "tensorflow": tf.__version__, "numpy": np.__version__},
        "metrics": {},
    }


def _write_card(folder: Path, details: dict[str, Any]) -> None:
    imported = details["imported"]
    note = details["training"]["data_note"] or "Nothing was said about them."
    text = f"""# {details["version"]}

{NOTICE}

This model was imported from `{imported["file"]}` (SHA-256 `{imported["sha256"]}`). **Nothing is known about it
here**: it was not measured on images that it had not seen, its confidence is not calibrated, its thresholds are the
program's defaults, its prediction sets hold the first label only, and it cannot tell a picture that is unlike those it
learnt from.

- Labels, in the order of the outputs: {", ".join(details["labels"])}
- Input: greyscale pictures of {details["input"]["side"]} x {details["input"]["side"]} pixels; it scales them to \
{imported["input_range"]} itself
- What it was trained on: {note}

`triage model promote` has nothing to compare it by, and wants `--force` with a reason.
"""
    (folder / "card.md").write_text(text, encoding="utf-8")


def _slug(stem: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("._-")[:40] or "keras"


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0] or type(error).__name__


def main() -> int:
    """Runs the command; returns the exit code."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    log.setLevel(logging.INFO)
    options = parse()
    try:
        path = import_model(options)
    except KeyboardInterrupt:
        return 130
    except TrainingError as error:
        log.error("triage: %s", error)
        return error.exit_code
    except (SettingsError, BundleError) as error:
        log.error("triage: %s", error)
        return 2
    except ImportError as error:
        log.error("triage: %s. Importing needs the `train` extra: pip install 'fracture-triage[train]'", error)
        return 3
    except OSError as error:
        log.error("triage: %s", error)
        return 1
    sys.stdout.write(f"{path.name}\n")
    log.info("it is not active yet: `triage model promote %s`", path.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
