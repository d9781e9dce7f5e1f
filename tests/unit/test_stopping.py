"""A stop that is asked for from a signal handler."""

from __future__ import annotations

import os
import signal
import time

from triage.stopping import StopRequest


def test_waiting_ends_when_the_time_is_over() -> None:
    stop = StopRequest()
    assert not stop.wait(0.01)
    assert not stop.is_set()


def test_a_signal_handler_may_ask_while_the_main_thread_waits() -> None:
    stop = StopRequest()
    before = signal.signal(signal.SIGUSR1, lambda *_: stop.set())
    try:
        began = time.monotonic()
        os.kill(os.getpid(), signal.SIGUSR1)
        assert stop.wait(30)
        assert time.monotonic() - began < 30
    finally:
        signal.signal(signal.SIGUSR1, before)
