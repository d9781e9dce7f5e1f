"""``triage quarantine``: what was put aside, and what is to become of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer
from rich.table import Table
from sqlalchemy.orm import Session

from triage import queries
from triage.condition import open_existing
from triage.console import ExitCode, print_json, printable, stderr, stdout
from triage.export import record_of
from triage.intake import utc_now
from triage.records import Image, reading_sessions, sessions
from triage.settings import get_settings

quarantine_app = typer.Typer(no_args_is_help=True)
ACTOR = "command line"

Ids = Annotated[list[int] | None, typer.Argument(help="Image ids, as `list` shows them.")]
All = Annotated[bool, typer.Option("--all", help="All of them.")]


@quarantine_app.command("list")
def list_quarantined(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array of records.")] = False,
) -> None:
    """Each quarantined file with its reason, newest first."""
    settings = get_settings()
    stderr.print(f"home: {settings.home_dir}")
    with reading_sessions(open_existing(settings))() as session:
        images = queries.all_quarantined(session)
        if as_json:
            print_json([record_of(image) for image in images])
            return
        table = Table("id", "file", "code", "reason", box=None, pad_edge=False)
        for image in images:
            table.add_row(
                str(image.id),
                printable(image.source_name),
                image.error_code,
                printable(image.error_detail or ""),
            )
        stdout.print(table)


@quarantine_app.command()
def retry(ids: Ids = None, everything: All = False) -> None:
    """Try files again, after an update or once what was wrong has been mended."""

    def again(session: Session, image: Image) -> bool:
        if image.sha256 is None:
            stderr.print(f"image {image.id} was never read; mend the file in the inbox, and it is taken by itself")
            return False
        queries.requeue(session, image, actor=ACTOR, at=utc_now(), event="retried")
        return True

    changed = _each(ids, everything, again)
    from triage.broker import Publisher

    settings = get_settings()
    if changed and not Publisher(settings).publish(changed, "folder"):
        with sessions(open_existing(settings)).begin() as session:
            queries.set_published(session, changed, None)
    stdout.print(f"{len(changed)} queued again")


@quarantine_app.command()
def discard(ids: Ids = None, everything: All = False) -> None:
    """Take files out of the way for good; their rows and trail stay."""

    def away(session: Session, image: Image) -> bool:
        queries.discard(session, image, actor=ACTOR, at=utc_now())
        return True

    stdout.print(f"{len(_each(ids, everything, away))} discarded")


def _each(ids: list[int] | None, everything: bool, change: Callable[[Session, Image], bool]) -> list[int]:
    """Change each named image that is quarantined; the ids of those that were."""
    if bool(ids) == everything:
        stderr.print("triage: name image ids, or --all")
        raise typer.Exit(ExitCode.USAGE)
    settings = get_settings()
    stderr.print(f"home: {settings.home_dir}")
    with sessions(open_existing(settings)).begin() as session:
        found = {image.id: image for image in queries.all_quarantined(session)}
        missing = [image_id for image_id in ids or [] if image_id not in found]
        if missing:
            stderr.print(f"triage: not in quarantine: {', '.join(map(str, missing))}")
            raise typer.Exit(ExitCode.USAGE)
        return [i for i in ids or found if change(session, found[i])]
