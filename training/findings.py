"""The parts of a report that hold what was measured."""

from __future__ import annotations

from typing import Any, Final

from training.sections import (
    NAMES,
    NONE,
    Block,
    Details,
    Plot,
    Section,
    Table,
    Text,
    count_of,
    show,
    show_both,
    show_interval,
)

EARLIER: Final = {"frozen, no augmentation": 0.37, "frozen, augmented": 0.44, "last 50 layers fine-tuned": 0.47}
"""Top-1 of the report that these recipes come from, on a split with duplicates on both sides."""


def figures(details: Details) -> Section:
    """How it was measured, and every figure with its interval."""
    metrics, training = details["metrics"], details["training"]
    images, groups = count_of(metrics["images"], "image"), count_of(metrics["groups"], "group")
    if metrics["protocol"] == "cross-validation":
        repeats = metrics["repeats"]
        how = (
            f"Measured by cross-validation on {images} in {groups}: {metrics['folds']} folds of whole groups"
            + (f", {repeats} times with other folds" if repeats > 1 else "")
            + ". Each image is judged by a network that saw neither it nor a duplicate of it that was found, and "
            "calibrated by images of other folds."
        )
    else:
        how = (
            f"Measured on a hold-out of {images} in {groups}: no duplicate that was found is on both sides, and these "
            "images trained nothing. They did fit temperature, prediction sets and threshold."
        )
    shipped = training.get("shipped_weights")
    blocks: list[Block] = [Text(how)]
    if shipped:
        note = ", so no figure here is of these very weights, but of networks made the same way" * ("refit" in shipped)
        blocks.append(Text(f"{shipped[:1].upper()}{shipped[1:]}{note}.", "The weights that ship:"))
    rows = [
        (NAMES[name], show(name, entry["value"]), show_interval(name, entry), *_range(name, metrics))
        for name, entry in metrics["figures"].items()
    ]
    header = ("Figure", "Value", "95 % interval") + (("Lowest and highest repeat",) if metrics["repeats"] > 1 else ())
    blocks += [
        Table(header, tuple(rows), strong=(0,)),
        Text(
            "Intervals come from drawing whole groups of images with replacement, 2,000 times. The calibration error "
            "counts the noise of each draw as error, so its interval leans upwards and can lie above its value."
        ),
    ]
    return Section("figures", "How good it is", tuple(blocks))


def _range(name: str, metrics: dict[str, Any]) -> tuple[str, ...]:
    values = metrics["by_repeat"][name]
    return (f"{show(name, min(values)).removesuffix(' %')} to {show(name, max(values))}",) if len(values) > 1 else ()


def stages(details: Details) -> Section | None:
    """From the simplest that could work to what ships, on the same images."""
    found = details.get("stages")
    if not found:
        return None
    keys = ("top_1", "top_3", "balanced_accuracy")
    earlier = any(stage["stage"] in EARLIER for stage in found)
    noted = any(stage.get("note") for stage in found)
    timed = any(stage.get("seconds") for stage in found)
    columns = ["Stage", *["Note"] * noted, "Top-1", "Top-3", "Balanced accuracy"]
    header = (*columns, *["Earlier report, top-1"] * earlier, *["Minutes"] * timed)
    rows = []
    for stage in found:
        row = [stage["stage"], *[stage.get("note") or NONE] * noted]
        row += [show_both(key, stage["figures"].get(key)) for key in keys]
        if earlier:
            row.append(f"{100 * EARLIER[stage['stage']]:.0f} %" if stage["stage"] in EARLIER else NONE)
        if timed:
            row.append(f"{stage['seconds'] / 60:,.1f}" if stage.get("seconds") else NONE)
        rows.append(tuple(row))
    blocks: list[Block] = [
        Text("Each on the same images as above, before calibration, with 95 % intervals in brackets."),
        Plot("stages.png", "Top-1 and top-3 of each stage, with 95 % intervals. The last bar is what ships."),
        Table(header, tuple(rows), words=2 if noted else 1, strong=(len(rows) - 1,)),
    ]
    if earlier:
        blocks.append(
            Text(
                "The earlier report used these stages on a split that has duplicates on both sides, which flatters "
                "every figure. Its column is there for orientation, and does not compare like with like."
            )
        )
    return Section("stages", "From the simplest to what ships", tuple(blocks))


def trials(details: Details) -> Section | None:
    """What was tried, and what of it was kept."""
    found = details.get("trials")
    if not found:
        return None
    rows = tuple(
        (
            trial["name"],
            trial.get("change", NONE),
            show_both("top_1", trial.get("top_1")),
            show_both("top_3", trial.get("top_3")),
            show_both("top_1", trial.get("difference"), signed=True),
            _speed(trial.get("images_per_second")),
            "yes" if trial.get("kept") else "no",
        )
        for trial in found
    )
    header = ("Trial", "Change", "Top-1", "Top-3", "Difference in top-1", "Images/s", "Kept")
    blocks = (
        Text(
            "Differences are paired: on the same images, drawn together. Choosing among trials by the images that "
            "they are measured on flatters the one that is chosen, a little."
        ),
        Table(header, rows, words=2, strong=tuple(i for i, trial in enumerate(found) if trial.get("kept"))),
    )
    return Section("trials", "What was tried", blocks)


def labels(details: Details) -> Section:
    """Label by label, and what is taken for what."""
    metrics = details["metrics"]
    rows = tuple(
        (
            label,
            f"{row['images']:,}",
            f"{row['groups']:,}",
            f"{row['named']:,.0f}",
            show_both("recall", row["recall"]),
            show("precision", row["precision"]),
            show("auroc", row["auroc"]),
            show("coverage", row["coverage"]),
        )
        for label, row in metrics["per_label"].items()
    )
    averaged = " (mean over the repeats)" if metrics["repeats"] > 1 else ""
    return Section(
        "labels",
        "Label by label",
        (
            Plot("recall.png", "Recall with 95 % interval, and precision, best recall first."),
            Table(("Label", "Images", "Groups", "Named", "Recall", "Precision", "AUROC", "Set holds it"), rows),
            Text(
                "Recall: of the images that carry the label, the share that gets it, with the interval of Wilson "
                "(counting groups). Named: how many images get the label; precision: the share of those that carry "
                "it. Set holds it: how often the 90 % prediction set of an image with the label has the label in it; "
                "the promise is for all labels together, so it may be kept for some and broken for others."
            ),
            Plot("confusion.png", f"What is taken for what: images{averaged}, shaded by the share of the row."),
        ),
    )


def runtimes(details: Details) -> Section | None:
    """The forms the model can be run in."""
    found = details.get("runtimes")
    if not found:
        return None
    rows = tuple(
        (
            one["name"],
            f"{one['bytes'] / 1e6:.1f} MB" if one.get("bytes") else NONE,
            *(show_both(key, one.get(key)) for key in ("top_1", "calibration_error", "coverage", "set_size")),
            f"{one['largest_difference']:.1e}" if one.get("largest_difference") is not None else NONE,
            _speed(one.get("images_per_second")),
            "yes" if one.get("kept") else "no",
        )
        for one in found
    )
    header = (
        "Weights",
        "Size",
        "Top-1",
        "Calibration error",
        "Coverage",
        "Set size",
        "Largest difference",
        "Images/s",
        "Kept",
    )
    blocks = (
        Text("Largest difference: of any probability, from the Keras model of record."),
        Table(header, rows, strong=tuple(i for i, one in enumerate(found) if one.get("kept"))),
    )
    return Section("runtimes", "Smaller and faster forms", blocks)


def _speed(value: float | None) -> str:
    return NONE if value is None else f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
