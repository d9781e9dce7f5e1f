"""``triage model``: the bundles there are."""

from __future__ import annotations

from typing import Annotated

import typer

import triage.settings
from triage.bundle import BundleError, find_bundle, open_bundle
from triage.console import print_json, stderr, stdout
from triage.settings import get_settings

model_app = typer.Typer(no_args_is_help=True)


@model_app.command("list")
def list_models() -> None:
    """Every bundle, the active one marked."""
    settings = get_settings()
    active = find_bundle(settings)
    folders = [path for path in sorted(triage.settings.BUNDLES_DIR.iterdir()) if (path / "bundle.json").is_file()]
    for path in [*folders, *([active] if active not in folders else [])]:
        try:
            text = open_bundle(path).version
        except BundleError as error:
            text = f"{path.name}: {error}"
        stdout.print(f"{'*' if path == active else ' '} {text}")
    if settings.model is not None:
        stderr.print("TRIAGE_MODEL pins the model; unset it to use the active bundle")


@model_app.command()
def show(version: Annotated[str | None, typer.Argument(help="Default: the active one.")] = None) -> None:
    """What is known about a bundle: labels, figures, digests, where it came from."""
    path = find_bundle(get_settings()) if version is None else triage.settings.BUNDLES_DIR / version
    bundle = open_bundle(path)
    print_json(bundle.details or {"version": bundle.version, "labels": bundle.labels})
