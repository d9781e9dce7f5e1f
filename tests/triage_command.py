"""The ``triage`` command as a user runs it: in a process of its own, on a home of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from waiting import wait_until

from triage.broker import private_socket

TRIAGE = Path(sys.executable).with_name("triage")


@dataclass
class TriageCommand:
    """Runs commands on one home, from an empty folder, without settings of anybody else."""

    folder: Path
    model: Path | None = None
    variables: dict[str, str] = field(default_factory=dict)
    started: list[Running] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def own(self) -> dict[str, str]:
        """The settings of this home."""
        found = {"TRIAGE_HOME": str(self.home), "TRIAGE_WORKERS": "1", "TRIAGE_QUIET_SECONDS": "0.2"}
        if self.model is not None:
            found["TRIAGE_MODEL"] = str(self.model)
        return found | self.variables

    @property
    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TRIAGE_")}
        return inherited | self.own

    def run(self, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run to the end. A traceback is never right."""
        result = subprocess.run(
            [TRIAGE, *arguments],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self.environment | variables,
            timeout=120,
        )
        assert "Traceback" not in result.stderr, result.stderr
        return result

    def start(self, *arguments: str | Path) -> Running:
        log = self.folder / f"{arguments[0]}-{len(list(self.folder.iterdir()))}.log"
        with log.open("w") as stderr:
            process = subprocess.Popen(
                [TRIAGE, *arguments],
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                cwd=self.folder,
                env=self.environment,
            )
        self.started.append(Running(process, log))
        return self.started[-1]

    def end_all(self) -> None:
        """Kill what a test that failed, or meant to, left running."""
        for left in self.processes():
            left.kill()
        for command in self.started:
            command.process.wait()

    def processes(self) -> list[psutil.Process]:
        """Everything that runs on this home."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            # Redis writes its title over its environment; there, its socket tells whose it is.
            at_our_socket = str(private_socket(self.home)) in " ".join(process.cmdline())
            return at_our_socket or process.environ().get("TRIAGE_HOME") == str(self.home)
        except psutil.Error:
            return False


@dataclass
class Running:
    """A command that runs in the foreground."""

    process: subprocess.Popen[Any]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text()

    def wait_until_it_says(self, text: str, seconds: float = 60.0) -> None:
        wait_until(
            lambda: text in self.said or self.process.poll() is not None, f"{text!r} is said: {self.said}", seconds
        )
        assert text in self.said, self.said

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def end(self, seconds: float = 60.0) -> int:
        """Wait for the end; the exit status."""
        return self.process.wait(seconds)
