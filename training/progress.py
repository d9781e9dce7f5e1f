"""How far a long step is: a bar on a terminal, now and then a plain line in a log."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from rich.console import Console
from rich.progress import track

log = logging.getLogger(__name__)

LINE_SECONDS: Final = 20.0

Job = TypeVar("Job")


def report_progress(jobs: Sequence[Job], title: str) -> Iterator[Job]:
    """Hands the jobs on, one by one, and says on stderr how many are done."""
    console = Console(stderr=True)
    if console.is_terminal:
        yield from track(jobs, title, console=console, transient=True)
        return
    said = time.monotonic()
    for done, job in enumerate(jobs):
        if time.monotonic() - said >= LINE_SECONDS:
            said = time.monotonic()
            log.info("%s: %d of %d", title, done, len(jobs))
        yield job
