"""What a person reads about a bundle: its description, the model card, the list of what was left out."""

from __future__ import annotations

import argparse
import csv
import sys
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from training.calibration import COVERAGE, MARGIN, TRUSTED_ACCURACY, Calibration
from training.dataset import Dataset
from training.stages import HOLDOUT_SHARE, Recipe
from triage.bundle import SCHEMA

Bools = npt.NDArray[np.bool_]

EARLIER_FIGURES: Final = ("37 %", "44 %", "47 %")
"""Top-1 of the report this recipe comes from, stage by stage."""


def describe(
    name: str,
    created: datetime,
    data: Dataset,
    holdout: Bools,
    recipe: Recipe,
    fitted: Calibration,
    origin: dict[str, str],
    options: argparse.Namespace,
) -> dict[str, Any]:
    """The part of ``bundle.json`` that is no figure."""

    return {
        "schema": SCHEMA,
        "version": name,
        "created": created.isoformat(timespec="seconds"),
        "smoke": options.smoke,
        "labels": list(data.labels),
        "label_spelling": "folder name, first letter large, all others small; alphabetical; never respelled",
        "input": {
            "side": recipe.side,
            "shape": [None, recipe.side, recipe.side, 1],
            "dtype": "float32",
            "range": [0, 255],
            "meaning": "greyscale picture stretched to a square (the aspect ratio is not kept), as "
            "triage.pixels.read_for_network makes it; scaling to [-1, 1] and the three channels are inside",
        },
        "outputs": {"probabilities": "calibrated probabilities in the order of labels; look it up by this name"},
        "temperature": fitted.temperature,
        "temperature_applied": "inside the model",
        "thresholds": {"low_confidence": fitted.low_confidence, "margin": MARGIN},
        "threshold_rules": {
            "low_confidence": f"confidence from which on {TRUSTED_ACCURACY:.0%} of the hold-out is right",
            "margin": "set, not fitted: lead of the first label over the second",
        },
        "conformal": {"method": "LAC", "coverage": COVERAGE, "quantile": fitted.quantile},
        "training": {
            "data_note": options.data_note,
            "images": len(data.targets),
            "per_label": {label: int((data.targets == i).sum()) for i, label in enumerate(data.labels)},
            "groups": len(set(data.groups.tolist())),
            "groups_with_two_labels": data.conflicts(),
            "groups_file": bool(options.groups),
            "left_out": len(data.skipped),
            "holdout_images": int(holdout.sum()),
            "holdout_share": HOLDOUT_SHARE,
            "fingerprint": data.fingerprint(),
            "seed": options.seed,
            "recipe": vars(recipe),
            "backbone": origin,
        },
        "packages": {
            package: version(package) for package in ("keras", "tensorflow", "ai-edge-litert", "numpy", "pillow")
        }
        | {"python": ".".join(map(str, sys.version_info[:3]))},
    }


CARD = """\
# {version}

A MobileNetV2 that names one of {label_count} fracture types on a radiograph.
Made {created} by `python -m training.run`.

## What it is for
Ordering a worklist, and a second opinion beside a clinician's own. **It is not a diagnosis.** It was trained on
pictures of broken bones only: there is no "no fracture" among its labels, so it cannot say that a bone is intact, and
a low confidence does not mean that one is. A picture that is no radiograph gets a label as well. It has not been
validated in a clinic, on any patient group, or on any device.

## Data
{images} images in {groups} groups; a group holds near-duplicates{known}. {conflicts} of the groups carry two labels.
{left_out} files were left out. Fingerprint `{fingerprint}`. No picture is in this bundle.
Source and licence: {data_note}
The backbone starts from {weights}.

![images per label](class-balance.png)

## How good it is
Measured on {holdout} images, a hold-out of {share:.0%} drawn by group: no near-duplicate that was found is on both
sides, and these images neither trained the network nor chose a setting of its training. They did fit temperature,
prediction sets and threshold. Intervals are 95 %, from resampling groups.

| figure | value | 95 % interval |
|---|---|---|
{figures}

![reliability](reliability.png)

Calibration error (ten bins) and log loss in the table are in-sample as far as the one temperature goes. Fitted on one
half of the hold-out and measured on the other (mean of {repeats} splits): calibration error
{cf[calibration_error]:.3f}, which so few images push up, log loss {cf[log_loss]:.3f}; the {coverage:.0%} prediction
sets hold the truth {cf[coverage]:.1%} of the time ({cf[coverage_5th]:.0%} to {cf[coverage_95th]:.0%} over the splits)
with {cf[set_size]:.1f} labels on average.

| stage | top-1 | top-3 | balanced accuracy | earlier report, top-1 |
|---|---|---|---|---|
{stages}

The earlier report used the same recipe on a split that has near-duplicates on both sides, which flatters every figure:
its column is there for orientation, and does not compare like with like.

## Per label
| label | in the hold-out | recognised | named by the model |
|---|---|---|---|
{per_label}

![confusion](confusion.png)

## When it asks for a human
- `low_confidence`: confidence below {thresholds[low_confidence]:.2f}, which is {review[low_confidence]:.0%} of the
  hold-out. It is the confidence from which on at least {trusted:.0%} of hold-out labels were right (0.50 if there is
  none). On images it was not fitted on, {cf[trusted_accuracy]:.0%} were right above it.
- `ambiguous`: the second label is less than {thresholds[margin]:.2f} behind, {review[ambiguous]:.0%} of the hold-out.
- Either of them: {review[any]:.0%}. The size of the prediction set is shown, and is no reason: at {coverage:.0%} it
  holds {set_size:.1f} labels on average.

## Limits
The hold-out is small, so the intervals are wide, and it comes from the same sources as the training images: expect
worse on another clinic's pictures. Labels are contradictory in places. Duplicates that were not recognised may still
lie on both sides. Fracture types overlap (an oblique fracture can be comminuted); the model names one.
"""


def write_card(folder: Path, details: dict[str, Any]) -> None:
    """Writes the model card, ``card.md``.

    Args:
        folder: the bundle.
        details: all of ``bundle.json``.
    """
    training, metrics = details["training"], details["metrics"]
    origin = training["backbone"]
    spans = ("top_1", "top_3", "balanced_accuracy")
    text = CARD.format(
        version=details["version"],
        created=details["created"][:10],
        label_count=len(details["labels"]),
        images=training["images"],
        groups=training["groups"],
        conflicts=training["groups_with_two_labels"],
        left_out=training["left_out"],
        fingerprint=training["fingerprint"][:16],
        data_note=training["data_note"] or "not stated.",
        known=", or images said to belong together by a list given to training" if training["groups_file"] else "",
        weights="; ".join(origin[key] for key in ("weights", "licence") if key in origin),
        holdout=training["holdout_images"],
        share=HOLDOUT_SHARE,
        figures="\n".join(
            f"| {name.replace('_', '-' if name.startswith('top') else ' ')} "
            f"| {_figure(name, entry['value'])} "
            f"| {_figure(name, entry['low'])} to {_figure(name, entry['high'])} |"
            for name, entry in metrics["holdout"].items()
        ),
        repeats=metrics["cross_fit"]["repeats"],
        cf=metrics["cross_fit"],
        coverage=COVERAGE,
        stages="\n".join(
            f"| {stage['stage']} | "
            + " | ".join(f"{stage[s]['value']:.1%} ({stage[s]['low']:.0%} to {stage[s]['high']:.0%})" for s in spans)
            + f" | {earlier} |"
            for stage, earlier in zip(details["stages"], EARLIER_FIGURES, strict=True)
        ),
        per_label="\n".join(
            f"| {label} | {row['images']} | {row['recognised']} | {row['named']} |"
            for label, row in metrics["per_label"].items()
        ),
        thresholds=details["thresholds"],
        review=metrics["review"],
        trusted=TRUSTED_ACCURACY,
        set_size=metrics["mean_set_size"],
    )
    (folder / "card.md").write_text(text, encoding="utf-8")


def _figure(name: str, value: float) -> str:
    return f"{value:.3f}" if name in ("calibration_error", "log_loss") else f"{value:.1%}"


def write_lists(folder: Path, data: Dataset, holdout: Bools) -> None:
    """Beside the bundle: ``left-out.txt`` (files that took no part, and why) and ``split.csv``. They name files."""
    lines = [f"{skipped.name}\t{skipped.reason}\n" for skipped in data.skipped]
    (folder / "left-out.txt").write_text("".join(lines), encoding="utf-8")
    with (folder / "split.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["name", "sha256", "label", "group", "side"])
        for name, digest, target, group, held in zip(
            data.names, data.digests, data.targets, data.groups, holdout, strict=True
        ):
            writer.writerow([name, digest, data.labels[target], group, "hold-out" if held else "train"])
