"""Files on disk: originals and renders by hash, and how a file that somebody else wrote is opened safely."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import stat
import uuid
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

log = logging.getLogger(__name__)

COPY_CHUNK = 1 << 20


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


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
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
    sync_folder(path.parent)


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
            copy_durably(filed.path, temporary)
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


def copy_durably(source: Path, target: Path) -> tuple[str, int]:
    """Copy a regular file to a new place; its SHA-256 and size."""
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
