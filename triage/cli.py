"""The ``triage`` command: reads arguments, calls the core, and says how it went."""

from __future__ import annotations

import io
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from triage import NOTICE
from triage.console import (
    ExitCode,
    fail,
    print_json,
    printable,
    progress_bar,
    settings_for_command,
    stderr,
    stdout,
)
from triage.settings import SettingsError, get_settings

app = typer.Typer(
    name="triage",
    help=f"Classifies X-rays and ranks them for triage. {NOTICE}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def up(
    inbox: Annotated[Path | None, typer.Option(help="Folder to watch.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker children.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the dashboard.")] = None,
    dashboard: Annotated[bool, typer.Option("--dashboard/--no-dashboard", help="Run the dashboard.")] = True,
) -> None:
    """Run inbox, queue, worker and dashboard in the foreground; Ctrl-C stops all of them."""
    # Kept as variables, so that the processes started from here see them too.
    for name, value in (("INBOX", inbox and inbox.absolute()), ("WORKERS", workers), ("PORT", port)):
        if value is not None:
            os.environ[f"TRIAGE_{name}"] = str(value)
    settings = settings_for_command()

    from triage.foreground import run_stack

    if settings.inbox is not None and not settings.inbox_dir.is_dir():
        fail(f"the inbox {settings.inbox_dir} is not there; make it, or name another", ExitCode.USAGE)
    if run_stack(settings, dashboard=dashboard) == signal.SIGINT:
        raise typer.Exit(ExitCode.INTERRUPTED)


@app.command()
def once(
    paths: Annotated[list[Path], typer.Argument(help="Files or folders; they stay where they are.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array of records.")] = False,
) -> None:
    """Put files through the queue, wait, and print the ranked result for these files."""
    settings = settings_for_command()
    from triage.once import gather, run_once

    try:
        arrivals = gather(paths)
    except FileNotFoundError as error:
        fail(str(error), ExitCode.USAGE)
    with progress_bar() as progress:
        records = run_once(settings, arrivals, progress)
    if as_json:
        print_json(records)
    else:
        stderr.print(NOTICE)
        table = Table("rank", "label", "confidence", "review", "file", box=None, pad_edge=False)
        for rank, record in enumerate(records, start=1):
            done = record["status"] == "done"
            table.add_row(
                str(rank),
                record["label"] if done else f"{record['status']}: {record['error_code']}",
                f"{record['confidence']:.0%}" if done else "",
                ", ".join(record["reasons"]),
                printable(record["source_name"]),
            )
        stdout.print(table)
    if any(record["status"] == "quarantined" for record in records):
        raise typer.Exit(ExitCode.FOUND_WRONG)


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Counts per status, the oldest wait, images per second, and which parts answer."""
    settings = settings_for_command()
    from triage.condition import status_of

    found = status_of(settings)
    if as_json:
        print_json(found)
    else:
        for name, count in found["counts"].items():
            stdout.print(f"{name:<20}{count}")
        wait = found["oldest_wait_seconds"]
        stdout.print(f"{'oldest wait':<20}{'none waits' if wait is None else f'{wait:.0f} s'}")
        stdout.print(f"{'images/s':<20}{found['images_per_second']:.1f} (last minute)")
        stdout.print(f"{'workers alive':<20}{found['workers_alive']}")
        stdout.print(f"{'watchers alive':<20}{found['watchers_alive']}")
        stdout.print(f"{'broker':<20}{'answers' if found['broker_reachable'] else 'does not answer'}")
        stdout.print(f"{'database':<20}answers")
    if not (found["workers_alive"] and found["broker_reachable"]):
        raise typer.Exit(ExitCode.FOUND_WRONG)


@app.command()
def export(
    format: Annotated[str, typer.Option(help="csv or json.")] = "csv",
    output: Annotated[Path | None, typer.Option(help="File to write; default: stdout.")] = None,
) -> None:
    """Write a record of every image, in rank order."""
    if format not in ("csv", "json"):
        fail(f"--format must be csv or json, not {format}", ExitCode.USAGE)
    settings = settings_for_command()
    from triage import queries
    from triage.condition import open_existing
    from triage.database import reading_sessions
    from triage.export import write_csv, write_json

    write = write_csv if format == "csv" else write_json
    engine = open_existing(settings)
    with reading_sessions(engine)() as session:
        images = queries.all_ranked(session)
        if output is None:
            write(images, sys.stdout)
            sys.stdout.flush()
            return
        if output.is_dir():
            fail(f"{output} cannot be written (it is a folder)", ExitCode.USAGE)
        # Written beside the target and then renamed: nobody reads half an export.
        temporary = output.with_name(f".{output.name}.part")
        try:
            with temporary.open("w", encoding="utf-8", newline="") as file:
                write(images, file)
            temporary.replace(output)
        except OSError as error:
            fail(f"{output} cannot be written ({error.strerror})", ExitCode.USAGE)
        finally:
            temporary.unlink(missing_ok=True)


@app.command()
def render(
    source: Annotated[Path, typer.Argument(help="A DICOM, JPG or PNG file.")],
    target: Annotated[Path, typer.Argument(help="The PNG to write.")],
    force: Annotated[bool, typer.Option("--force", help="Write over an existing file.")] = False,
) -> None:
    """Write the picture that people see, at full size, as a greyscale PNG."""
    from triage.pixels import ImageRejected, Limits, decode, encode_png

    settings = get_settings()
    if not source.is_file():
        fail(f"there is no file at {source}", ExitCode.USAGE)
    if target.exists() and not force:
        fail(f"{target} exists; --force writes over it", ExitCode.USAGE)
    limits = Limits.of(settings)
    try:
        limits.check_bytes(source.stat().st_size)
        data = encode_png(decode(source.read_bytes(), limits).pixels)
    except ImageRejected as rejected:
        fail(f"{rejected.code}: {rejected.detail}", ExitCode.FOUND_WRONG)
    except PermissionError:
        fail(f"{source} may not be read", ExitCode.FOUND_WRONG)
    try:
        target.write_bytes(data)
    except OSError as error:
        fail(f"{target} cannot be written ({error.strerror})", ExitCode.USAGE)


@app.command()
def alive(part: Annotated[str, typer.Argument(help="worker or watcher.")]) -> None:
    """Say whether this machine's worker or watcher is at work: a health check for containers."""
    if part not in ("worker", "watcher"):
        fail(f"{part} is neither worker nor watcher", ExitCode.USAGE)
    settings = settings_for_command()
    from triage.condition import check_alive

    check_alive(settings, part)


@app.command()
def migrate() -> None:
    """Bring the database to the schema that this program expects."""
    settings = settings_for_command()
    from triage.stack import prepare_home

    prepare_home(settings)
    stderr.print("the database is up to date")


@app.command()
def rescore(
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the workers are through.")] = True,
) -> None:
    """Let the active model speak of the open worklist: what another version classified, and nobody has reviewed."""
    settings = settings_for_command()
    from triage.rescore import NO_ANSWER, run_rescore

    with progress_bar() as progress:
        bar = progress.add_task("classifying again", total=None)
        result = run_rescore(settings, lambda done, total: progress.update(bar, completed=done, total=total), wait=wait)
    if not result.waited:
        stdout.print(f"{result.found} images were sent to the workers, for {result.version}")
        return
    stdout.print(f"{result.found - len(result.failed)} images were classified again, by {result.version}")
    for code, count in sorted(result.codes().items()):
        why = "no worker came to an end with them; does TRIAGE_MODEL pin another model there?"
        stderr.print(f"{count} keep what they had: {why if code == NO_ANSWER else code}")
    if result.failed:
        raise typer.Exit(ExitCode.FOUND_WRONG)


@app.command()
def samples(directory: Annotated[Path, typer.Argument(help="Where to write them.")]) -> None:
    """Write a dozen synthetic radiographs and three broken files, to try things out with."""
    from triage.samples import write_samples

    try:
        written = write_samples(directory)
    except OSError as error:
        fail(f"{directory} cannot be written ({error.strerror})", ExitCode.USAGE)
    stdout.print(f"{len(written)} files in {directory}; three of them are broken on purpose")


def _add_groups() -> None:
    from triage.cli_backup import backup, restore
    from triage.cli_doctor import doctor
    from triage.cli_model import model_app
    from triage.cli_purge import purge
    from triage.cli_quarantine import quarantine_app

    for command in (doctor, backup, restore, purge):
        app.command()(command)
    app.add_typer(quarantine_app, name="quarantine", help="Files that were put aside, and why.")
    app.add_typer(model_app, name="model", help="The models there are, and which one is in use.")


_add_groups()


def main() -> None:
    """Run the command; no traceback reaches a user."""
    # A closed pipe (`triage export | head`) ends the command quietly, as it does for other tools.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Records are UTF-8 wherever they go; a terminal keeps its own, and names it cannot show are written out.
        sys.stdout.reconfigure(encoding=None if sys.stdout.isatty() else "utf-8", errors="backslashreplace")
    from sqlalchemy.exc import SQLAlchemyError

    from triage.bundle import BundleError
    from triage.stack import AlreadyRunning, PartMissing

    try:
        app()
    except SettingsError as error:
        stderr.print(f"triage: {error}")
        sys.exit(ExitCode.USAGE)
    except AlreadyRunning as error:
        stderr.print(f"triage: {error}")
        sys.exit(ExitCode.FOUND_WRONG)
    except (PartMissing, BundleError) as error:
        stderr.print(f"triage: {error}")
        sys.exit(ExitCode.PART_MISSING)
    except SQLAlchemyError as error:
        stderr.print(f"triage: the database failed ({type(error).__name__}); `triage doctor` looks at it")
        sys.exit(ExitCode.PART_MISSING)
    except OSError as error:
        where = "" if error.filename is None else f" ({error.filename})"
        stderr.print(f"triage: {error.strerror or type(error).__name__}{where}")
        sys.exit(ExitCode.PART_MISSING)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
