"""The queue: Celery on Redis. Messages carry ids, never pixels, and can all be lost without losing work."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import redis
from celery import Celery
from kombu import Exchange, Queue
from kombu.exceptions import OperationalError

from triage.settings import Settings

log = logging.getLogger(__name__)

TASK = "triage.classify"
RESCORE = "triage.rescore"
UPLOADS = "uploads"
FOLDER = "folder"

WORKER = "worker"
WATCHER = "watcher"
ALIVE_SECONDS = {WORKER: 10, WATCHER: 30}
"""How long a sign of life is good for. A watcher gives one with each sweep, between lots of files."""
MARKER_KEY = "triage:marker"

_LONGEST_SOCKET_PATH = 100  # the kernel's limit is 108 bytes with the closing NUL
_CONNECT_SECONDS = 2.0
_ANSWER_SECONDS = 5.0


def private_socket(home: Path) -> Path:
    """Where the private Redis of a home listens: in the home, or in the temporary folder if that is too long."""
    socket = home / "run" / "redis.sock"
    if len(os.fsencode(socket)) <= _LONGEST_SOCKET_PATH:
        return socket
    name = f"triage-{os.getuid()}-{hashlib.sha256(os.fsencode(home)).hexdigest()[:16]}"
    return Path(tempfile.gettempdir()) / name / "redis.sock"


def broker_url(settings: Settings) -> str:
    """The broker in Celery's words."""
    return settings.broker_url or f"redis+socket://{private_socket(settings.home_dir)}"


def connect(settings: Settings, answer_seconds: float = _ANSWER_SECONDS) -> redis.Redis:
    """A plain Redis client, for the few keys that are no messages."""
    url = broker_url(settings).replace("redis+socket://", "unix://")
    return redis.Redis.from_url(
        url, decode_responses=True, socket_connect_timeout=_CONNECT_SECONDS, socket_timeout=answer_seconds
    )


def make_app(settings: Settings) -> Celery:
    """The Celery application, for publishing and for the worker.

    Uploads come before folder files because Redis is asked for both queues in this order each time
    (``queue_order_strategy``; Celery's default takes queues in turn) and because a child reserves nothing
    beyond the message it works on (prefetch of one, acknowledged late).
    """
    app = Celery("triage", broker=broker_url(settings), set_as_current=False)
    app.conf.update(
        # An exchange each: queues that share Celery's default exchange and key would both get every message.
        task_queues=[Queue(name, Exchange(name), routing_key=name) for name in (UPLOADS, FOLDER)],
        task_default_queue=FOLDER,
        task_create_missing_queues=False,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_soft_time_limit=settings.soft_time_limit_seconds,
        task_time_limit=settings.hard_time_limit_seconds,
        worker_prefetch_multiplier=1,
        worker_concurrency=settings.workers,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "queue_order_strategy": "priority",
            "visibility_timeout": settings.visibility_timeout_seconds,
            "socket_connect_timeout": _CONNECT_SECONDS,
            "socket_keepalive": True,
        },
    )
    return app


def in_messages(ids: Iterable[int], per_message: int, workers: int) -> list[list[int]]:
    """Share ids out over messages: full ones when many wait, more and smaller ones when few do.

    A handful of images is spread over the workers, so that none of them is idle while another has a queue.
    """
    ids = list(ids)
    size = max(1, min(per_message, -(-len(ids) // workers)))
    return [ids[start : start + size] for start in range(0, len(ids), size)]


class Publisher:
    """Sends messages to the queues.

    Args:
        settings: where the broker is, and how images share messages.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._app = make_app(settings)
        # Whoever publishes does not wait for a broker that is away: the sweep publishes later.
        # Nor for one that takes the connection and never answers: a machine that hangs, a disk that is stuck.
        self._app.conf.broker_transport_options |= {"max_retries": 0, "socket_timeout": _ANSWER_SECONDS}

    def publish(self, ids: Sequence[int], source: str) -> bool:
        """Send messages for these images; False if the broker does not take them all.

        An upload travels alone and before all folder files.
        """
        if source == "upload":
            return self.send([[image_id] for image_id in ids], UPLOADS)
        return self.send(in_messages(ids, self._settings.images_per_message, self._settings.workers), FOLDER)

    def send(self, messages: Iterable[list[int]], queue: str, task: str = TASK) -> bool:
        """Send one message for each list of ids."""
        try:
            with (
                self._app.connection_for_write() as connection,
                self._app.amqp.Producer(connection) as producer,
            ):
                for ids in messages:
                    self._app.send_task(task, args=[ids], queue=queue, producer=producer, retry=False)
        except (OperationalError, redis.RedisError, OSError) as error:
            log.warning("the broker does not answer (%s); images wait in the database", type(error).__name__)
            return False
        return True


def queue_lengths(client: redis.Redis) -> dict[str, int]:
    """Messages that wait in each queue."""
    return {name: int(client.llen(name)) for name in (UPLOADS, FOLDER)}


def next_in_line(client: redis.Redis) -> str | None:
    """The messages that will be taken next; None if none waits, or the broker does not answer."""
    try:
        heads = [str(head) for name in (UPLOADS, FOLDER) if (head := client.lindex(name, -1)) is not None]
    except (redis.RedisError, OSError):
        return None
    return "\n".join(heads) or None


def is_reachable(settings: Settings) -> bool:
    """Whether the broker answers."""
    try:
        with connect(settings) as client:
            return bool(client.ping())
    except (redis.RedisError, OSError):
        return False


def say_alive(client: redis.Redis, part: str, name: str, children: int = 1) -> None:
    """Note that a worker or watcher is at work; the note fades unless it is renewed."""
    client.set(f"triage:{part}:{name}", children, ex=ALIVE_SECONDS[part])


def say_gone(client: redis.Redis, part: str, name: str) -> None:
    """Take the note back when it stops."""
    client.delete(f"triage:{part}:{name}")


def parts_alive(client: redis.Redis, part: str) -> dict[str, int]:
    """Workers, or watchers, that are at work: name -> number of children."""
    prefix = f"triage:{part}:"
    found: dict[str, int] = {}
    for key in client.scan_iter(match=f"{prefix}*", count=1000):
        children: Any = client.get(key)
        if children is not None:
            found[key.removeprefix(prefix)] = int(children)
    return found


def workers_alive(client: redis.Redis) -> dict[str, int]:
    """Workers that are taking messages: name -> number of children."""
    return parts_alive(client, WORKER)


def children_alive(settings: Settings, part: str = WORKER) -> int:
    """How many worker children, or watchers, are at work; 0 also when the broker does not answer."""
    try:
        with connect(settings) as client:
            return sum(parts_alive(client, part).values())
    except (redis.RedisError, OSError):
        return 0
