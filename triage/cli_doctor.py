"""``triage doctor``: is every part there, and with ``--audit``: is everything where it should be?"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from triage.condition import examine, open_existing
from triage.console import ExitCode, print_json, progress_bar, settings_for_command, stderr, stdout
from triage.reconcile import Reconciliation
from triage.settings import Settings


def doctor(
    audit: Annotated[
        bool, typer.Option("--audit", help="Compare disk, database and queue instead; reads every original.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look at every part that is needed, and say what is wrong and what to do."""
    settings = settings_for_command()
    wrong = _audit(settings, as_json) if audit else _examine(settings, as_json)
    if wrong:
        raise typer.Exit(ExitCode.FOUND_WRONG)


def _examine(settings: Settings, as_json: bool) -> bool:
    findings = list(examine(settings)) if as_json else examine(settings)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    wrong = False
    for finding in findings:
        wrong |= finding.wrong
        if not as_json:
            stdout.print(f"{'WRONG' if finding.wrong else 'ok':<6}{finding.name:<10} {finding.text}")
    return wrong


def _audit(settings: Settings, as_json: bool) -> bool:
    found = []
    with progress_bar() as progress:
        bar = progress.add_task("images", total=None)
        audit = Reconciliation(
            settings, open_existing(settings), lambda done, total: progress.update(bar, completed=done, total=total)
        )
        for mismatch in audit.run():
            found.append(mismatch.as_json())
            if not as_json:
                stdout.print(f"{mismatch.code:<20}{mismatch.about}: {mismatch.text}")
    if as_json:
        print_json({"images": audit.images, "mismatches": found, "notes": audit.notes})
    for note in audit.notes:
        stderr.print(f"note: {note}")
    stderr.print(f"{audit.images} images were looked at; {len(found) or 'no'} mismatches")
    return bool(found)
