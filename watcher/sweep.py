"""The sweep: takes back what a lost worker held, publishes what lost its message, lets what waits too long rise."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import redis
from sqlalchemy import Engine

from triage import queries
from triage.broker import FOLDER, MARKER_KEY, UPLOADS, WATCHER, Publisher, queue_lengths, say_alive, say_gone
from triage.database import sessions
from triage.intake import utc_now
from triage.records import Image
from triage.settings import Settings
from triage.urgency_weights import bring_up_to_date
from triage.worklist_entries import raise_overdue

log = logging.getLogger(__name__)

ACTOR = "sweep"
NAME = f"watcher@{socket.gethostname()}"
BATCH = 1000
"""Images that one pass brings back at most: a long queue is not doubled."""


@dataclass(frozen=True)
class Swept:
    """What one pass did."""

    taken_back: int = 0
    given_up: int = 0
    published: int = 0
    raised: int = 0
    weighed: int = 0


class Sweep:
    """One pass at a time; any number of passes by any number of processes do no harm.

    Args:
        settings: leases, attempts, thresholds.
        engine: the database.
        publisher: sends messages.
        client: plain Redis client.
        clock: gives the time now, in UTC.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        publisher: Publisher,
        client: redis.Redis,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._settings = settings
        self._sessions = sessions(engine)
        self._publisher = publisher
        self._redis = client
        self._clock = clock

    def run(self) -> Swept:
        """One pass: leases first, then messages. Each pass that reaches both is the watcher's sign of life."""
        taken_back, given_up = self._take_back()
        try:
            say_alive(self._redis, WATCHER, NAME)
            published = self._publish_again()
        except (redis.RedisError, OSError) as error:
            log.warning("the broker does not answer (%s); images wait in the database", type(error).__name__)
            published = 0
        swept = Swept(taken_back, given_up, published, *self._keep_worklist())
        if swept != Swept():
            log.info("sweep: %s", ", ".join(f"{number} {what}" for what, number in asdict(swept).items() if number))
        return swept

    def _keep_worklist(self) -> tuple[int, int]:
        """Let what waits too long rise, and weigh anew what was weighed with other weights; some at each pass."""
        longest = timedelta(minutes=self._settings.max_wait_minutes)
        with self._sessions.begin() as session:
            raised = raise_overdue(session, self._clock() - longest, BATCH)
        with self._sessions.begin() as session:
            return raised, bring_up_to_date(session, BATCH)

    def end(self) -> None:
        """Take the sign of life back: the watcher stops."""
        with contextlib.suppress(redis.RedisError, OSError):
            say_gone(self._redis, WATCHER, NAME)

    def _yet_to_come(self, now: datetime) -> datetime:
        """Whatever is marked as later than this was marked before the clock was set back.

        Two leases from now: other machines' clocks may go a little differently.
        """
        return now + timedelta(seconds=2 * self._settings.lease_seconds)

    def _take_back(self) -> tuple[int, int]:
        given_up = 0
        with self._sessions.begin() as session:
            now = self._clock()
            expired = queries.expired_leases(session, now, BATCH, self._yet_to_come(now))
            for image in expired:
                if image.attempts >= self._settings.max_attempts:
                    given_up += 1
                    queries.quarantine(
                        session,
                        image,
                        "worker_crashed",
                        f"The worker was lost each time it worked on this file ({image.attempts}). "
                        "Keep the file for a bug report; retry it after an update.",
                        actor=ACTOR,
                        at=now,
                    )
                else:
                    queries.give_back(session, image, actor=ACTOR, at=now, event="lease_expired")
        return len(expired) - given_up, given_up

    def _publish_again(self) -> int:
        """Publish what has no message, and what has an old one while few messages wait."""
        now = self._clock()
        if not self._redis.exists(MARKER_KEY):
            with self._sessions.begin() as session:
                forgotten = queries.forget_published(session, now, self._yet_to_come(now))
            if forgotten:
                log.warning("the broker was emptied; %d waiting images are published again", forgotten)
            self._redis.set(MARKER_KEY, now.isoformat())

        messages = sum(queue_lengths(self._redis).values())
        if messages * self._settings.images_per_message >= BATCH:
            return 0
        queue_is_short = messages <= self._settings.workers
        old = now - timedelta(seconds=self._settings.republish_seconds) if queue_is_short else None
        with self._sessions.begin() as session:
            due = queries.unpublished(session, old, BATCH, self._yet_to_come(now))
            # Marked first: a message that arrives before its row says so would look lost.
            queries.set_published(session, [image.id for image in due], now)
        if due and not self._send(due):
            with self._sessions.begin() as session:
                queries.set_published(session, [image.id for image in due], None)
            return 0
        return len(due)

    def _send(self, images: list[Image]) -> bool:
        uploads = [image.id for image in images if image.source == "upload"]
        alone = [image.id for image in images if image.source != "upload" and image.travels_alone]
        rest = [image.id for image in images if image.source != "upload" and not image.travels_alone]
        return (
            self._publisher.send([[image_id] for image_id in uploads], UPLOADS)
            and self._publisher.send([[image_id] for image_id in alone], FOLDER)
            and self._publisher.publish(rest, "folder")
        )
