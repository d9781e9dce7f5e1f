"""Promotion and going back, asked for from a process that must not load a model.

Trying a bundle out loads its network. That belongs neither into the dashboard's process, which would keep it, nor can
anything bound it there; so each request runs in a process of its own (`triage.switch_process`), and ends with it.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from triage.comparison import Comparison, Difference
from triage.settings import Settings
from triage.stack import environment_of

log = logging.getLogger(__name__)

LONGEST_SECONDS: Final = 300.0
"""A bundle that is tried out with TensorFlow takes a quarter of a minute."""

Outcome = Literal["tried", "switched", "unchanged", "refused", "failed"]


@dataclass(frozen=True)
class Request:
    """What somebody wants.

    Attributes:
        action: ``preview`` changes nothing.
        actor: who asks, for the audit trail.
        version: to promote; rolling back goes where the audit trail says.
        reason: why; a promotion that something speaks against takes one.
        expected: the version that was active when this was decided.
    """

    action: Literal["preview", "promote", "roll_back"]
    actor: str
    version: str | None = None
    reason: str | None = None
    expected: str | None = None

    def __post_init__(self) -> None:
        if (self.version is None) != (self.action == "roll_back"):
            raise ValueError("a version is named to be promoted, and not to go back")


@dataclass(frozen=True)
class Answer:
    """What came of it.

    Attributes:
        outcome: ``tried``: a preview; ``switched``; ``unchanged``: that version is active already; ``refused``:
            `message` says why; ``failed``: the process did not end well, and nothing is known but what the log says.
        before: the version that was, or is, active.
        after: the version that is, or would be.
        comparison: of both on the same images, where there is one.
        objection: why it takes a reason to promote it.
        message: why it was refused.
    """

    outcome: Outcome
    before: str | None = None
    after: str | None = None
    comparison: Comparison | None = None
    objection: str | None = None
    message: str | None = None

    def as_json(self) -> dict[str, Any]:
        """For the other process."""
        return asdict(self)


def answer_from(found: dict[str, Any]) -> Answer:
    """An answer as the other process wrote it."""
    given = found.pop("comparison")
    comparison = None
    if given is not None:
        top_1, log_loss = Difference(**given.pop("top_1")), Difference(**given.pop("log_loss"))
        comparison = Comparison(**given, top_1=top_1, log_loss=log_loss)
    return Answer(comparison=comparison, **found)


def switch(settings: Settings, request: Request) -> Answer:
    """Carry a request out in a process of its own, and wait for it; it takes some seconds.

    A process that takes too long is ended. Whatever it leaves is what a crash leaves, which a promotion is made for.
    """
    command = [sys.executable, "-m", "triage.switch_process"]
    try:
        done = subprocess.run(  # noqa: S603
            command,
            input=json.dumps(asdict(request)),
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | environment_of(settings),
            timeout=LONGEST_SECONDS,
            check=True,
        )
        return answer_from(json.loads(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError, TypeError, KeyError):
        log.exception("the process that was to %s the model did not answer", request.action)
        return Answer("failed")
