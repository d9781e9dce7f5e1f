"""``triage up`` for a home that is made to fail: what died is started again at once, however often it dies."""

from __future__ import annotations

from triage import supervisor
from triage.foreground import run_stack
from triage.settings import get_settings

if __name__ == "__main__":
    # A supervisor waits longer each time for what dies again at once; here that would measure only this wait.
    supervisor.STEADY_SECONDS = 0.0
    run_stack(get_settings(), dashboard=False)
