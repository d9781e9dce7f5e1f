"""Makes a process of the stack fail at a chosen point, from outside, by a ``sitecustomize`` of the tests' own."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

SITECUSTOMIZE = """
import json, os, pathlib, signal, sys, time

fault = json.loads(os.environ["PLANTED_FAULT"])
if fault["process"] in sys.orig_argv:
    place, name = fault["at"].split(".")
    owner = {"os": os, "Path": pathlib.Path}[place]
    real = getattr(owner, name)

    def planted(first, *arguments, **options):
        if fault["touching"] in str(first):
            with open(fault["strikes"], "a+") as strikes:
                strikes.write(f"{os.getpid()}\\n")
                strikes.flush()
                strikes.seek(0)
                count = len(strikes.readlines())
            if count <= fault["times"]:
                if fault["act"] == "die":
                    os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(fault["seconds"])
        return real(first, *arguments, **options)

    setattr(owner, name, planted)
"""


@dataclass
class PlantedFault:
    """What fails, and how often it has.

    Attributes:
        process: a word of the command line of the process that is to fail.
        at: the function on whose call it fails: ``os.<name>`` or ``Path.<name>``.
        touching: it fails only when the first argument contains this.
        act: whether the process is killed there, or waits.
        times: how many times; then all goes well.
        seconds: how long it waits.
    """

    folder: Path
    process: Literal["worker.tasks", "watcher"]
    at: str
    touching: str
    act: Literal["die", "wait"] = "die"
    times: int = 1
    seconds: float = 60.0

    @property
    def variables(self) -> dict[str, str]:
        """What makes the processes that inherit it fail."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "sitecustomize.py").write_text(SITECUSTOMIZE)
        fault = {name: value for name, value in vars(self).items() if name != "folder"}
        fault["strikes"] = str(self.folder / "strikes")
        return {"PYTHONPATH": str(self.folder), "PLANTED_FAULT": json.dumps(fault)}

    def plant(self, patch: pytest.MonkeyPatch) -> None:
        for name, value in self.variables.items():
            patch.setenv(name, value)

    @property
    def victims(self) -> list[int]:
        """Process ids of those that came to the point, in order."""
        strikes = self.folder / "strikes"
        return [int(line) for line in strikes.read_text().split()] if strikes.exists() else []


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
