"""Files on disk: originals and renders by hash, and the place where arriving files wait for their row.

``filing/<session>/<n>~<name>`` holds a file from the moment it leaves the inbox until its row is committed,
under the name it came with. A process that dies leaves its session behind; the next watcher files it again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import logging
import os
import stat
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO

log = logging.getLogger(__name__)

COPY_CHUNK = 1 << 20
_LONGEST_NAME = 255  # bytes, on the common file systems


class Refused(Exception):
    """A directory entry whose bytes could not or must not be read.

    Attributes:
        code: stable code, kept with the image.
        detail: a sentence that says what to do.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True)
class Filed:
    """A file that has been taken in but has no row yet."""

    path: Path
    sha256: str
    size_bytes: int


def check_readable(path: Path, max_bytes: int) -> os.stat_result:
    """Say what a directory entry is, without opening it.

    Raises:
        Refused: it is no regular file, or larger than ``max_bytes``.
        FileNotFoundError: it went away.
    """
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        kinds = {
            stat.S_IFLNK: ("link", "symbolic link"),
            stat.S_IFDIR: ("not_a_file", "folder"),
            stat.S_IFIFO: ("not_a_file", "named pipe"),
            stat.S_IFSOCK: ("not_a_file", "socket"),
        }
        code, kind = kinds.get(stat.S_IFMT(found.st_mode), ("not_a_file", "device"))
        raise Refused(code, f"This is a {kind}, not a file, and is never followed. Put the file itself here.")
    if found.st_size > max_bytes:
        raise Refused(
            "too_large",
            f"The file has {found.st_size:,} bytes; the limit is {max_bytes:,} (TRIAGE_MAX_BYTES).",
        )
    return found


def fingerprint(found: os.stat_result, name: str) -> str:
    """Tell a file that stays where it is from a changed one, without reading it: 64 hexadecimal digits."""
    parts = (found.st_dev, found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, name)
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogateescape")).hexdigest()


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole, after a power cut too, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_directory(path.parent)


class Store:
    """Originals (never altered) and renders, each under the SHA-256 of the original."""

    def __init__(self, home: Path) -> None:
        self.originals = home / "originals"
        self.renders = home / "renders"

    def original(self, sha256: str) -> Path:
        """Where the original with this hash lies."""
        return self.originals / sha256[:2] / sha256

    def render(self, sha256: str) -> Path:
        """Where the PNG for people lies, for originals that a browser cannot show."""
        return self.renders / sha256[:2] / f"{sha256}.png"

    def keep_original(self, filed: Filed) -> Path:
        """Give a filed file its place by hash; the filed name stays until the row is committed.

        A hard link: no copy, and no moment at which the bytes have no name. Where the disk knows no hard
        links (some network mounts) the file is copied. A file that is already there is kept if its bytes
        still have this hash, else replaced.
        """
        target = self.original(filed.sha256)
        if not target.parent.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
        # No folder is synced: a power cut that takes the new name back also takes back what came after it on the
        # disk, the removal from `filing/` among it, so the file is there to be admitted again.
        try:
            os.link(filed.path, target, follow_symlinks=False)
            return target
        except FileExistsError:
            if hash_file(target) == filed.sha256:
                return target
        except OSError as error:
            log.debug("no hard link (errno %s); copying", error.errno)
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            _copy(filed.path, temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        return target


def hash_file(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_regular(path: Path) -> BufferedReader:
    """Open without following a link and without waiting for a pipe's other end, whatever is there by now.

    Raises:
        Refused: it may not be read, or is no regular file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except PermissionError as error:
        raise Refused(
            "no_permission", "The file may not be read. Give the user of this program permission to read it."
        ) from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Refused("link", "This is a symbolic link and is never followed.") from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Refused("not_a_file", "This is not a regular file. Put the file itself here.")
    return os.fdopen(descriptor, "rb")


def _copy(source: Path, target: Path) -> tuple[str, int]:
    digest = hashlib.sha256()
    size = 0
    with open_regular(source) as reader, target.open("xb") as writer:
        while chunk := reader.read(COPY_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return digest.hexdigest(), size


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
            OSError: the rename is not possible: another disk, or a folder that may not be changed.
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

    def copy(self, path: Path, name: str) -> Filed:
        """Copy a file in, hashing on the way; the source stays."""
        place = self._place(name)
        try:
            sha256, size = _copy(path, place)
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
            # Empty too if it ended between the two lines above.
            for slot in sorted(session.iterdir()) if session.is_dir() else []:
                if "~" in slot.name:
                    yield slot, slot.name.split("~", 1)[1], source
                elif slot.is_dir():
                    for path in sorted(path for path in slot.rglob("*") if not path.is_dir()):
                        yield path, str(path.relative_to(slot)), source
            _remove_empty_folders(session)
        finally:
            lock.close()
