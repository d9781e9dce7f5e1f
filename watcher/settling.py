"""Which files have settled. Pure: whoever calls passes in what was seen and the time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sight:
    """What a file looked like; while it is written to, or replaced, this changes."""

    device: int
    inode: int
    size: int
    modified_ns: int
    mode: int

    @classmethod
    def of(cls, path: Path) -> Sight:
        """Look at a file without following a link.

        Raises:
            OSError: it cannot be seen; ``FileNotFoundError`` if it is not there.
        """
        found = path.lstat()
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode)


class Settling:
    """Files that are arriving, each with how long it has looked the same.

    Args:
        quiet_seconds: a file that has looked the same for this long has settled. Times of the files
            themselves are not compared with ours: the clock of the machine that wrote them may be wrong.
    """

    def __init__(self, quiet_seconds: float) -> None:
        self._quiet_seconds = quiet_seconds
        self._waiting: dict[Path, tuple[Sight, float]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, path: Path) -> bool:
        return path in self._waiting

    def see(self, path: Path, sight: Sight, now: float) -> bool:
        """Note what a file looks like now; True if it has settled.

        Args:
            path: the file.
            sight: what it looks like.
            now: seconds on a clock that never goes back.
        """
        known = self._waiting.get(path)
        if known is None or known[0] != sight:
            self._waiting[path] = (sight, now)
            return self._quiet_seconds == 0
        return now - known[1] >= self._quiet_seconds

    def sight(self, path: Path) -> Sight:
        """What an arriving file looked like when it was last seen."""
        return self._waiting[path][0]

    def forget(self, path: Path) -> None:
        """The file was taken, or went away."""
        self._waiting.pop(path, None)

    def due(self, now: float) -> list[Path]:
        """The files that are to be looked at again: only then can they have settled.

        In between nothing is looked at, however many arrive: a file that was written to looks otherwise later, too.
        """
        latest = now - self._quiet_seconds
        return [path for path, (_, since) in self._waiting.items() if since <= latest]
