"""How long to leave alone what failed: twice as long each time, up to a limit."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 60.0


@dataclass
class Pause:
    """The pause after a failure.

    Attributes:
        until: when it is over, on the caller's clock.
        seconds: how long it was; 0 before the first failure.
    """

    until: float = float("-inf")
    seconds: float = 0.0

    def failed(self, now: float) -> None:
        """It failed, now again: wait twice as long as before."""
        self.seconds = min(2 * self.seconds, LONGEST_SECONDS) or FIRST_SECONDS
        self.until = now + self.seconds

    def is_over(self, now: float) -> bool:
        """Whether it may be tried (again)."""
        return now >= self.until
