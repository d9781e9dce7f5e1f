"""What a version has to pass before it may become the active one, whoever insists."""

from __future__ import annotations

import numpy as np
from sqlalchemy import Engine

from triage import queries
from triage.bundle import Bundle, BundleError, bundle_folders, find_version, open_bundle
from triage.classifier import load_classifier
from triage.database import reading_sessions
from triage.settings import Settings
from triage.synthetic import draw_radiograph


class PromotionRefused(Exception):
    """The active version stays; the message says why and what to do."""


def check(settings: Settings, engine: Engine, version: str) -> Bundle:
    """Open a version that is to become active, and try it out.

    Whatever is forced, a bundle that is damaged, ambiguous or cannot run never becomes active.

    Raises:
        NoSuchVersion: there is no bundle of that name.
        PromotionRefused: it must not become active.
    """
    path = find_version(settings, version)
    folders = bundle_folders(settings)
    if all((folder / version).is_dir() for folder in folders) and not folders[0].samefile(folders[1]):
        raise PromotionRefused(
            f"{version} is both in {folders[0]} and in {folders[1]}, and nobody could tell which one a prediction "
            "came from. Remove your own copy."
        )
    try:
        bundle = open_bundle(path)
    except BundleError as error:
        raise PromotionRefused(f"{version} is damaged: {error}") from error
    if bundle.version != version:
        raise PromotionRefused(f"the bundle in {path} calls itself {bundle.version}; folder and version must agree.")
    with reading_sessions(engine)() as session:
        known = queries.model_digest(session, version)
    if known is not None and known != bundle.digests[bundle.keras_path.name]:
        raise PromotionRefused(
            f"another model has classified images here under the name {version}. Give this one a name of its own."
        )
    _try_out(settings, bundle)
    return bundle


def _try_out(settings: Settings, bundle: Bundle) -> None:
    """Classify one synthetic radiograph, with the runtime that the workers use."""
    side = bundle.input_side
    try:
        classifier = load_classifier(settings, bundle.path)
        picture = draw_radiograph(np.random.default_rng(0), side, side)
        probabilities = classifier.infer(picture[np.newaxis]).probabilities[0]
    except (BundleError, RuntimeError, ValueError) as error:
        raise PromotionRefused(f"{bundle.version} does not run: {error}") from error
    if not (np.isfinite(probabilities).all() and abs(float(probabilities.sum()) - 1.0) < 1e-3):
        raise PromotionRefused(f"{bundle.version} does not give probabilities that sum to 1.")
