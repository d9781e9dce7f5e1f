"""The folders of a home, checked for files that no row knows."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from triage.mismatches import Mismatch
from triage.records import Image
from triage.row_checks import LATE_SECONDS
from triage.store import Store

_DIGEST = re.compile(r"[0-9a-f]{64}")
_TEMPORARY = re.compile(r"\.[0-9a-f]{64}(\.png)?\.[0-9a-f]{32}")
_CHUNK = 500  # databases limit how many values a query may carry


def known_digests(session: Session, digests: Sequence[str]) -> set[str]:
    """Which of these SHA-256 belong to an image."""
    found: set[str] = set()
    for start in range(0, len(digests), _CHUNK):
        some = Image.sha256.in_(digests[start : start + _CHUNK])
        found.update(digest for digest in session.scalars(select(Image.sha256).where(some)) if digest is not None)
    return found


class DiskChecks:
    """Checks what lies in ``originals/``, ``renders/`` and ``filing/``.

    Args:
        home: the home.
        sessions: reading sessions of its database.
    """

    def __init__(self, home: Path, sessions: sessionmaker[Any]) -> None:
        self._home = home
        self._store = Store(home)
        self._sessions = sessions

    def folders(self) -> Iterator[list[Path]]:
        """All files of originals and renders, a folder at a time: of a million, some thousand.

        Raises:
            OSError: a folder cannot be read.
        """
        for root in (self._store.originals, self._store.renders):
            if root.is_dir():
                for folder, inside, files in os.walk(root, onerror=_fail):
                    links = [name for name in inside if (Path(folder) / name).is_symlink()]
                    yield [Path(folder) / name for name in sorted(files + links)]

    def check(self, paths: Sequence[Path], now: datetime) -> list[Mismatch]:
        """Those of these files of originals and renders that should not be there, as far as they are still."""
        found: list[Mismatch] = []
        named: dict[Path, str] = {}
        for path in paths:
            digest = path.name.removesuffix(".png")
            ours = _DIGEST.fullmatch(digest) and path in (self._store.original(digest), self._store.render(digest))
            if ours:
                named[path] = digest
            elif _TEMPORARY.fullmatch(path.name):
                if _is_old(path, now):
                    found.append(self._mismatch("leftover_file", path))
            elif os.path.lexists(path):
                # The name is not ours, so it may be a patient's: only the folder is told.
                found.append(Mismatch("foreign_file", path=f"{path.parent.relative_to(self._home)}/", place=path))
        with self._sessions() as session:
            known = known_digests(session, sorted(set(named.values())))
        orphans = [path for path, digest in named.items() if digest not in known and os.path.lexists(path)]
        in_hand = self._in_filing() if orphans else set()
        for path in orphans:
            if path.is_relative_to(self._store.renders):
                found.append(self._mismatch("orphan_render", path))
            elif _identity(path) not in in_hand:
                found.append(self._mismatch("orphan_original", path))
        return found

    def check_filing(self) -> list[Mismatch]:
        """Sessions that no living process owns and that hold files; the names of those are not told."""
        root = self._home / "filing"
        found = []
        for session in sorted(root.iterdir()) if root.is_dir() else []:
            if session.is_dir() and _is_held(session / ".lock"):
                continue
            count = len(_files_in(session)) if session.is_dir() else 1
            if count:
                path = str(session.relative_to(self._home)) if session.is_dir() else "filing/"
                found.append(Mismatch("abandoned_files", path=path, detail=f"{count} files"))
        return found

    def _mismatch(self, code: str, path: Path) -> Mismatch:
        return Mismatch(code, path=str(path.relative_to(self._home)), place=path)

    def _in_filing(self) -> set[tuple[int, int]]:
        """The files that wait for their row: an original is one of them until then, where the disk knows hard links."""
        return {identity for path in _files_in(self._home / "filing") if (identity := _identity(path)) is not None}


def _fail(error: OSError) -> None:
    raise error


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _is_old(path: Path, now: datetime) -> bool:
    try:
        return now.timestamp() - path.lstat().st_mtime > LATE_SECONDS
    except FileNotFoundError:
        return False


def _files_in(folder: Path) -> list[Path]:
    found = []
    for parent, inside, files in os.walk(folder):
        links = [name for name in inside if (Path(parent) / name).is_symlink()]
        found += [Path(parent) / name for name in files + links if name != ".lock"]
    return found


def _is_held(lock: Path) -> bool:
    """Whether a process holds this lock. Asked for a moment only, and shared, so that nobody is kept from it."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:  # it ended just now, or never began
        return False
    except BlockingIOError:
        return True
    return False
