"""What a run starts from: its folder, what was read, how that is split, the weights."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from training.audit import write_audit
from training.dataset import Dataset, read_dataset, split_holdout
from training.reviews import read_reviews
from triage.pixels import Limits
from triage.settings import get_settings

if TYPE_CHECKING:
    import argparse

    from training.network import Origin
    from training.recipe import Recipe
    from training.unfamiliar import OtherPictures

log = logging.getLogger("training")

HOLDOUT_SHARE: Final = 0.15
FINER: Final = 1.25
"""Pictures are kept this much larger than the network's input, so that zooming in finds detail."""

SMOKE_IMAGES: Final = 12


class Run:
    """One run: its folder, what was read, and how it is split.

    Args:
        options: from `training.options.parse`.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        from training.crossvalidation import ALWAYS_TRAINS, NEVER_TRAINS
        from training.recipe import BEST, smaller

        self.options = options
        self.recipe: Recipe = replace(smaller(BEST) if options.smoke else BEST, **dict(options.changes))
        self.created, self.output = self._open_folder()
        limits, side = Limits.of(get_settings()), round(self.recipe.side * FINER)
        self.data: Dataset = read_dataset(
            options.data, limits, side, options.groups, SMOKE_IMAGES if options.smoke else None,
            own_labels=options.own_labels, reviews=read_reviews(get_settings()) if options.with_reviews else None,
        )  # fmt: skip
        self.audit = write_audit(self.output, self.data)
        data = self.data
        if options.folds:
            drawn = [data.folds(options.folds, options.seed + repeat) for repeat in range(options.repeats)]
            self.folds = [np.where(fold < 0, NEVER_TRAINS, fold) for fold in drawn]
        else:
            holdout = split_holdout(data.targets, data.groups, data.held_back, HOLDOUT_SHARE, options.seed)
            self.folds = [np.where(holdout, 0, ALWAYS_TRAINS)]
        self.others = self._read_others(limits, side)
        log.info(
            "%d images of %d labels in %d groups; %d were left out, see left-out.txt",
            len(data.targets), len(data.labels), len(set(data.groups)), len(data.skipped),
        )  # fmt: skip

    def _open_folder(self) -> tuple[datetime, Path]:
        """When the run began, and its folder; a run that goes on keeps its date."""
        now = datetime.now(UTC)
        output = self.options.output or Path("runs") / f"{now:%Y%m%dT%H%M%SZ}"
        output.mkdir(parents=True, exist_ok=True)
        note = output / "run.json"
        if note.exists():
            return datetime.fromisoformat(json.loads(note.read_text(encoding="utf-8"))["created"]), output
        note.write_text(json.dumps({"created": now.isoformat()}) + "\n", encoding="utf-8")
        return now, output

    def _read_others(self, limits: Limits, side: int) -> list[OtherPictures]:
        from training.fitting import PHOTOS, RADIOGRAPHS
        from training.unfamiliar import read_other_pictures

        named = ((RADIOGRAPHS, self.options.radiographs), (PHOTOS, self.options.photos))
        return [read_other_pictures(name, folder, limits, side) for name, folder in named if folder]

    @property
    def origin(self) -> Origin:
        """The weights to start from."""
        from training.network import Origin

        given = self.options.weights or os.environ.get("TRAINING_WEIGHTS")
        return Origin(None if self.options.smoke else Path(given) if given else "imagenet")
