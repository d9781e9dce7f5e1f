"""Which faults there are: each a step of the program, or a part of the system, and what befalls it there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmarks.faults.home import Home
from benchmarks.faults.planting import Act, Planting, Point

WATCHER: Final = "watcher"
WORKER: Final = "worker.tasks"

AFTER_SETTLE = Point("after-settle", WATCHER, "watcher.watch", "Watch.admit", "before")
BEFORE_HASH = Point("before-hash", WATCHER, "triage.filing", "Filing.hash", "before")
AFTER_HASH = Point("after-hash", WATCHER, "triage.filing", "Filing.hash", "after")
BEFORE_FILING = Point("before-filing", WATCHER, "triage.store", "Store.keep_original", "before")
AFTER_FILING = Point("after-filing", WATCHER, "triage.store", "Store.keep_original", "after")
IN_RECORD = Point("in-record", WATCHER, "triage.register", "Register.record", "after")
BEFORE_RECORD = Point("before-record", WATCHER, "triage.intake", "Intake._record", "before")
AFTER_RECORD = Point("after-record", WATCHER, "triage.intake", "Intake._record", "after")
AFTER_RELEASE = Point("after-release", WATCHER, "triage.filing", "Filing.release", "after")
BEFORE_PUBLISH = Point("before-publish", WATCHER, "triage.broker", "Publisher.publish", "before")
IN_PUBLISH = Point("in-publish", WATCHER, "celery.app.base", "Celery.send_task", "after")
AFTER_PUBLISH = Point("after-publish", WATCHER, "triage.broker", "Publisher.publish", "after")
BEFORE_SWEEP = Point("before-sweep", WATCHER, "watcher.sweep", "Sweep._take_back", "before")
SWEEP_GIVES_BACK = Point("sweep-gives-back", WATCHER, "triage.queries", "give_back", "after")
SWEEP_HAS_MARKED = Point("sweep-has-marked", WATCHER, "watcher.sweep", "Sweep._send", "before")
SWEEP_HAS_SENT = Point("sweep-has-sent", WATCHER, "watcher.sweep", "Sweep._send", "after")

BEFORE_LEASE = Point("before-lease", WORKER, "worker.work", "Work._lease", "before")
IN_LEASE = Point("in-lease", WORKER, "triage.queries", "lease", "before")
AFTER_LEASE = Point("after-lease", WORKER, "worker.work", "Work._lease", "after")
AFTER_DECODE = Point("after-decode", WORKER, "worker.work", "Work._see", "after")
AFTER_PREDICT = Point("after-predict", WORKER, "triage.classifier", "Classifier.classify", "after")
BEFORE_COMMIT = Point("before-commit", WORKER, "worker.work", "Work._commit", "before")
IN_COMMIT = Point("in-commit", WORKER, "triage.queries", "finish", "after")
TAKING_OWNED = Point("taking-owned", WORKER, "triage.queries", "owned", "before")
AFTER_COMMIT = Point("after-commit", WORKER, "worker.work", "Work._commit", "after")
BEFORE_ACKNOWLEDGE = Point("before-acknowledge", WORKER, "celery.worker.request", "Request.acknowledge", "before")
AFTER_ACKNOWLEDGE = Point("after-acknowledge", WORKER, "celery.worker.request", "Request.acknowledge", "after")

POINTS = [value for value in dict(globals()).values() if isinstance(value, Point)]


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes:
        title: what it is, for the table.
        planted: points that are armed, each with what happens there. The first must strike; each counts.
        befall: what is done to the system from outside, once its images are being worked on; None: nothing.
        database: the only kind of database that it can befall; None: both.
        repeats: whether it may strike twice in a round.
    """

    title: str
    planted: tuple[tuple[Point, Act], ...] = ()
    befall: Callable[[Home], None] | None = None
    database: str | None = None
    repeats: bool = False

    def arm(self, planting: Planting, times: int) -> int:
        """Arm all points; how many strikes to wait for."""
        for point, act in self.planted:
            planting.arm(point, act, times)
        return times * len(self.planted)


def _killed(title: str, *points: Point) -> Fault:
    # Once all messages are out, nobody comes to that point again.
    repeats = len(points) == 1 and points != (AFTER_PUBLISH,)
    return Fault(title, tuple((point, "kill") for point in points), repeats=repeats)


FAULTS = (
    _killed("watcher killed after a lot has settled", AFTER_SETTLE),
    _killed("watcher killed after the move out of the inbox", BEFORE_HASH),
    _killed("watcher killed after the hash", AFTER_HASH),
    _killed("watcher killed after the filing by hash", AFTER_FILING),
    _killed("watcher killed with rows not yet committed", IN_RECORD),
    _killed("watcher killed after the commit", AFTER_RECORD),
    _killed("watcher killed after the release of a filed file", AFTER_RELEASE),
    _killed("watcher killed before the publishing", BEFORE_PUBLISH),
    _killed("watcher killed after the first message of a lot", IN_PUBLISH),
    _killed("watcher killed after the publishing", AFTER_PUBLISH),
    _killed("sweep killed while it takes back a lost child's lease", AFTER_LEASE, SWEEP_GIVES_BACK),
    _killed("sweep killed between mark and message", AFTER_RECORD, SWEEP_HAS_MARKED),
    _killed("sweep killed after its messages", AFTER_RECORD, SWEEP_HAS_SENT),
    _killed("child killed before the lease", BEFORE_LEASE),
    _killed("child killed after the lease", AFTER_LEASE),
    _killed("child killed after decoding a picture", AFTER_DECODE),
    _killed("child killed after the prediction", AFTER_PREDICT),
    _killed("child killed before the commit", BEFORE_COMMIT),
    _killed("child killed in the commit", IN_COMMIT),
    _killed("child killed after the commit", AFTER_COMMIT),
    _killed("worker killed before it acknowledges", BEFORE_ACKNOWLEDGE),
    _killed("worker killed after it has acknowledged", AFTER_ACKNOWLEDGE),
    Fault("child stopped at work (SIGSTOP)", ((AFTER_DECODE, "freeze"),)),
    Fault("disk full at the hash", ((BEFORE_HASH, "disk_full"),), repeats=True),
    Fault("disk full at the filing", ((BEFORE_FILING, "disk_full"),), repeats=True),
    Fault("disk error at the hash", ((BEFORE_HASH, "disk_error"),), repeats=True),
    Fault("database locked at the watcher's commit", ((BEFORE_RECORD, "database_locked"),), repeats=True),
    Fault("database locked at the sweep", ((BEFORE_SWEEP, "database_locked"),), repeats=True),
    Fault("database locked at the lease", ((IN_LEASE, "database_locked"),), repeats=True),
    Fault("database locked at the worker's commit", ((TAKING_OWNED, "database_locked"),), repeats=True),
    Fault("database away for longer than the lease is tried", ((BEFORE_LEASE, "database_locked"),), repeats=True),
    Fault("database away for longer than the commit is tried", ((BEFORE_COMMIT, "database_locked"),), repeats=True),
    Fault("database locked by another program for a second", befall=Home.lock_database),
    Fault("database migrated to another release's schema and back", befall=Home.migrate_database),
    Fault("database server restarted", befall=Home.restart_database, database="postgresql"),
    Fault("database server crashed (kill -9)", befall=Home.crash_database, database="postgresql"),
    Fault("Redis killed", befall=Home.kill_redis),
    Fault("Redis restarted", befall=Home.restart_redis),
    Fault("Redis flushed", befall=Home.flush_redis),
    Fault("watcher killed at any moment", befall=Home.kill_watcher),
    Fault("worker killed at any moment", befall=Home.kill_worker),
    Fault("a child killed at any moment", befall=Home.kill_child),
    Fault("everything killed at once", befall=Home.kill_everything),
    Fault("everything killed during the shutdown", befall=Home.kill_during_shutdown),
    Fault("shut down and started again", befall=Home.shut_down_and_start),
)
