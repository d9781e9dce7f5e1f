"""Transactions that are tried again: a database may be locked, or be restarted, for a moment."""

from __future__ import annotations

import functools
import logging
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from sqlalchemy.exc import InterfaceError, OperationalError

log = logging.getLogger(__name__)

ATTEMPTS = 6
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 2.0

Given = ParamSpec("Given")
Result = TypeVar("Result")


def tried_again(transaction: Callable[Given, Result]) -> Callable[Given, Result]:
    """Try a whole transaction up to `ATTEMPTS` times when the database is locked, restarted or cannot be reached.

    The pauses grow, and are drawn at random, so that workers that were locked out together do not come back in step.
    Only for a transaction that does no harm when it had been committed, and nobody could tell.

    Raises:
        OperationalError: the database did not answer even then. The leases run out, and the sweep sees to the images.
    """

    @functools.wraps(transaction)
    def tried(*arguments: Given.args, **options: Given.kwargs) -> Result:
        pause = FIRST_PAUSE_SECONDS
        for _ in range(ATTEMPTS - 1):
            try:
                return transaction(*arguments, **options)
            except (OperationalError, InterfaceError) as error:
                log.warning("the database does not answer (%s); trying again", type(error.orig).__name__)
                time.sleep(random.uniform(pause / 2, pause))
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        return transaction(*arguments, **options)

    return tried
