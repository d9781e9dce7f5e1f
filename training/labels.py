"""Which label a class folder stands for: spellings are brought together, and typing errors are no new class."""

from __future__ import annotations

import difflib
import logging
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from training import DatasetError
from triage.bundle import DEFAULT_LABELS

log = logging.getLogger("training")

CLOSE: Final = 0.8
"""Similarity (difflib's ratio) from which on a folder name is taken for a mistyped label."""

LONGEST: Final = 128
"""Characters of a label that the database keeps."""


@dataclass(frozen=True)
class LabelMapping:
    """What the class folders were taken for.

    Attributes:
        labels: in alphabetical order, which is the order of the model's outputs.
        by_folder: folder name -> label, sorted by folder; saved with the model.
        missing: known fracture types that no folder stands for; empty with labels of one's own.
    """

    labels: tuple[str, ...]
    by_folder: dict[str, str]
    missing: tuple[str, ...] = ()


def spell(folder: str) -> str:
    """A folder name for display: one space between words, the first letter large, all others small.

    The public data set writes ``Hairline Fracture`` beside ``Greenstick fracture``; here it is the latter,
    always.
    """
    return _clean(folder).capitalize()


def map_labels(folders: Iterable[str], own_labels: bool = False) -> LabelMapping:
    """Finds the label of each class folder.

    Case, spaces, hyphens, underscores and the word "fracture" make no difference: ``hairline_fracture``,
    ``Hairline Fracture`` and ``hairline`` are one label, and their images are put together.

    Args:
        folders: names of folders with images in them.
        own_labels: take the names as they are, apart from case and spacing; else each must be one of the ten
            known fracture types.

    Raises:
        DatasetError: a folder is no known type; the message says which type is meant, or what to do.
    """
    names = sorted(set(folders))
    by_folder = _map_own(names) if own_labels else _map_known(names)
    gathered = defaultdict(list)
    for folder, label in by_folder.items():
        gathered[label].append(folder)
    for label, several in gathered.items():
        if len(several) > 1:
            log.info("the folders %s are put together as %s", " and ".join(several), label)
    missing = () if own_labels else tuple(label for label in DEFAULT_LABELS if label not in gathered)
    if missing:
        log.warning(
            "no images of: %s. The model will know only the other %d fracture types", ", ".join(missing), len(gathered)
        )
    return LabelMapping(tuple(sorted(gathered)), by_folder, missing)


def _map_known(folders: list[str]) -> dict[str, str]:
    known = {_key(label): label for label in DEFAULT_LABELS}
    found, problems = {}, []
    for folder in folders:
        label = known.get(_key(folder))
        if label:
            found[folder] = label
        elif near := _near(folder, DEFAULT_LABELS):
            problems.append(f'"{folder}" is no fracture type that is known here; did you mean "{near}"?')
        elif folder.lower() in ("train", "test", "valid", "val"):
            problems.append(f'"{folder}" should lie inside each class folder, as in "{DEFAULT_LABELS[0]}/{folder}".')
        else:
            problems.append(f'"{folder}" is no fracture type that is known here.')
    if problems:
        raise DatasetError(
            f"{' '.join(problems)} Rename the folder, or train on labels of your own with --own-labels, which takes "
            f"folder names as they are. Known are: {', '.join(DEFAULT_LABELS)}."
        )
    return found


def _map_own(folders: list[str]) -> dict[str, str]:
    spelled = {_clean(label).casefold(): label for label in DEFAULT_LABELS}
    found: dict[str, str] = {}
    for folder in folders:
        clean = _clean(folder)
        if len(clean) > LONGEST:
            raise DatasetError(f'"{clean}" is too long for a label: at most {LONGEST} characters.')
        near = None if clean.casefold() in spelled else _near(clean, spelled.values())
        if near:
            log.warning(
                '"%s" is a label of its own, though it looks much like "%s". Is it a typing error?', clean, near
            )
        found[folder] = spelled.setdefault(clean.casefold(), clean[:1].upper() + clean[1:])
    return found


def _clean(folder: str) -> str:
    return " ".join(folder.replace("_", " ").split())


def _key(folder: str) -> tuple[str, ...]:
    """The words that tell one fracture type from another, in any order.

    "Fracture" is left out, but not where a dislocation is meant: one without a fracture is something else.
    """
    words = sorted(word.removesuffix("s") for word in re.split(r"[\W_]+", folder.casefold()) if word)
    if "dislocation" in words:
        return tuple(words)
    return tuple(word for word in words if word != "fracture")


def _near(folder: str, labels: Iterable[str]) -> str | None:
    by_name = {label.casefold(): label for label in labels}
    # The short names too: "greenstik" alone is not much like "greenstick fracture".
    by_name |= {name.removesuffix(" fracture"): label for name, label in list(by_name.items())}
    found = difflib.get_close_matches(_clean(folder).casefold(), by_name, n=1, cutoff=CLOSE)
    return by_name[found[0]] if found else None
