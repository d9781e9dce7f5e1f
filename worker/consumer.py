"""What takes messages from the broker, and how soon it tries again when the broker is away."""

from __future__ import annotations

from functools import partial
from typing import Any

from celery.worker.consumer import Consumer

FIRST_PAUSE_SECONDS, PAUSE_STEP_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 0.4, 3.0


class PromptConsumer(Consumer):  # type: ignore[misc]  # Celery ships no types
    """Celery's consumer, which waits 2 s longer each time and up to 30 s, made to wait no longer than 3 s.

    Celery has no setting for it. Trying to connect costs next to nothing, and a broker that was away for an hour is
    used again as soon as one that was away for a second.
    """

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, as often as it takes."""
        conn.ensure_connection = partial(
            conn.ensure_connection,
            interval_start=FIRST_PAUSE_SECONDS,
            interval_step=PAUSE_STEP_SECONDS,
            interval_max=LONGEST_PAUSE_SECONDS,
        )
        return super().ensure_connected(conn)
