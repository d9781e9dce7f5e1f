"""The messages that wait in Redis, checked against the rows. A bounded look, which takes nothing out."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Any

import redis
from redis.client import NEVER_DECODE
from sqlalchemy import select
from sqlalchemy.orm import Session

from triage.broker import FOLDER, UPLOADS, connect, queue_lengths
from triage.mismatches import Mismatch
from triage.records import Image
from triage.settings import Settings

LOOKED_AT = 10_000
"""Messages of a queue that are looked at, at most."""
MANY_IMAGES = 1000
"""While messages for so many images wait, the sweep adds none."""

_CHUNK = 500


def broker_takes_more(settings: Settings) -> bool:
    """Whether the broker answers, and so few messages wait that the sweep publishes what has none."""
    try:
        with connect(settings) as client:
            return sum(queue_lengths(client).values()) * settings.images_per_message < MANY_IMAGES
    except (redis.RedisError, OSError):
        return False


def check_messages(settings: Settings, session: Session) -> list[Mismatch]:
    """Messages that are not ours, and images that messages name but that do not exist.

    Raises:
        redis.RedisError, OSError: the broker does not answer.
    """
    found: list[Mismatch] = []
    with connect(settings) as client:
        for queue in (UPLOADS, FOLDER):
            ids: set[int] = set()
            unreadable = 0
            for message in _messages(client, queue):
                try:
                    ids.update(ids_in(message))
                except (ValueError, LookupError, TypeError):
                    unreadable += 1
            if unreadable:
                found.append(Mismatch("message_unreadable", detail=f"{unreadable} in the queue {queue!r}"))
            missing = ids - known_ids(session, ids)
            found += [Mismatch("message_of_no_image", image_id) for image_id in sorted(missing)]
    return found


def ids_in(message: bytes) -> list[int]:
    """The images that a message names.

    Raises:
        ValueError, LookupError, TypeError: it is no message of ours.
    """
    body = base64.b64decode(json.loads(message)["body"], validate=True)
    arguments, _options, _embedded = json.loads(body)
    (ids,) = arguments
    if not all(type(image_id) is int for image_id in ids):
        raise ValueError("ids are whole numbers")
    return list(ids)


def known_ids(session: Session, ids: Iterable[int]) -> set[int]:
    """Those of these ids that an image has."""
    wanted = sorted(image_id for image_id in ids if 0 < image_id < 1 << 63)
    found: set[int] = set()
    for start in range(0, len(wanted), _CHUNK):
        found.update(session.scalars(select(Image.id).where(Image.id.in_(wanted[start : start + _CHUNK]))))
    return found


def _messages(client: redis.Redis, queue: str) -> Iterator[bytes]:
    for start in range(0, LOOKED_AT, _CHUNK):
        options: dict[str, Any] = {NEVER_DECODE: []}  # a message that is not ours need not be text
        page: Any = client.execute_command(  # type: ignore[no-untyped-call]
            "LRANGE", queue, start, start + _CHUNK - 1, **options
        )
        yield from page
        if len(page) < _CHUNK:
            return
