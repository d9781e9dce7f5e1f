"""``triage purge``: remove what need not be kept any longer."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from triage.condition import open_existing
from triage.console import progress_bar, settings_for_command, stderr, stdout
from triage.purge import Purge

ACTOR = "command line"


def purge(
    older_than: Annotated[int, typer.Option(min=1, metavar="DAYS", help="Days since an image came to its end.")],
    unreviewed: Annotated[
        bool, typer.Option("--unreviewed", help="Also what nobody has reviewed, and what is still in quarantine.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be purged.")] = False,
) -> None:
    """Remove originals, pictures, names and identifiers of old images for good; predictions and trail stay."""
    settings = settings_for_command()
    work = Purge(settings, open_existing(settings), timedelta(days=older_than), unreviewed=unreviewed, actor=ACTOR)
    if dry_run:
        done = work.look()
    else:
        with progress_bar() as progress:
            bar = progress.add_task("images", total=None)
            done = work.run(lambda count: progress.update(bar, completed=count))
    what = "would be purged" if dry_run else "purged"
    stdout.print(f"{done.images} images {what}, {done.size_bytes / 1e6:.1f} MB")
    if done.kept:
        stderr.print(
            f"{done.kept} older ones stay: nobody has reviewed or discarded them (--unreviewed takes them too)"
        )
