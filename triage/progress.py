"""Is what waits being taken? Health is measured by progress: a process can be there and deaf."""

from __future__ import annotations

import time
from collections.abc import Callable


class Progress:
    """Watches what is next in line. As long as it changes, or nothing waits, there is progress.

    Args:
        next_in_line: tells what is next: another text once it was taken; None if nothing waits, or nobody knows.
        longest_seconds: how long the same may stay next in line while all is well.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        next_in_line: Callable[[], str | None],
        longest_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._next_in_line = next_in_line
        self._longest_seconds = longest_seconds
        self._clock = clock
        self._seen: str | None = None
        self._since = clock()

    def has_stalled(self) -> bool:
        """Look; True if the same has been next in line for too long. Whoever is replaced then gets as long again."""
        seen, now = self._next_in_line(), self._clock()
        stalled = seen is not None and seen == self._seen and now - self._since > self._longest_seconds
        if stalled or seen != self._seen:
            self._seen, self._since = seen, now
        return stalled
