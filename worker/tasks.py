"""The Celery application of the worker: ``celery -A worker.tasks worker``."""

from __future__ import annotations

import gc
import logging
from functools import cache
from typing import Any

import redis
from billiard.exceptions import SoftTimeLimitExceeded
from celery import bootsteps, signals

from triage.broker import RESCORE, TASK, WORKER, connect, make_app, say_alive, say_gone
from triage.logs import configure_logging
from triage.settings import get_settings
from worker.memory import keep_freed_memory
from worker.work import Work

log = logging.getLogger(__name__)

app = make_app(get_settings())
app.conf.worker_consumer = "worker.consumer:PromptConsumer"

BEAT_SECONDS = 3.0


@signals.setup_logging.connect
def _log_our_way(**_: Any) -> None:
    configure_logging(get_settings().log_level)


@cache
def _work() -> Work:
    """What this child works with. Made after the fork: neither connections nor interpreters survive one."""
    from triage.database import open_database
    from triage.schema_version import check_not_outdated
    from worker.active import ActiveClassifier

    settings = get_settings()
    engine = open_database(settings.database, can_be_redone=True)
    check_not_outdated(engine)  # before a lease is taken: on an older schema no work could be committed
    return Work(settings, engine, ActiveClassifier(settings).current)


@signals.worker_process_init.connect
def _warm_up(**_: Any) -> None:
    """Load the model when the child starts, so that the first image does not wait for it."""
    keep_freed_memory()
    try:
        _work()
        # What is loaded by now stays: the collector need not look through it again and again.
        gc.freeze()
    except Exception:
        # Not fatal here: the task says it again, and the images stay queued.
        log.exception("this child cannot work yet")


@app.task(name=TASK)
def classify(ids: list[int]) -> int:
    """Classify the images of one message."""
    return _work().run(ids, SoftTimeLimitExceeded)


# A message that loses its worker is not put back: without a lease it would lose one worker after the other. Whoever
# asked sends its images again, one by one.
@app.task(name=RESCORE, reject_on_worker_lost=False)
def rescore(ids: list[int]) -> int:
    """Let the model in use speak of images that are done."""
    return _work().rescore(ids, SoftTimeLimitExceeded)


class SayAlive(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery ships no types
    """Renews this worker's note in Redis from the loop that consumes messages: a deaf worker falls silent."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **_: Any) -> None:
        self._redis = connect(get_settings())
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        """Begin when the consumer does; begin again after a reconnection."""

        def beat() -> None:
            try:
                say_alive(self._redis, WORKER, consumer.hostname, consumer.pool.num_processes)
            except (redis.RedisError, OSError):
                log.debug("the broker does not take the sign of life")

        beat()
        self._timer = consumer.timer.call_repeatedly(BEAT_SECONDS, beat)

    def stop(self, consumer: Any) -> None:
        """Take the note back."""
        if self._timer is not None:
            self._timer.cancel()
        try:
            say_gone(self._redis, WORKER, consumer.hostname)
        except (redis.RedisError, OSError):
            log.debug("the broker is gone before the worker")


app.steps["consumer"].add(SayAlive)
