"""A labelled folder as arrays: read as serving reads it, copies found, what is in doubt left out."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training import DatasetError
from training.duplicates import read_contradicted, read_groups
from training.inspection import Inspection, inspect
from training.labels import LabelMapping, map_labels, spell
from training.reading import Skipped, Source, read_images
from training.reviews import Reviews
from training.splits import kept_for_evaluation, make_folds, split_holdout
from triage.pixels import Limits

__all__ = ["Dataset", "Skipped", "make_folds", "read_dataset", "spell", "split_holdout"]

log = logging.getLogger("training")

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Dataset:
    """Everything that can be trained on or measured with; n images.

    Attributes:
        labels: alphabetical.
        names: n file names relative to the data folder; ``review:<image id>`` for those from the clinic.
        pixels: (n, side, side) uint8 grey.
        targets: (n,) index into labels.
        groups: (n,) images with the same number are (near) duplicates of one another, or known to belong together.
        held_back: (n,) true for files from a ``Test`` folder, which never train.
        digests: n SHA-256 (hex).
        skipped: what was left out.
        origins: n times ``folder`` or ``review:<image id>``.
        mapping: which folder stands for which label.
        inspection: what was found before anything was left out.
    """

    labels: tuple[str, ...]
    names: tuple[str, ...]
    pixels: npt.NDArray[np.uint8]
    targets: Ints
    groups: Ints
    held_back: Bools
    digests: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    origins: tuple[str, ...] = ()
    mapping: LabelMapping | None = None
    inspection: Inspection | None = field(default=None, repr=False)

    def fingerprint(self) -> str:
        """SHA-256 (hex) over the sorted file digests, one a line: same files, same fingerprint."""
        return hashlib.sha256("\n".join(sorted(self.digests)).encode()).hexdigest()

    def conflicts(self) -> int:
        """How many groups carry more than one label: only those that are known to belong together may."""
        labels = defaultdict(set)
        for group, target in zip(self.groups, self.targets, strict=True):
            labels[int(group)].add(int(target))
        return sum(len(found) > 1 for found in labels.values())

    def evaluates_only(self) -> Bools:
        """(n,) images of ``Test`` folders, and all that share a group with one: they are in no fold."""
        return kept_for_evaluation(self.groups, self.held_back)

    def folds(self, folds: int, repeat_seed: int) -> Ints:
        """(n,) the fold of each image, -1 for those that only evaluate; see `make_folds`."""
        return make_folds(self.targets, self.groups, folds, repeat_seed, self.held_back, self.labels)


def read_dataset(
    folder: Path,
    limits: Limits,
    side: int,
    groups_file: Path | None = None,
    per_label: int | None = None,
    *,
    own_labels: bool = False,
    reviews: Reviews | None = None,
) -> Dataset:
    """Reads ``<class>/Train|Test/*`` and ``<class>/*``, and what clinicians have labelled.

    Args:
        folder: one folder per class.
        limits: what is refused unread, as in serving.
        side: pixels of the network's square input.
        groups_file: CSV with the columns ``sha256`` and ``group`` (or ``near_dup_group``): images known to
            belong together (one patient, one source), on top of the duplicates that are found here. Where it has a
            column ``label_conflict``, images with another value than 0 there are left out.
        per_label: take at most this many images of each class.
        own_labels: folder names are labels as they are; else each must be a known fracture type.
        reviews: images from the clinic, see `training.reviews.read_reviews`.

    Raises:
        DatasetError: a folder's name is no label, fewer than two classes, or a class too small to be split.
    """
    files = _list_files(folder, per_label)
    if len({label for label, _, _ in files}) < 2:
        raise DatasetError(f"{folder} must hold one folder per fracture type, at least two, with images in them.")
    mapping = map_labels((label for label, _, _ in files), own_labels)
    labels = mapping.labels
    if len(labels) < 2:
        raise DatasetError(f"All folders in {folder} stand for one label, {labels[0]}; at least two are needed.")
    sources = [
        Source(file, file.relative_to(folder).as_posix(), mapping.by_folder[label], test=test)
        for label, test, file in files
    ]
    more, unusable = _take_reviews(reviews, labels)
    images, unreadable = read_images(sources + more, limits, side)
    inspection = inspect(
        images,
        [*unreadable, *unusable],
        read_groups(groups_file) if groups_file else {},
        read_contradicted(groups_file) if groups_file else (),
    )
    if inspection.conflicts:
        log.warning(
            "%d pictures carry more than one label; their %d files are left out",
            len(inspection.conflicts),
            sum(map(len, inspection.conflicts)),
        )
    keep = [index for index in range(len(images)) if index not in inspection.left_out]
    kept = [images[index] for index in keep]
    targets = np.array([labels.index(image.source.label) for image in kept], np.int64)
    counts = Counter(targets.tolist())
    for target, label in enumerate(labels):
        if counts[target] < 2:
            raise DatasetError(f"{label} has {counts[target]} readable image(s); at least 2 are needed.")
    return Dataset(
        labels=labels,
        names=tuple(image.source.name for image in kept),
        pixels=np.stack([image.pixels for image in kept]),
        targets=targets,
        groups=np.unique(inspection.groups[keep], return_inverse=True)[1].astype(np.int64),
        held_back=np.array([image.source.test for image in kept], np.bool_),
        digests=tuple(image.digest for image in kept),
        skipped=inspection.skipped(),
        origins=tuple(image.source.origin for image in kept),
        mapping=mapping,
        inspection=inspection,
    )


def _take_reviews(reviews: Reviews | None, labels: Sequence[str]) -> tuple[list[Source], list[Skipped]]:
    """What the clinic has labelled, as files; and what cannot be used."""
    if reviews is None:
        return [], []
    known = {label.casefold(): label for label in labels}
    taken, unusable = [], list(reviews.skipped)
    for image in reviews.images:
        label = known.get(image.label.casefold())
        if label is None:
            unusable.append(Skipped(image.origin, f'no folder stands for its label, "{image.label}"'))
        else:
            taken.append(Source(image.path, image.origin, label, image.origin, sha256=image.sha256))
    return taken, unusable


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
