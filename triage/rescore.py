"""``triage rescore``: let the model in use speak of the open worklist, through the queue that the folder uses.

Lots of a few hundred images go out at a time, so that files that arrive meanwhile do not wait behind the whole archive.
Nothing is remembered but the predictions themselves: whoever interrupts this and starts it again goes on where it was.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import redis
from sqlalchemy import Engine

from triage import queries
from triage.broker import FOLDER, RESCORE, Publisher, children_alive, connect, in_messages, queue_lengths
from triage.bundle import find_bundle, open_bundle
from triage.condition import open_existing
from triage.database import reading_sessions
from triage.settings import Settings
from triage.stack import PartMissing

LOT = 512
POLL_SECONDS = 0.2
LOOK_SECONDS = 1.0
NO_WORKER_SECONDS = 30.0
ATTEMPTS = 3
"""How often an image goes out: in company, and when that brought nothing, alone."""

NO_ANSWER = "no_answer"
"""Instead of a rejection code: no worker came to an end with the image."""

Tell = Callable[[int, int], None]
"""Called with how many images are through, and of how many."""


@dataclass(frozen=True)
class Rescored:
    """What became of the open worklist.

    Attributes:
        version: the model that was to speak.
        found: images that were open.
        failed: images that could not be read again, with the code that says why; they keep what they had.
        waited: False if the images were only sent out.
    """

    version: str
    found: int
    failed: dict[int, str] = field(default_factory=dict)
    waited: bool = True

    def codes(self) -> Counter[str]:
        """How many images failed for which reason."""
        return Counter(self.failed.values())


def run_rescore(settings: Settings, tell: Tell, *, wait: bool = True) -> Rescored:
    """Send every open image to the workers, and wait until the model in use has spoken of each.

    Open is what is done, has no verdict, and was classified last by another version.

    Args:
        settings: database, broker, model.
        tell: hears how far it is.
        wait: False sends all images out at once and does not look after them.

    Raises:
        PartMissing: no broker or no worker answers, there is no database, or another version was made active.
        BundleError: there is no usable model.
    """
    engine = open_existing(settings)
    try:
        version = open_bundle(find_bundle(settings)).version
        with reading_sessions(engine)() as session:
            ids = queries.open_for_rescore(session, version)
        if not ids:
            return Rescored(version, 0)
        if not wait:
            _send(settings, Publisher(settings), in_messages(ids, settings.images_per_message, settings.workers))
            return Rescored(version, len(ids), waited=False)
        return Rescored(version, len(ids), _Rescore(settings, engine, version, tell).run(ids))
    finally:
        engine.dispose()


def _send(settings: Settings, publisher: Publisher, messages: list[list[int]]) -> None:
    if not publisher.send(messages, FOLDER, RESCORE):
        start = "" if settings.broker_url else "; `triage up` starts it"
        raise PartMissing(f"the broker does not answer, so no worker can be asked{start}. Run this again afterwards")


class _Rescore:
    def __init__(self, settings: Settings, engine: Engine, version: str, tell: Tell) -> None:
        self._settings = settings
        self._sessions = reading_sessions(engine)
        self._version = version
        self._tell = tell
        self._publisher = Publisher(settings)
        self._attempts: Counter[int] = Counter()
        self._last_life = self._last_look = self._last_news = time.monotonic()

    def run(self, ids: list[int]) -> dict[int, str]:
        """Those of ``ids`` that failed, with the code that says why."""
        waiting = list(reversed(ids))
        out: list[int] = []
        failed: dict[int, str] = {}
        with self._sessions() as session:
            began = queries.newest_event(session)
        while waiting or out:
            if waiting and len(out) <= LOT // 2:
                lot = [waiting.pop() for _ in range(min(LOT, len(waiting)))]
                self._publish(in_messages(lot, self._settings.images_per_message, self._settings.workers))
                out += lot
            with self._sessions() as session:
                left = queries.still_open_for_rescore(session, out, self._version)
                failed |= queries.rescore_failures(session, left, began)
            left = [image_id for image_id in left if image_id not in failed]
            if len(left) < len(out):
                self._last_news = time.monotonic()
            out = left
            self._tell(len(ids) - len(waiting) - len(out), len(ids))
            if out:
                failed |= dict.fromkeys(self._look_after(out), NO_ANSWER)
                out = [image_id for image_id in out if image_id not in failed]
                time.sleep(POLL_SECONDS)
        return failed

    def _publish(self, messages: list[list[int]]) -> None:
        _send(self._settings, self._publisher, messages)
        self._attempts.update(image_id for ids in messages for image_id in ids)
        self._last_news = time.monotonic()

    def _look_after(self, out: list[int]) -> list[int]:
        """Send what seems to be lost again; the images that are given up.

        A message is lost when Redis is emptied, or when its worker is; the images of it then go alone, so that the
        one that is to blame takes no others with it.
        """
        now = time.monotonic()
        if now - self._last_look < LOOK_SECONDS:
            return []
        self._last_look = now
        if children_alive(self._settings):
            self._last_life = now
        elif now - self._last_life > NO_WORKER_SECONDS:
            raise PartMissing(
                f"no worker answers; {len(out)} images wait for one (`triage up`). Run this again afterwards"
            )
        if now - self._last_news < self._settings.republish_seconds or not self._queue_is_empty():
            return []
        if open_bundle(find_bundle(self._settings)).version != self._version:
            raise PartMissing("another model was made active meanwhile; run this again to bring the images to that one")
        given_up = [image_id for image_id in out if self._attempts[image_id] >= ATTEMPTS]
        again = [[image_id] for image_id in out if self._attempts[image_id] < ATTEMPTS]
        if again:
            self._publish(again)
        return given_up

    def _queue_is_empty(self) -> bool:
        try:
            with connect(self._settings) as client:
                return not any(queue_lengths(client).values())
        except (redis.RedisError, OSError):
            return True  # sending will tell
