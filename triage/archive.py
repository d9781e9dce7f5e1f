"""The file that a backup is: a plain tar whose first member says what it is and whose last one that it is whole.

``manifest.json``, the database (SQLite only), ``originals/``, ``renders/``, ``models/``, ``complete.json``. The last
holds a digest over the names and SHA-256 of all before it. What is read back is not trusted: only regular files under
these names are taken.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from triage.store import COPY_CHUNK

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
DATABASE: Final = "triage.sqlite3"
COMPLETE: Final = "complete.json"
FOLDERS: Final = ("originals", "renders", "models")

_LONGEST_JSON = 64_000_000
_NAMES = re.compile(
    r"triage\.sqlite3"
    r"|originals/([0-9a-f]{2})/\1[0-9a-f]{62}"
    r"|renders/([0-9a-f]{2})/\2[0-9a-f]{62}\.png"
    r"|models(/(?!\.)[^/\0]+)+"
)


class ArchiveError(Exception):
    """A file that is no backup, or a damaged one; the message says which."""


class _Tar(tarfile.TarFile):
    members: list[tarfile.TarInfo]
    """All that were read or written so far; of a million, that would be a gigabyte."""


class _Digesting:
    """Reads a file and digests what goes by."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Some bytes."""
        data = self._file.read(size)
        self.digest.update(data)
        return data


class ArchiveWriter:
    """Writes members one after the other; `complete` comes last."""

    def __init__(self, file: IO[bytes]) -> None:
        self._tar = _Tar.open(fileobj=file, mode="w")
        self._listing = hashlib.sha256()
        self.counts: dict[str, int] = dict.fromkeys(FOLDERS, 0)

    def add(self, name: str, file: IO[bytes], size: int, modified: float = 0.0) -> str:
        """Add ``size`` bytes of an open file; their SHA-256.

        Raises:
            OSError: the file has fewer, or the disk failed.
        """
        member = tarfile.TarInfo(name)
        member.size, member.mtime, member.mode = size, int(modified), 0o600
        reading = _Digesting(file)
        self._tar.addfile(member, reading)
        self._tar.members.clear()
        digest = reading.digest.hexdigest()
        self._listing.update(f"{name} {digest}\n".encode("utf-8", "surrogateescape"))
        folder = name.split("/", 1)[0]
        if folder in self.counts:
            self.counts[folder] += 1
        return digest

    def add_json(self, name: str, value: dict[str, Any]) -> None:
        """Add a JSON object."""
        data = json.dumps(value, indent=2).encode()
        self.add(name, io.BytesIO(data), len(data))

    def complete(self, **more: Any) -> None:
        """Say that all is there, and close."""
        self.add_json(COMPLETE, {"files": self.counts, "listing_sha256": self._listing.hexdigest(), **more})
        self._tar.close()


@dataclass(frozen=True)
class Member:
    """One file of an archive, to be read before the next one is asked for."""

    name: str
    size: int
    file: IO[bytes]


class ArchiveReader:
    """Reads an archive from its beginning to its end, once.

    Args:
        file: open for reading, seekable.

    Raises:
        ArchiveError: it is no backup.
    """

    def __init__(self, file: IO[bytes]) -> None:
        try:
            self._tar = _Tar.open(fileobj=file, mode="r:")
        except tarfile.TarError as error:
            raise ArchiveError("this is no backup: it cannot be read as one") from error
        self._listing = hashlib.sha256()
        self._counts: dict[str, int] = dict.fromkeys(FOLDERS, 0)
        first = self._next()
        if first is None or first.name != MANIFEST:
            raise ArchiveError("this is no backup: it does not begin with a manifest")
        self.manifest = self._json(first)
        if self.manifest.get("format") != FORMAT:
            raise ArchiveError("this backup is of a format that this program does not know; update the program")

    def extract(self, target_of: dict[str, Path]) -> Iterator[str]:
        """Write all files, and check that they are whole; the name of each once it is written.

        Args:
            target_of: where the files of each folder go, and the database.

        Raises:
            ArchiveError: a file is damaged, is none of a backup, or is missing.
            OSError: the disk failed.
        """
        while (member := self._next()) is not None:
            if member.name == COMPLETE:
                self._check(member)
                return
            if not _NAMES.fullmatch(member.name):
                raise ArchiveError(f"this is no backup of ours: it holds {member.name!r}")
            folder, _, rest = member.name.partition("/")
            if folder not in target_of:
                raise ArchiveError(f"this backup holds {folder}, which its manifest does not tell of")
            target = target_of[folder] / rest if rest else target_of[folder]
            self._note(member.name, self._copy(member, target))
            if folder in self._counts:
                self._counts[folder] += 1
            yield member.name
        raise ArchiveError("this backup is not complete: its end is missing")

    def complete(self) -> dict[str, Any]:
        """What the last member says, once all is extracted."""
        return self._complete

    def _next(self) -> Member | None:
        try:
            info = self._tar.next()
            self._tar.members.clear()
            if info is None:
                return None
            file = self._tar.extractfile(info) if info.type in (tarfile.REGTYPE, tarfile.AREGTYPE) else None
        except (tarfile.TarError, ValueError) as error:
            raise ArchiveError(f"this backup is damaged ({error})") from error
        if file is None:
            raise ArchiveError(f"this is no backup of ours: {info.name!r} is not a file")
        return Member(info.name, info.size, file)

    def _copy(self, member: Member, target: Path) -> str:
        digest = hashlib.sha256()
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as writer:
            while chunk := self._read(member, COPY_CHUNK):
                digest.update(chunk)
                writer.write(chunk)
        return digest.hexdigest()

    def _json(self, member: Member) -> dict[str, Any]:
        if member.size > _LONGEST_JSON:
            raise ArchiveError(f"this backup is damaged: {member.name} is too long")
        data = self._read(member, member.size)
        self._note(member.name, hashlib.sha256(data).hexdigest())
        try:
            found = json.loads(data)
        except ValueError as error:
            raise ArchiveError(f"this backup is damaged: {member.name} cannot be read") from error
        if not isinstance(found, dict):
            raise ArchiveError(f"this backup is damaged: {member.name} cannot be read")
        return found

    def _read(self, member: Member, size: int) -> bytes:
        try:
            return member.file.read(size)
        except (tarfile.TarError, EOFError) as error:
            raise ArchiveError("this backup is not complete: its end is missing") from error

    def _note(self, name: str, digest: str) -> None:
        self._listing.update(f"{name} {digest}\n".encode("utf-8", "surrogateescape"))

    def _check(self, member: Member) -> None:
        listing = self._listing.hexdigest()
        self._complete = self._json(member)
        if self._complete.get("listing_sha256") != listing or self._complete.get("files") != self._counts:
            raise ArchiveError("this backup is damaged: a file in it is not what was saved")
