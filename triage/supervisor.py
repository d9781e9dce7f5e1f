"""Starts processes, names their output, restarts what dies, and stops all of them."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

from triage.stopping import StopRequest

log = logging.getLogger(__name__)

POLL_SECONDS = 0.05
PROGRESS_SECONDS = 1.0
STARTING_SECONDS = 30.0
"""A process that has just been started is not blamed for work that waits."""
STEADY_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 30.0


@dataclass(frozen=True)
class Spec:
    """A process to keep running.

    Attributes:
        name: stands before each of its lines.
        command: what to run.
        environment: variables beside those of this process.
        grace_seconds: how long it may take to stop before it is killed.
        ready: tells whether it has come up; None: as soon as it runs.
        stalled: tells, asked every `PROGRESS_SECONDS`, whether it runs and does not do its work; None: nobody knows.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    grace_seconds: float = 10.0
    ready: Callable[[], bool] | None = None
    stalled: Callable[[], bool] | None = None


class StartFailed(Exception):
    """A process did not come up; the message says which, and its last lines."""


class _Child:
    def __init__(self, spec: Spec, width: int, out: IO[str]) -> None:
        self.spec = spec
        self.started_at = 0.0
        self.pause = 0.5
        self.restart_at: float | None = None
        self.last_lines: list[str] = []
        self._width = width
        self._out = out
        self.process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None

    def start(self) -> None:
        # A session of its own: Ctrl-C reaches only the supervisor, and the whole group can be signalled.
        self.process = subprocess.Popen(  # noqa: S603 - commands are made in triage.stack, no shell
            list(self.spec.command),
            env={**os.environ, **self.spec.environment, "PYTHONUNBUFFERED": "1", "TRIAGE_SUPERVISED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.started_at = time.monotonic()
        self.restart_at = None
        self._reader = threading.Thread(target=self._pass_on, args=(self.process.stdout,), daemon=True)
        self._reader.start()

    def _pass_on(self, stream: IO[bytes]) -> None:
        with stream:
            for raw in stream:
                line = raw.decode("utf-8", "replace").rstrip()
                if not line:
                    continue
                self.last_lines = [*self.last_lines[-9:], line]
                stamp = time.strftime("%H:%M:%S")
                with contextlib.suppress(OSError, ValueError):  # our own reader may have gone away
                    self._out.write(f"{stamp} {self.spec.name:<{self._width}} | {line}\n")
                    self._out.flush()

    def signal_group(self, number: signal.Signals) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)

    def finish_output(self) -> None:
        if self._reader is not None:
            self._reader.join(timeout=1.0)


class Supervisor:
    """Keeps some processes running in the foreground.

    Args:
        specs: in the order in which they start; they stop in the reverse order.
        pid_file: where the running processes are noted, so that the next start can end what a killed
            supervisor left behind.
        out: where their output goes, each line with the time and the name of its process.
    """

    def __init__(self, specs: Sequence[Spec], pid_file: Path, out: IO[str] | None = None) -> None:
        width = max(len(spec.name) for spec in specs)
        self._children = [_Child(spec, width, out or sys.stderr) for spec in specs]
        self._pid_file = pid_file
        self._stop = StopRequest()

    def request_stop(self) -> None:
        """Ask ``start`` or ``keep`` to end; safe in a signal handler."""
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for."""
        return self._stop.is_set()

    def start(self, timeout_seconds: float, together_after: int = 1) -> None:
        """Start all, and wait until all are ready.

        The first ``together_after`` processes are waited for one by one, since the rest need them; the rest
        come up side by side.

        Raises:
            StartFailed: one ended, or was not ready in time.
        """
        end_left_behind(self._pid_file)
        deadline = time.monotonic() + timeout_seconds
        for child in self._children[:together_after]:
            self._launch(child)
            self._wait_ready([child], deadline)
        for child in self._children[together_after:]:
            self._launch(child)
        self._wait_ready(self._children[together_after:], deadline)

    def _launch(self, child: _Child) -> None:
        child.start()
        self._note()

    def _wait_ready(self, children: list[_Child], deadline: float) -> None:
        waiting = list(children)
        while waiting and not self._stop.is_set():
            for child in list(waiting):
                assert child.process is not None
                if child.process.poll() is not None:
                    child.finish_output()
                    raise StartFailed(
                        f"{child.spec.name} ended while starting (exit status {child.process.returncode}): "
                        + ("\n".join(child.last_lines) or "it said nothing")
                    )
                if child.spec.ready is None or child.spec.ready():
                    waiting.remove(child)
            if waiting and time.monotonic() > deadline:
                names = ", ".join(child.spec.name for child in waiting)
                raise StartFailed(f"not ready in time: {names}")
            self._stop.wait(POLL_SECONDS)

    def keep(self) -> None:
        """Restart what ends, until a stop is asked for. What ends again at once waits longer each time.

        What runs and makes no progress is killed, and so restarted.
        """
        look_at = time.monotonic()
        while not self._stop.wait(POLL_SECONDS):
            now = time.monotonic()
            looking = now >= look_at
            if looking:
                look_at = now + PROGRESS_SECONDS
            for child in self._children:
                assert child.process is not None
                status = child.process.poll()
                if status is None:
                    judged = looking and now - child.started_at > STARTING_SECONDS
                    if judged and child.spec.stalled is not None and child.spec.stalled():
                        log.warning("%s runs, but takes no work although some waits; replacing it", child.spec.name)
                        child.signal_group(signal.SIGKILL)
                    continue
                if child.restart_at is None:
                    # The main process is gone; its children (a worker's, say) must not outlive it.
                    child.signal_group(signal.SIGKILL)
                    if now - child.started_at > STEADY_SECONDS:
                        child.pause = 0.5
                    child.restart_at = now + child.pause
                    log.warning(
                        "%s ended with status %s; starting it again in %.1f s",
                        child.spec.name,
                        status,
                        child.pause,
                    )
                    child.pause = min(child.pause * 2, LONGEST_PAUSE_SECONDS)
                elif now >= child.restart_at:
                    self._launch(child)

    def stop(self) -> None:
        """Stop all, last started first: asked by SIGTERM, killed with their children when grace is over."""
        for child in reversed(self._children):
            if child.process is None:
                continue
            if child.process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    child.process.terminate()
                try:
                    child.process.wait(child.spec.grace_seconds)
                except subprocess.TimeoutExpired:
                    log.warning("%s did not stop in time and is killed", child.spec.name)
            child.signal_group(signal.SIGKILL)
            child.process.wait()
            child.finish_output()
        self._pid_file.unlink(missing_ok=True)

    def pids(self) -> dict[str, int]:
        """Name and process id of what runs."""
        return {child.spec.name: child.process.pid for child in self._children if child.process is not None}

    def _note(self) -> None:
        running = {}
        for name, pid in self.pids().items():
            with contextlib.suppress(psutil.NoSuchProcess):
                running[name] = [pid, psutil.Process(pid).create_time()]
        temporary = self._pid_file.with_suffix(".new")
        temporary.write_text(json.dumps(running))
        temporary.replace(self._pid_file)


def end_left_behind(pid_file: Path) -> None:
    """End the processes that a supervisor which was killed left running, and their children.

    A process id that another program got meanwhile is told apart by the time it started.
    """
    try:
        noted = json.loads(pid_file.read_text())
    except (OSError, ValueError):
        return
    ended: list[psutil.Process] = []
    for name, (pid, created) in noted.items():
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            if abs(process.create_time() - created) < 1.0:
                log.warning("%s was left running by an earlier start that was killed; ending it", name)
                family = [process, *process.children(recursive=True)]
                process.terminate()
                ended += family
    _, alive = psutil.wait_procs(ended, timeout=5)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=5)
