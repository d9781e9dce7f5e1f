"""A labelled folder as arrays: read as serving reads it, with a hold-out set aside by group."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training import DatasetError
from training.duplicates import group_duplicates, read_groups
from training.progress import report_progress
from triage.pixels import ImageRejected, Limits, read_for_network

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Skipped:
    """A file that takes no part, and why. ``name`` is relative to the data folder."""

    name: str
    reason: str


@dataclass(frozen=True)
class Dataset:
    """Everything read from a labelled folder; n images.

    Attributes:
        labels: spelled for display, alphabetical.
        names: n file names relative to the data folder.
        pixels: (n, side, side) uint8 grey.
        targets: (n,) index into labels.
        groups: (n,) images with the same number are (near) duplicates of one another.
        held_back: (n,) true for files from a ``Test`` folder, which never train.
        digests: n SHA-256 (hex).
        skipped: what was left out.
    """

    labels: tuple[str, ...]
    names: tuple[str, ...]
    pixels: npt.NDArray[np.uint8]
    targets: Ints
    groups: Ints
    held_back: Bools
    digests: tuple[str, ...]
    skipped: tuple[Skipped, ...]

    def fingerprint(self) -> str:
        """SHA-256 (hex) over the sorted file digests, one a line: same files, same fingerprint."""
        return hashlib.sha256("\n".join(sorted(self.digests)).encode()).hexdigest()

    def conflicts(self) -> int:
        """How many groups carry more than one label."""
        labels = defaultdict(set)
        for group, target in zip(self.groups, self.targets, strict=True):
            labels[int(group)].add(int(target))
        return sum(len(found) > 1 for found in labels.values())


def spell(folder: str) -> str:
    """The label of a folder name: one space between words, the first letter large, all others small.

    The public data set writes ``Hairline Fracture`` beside ``Greenstick fracture``; here it is the latter,
    always.
    """
    return " ".join(folder.replace("_", " ").split()).capitalize()


def read_dataset(
    folder: Path, limits: Limits, side: int, groups_file: Path | None = None, per_label: int | None = None
) -> Dataset:
    """Reads ``<class>/Train|Test/*`` and ``<class>/*``.

    Args:
        folder: one folder per class.
        limits: what is refused unread, as in serving.
        side: pixels of the network's square input.
        groups_file: CSV with the columns ``sha256`` and ``group`` (or ``near_dup_group``): images known to
            belong together (one patient, one source), on top of the duplicates that are found here.
        per_label: take at most this many images of each class.

    Raises:
        DatasetError: fewer than two classes, or a class too small to be split.
    """
    files = _list_files(folder, per_label)
    labels = tuple(sorted({spell(label) for label, _, _ in files}))
    if len(labels) < 2:
        raise DatasetError(f"{folder} must hold one folder per fracture type, at least two, with images in them.")
    names, pixels, targets, held_back, digests = [], [], [], [], []
    skipped: list[Skipped] = []
    for label, test, file in report_progress(files, "Reading"):
        name = file.relative_to(folder).as_posix()
        try:
            data = file.read_bytes()
            pixels.append(read_for_network(data, limits, side)[1])
        except ImageRejected as rejection:
            skipped.append(Skipped(name, rejection.code))
            continue
        except OSError as error:
            skipped.append(Skipped(name, error.strerror or "unreadable"))
            continue
        names.append(name)
        targets.append(labels.index(spell(label)))
        held_back.append(test)
        digests.append(hashlib.sha256(data).hexdigest())
    contradictory = _contradictory(digests, targets)
    keep = [index for index, digest in enumerate(digests) if digest not in contradictory]
    skipped += [
        Skipped(names[index], "the same file under two labels")
        for index, digest in enumerate(digests)
        if digest in contradictory
    ]
    counts = Counter(targets[index] for index in keep)
    for target, label in enumerate(labels):
        if counts[target] < 2:
            raise DatasetError(f"{label} has {counts[target]} readable image(s); at least 2 are needed.")
    kept_pixels = np.stack([pixels[index] for index in keep])
    kept_digests = tuple(digests[index] for index in keep)
    return Dataset(
        labels=labels,
        names=tuple(names[index] for index in keep),
        pixels=kept_pixels,
        targets=np.array([targets[index] for index in keep], np.int64),
        groups=group_duplicates(kept_pixels, kept_digests, read_groups(groups_file) if groups_file else {}),
        held_back=np.array([held_back[index] for index in keep], np.bool_),
        digests=kept_digests,
        skipped=tuple(skipped),
    )


def _list_files(folder: Path, per_label: int | None) -> list[tuple[str, bool, Path]]:
    """(class folder, from its test folder, file), in an order that does not depend on the file system."""
    found = []
    for label in sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")):
        inside = [
            (label.name, file.parent != label and file.parent.name.lower() == "test", file)
            for place in (label, *sorted(child for child in label.iterdir() if child.is_dir()))
            if place == label or place.name.lower() in ("train", "test")
            for file in sorted(place.iterdir())
            if file.is_file() and not file.name.startswith(".")
        ]
        found += inside[:per_label]
    return found


def _contradictory(digests: Sequence[str], targets: Sequence[int]) -> set[str]:
    """Digests that appear under more than one label: nobody knows which one is right."""
    seen: dict[str, set[int]] = defaultdict(set)
    for digest, target in zip(digests, targets, strict=True):
        seen[digest].add(target)
    return {digest for digest, labels in seen.items() if len(labels) > 1}


def split_holdout(targets: Ints, groups: Ints, held_back: Bools, share: float, seed: int) -> Bools:
    """Sets whole groups aside, about the same share of each label.

    A group with an image from a ``Test`` folder is always set aside, whole; more are drawn until each label
    has its share. A group counts for its most frequent label, and every label keeps one group to train on.

    Args:
        targets: (n,) labels.
        groups: (n,) from `group_duplicates`.
        held_back: (n,) must not train.
        share: of the images of each label, 0..1.
        seed: of the draw.

    Returns:
        (n,) bool: in the hold-out.

    Raises:
        DatasetError: a label would be on one side only.
    """
    chosen = np.isin(groups, groups[held_back])
    members = {int(group): np.flatnonzero(groups == group) for group in np.unique(groups)}
    home = {group: int(np.bincount(targets[rows]).argmax()) for group, rows in members.items()}
    generator = np.random.default_rng(seed)
    for target in np.unique(targets):
        candidates = [group for group, rows in members.items() if home[group] == target and not chosen[rows[0]]]
        wanted = max(1, round(share * int((targets == target).sum())))
        for group in generator.permutation(candidates)[:-1] if candidates else ():
            if int((chosen & (targets == target)).sum()) >= wanted:
                break
            chosen[members[int(group)]] = True
        sides = set(chosen[targets == target].tolist())
        if len(sides) < 2:
            raise DatasetError(
                f"Class {int(target) + 1} (in alphabetical order) cannot be split: its images are all "
                "duplicates of one another, or all lie in its Test folder. Add different images."
            )
    return chosen
