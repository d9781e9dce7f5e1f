"""Promotes a version, or goes back: ``python -m triage.switch_process`` (see `triage.switching`).

It reads one request on standard input, as JSON, and writes one answer on standard output.
"""

from __future__ import annotations

import json
import os
import sys

from triage.bundle import BundleError
from triage.condition import open_existing
from triage.promotion import PromotionRefused, preview, promote, roll_back
from triage.settings import Settings, get_settings
from triage.stack import PartMissing
from triage.switching import Answer, Request


def carry_out(settings: Settings, request: Request) -> Answer:
    """Do what was asked for."""
    try:
        engine = open_existing(settings)
        if request.version is None:
            found = roll_back(settings, engine, request.reason, actor=request.actor, expected=request.expected)
        elif request.action == "preview":
            tried = preview(settings, engine, request.version)
            if tried is None:
                return Answer("unchanged", after=request.version)
            return Answer("tried", tried.before, tried.after, tried.comparison, tried.objection)
        else:
            promoted = promote(
                settings, engine, request.version, request.reason, actor=request.actor, expected=request.expected
            )
            if promoted is None:
                return Answer("unchanged", after=request.version)
            found = promoted
    except (PromotionRefused, BundleError, PartMissing) as error:
        return Answer("refused", message=str(error))
    return Answer("switched", found.before, found.after, found.comparison, found.objection)


def main() -> None:
    """Reads, does, answers."""
    # What a library prints must not end up in the answer.
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with answer:
        json.dump(carry_out(get_settings(), Request(**json.load(sys.stdin))).as_json(), answer)


if __name__ == "__main__":
    main()
