"""Who trains and who evaluates: always whole groups, so that no copy of a picture is on both sides."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from training import DatasetError

ATTEMPTS: Final = 20

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def kept_for_evaluation(groups: Ints, held_back: Bools) -> Bools:
    """(n,) images from a ``Test`` folder and whatever shares a group with one: they never train."""
    return np.isin(groups, groups[held_back])


def make_folds(
    targets: Ints,
    groups: Ints,
    folds: int,
    repeat_seed: int,
    held_back: Bools | None = None,
    labels: Sequence[str] = (),
) -> Ints:
    """Puts whole groups into folds, with about the same mix of labels in each.

    By scikit-learn's `StratifiedGroupKFold`, which fills folds greedily in a random order.

    Args:
        targets: (n,) labels.
        groups: (n,) from `Inspection` or `group_duplicates`.
        folds: how many, 2 or more.
        repeat_seed: of the draw; another one gives other folds.
        held_back: (n,) from a ``Test`` folder; these and their groups are in no fold. None: there are none.
        labels: for messages.

    Returns:
        (n,) int64: 0 to folds - 1, or -1 for images that are in no fold.

    Raises:
        DatasetError: a label would be missing from the training side of a fold.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    result = np.full(len(targets), -1, np.int64)
    rows = np.arange(len(targets))
    if held_back is not None:
        rows = np.flatnonzero(~kept_for_evaluation(groups, held_back))
    inside, together = targets[rows], groups[rows]
    for target in np.unique(targets):
        pictures = len(np.unique(together[inside == target]))
        if pictures < 2:
            raise DatasetError(
                f"{_name(int(target), labels)} cannot be spread over folds: it has {pictures} group(s) of images that "
                "are not copies of one another and not kept for the test, and needs 2 or more. Add different images."
            )
    different = len(np.unique(together))
    if different < folds:
        raise DatasetError(
            f"There are {different} different pictures for {folds} folds. Add images, or use fewer folds."
        )
    for attempt in range(ATTEMPTS):
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=repeat_seed + 1_000_003 * attempt)
        with warnings.catch_warnings():
            # A label with fewer images than folds is told about elsewhere.
            warnings.simplefilter("ignore", UserWarning)
            try:
                drawn = list(splitter.split(rows, inside, together))
            except ValueError as error:
                raise DatasetError(f"The images cannot be spread over {folds} folds: {error}") from error
        if all(set(inside[train]) == set(inside) and len(test) for train, test in drawn):
            for fold, (_, test) in enumerate(drawn):
                result[rows[test]] = fold
            return result
    raise DatasetError(f"The images cannot be spread over {folds} folds: a label would be in one of them only.")


def _name(target: int, labels: Sequence[str]) -> str:
    return labels[target] if labels else f"Class {target + 1} (in alphabetical order)"


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
    chosen = kept_for_evaluation(groups, held_back)
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
                f"{_name(int(target), ())} cannot be split: its images are all "
                "duplicates of one another, or all lie in its Test folder. Add different images."
            )
    return chosen
