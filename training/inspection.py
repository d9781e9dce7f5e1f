"""What a folder of images turned out to hold, before anything is trained: copies, contradictions, sizes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from training.duplicates import Link, find_links, join, known_pairs, pairs_of
from training.reading import ReadImage, Skipped

NAMED: Final = 3
"""How many contradicting files a reason names."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FileFacts:
    """A readable file; see `training.reading.ReadImage`. ``thumbnail`` is (height, width) uint8."""

    name: str
    label: str
    origin: str
    test: bool
    digest: str
    width: int
    height: int
    media_type: str
    chroma: float
    thumbnail: npt.NDArray[np.uint8] = field(repr=False)


@dataclass(frozen=True)
class Inspection:
    """Everything readable, n files, with those that are left out afterwards.

    Attributes:
        files: in the order of reading.
        links: pairs of files that are one picture.
        pictures: (n,) files with the same number show the same picture.
        groups: (n,) the same, and what is known to belong together.
        conflicts: for each picture that carries more than one label, its files.
        known: SHA-256 -> group name, as given.
        left_out: index -> why.
        unreadable: files that could not be read.
    """

    files: tuple[FileFacts, ...]
    links: tuple[Link, ...]
    pictures: Ints
    groups: Ints
    conflicts: tuple[tuple[int, ...], ...]
    known: dict[str, str]
    left_out: dict[int, str]
    unreadable: tuple[Skipped, ...]

    def skipped(self) -> tuple[Skipped, ...]:
        """All files that take no part."""
        return (*self.unreadable, *(Skipped(self.files[one].name, why) for one, why in sorted(self.left_out.items())))


def inspect(
    images: Sequence[ReadImage], unreadable: Sequence[Skipped], known: dict[str, str], contradicted: Collection[str]
) -> Inspection:
    """Finds copies, and what cannot be trained on because its label is in doubt.

    One picture cannot have two labels: nobody knows which is right, and all its files are left out. Images that
    are only known to belong together (one patient) may well have different ones.

    Args:
        images: what was read.
        unreadable: what was not.
        known: SHA-256 -> group name, e.g. of a patient.
        contradicted: SHA-256 of images whose label is known to be in doubt.
    """
    files = tuple(
        FileFacts(
            image.source.name, image.source.label, image.source.origin, image.source.test, image.digest,
            image.width, image.height, image.media_type, image.chroma, image.sketch.thumbnail,
        )
        for image in images
    )  # fmt: skip
    digests = [file.digest for file in files]
    links = find_links([image.sketch for image in images], digests)
    pictures = join(len(files), pairs_of(links))
    members = defaultdict(list)
    for index, picture in enumerate(pictures.tolist()):
        members[picture].append(index)
    conflicts = tuple(
        tuple(indices) for indices in members.values() if len({files[index].label for index in indices}) > 1
    )
    left_out = {index: _contradiction(files, index, indices) for indices in conflicts for index in indices}
    for index, digest in enumerate(digests):
        if digest in contradicted:
            left_out.setdefault(index, "the groups file says that its label is contradicted by another file")
    in_folder = {file.digest: file.name for file in reversed(files) if file.origin == "folder"}
    for index, file in enumerate(files):
        if file.origin != "folder" and file.digest in in_folder:
            left_out.setdefault(index, f"the folder has it already: {in_folder[file.digest]}")
    return Inspection(
        files=files,
        links=tuple(links),
        pictures=pictures,
        groups=join(len(files), pairs_of(links) + known_pairs(digests, known)),
        conflicts=conflicts,
        known=known,
        left_out=left_out,
        unreadable=tuple(unreadable),
    )


def _contradiction(files: Sequence[FileFacts], index: int, picture: Sequence[int]) -> str:
    own = files[index]
    others = [files[other] for other in picture if files[other].label != own.label]
    named = ", ".join(f"{other.name} ({other.label})" for other in others[:NAMED])
    more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
    what = "file" if all(other.digest == own.digest for other in others) else "picture"
    return f"the same {what} under another label: {named}{more}"
