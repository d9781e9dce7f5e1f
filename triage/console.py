"""How the commands talk: results on stdout, everything else on stderr, and what exit codes mean."""

from __future__ import annotations

import json
import sys
from enum import IntEnum
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from triage.settings import Settings, get_settings


class ExitCode(IntEnum):
    """What the commands answer."""

    OK = 0
    FOUND_WRONG = 1
    USAGE = 2
    PART_MISSING = 3
    INTERRUPTED = 130


stderr = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
# Into a pipe or file, lines are as long as they are: a program that reads them counts on one row a line.
stdout = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 500)


def settings_for_command() -> Settings:
    """The settings, with the home named on stderr: whoever has several must see which one this is."""
    settings = get_settings()
    stderr.print(f"home: {settings.home_dir}")
    return settings


def fail(message: str, code: ExitCode) -> NoReturn:
    """End with one sentence on stderr."""
    stderr.print(f"triage: {message}")
    raise typer.Exit(code)


def print_json(value: Any) -> None:
    """Write one JSON value to stdout, and nothing else."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def progress_bar() -> Progress:
    """A progress bar on stderr, shown only on a terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=stderr,
        disable=not stderr.is_terminal,
    )


def printable(text: str) -> str:
    """A name as one line of text: control characters, which could move the cursor, are written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
