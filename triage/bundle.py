"""A bundle: one version of the model on disk, checked before anything runs it.

A bundle is a folder with the model of record (``model.keras``), usually its LiteRT twin (``model.tflite``),
perhaps statistics of its features (``features.npz``) and what it said of held-out images (``images.csv``), and
``bundle.json``, which names the labels, the input, the calibration and the SHA-256 of all of them. A bare
``.keras`` file is accepted too: it brings none of that, so what it needs is assumed, and said in the log.

Bundles lie in two folders: those that ship with the program, and the clinic's own in the home. ``ACTIVE`` beside
them names the one in use; the one in the home comes first.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import triage.settings
from triage.settings import Settings

log = logging.getLogger(__name__)

SCHEMA: Final = 1
KERAS_FILE: Final = "model.keras"
LITERT_FILE: Final = "model.tflite"
FEATURES_FILE: Final = "features.npz"
IMAGES_FILE: Final = "images.csv"
BUNDLE_FILE: Final = "bundle.json"
ACTIVE_FILE: Final = "ACTIVE"

DEFAULT_LABELS: Final = (
    "Avulsion fracture",
    "Comminuted fracture",
    "Fracture dislocation",
    "Greenstick fracture",
    "Hairline fracture",
    "Impacted fracture",
    "Longitudinal fracture",
    "Oblique fracture",
    "Pathological fracture",
    "Spiral fracture",
)
"""The ten fracture types in alphabetical order, which is the order a folder-trained Keras model has."""

DEFAULT_THRESHOLDS: Final = MappingProxyType({"low_confidence": 0.5, "margin": 0.1})
"""For a bare ``.keras`` file, which brings none: see `Bundle.thresholds`."""

OPTIONAL_THRESHOLDS: Final = ("unlike_training_data", "not_an_xray")
"""Checks on the features, which a bundle may leave out: see `Bundle.thresholds`."""

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FILES = frozenset({KERAS_FILE, LITERT_FILE, FEATURES_FILE, IMAGES_FILE})


class BundleError(Exception):
    """A bundle that cannot be used; the message says what is wrong and what to do."""


class NoSuchVersion(BundleError):
    """There is no bundle of that name."""


@dataclass(frozen=True)
class Bundle:
    """A model version that was found complete and unaltered.

    Attributes:
        path: the bundle folder, or the bare ``.keras`` file.
        version: the name predictions are stored under; unique per trained model.
        labels: fracture types in the order of the model's outputs.
        input_side: the model takes (n, side, side) grey pictures, 0..255.
        temperature: what the logits are divided by (Guo et al. 2017). It is applied inside the saved model.
        thresholds: ``low_confidence``: a confidence below it wants a human; ``margin``: so does a lead over
            the second label below it. Both are probabilities. ``unlike_training_data`` and ``not_an_xray``, where
            the bundle has them: so does a distance or a score (`triage.familiarity`) above it.
        conformal_quantile: LAC score quantile (Sadinle et al. 2019); None if the model has none.
        keras_path: the model of record.
        litert_path: its LiteRT twin, or None.
        features_path: statistics of the training images' features, or None.
        images_path: what it said of each training image while that was held out, or None.
        digests: file name -> SHA-256 (hex), as checked.
        metrics: figures on the hold-out, as written by training; empty for a bare file.
        details: all of ``bundle.json``; empty for a bare file.
    """

    path: Path
    version: str
    labels: tuple[str, ...]
    input_side: int
    temperature: float
    thresholds: dict[str, float]
    conformal_quantile: float | None
    keras_path: Path
    litert_path: Path | None
    digests: dict[str, str]
    metrics: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict, repr=False)
    features_path: Path | None = None
    images_path: Path | None = None


def find_bundle(settings: Settings) -> Path:
    """Where the model to use lies: the pinned one if ``TRIAGE_MODEL`` is set, else the active one.

    Raises:
        BundleError: nothing is there.
    """
    if settings.model is not None:
        pinned = settings.model.expanduser().absolute()
        if not pinned.exists():
            raise BundleError(
                f"TRIAGE_MODEL names {pinned}, and nothing is there. "
                "Set it to a bundle folder or a .keras file, or unset it."
            )
        return pinned
    file = _active_file(settings)
    try:
        version = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(
            f"No model is active: {file} cannot be read. "
            "Name one with `triage model promote`, train one with `python -m training.run`, or set TRIAGE_MODEL."
        ) from error
    if not _VERSION.fullmatch(version):
        raise BundleError(f"{file} must hold the name of one bundle folder beside it, not {version!r}.")
    try:
        return find_version(settings, version)
    except NoSuchVersion as error:
        folders = " or ".join(str(folder) for folder in bundle_folders(settings))
        raise BundleError(
            f"The active model {version} is not in {folders}. Put the bundle back, or make another one active "
            "with `triage model promote`."
        ) from error


def bundle_folders(settings: Settings) -> tuple[Path, Path]:
    """Where bundles are looked for: the clinic's own, then those that ship."""
    return settings.models_dir, triage.settings.BUNDLES_DIR


def find_version(settings: Settings, version: str) -> Path:
    """The folder of a version, by its name.

    Raises:
        NoSuchVersion: there is none.
    """
    if _VERSION.fullmatch(version):
        for folder in bundle_folders(settings):
            if (folder / version).is_dir():
                return folder / version
    raise NoSuchVersion(f"There is no model {version}; `triage model list` names those that there are.")


def all_bundles(settings: Settings) -> list[Path]:
    """The folders of all versions, usable or not, by name; the clinic's own before a shipped one of that name."""
    found = [
        path
        for folder in bundle_folders(settings)
        if folder.is_dir()
        for path in folder.iterdir()
        if _VERSION.fullmatch(path.name) and (path / BUNDLE_FILE).is_file()
    ]
    return sorted(found, key=lambda path: path.name)


def active_stamp(settings: Settings) -> tuple[tuple[int, int, int] | None, ...]:
    """Something that changes whenever another version is made active; costs microseconds."""
    return tuple(_stamp(folder / ACTIVE_FILE) for folder in bundle_folders(settings))


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _active_file(settings: Settings) -> Path:
    own, shipped = (folder / ACTIVE_FILE for folder in bundle_folders(settings))
    return own if own.exists() else shipped


def open_bundle(path: Path) -> Bundle:
    """Reads and checks a bundle folder or a bare ``.keras`` file. Loads no model.

    Raises:
        BundleError: it is incomplete, altered, or not a bundle.
    """
    if path.is_dir():
        return _open_folder(path)
    if path.is_file() and path.suffix == ".keras":
        return _open_bare(path)
    if not path.exists():
        raise BundleError(f"There is no model at {path}.")
    raise BundleError(f"{path} is neither a bundle folder nor a .keras file.")


def _open_folder(path: Path) -> Bundle:
    file = path / BUNDLE_FILE
    try:
        details = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BundleError(f"{path} has no {BUNDLE_FILE}, so it is not a bundle.") from error
    except (OSError, ValueError) as error:
        raise BundleError(f"{file} cannot be read ({error}). Copy the bundle again.") from error
    if not isinstance(details, dict) or details.get("schema") != SCHEMA:
        raise BundleError(f"{file} is not of schema {SCHEMA}, the one this program reads. Train the bundle again.")
    try:
        bundle = _parse(path, details)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{file} lacks a field or has a wrong one: {error!r}. Copy the bundle again.") from error
    for name, digest in bundle.digests.items():
        _check_digest(path / name, digest)
    return bundle


def _parse(path: Path, details: dict[str, Any]) -> Bundle:
    """Takes ``bundle.json`` apart; a missing or ill-formed field raises what it raises."""
    digests = {str(name): str(entry["sha256"]) for name, entry in details["files"].items()}
    if KERAS_FILE not in digests or not set(digests) <= _FILES:
        raise ValueError(f"files must be {KERAS_FILE} and perhaps others of {sorted(_FILES)}, not {sorted(digests)}")
    labels = tuple(str(label) for label in details["labels"])
    if len(labels) < 2 or len(set(labels)) != len(labels):
        raise ValueError("labels must be two or more, all different")
    version = str(details["version"])
    if not _VERSION.fullmatch(version):
        raise ValueError(f"version {version!r} is not a plain name")
    thresholds = {name: float(details["thresholds"][name]) for name in DEFAULT_THRESHOLDS}
    for name in OPTIONAL_THRESHOLDS:
        if (given := details["thresholds"].get(name)) is not None:
            thresholds[name] = float(given)
            if FEATURES_FILE not in digests:
                raise ValueError(f"the threshold {name} needs {FEATURES_FILE}")
    if not all(map(math.isfinite, thresholds.values())):
        raise ValueError("thresholds must be finite numbers; one that is off is null")
    quantile = details["conformal"]["quantile"]
    return Bundle(
        path=path,
        version=version,
        labels=labels,
        input_side=int(details["input"]["side"]),
        temperature=float(details["temperature"]),
        thresholds=thresholds,
        conformal_quantile=None if quantile is None else float(quantile),
        keras_path=path / KERAS_FILE,
        litert_path=path / LITERT_FILE if LITERT_FILE in digests else None,
        features_path=path / FEATURES_FILE if FEATURES_FILE in digests else None,
        images_path=path / IMAGES_FILE if IMAGES_FILE in digests else None,
        digests=digests,
        metrics=dict(details["metrics"]),
        details=details,
    )


def _open_bare(path: Path) -> Bundle:
    digest = _digest(path)
    log.warning(
        "%s is a bare Keras file: it is taken to know the ten default labels in alphabetical order at 224 "
        "pixels, its confidence is not calibrated, "
        "and it runs on TensorFlow, which is large and slow to start",
        path.name,
    )
    stem = re.sub(r"[^A-Za-z0-9._-]", "-", path.stem).strip("._-")[:40] or "keras"
    return Bundle(
        path=path,
        version=f"{stem}-{digest[:12]}",
        labels=DEFAULT_LABELS,
        input_side=224,
        temperature=1.0,
        thresholds=dict(DEFAULT_THRESHOLDS),
        conformal_quantile=None,
        keras_path=path,
        litert_path=None,
        digests={path.name: digest},
    )


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise BundleError(f"{file} is missing: the bundle is incomplete. Copy it again.") from error
    except OSError as error:
        raise BundleError(f"{file} cannot be read ({error.strerror}). Check its permissions.") from error


def _check_digest(file: Path, expected: str) -> None:
    if _digest(file) != expected:
        raise BundleError(
            f"{file} is not the file that training wrote: its SHA-256 differs from {BUNDLE_FILE}. "
            "It was altered or only half copied. Copy the bundle again."
        )
