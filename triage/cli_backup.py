"""``triage backup`` and ``triage restore``: all state of a home in one file, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from triage.archive import ArchiveError
from triage.backup import BackupRefused, back_up
from triage.console import ExitCode, fail, progress_bar, settings_for_command, stderr
from triage.restore import RestoreRefused
from triage.restore import restore as bring_back


def backup(file: Annotated[Path, typer.Argument(help="The file to write, best on another disk.")]) -> None:
    """Write database, originals, renders and own models into one file, while everything runs."""
    settings = settings_for_command()
    if settings.database_url is not None and not settings.database.startswith("sqlite"):
        stderr.print("the database is not in this file: it must have been saved with pg_dump BEFORE this began")
    try:
        with progress_bar() as progress:
            bar = progress.add_task("images", total=None)
            done = back_up(settings, file, lambda count, total: progress.update(bar, completed=count, total=total))
    except BackupRefused as error:
        fail(str(error), ExitCode.FOUND_WRONG)
    except (FileNotFoundError, NotADirectoryError) as error:
        fail(f"there is no folder {error.filename or file.parent} to write to", ExitCode.USAGE)
    except OSError as error:
        fail(f"{file} could not be written ({error.strerror or error}); nothing was kept of it", ExitCode.PART_MISSING)
    files = ", ".join(f"{count} {name}" for name, count in done.files.items())
    stderr.print(f"{done.images} images, {files}; {done.size_bytes / 1e6:.1f} MB in {file}")
    _tell_missing(done.missing)


def restore(file: Annotated[Path, typer.Argument(help="What `triage backup` wrote.")]) -> None:
    """Bring a backup back into an empty home; what waited then goes on once `triage up` runs."""
    settings = settings_for_command()
    if not file.is_file():
        fail(f"there is no file at {file}", ExitCode.USAGE)
    try:
        with progress_bar() as progress:
            bar = progress.add_task("files", total=None)
            back = bring_back(settings, file, lambda count, total: progress.update(bar, completed=count))
    except (ArchiveError, RestoreRefused) as error:
        fail(str(error), ExitCode.FOUND_WRONG)
    stderr.print(f"{back.images} images as of {back.created_at}; {back.waiting} of them wait for a worker")
    _tell_missing(back.missing)


def _tell_missing(missing: list[int]) -> None:
    if missing:
        some = ", ".join(map(str, missing[:20])) + (", ..." if len(missing) > 20 else "")
        stderr.print(f"{len(missing)} originals are not as they should be (images {some}): triage doctor --audit")
        raise typer.Exit(ExitCode.FOUND_WRONG)
