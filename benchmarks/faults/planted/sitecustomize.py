"""Wraps named functions of the watcher and the worker, so that they can be made to fail from outside.

Python imports a module of this name at its start. It is on the path of the stack only where a sweep of faults put it
there. A fault is armed by a file, and whoever takes the file away is the one that it strikes.
"""

from __future__ import annotations

import errno
import functools
import importlib.abc
import importlib.machinery
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _freeze() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _disk_full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _disk_error() -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def _database_locked() -> None:
    from sqlalchemy.exc import OperationalError

    raise OperationalError("planted", {}, sqlite3.OperationalError("database is locked"))


ACTS: dict[str, Callable[[], None]] = {
    "kill": _kill,
    "freeze": _freeze,
    "disk_full": _disk_full,
    "disk_error": _disk_error,
    "database_locked": _database_locked,
}


def strike(folder: str, point: str) -> None:
    """Act as a file of this point says, if there is one; each file acts once, in one process."""
    try:
        waiting = sorted(os.listdir(f"{folder}/armed/{point}"))
    except FileNotFoundError:
        return
    for name in waiting:
        struck = f"{folder}/struck/{point}.{name}"
        try:
            os.rename(f"{folder}/armed/{point}/{name}", struck)
        except FileNotFoundError:  # it struck another process just now
            continue
        with open(struck, "w") as file:
            file.write(f"{time.time()} {os.getpid()}")
        ACTS[name.split("-", 1)[1]]()
        return


def wrap(folder: str, owner: Any, name: str, side: str, point: str) -> None:
    """Strike before, or after, each call of a function or method."""
    raw = vars(owner)[name]
    real = raw.__func__ if isinstance(raw, staticmethod) else raw

    @functools.wraps(real)
    def planted(*arguments: Any, **options: Any) -> Any:
        if side == "before":
            strike(folder, point)
        result = real(*arguments, **options)
        if side == "after":
            strike(folder, point)
        return result

    setattr(owner, name, staticmethod(planted) if isinstance(raw, staticmethod) else planted)


class Wrapping(importlib.machinery.SourceFileLoader):
    """Loads a module, and wraps what is to fail in it."""

    def __init__(self, name: str, path: str, folder: str, places: Sequence[tuple[str, str, str]]) -> None:
        super().__init__(name, path)
        self.folder = folder
        self.places = places

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        for attributes, side, point in self.places:
            owner: Any = module
            *owners, function = attributes.split(".")
            for attribute in owners:
                owner = getattr(owner, attribute)
            wrap(self.folder, owner, function, side, point)


class Planter(importlib.abc.MetaPathFinder):
    """Finds the modules in which something is to fail."""

    def __init__(self, folder: str, places: dict[str, list[tuple[str, str, str]]]) -> None:
        self.folder = folder
        self.places = places

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        wanted = self.places.pop(fullname, None)
        if wanted is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = Wrapping(fullname, spec.origin, self.folder, wanted)
        return spec


def plant(folder: str) -> None:
    """Read the list of points, and take those of this process: ``process point module attributes side`` a line."""
    process = next((kind for kind in ("watcher", "worker.tasks") if kind in sys.orig_argv), None)
    places: dict[str, list[tuple[str, str, str]]] = {}
    with open(f"{folder}/points") as lines:
        for line in lines:
            kind, point, module, attributes, side = line.split()
            if kind == process:
                places.setdefault(module, []).append((attributes, side, point))
    if places:
        sys.meta_path.insert(0, Planter(folder, places))


if "FAULTS_FOLDER" in os.environ:
    plant(os.environ["FAULTS_FOLDER"])
