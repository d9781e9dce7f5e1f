"""The versions of the model that there are, for whoever has to choose between them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import triage.settings
from triage.bundle import BundleError, all_bundles, find_bundle, open_bundle
from triage.settings import Settings


@dataclass(frozen=True)
class Version:
    """What is known of one version at a glance.

    Attributes:
        version: its name.
        active: whether it is the one in use.
        origin: ``own``, ``shipped`` or ``pinned``.
        created: when it was made, as its bundle says it, if it does.
        top_1: how often its label is right, if its bundle says that.
        error: why it cannot be used, or None.
    """

    version: str
    active: bool
    origin: str
    created: str | None = None
    top_1: float | None = None
    error: str | None = None


def known_versions(settings: Settings) -> tuple[list[Version], BundleError | None]:
    """Every version, usable or not, by name; and why there is no active one, if there is none.

    Reads all bundles through, to find out which are complete: that takes a moment.
    """
    problem: BundleError | None = None
    active: Path | None = None
    try:
        active = find_bundle(settings)
    except BundleError as error:
        problem = error
    paths = all_bundles(settings)
    if active is not None and active not in paths:
        paths.append(active)
    return [_look_at(settings, path, path == active) for path in paths], problem


def _look_at(settings: Settings, path: Path, is_active: bool) -> Version:
    origins = {settings.models_dir: "own", triage.settings.BUNDLES_DIR: "shipped"}
    origin = origins.get(path.parent, "pinned")
    try:
        bundle = open_bundle(path)
    except BundleError as error:
        return Version(path.name, is_active, origin, error=str(error))
    created = bundle.details.get("created")
    return Version(
        version=bundle.version if origin == "pinned" else path.name,
        active=is_active,
        origin=origin,
        created=created if isinstance(created, str) else None,
        top_1=_top_1(bundle.metrics),
    )


def _top_1(metrics: dict[str, Any]) -> float | None:
    """The figure, where training wrote one; earlier bundles have it under another name."""
    for place in ("figures", "holdout"):
        try:
            return float(metrics[place]["top_1"]["value"])
        except (KeyError, TypeError, ValueError):
            continue
    return None
