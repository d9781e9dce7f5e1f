"""``triage quarantine``: what was put aside, and what is to become of it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from sqlalchemy import Engine

from triage import queries
from triage.condition import open_existing
from triage.console import ExitCode, fail, print_json, printable, settings_for_command, stderr, stdout
from triage.database import reading_sessions, sessions
from triage.export import record_of
from triage.intake import utc_now
from triage.quarantine import hindrance
from triage.quarantine import retry as try_again
from triage.records import QUARANTINED
from triage.settings import Settings

quarantine_app = typer.Typer(no_args_is_help=True)
ACTOR = "command line"

Ids = Annotated[list[int] | None, typer.Argument(help="Image ids, as `list` shows them.")]
All = Annotated[bool, typer.Option("--all", help="All of them.")]


@quarantine_app.command("list")
def list_quarantined(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array of records.")] = False,
) -> None:
    """Each quarantined file with its reason, newest first."""
    settings = settings_for_command()
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
    settings, engine, chosen = _choose(ids, everything)
    from triage.broker import Publisher

    with reading_sessions(engine)() as session:
        for image in queries.images_by_id(session, chosen):
            match hindrance(image):
                case "never_read":
                    stderr.print(f"image {image.id} was never read; mend the file, and it is taken by itself")
                case "sop_uid_conflict":
                    stderr.print(f"image {image.id}: trying again cannot settle which of two files is right")
    queued, sent = try_again(sessions(engine), Publisher(settings).publish, chosen, actor=ACTOR, clock=utc_now)
    stdout.print(f"{len(queued)} queued again")
    if not sent:
        stderr.print("the broker does not answer; they go out once it does")
    if len(queued) < len(chosen):
        raise typer.Exit(ExitCode.FOUND_WRONG)


@quarantine_app.command()
def discard(ids: Ids = None, everything: All = False) -> None:
    """Take files out of the way for good; their rows and trail stay."""
    _, engine, chosen = _choose(ids, everything)
    with sessions(engine).begin() as session:
        images = [image for image in queries.images_by_id(session, chosen) if image.status == QUARANTINED]
        for image in images:
            queries.discard(session, image, actor=ACTOR, at=utc_now())
    stdout.print(f"{len(images)} discarded")


def _choose(ids: list[int] | None, everything: bool) -> tuple[Settings, Engine, list[int]]:
    """The images that were named, or all; ends the command if one of them is not in quarantine."""
    if bool(ids) == everything:
        fail("name image ids, or --all", ExitCode.USAGE)
    settings = settings_for_command()
    engine = open_existing(settings)
    with reading_sessions(engine)() as session:
        there = [image.id for image in queries.all_quarantined(session)]
    missing = sorted(set(ids or []) - set(there))
    if missing:
        fail(f"not in quarantine: {', '.join(map(str, missing))}", ExitCode.USAGE)
    return settings, engine, ids or there
