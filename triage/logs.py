"""One log format for every process. File names of images are never logged: they may carry a patient's name."""

from __future__ import annotations

import logging
import os
import sys


def configure_logging(level: str) -> None:
    """Log to stderr, one line an event. Under a supervisor, which names and times each line, without a time."""
    supervised = os.environ.get("TRIAGE_SUPERVISED") == "1"
    layout = "%(levelname)s %(message)s" if supervised else "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=level, format=layout, stream=sys.stderr, force=True)
    for chatty in ("alembic", "watchfiles", "celery.worker.strategy", "celery.app.trace", "kombu"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
