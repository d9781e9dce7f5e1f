"""A request to stop that a signal handler may make."""

from __future__ import annotations

import time

_SLICE_SECONDS = 0.05


class StopRequest:
    """Like ``threading.Event``, which must not be set in a signal handler.

    An event has a lock. A handler runs in the middle of whatever the main thread does, and if that is waiting for
    the event, it may hold the lock: setting it would then wait forever. This is a flag without one.
    """

    def __init__(self) -> None:
        self._asked = False

    def set(self) -> None:
        """Ask to stop."""
        self._asked = True

    def is_set(self) -> bool:
        """Whether it was asked for."""
        return self._asked

    def wait(self, seconds: float) -> bool:
        """Wait until it is asked for, at most this long; whether it was."""
        deadline = time.monotonic() + seconds
        while not self._asked and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE_SECONDS))
        return self._asked
