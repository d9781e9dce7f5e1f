"""Where arriving files wait for their row.

``filing/<session>/<n>~<name>`` holds a file from the moment it leaves the inbox until its row is committed,
under the name it came with. A process that dies leaves its session behind; the next watcher files it again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from triage.store import Filed, Refused, copy_durably, open_regular

_LONGEST_NAME = 255  # bytes, on the common file systems


class Filing:
    """One process's part of ``filing/``, held by a lock for as long as the process lives."""

    def __init__(self, home: Path, source: str) -> None:
        self._root = home / "filing"
        self._directory = self._root / f"{source}-{uuid.uuid4().hex}"
        # Locked before it has its name: nobody who looks for abandoned sessions finds it without its lock.
        beginning = self._root / f".{self._directory.name}"
        beginning.mkdir(parents=True)
        self._lock = _lock_file(beginning / ".lock")
        beginning.rename(self._directory)
        self._taken = 0

    def close(self) -> None:
        """Give up the session; what is still in it is filed again by the next watcher."""
        (self._directory / ".lock").unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._directory.rmdir()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _place(self, name: str) -> Path:
        """A free place that tells the name: ``<n>~<name>``, or a folder ``<n>`` where the name is a path or long."""
        self._taken += 1
        flat = f"{self._taken}~{name}"
        if "/" not in name and len(os.fsencode(flat)) <= _LONGEST_NAME:
            return self._directory / flat
        place = self._directory / str(self._taken) / name
        place.parent.mkdir(parents=True)
        return place

    def move(self, path: Path, name: str) -> Filed:
        """Take a file out of the inbox by an atomic rename, after which its old name is free again.

        It is opened first, so that a file that may not be read stays where it is.

        Raises:
            Refused: it may not be read, or is no regular file by now.
            OSError: the rename is not possible (another disk, or a folder that may not be changed), or the disk
                fails on the file, which is then put back.
        """
        open_regular(path).close()
        place = self._place(name)
        try:
            path.rename(place)
        except OSError:
            self.release(place)
            raise
        try:
            return self.hash(place)
        except Refused:
            # A link, say, took the file's place at the last moment: it carries no bytes. What does carry some, and
            # may not be read any more, stays in `filing/` for the next start.
            if not stat.S_ISREG(place.lstat().st_mode):
                self.release(place)
            raise
        except OSError:
            self._put_back(place, path)
            raise

    def _put_back(self, place: Path, path: Path) -> None:
        """Undo a move, but never over a file that has come under this name since: then it waits for the next start."""
        with contextlib.suppress(OSError):
            try:
                os.link(place, path, follow_symlinks=False)
            except FileExistsError:
                return
            except OSError:  # a disk without hard links
                if os.path.lexists(path):
                    return
                place.rename(path)
            self.release(place)

    def copy(self, path: Path, name: str) -> Filed:
        """Copy a file in, hashing on the way; the source stays."""
        place = self._place(name)
        try:
            sha256, size = copy_durably(path, place)
        except BaseException:
            self.release(place)
            raise
        return Filed(place, sha256, size)

    def write(self, data: bytes, name: str) -> Filed:
        """Put uploaded bytes in."""
        place = self._place(name)
        with place.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return Filed(place, hashlib.sha256(data).hexdigest(), len(data))

    @staticmethod
    def hash(place: Path) -> Filed:
        """Hash a file that is in ``filing/``, and bring it to the disk for good."""
        with open_regular(place) as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
            return Filed(place, sha256, os.fstat(file.fileno()).st_size)

    def release(self, place: Path) -> None:
        """Forget a filed file, once its row is committed."""
        place.unlink(missing_ok=True)
        if place.parent == self._directory:
            return
        for folder in place.parents:
            try:
                folder.rmdir()
            except OSError:  # not empty: another file's, or the session itself, which holds its lock
                return


def _lock_file(path: Path) -> IO[bytes] | None:
    """Lock a file for as long as it stays open; None if another process holds it."""
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _remove_empty_folders(session: Path) -> None:
    """Remove a session in which no file is left; a file that could not be filed keeps it."""
    (session / ".lock").unlink(missing_ok=True)
    for folder in sorted((path for path in session.rglob("*") if path.is_dir()), reverse=True):
        with contextlib.suppress(OSError):
            folder.rmdir()
    with contextlib.suppress(OSError):
        session.rmdir()


def abandoned(home: Path) -> Iterator[tuple[Path, str, str]]:
    """Files that a process took and did not live to commit: ``(path, name it came under, source)``.

    A session is abandoned when nobody holds its lock. It is removed once nothing is left in it.
    """
    root = home / "filing"
    for session in sorted(root.iterdir()) if root.is_dir() else []:
        if session.name.startswith("."):  # about to begin
            continue
        try:
            lock = _lock_file(session / ".lock")
        except FileNotFoundError:  # it ended just now
            continue
        if lock is None:
            continue
        try:
            source = session.name.split("-", 1)[0]
            yield from [(path, name, source) for path, name in _files_of(session)]
            with contextlib.suppress(FileNotFoundError):
                _remove_empty_folders(session)
        finally:
            lock.close()


def _files_of(session: Path) -> list[tuple[Path, str]]:
    """The files of a session with the names they came under; none if it ends at this moment.

    A session that ends removes its lock first and its folder next: whoever looks may come in between.
    """
    found: list[tuple[Path, str]] = []
    try:
        for slot in sorted(session.iterdir()):
            if "~" in slot.name:
                found.append((slot, slot.name.split("~", 1)[1]))
            elif slot.is_dir():
                inside = sorted(path for path in slot.rglob("*") if not path.is_dir())
                found += [(path, str(path.relative_to(slot))) for path in inside]
    except FileNotFoundError:
        return []
    return found
