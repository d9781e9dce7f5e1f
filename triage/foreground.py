"""``triage up``: the whole stack in the foreground, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import contextlib
import logging
import signal
import time

from triage import NOTICE
from triage.bundle import find_bundle, open_bundle
from triage.console import stderr
from triage.logs import configure_logging
from triage.settings import Settings
from triage.stack import (
    START_SECONDS,
    PartMissing,
    dashboard_url,
    hold_home,
    make_home,
    port_is_free,
    prepare_home,
    specs_for,
)
from triage.supervisor import StartFailed, Supervisor

log = logging.getLogger("triage")


def run_stack(settings: Settings, *, dashboard: bool) -> signal.Signals | None:
    """Start everything, say where it is, keep it running, and stop all of it when asked.

    Returns:
        The signal that asked for it.

    Raises:
        AlreadyRunning: another process runs the stack on this home.
        PartMissing: a part cannot be started.
        BundleError: there is no usable model.
    """
    began = time.monotonic()
    configure_logging(settings.log_level)
    make_home(settings)
    with hold_home(settings):
        prepare_home(settings)
        version = open_bundle(find_bundle(settings)).version
        specs = specs_for(settings, dashboard=dashboard)
        if dashboard and not port_is_free(settings):
            raise PartMissing(f"port {settings.port} is in use; name another with --port")
        supervisor = Supervisor(specs, settings.home_dir / "run" / "pids.json")
        asked: list[signal.Signals] = []

        def stop(number: int, _: object) -> None:
            asked.append(signal.Signals(number))
            supervisor.request_stop()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        # Whoever closes the terminal must not leave a stack behind that nobody sees; `nohup` asks for just that.
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            signal.signal(signal.SIGHUP, stop)
        # A reader of our output that goes away is no reason to end without stopping what was started.
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        try:
            supervisor.start(START_SECONDS, together_after=0 if settings.broker_url else 1)
            if not supervisor.stopping:
                stderr.print(f"ready after {time.monotonic() - began:.1f} s, model {version}")
                stderr.print(f"inbox:     {settings.inbox_dir}")
                if dashboard:
                    stderr.print(f"dashboard: {dashboard_url(settings)}")
                stderr.print(NOTICE)
            supervisor.keep()
        except StartFailed as error:
            raise PartMissing(str(error)) from error
        finally:
            with contextlib.suppress(OSError, SystemExit):  # rich ends the program when its reader is gone
                stderr.print("stopping")
            supervisor.stop()
            with contextlib.suppress(OSError, SystemExit):  # rich ends the program when its reader is gone
                stderr.print("stopped; what is queued goes on at the next start")
        return asked[0] if asked else None
