"""``triage model``: the bundles there are, which one is in use, and changing that."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from triage.bundle import NoSuchVersion, find_bundle, find_version, open_bundle
from triage.console import ExitCode, fail, print_json, printable, settings_for_command, stderr, stdout
from triage.settings import get_settings
from triage.stack import environment_of
from triage.versions import known_versions

model_app = typer.Typer(no_args_is_help=True)

Version = Annotated[str, typer.Argument(help="As `list` shows it.")]


@model_app.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array of objects.")] = False,
) -> None:
    """Every bundle, the active one marked."""
    settings = settings_for_command()
    versions, problem = known_versions(settings)
    rows = [asdict(version) for version in versions]
    if as_json:
        print_json(rows)
    else:
        table = Table("", "version", "origin", "created", "top-1", "", box=None, pad_edge=False)
        for row in rows:
            top_1 = "" if row["top_1"] is None else f"{row['top_1']:.1%}"
            created = (row["created"] or "")[:10]
            mark = "*" if row["active"] else ""
            table.add_row(mark, row["version"], row["origin"], created, top_1, printable(row["error"] or ""))
        stdout.print(table)
    if settings.model is not None:
        stderr.print("TRIAGE_MODEL pins the model; unset it to use the active bundle")
    if problem is not None:
        raise problem


@model_app.command()
def show(version: Annotated[str | None, typer.Argument(help="Default: the active one.")] = None) -> None:
    """What is known about a bundle: labels, figures, digests, where it came from."""
    settings = get_settings()
    try:
        path = find_bundle(settings) if version is None else find_version(settings, version)
    except NoSuchVersion as error:
        fail(str(error), ExitCode.USAGE)
    bundle = open_bundle(path)
    print_json(bundle.details or {"version": bundle.version, "labels": bundle.labels})


@model_app.command()
def promote(
    version: Version,
    force: Annotated[
        str | None, typer.Option(metavar="REASON", help="Promote although it is worse, or cannot be compared.")
    ] = None,
) -> None:
    """Make a version the active one; workers that run go over to it by themselves."""
    if force is not None and not force.strip():
        fail("--force wants a reason, which is kept in the audit trail", ExitCode.USAGE)
    settings = settings_for_command()
    from triage.condition import open_existing
    from triage.promotion import PromotionRefused, promote

    try:
        switch = promote(settings, open_existing(settings), version, force and force.strip())
    except NoSuchVersion as error:
        fail(str(error), ExitCode.USAGE)
    except PromotionRefused as error:
        fail(str(error), ExitCode.FOUND_WRONG)
    if switch is None:
        stdout.print(f"{version} is active already")
        return
    if switch.comparison is not None:
        stderr.print(f"{switch.after} and {switch.before} {switch.comparison}")
    _tell(switch.before, switch.after)


@model_app.command()
def rollback(
    reason: Annotated[str | None, typer.Option(help="Why; it is kept in the audit trail.")] = None,
) -> None:
    """Make the version active again that was so before the last promotion."""
    settings = settings_for_command()
    from triage.condition import open_existing
    from triage.promotion import PromotionRefused, roll_back

    try:
        switch = roll_back(settings, open_existing(settings), reason)
    except PromotionRefused as error:
        fail(str(error), ExitCode.FOUND_WRONG)
    _tell(switch.before, switch.after)


@model_app.command("import")
def import_model(
    file: Annotated[Path, typer.Argument(help="A .keras or .h5 file.")],
    labels: Annotated[str, typer.Option(help="A file with a label a line, or labels with commas between.")],
    input_range: Annotated[str, typer.Option(help="What the model takes: 0..255, 0..1 or -1..1.")],
    side: Annotated[int | None, typer.Option(min=1, help="Pixels, where the model takes any.")] = None,
    name: Annotated[str | None, typer.Option(help="First part of the version; default: from the file's name.")] = None,
    data_note: Annotated[str, typer.Option(help="What it was trained on, for the card.")] = "",
) -> None:
    """Make a bundle of a bare Keras file. It does not become the active one by that."""
    settings = settings_for_command()
    if not file.is_file():
        fail(f"there is no file at {file}", ExitCode.USAGE)
    if find_spec("tensorflow") is None or find_spec("training") is None:
        fail(
            "importing a model needs TensorFlow, which is not installed here: pip install 'fracture-triage[train]'",
            ExitCode.PART_MISSING,
        )
    # In a process of its own: TensorFlow stays out of this one, and training out of the core.
    command = [sys.executable, "-m", "training.import_model", str(file.absolute())]
    command += [f"--labels={labels}", f"--input-range={input_range}", f"--data-note={data_note}"]
    command += [f"--side={side}"] if side is not None else []
    command += [f"--name={name}"] if name is not None else []
    done = subprocess.run(command, env=os.environ | environment_of(settings), check=False)  # noqa: S603
    if done.returncode:
        raise typer.Exit(done.returncode if done.returncode > 0 else ExitCode.FOUND_WRONG)


def _tell(before: str | None, after: str) -> None:
    stdout.print(f"{after} is active" + ("" if before is None else f"; it was {before}"))
    stderr.print("workers take it with their next message; `triage rescore` brings the open worklist to it")
