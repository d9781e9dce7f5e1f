"""Which directory entries are files that somebody wants read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath

TEMPORARY_SUFFIXES = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".filepart", "~")


def is_temporary(relative: PurePath) -> bool:
    """Whether a name says that the file is not finished, or not meant to be seen.

    Dotfiles, files in dot folders, names that begin or end with ``~``, and the endings that copying programs
    give to what they have not finished.
    """
    name = relative.name.lower()
    hidden = any(part.startswith(".") for part in relative.parts)
    return hidden or name.startswith("~") or name.endswith(TEMPORARY_SUFFIXES)


def find_files(root: Path, unreadable: Callable[[Path], None] = lambda folder: None) -> Iterator[Path]:
    """Every entry below ``root`` that is no folder and has no temporary name; links are not followed.

    Args:
        root: where to look.
        unreadable: told each folder that may not be read. It is passed over, as are those that go away meanwhile.
    """
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    path = Path(entry.path)
                    if is_temporary(path.relative_to(root)):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(path)
                    else:
                        yield path
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            unreadable(folder)
