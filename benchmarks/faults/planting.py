"""Arms faults at named points of a running stack, and sees which have struck."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PLANTED = Path(__file__).resolve().parent / "planted"
"""The folder of the ``sitecustomize`` that makes processes fail."""

Act = Literal["kill", "freeze", "disk_full", "disk_error", "database_locked"]


@dataclass(frozen=True)
class Point:
    """A step of the program at which a process can be made to fail.

    Attributes:
        name: short, for files and tables.
        process: a word of the command line of the process.
        module: where the function is.
        attributes: the function in it, ``Class.method`` or ``function``.
        side: whether it fails before or after the function has run.
    """

    name: str
    process: Literal["watcher", "worker.tasks"]
    module: str
    attributes: str
    side: Literal["before", "after"]

    @property
    def line(self) -> str:
        """How `sitecustomize` reads it."""
        return f"{self.process} {self.name} {self.module} {self.attributes} {self.side}\n"


@dataclass(frozen=True)
class Strike:
    """A fault that has struck: where, when (seconds since the epoch), and which process."""

    point: str
    at: float
    pid: int


class Planting:
    """The faults of one home.

    Args:
        folder: for what is armed and what has struck; processes that are started with `variables` look there.
        points: all steps that can be made to fail.
    """

    def __init__(self, folder: Path, points: Iterable[Point]) -> None:
        self._folder = folder
        for name in ("armed", "struck"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "points").write_text("".join(point.line for point in points))
        self._armed = 0

    @property
    def variables(self) -> Mapping[str, str]:
        """The environment of processes that are to fail."""
        return {"PYTHONPATH": str(PLANTED), "FAULTS_FOLDER": str(self._folder)}

    def arm(self, point: Point, act: Act, times: int = 1) -> None:
        """Let a process fail when it comes to a point, and as many more times as wanted."""
        folder = self._folder / "armed" / point.name
        folder.mkdir(exist_ok=True)
        for _ in range(times):
            self._armed += 1
            (folder / f"{self._armed:06}-{act}").touch()

    def strikes(self) -> list[Strike]:
        """What has struck since `clear`, the latest last."""
        found = []
        for path in (self._folder / "struck").iterdir():
            words = path.read_text().split()
            if len(words) == 2:  # else it is being written
                found.append(Strike(path.name.split(".")[0], float(words[0]), int(words[1])))
        return sorted(found, key=lambda strike: strike.at)

    def clear(self) -> None:
        """Disarm what has not struck, and forget what has."""
        for path in [*(self._folder / "armed").glob("*/*"), *(self._folder / "struck").iterdir()]:
            path.unlink(missing_ok=True)
