"""``python -m watcher``: watch the inbox and sweep, until told to stop."""

from __future__ import annotations

import argparse
import gc
import logging
import signal
import sys

from sqlalchemy.exc import SQLAlchemyError

from triage.broker import Publisher, connect
from triage.database import open_database
from triage.intake import Intake
from triage.logs import configure_logging
from triage.schema_version import SchemaOutdated, check_not_outdated
from triage.settings import SettingsError, get_settings
from triage.stopping import StopRequest
from watcher.sweep import Sweep
from watcher.watch import Watch, run

log = logging.getLogger("watcher")


def main() -> int:
    """Run until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m watcher", description=__doc__)
    parser.add_argument("--sweep-only", action="store_true", help="sweep, but leave the inbox alone")
    sweep_only = parser.parse_args().sweep_only
    try:
        settings = get_settings()
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - there is no log yet
        return 2
    configure_logging(settings.log_level)
    stop = StopRequest()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    engine = open_database(settings.database)
    try:
        check_not_outdated(engine)
    except SchemaOutdated as error:
        log.error("%s", error)
        return 3  # as the commands do where a part is missing
    except SQLAlchemyError:
        pass  # it does not answer now: the loop waits for it
    publisher = Publisher(settings)
    sweep = Sweep(settings, engine, publisher, connect(settings))
    gc.freeze()  # what is loaded by now stays: the collector need not look through it again and again
    if sweep_only:
        while not stop.wait(settings.sweep_seconds):
            sweep.run()
        sweep.end()
        return 0
    with Intake(settings, engine, "folder", publisher.publish) as intake:
        run(settings, Watch(settings, intake), sweep, stop)
    sweep.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
