"""The parts of a report on what confidence means, and when the model asks for a human."""

from __future__ import annotations

from typing import Any, Final

from training.sections import (
    NAMES,
    NONE,
    Block,
    Bullets,
    Details,
    Plot,
    Section,
    Table,
    Text,
    show,
    show_both,
    show_interval,
)

REASONS: Final = {
    "low_confidence": "confidence below {low_confidence:.2f}",
    "ambiguous": "the second label is less than {margin:.2f} behind the first",
    "unlike_training_data": "the picture is unlike those that the model was trained on",
    "not_an_xray": "the picture does not look like a radiograph",
    "any": "one of these at least",
}


def calibration(details: Details) -> Section:
    """What confidence means, before and after the temperature."""
    metrics = details["metrics"]
    before, after, fit = metrics["before_calibration"], metrics["cross_fit"]["after"], metrics["cross_fit"]
    names = ("calibration_error", "brier", "log_loss")
    rows = tuple((NAMES[name], show_both(name, before[name]), show_both(name, after[name])) for name in names)
    conformal, spread = details["conformal"], fit["temperature"]
    promised = f"{100 * conformal['coverage']:.0f} %"
    how = (
        "Both are fitted on the images outside a fold, over all repeats, and measured on the fold."
        if metrics["protocol"] == "cross-validation"
        else "Both are fitted on one half of the hold-out and measured on the other half, over many splits by group; "
        "what ships is fitted on all of it."
    )
    return Section(
        "calibration",
        "What confidence means",
        (
            Text(
                f"The logits are divided by one temperature, {details['temperature']:.2f} "
                f"({spread['low']:.2f} to {spread['high']:.2f} when fitted on parts of the images), inside the model. "
                f"Prediction sets hold all labels of at least {1 - conformal['quantile']:.3f}. {how}"
            ),
            Table(("Figure", "Before", "After"), rows),
            Plot(
                "reliability.png",
                "How often the label is right by confidence; on the dashed line it is as sure as right.",
            ),
            Table(
                ("Prediction sets", "Value", "95 % interval"),
                (
                    (f"They hold the label of the folder (promised: {promised})", *_pair("coverage", fit["coverage"])),
                    (NAMES["set_size"], *_pair("set_size", fit["set_size"])),
                ),
            ),
            Plot("set-sizes.png", f"How many labels the {promised} prediction sets hold."),
        ),
    )


def _pair(name: str, entry: dict[str, float]) -> tuple[str, str]:
    return show(name, entry["value"]), show_interval(name, entry)


def review(details: Details) -> Section:
    """When it asks for a human, and whether confidence is good for putting pictures in order."""
    metrics = details["metrics"]
    fit, curve = metrics["cross_fit"], metrics["risk_coverage"]
    thresholds = {name: value for name, value in details["thresholds"].items() if value is not None}
    rows = tuple(
        (f"`{name}`" if name != "any" else "In all", REASONS.get(name, "").format(**thresholds), show(name, share))
        for name, share in metrics["review"].items()
    )
    rules = [f"`{name}`: {rule}" for name, rule in (details.get("threshold_rules") or {}).items()]
    blocks: list[Block] = [Table(("Reason", "Meaning", "Images"), rows, words=2, strong=(len(rows) - 1,))]
    if rules:
        blocks += [Text("Where the thresholds come from:"), Bullets(tuple(rules))]
    blocks += [
        Table(
            ("With a confidence threshold fitted on other images", "Value", "95 % interval"),
            (
                ("Images at or above it", *_pair("share", fit["trusted_share"])),
                ("Right among those", *_pair("share", fit["trusted_accuracy"])),
            ),
        ),
        Plot("risk-coverage.png", "Error among the images that are kept when the least confident are put aside."),
        Text(
            f"The mean error along that curve (AURC) is {curve['area']:.3f}, against {curve['area_random']:.3f} "
            f"without any order and {curve['area_oracle']:.3f} if every error came last."
        ),
    ]
    return Section("review", "When it asks for a human", tuple(blocks))


def unfamiliar(details: Details) -> Section | None:
    """How many pictures it recognises as none of its business."""
    found = details.get("unfamiliar")
    if not found or not found.get("sets"):
        return None
    rows = tuple(
        (
            one["name"],
            _wanted(one.get("wanted")),
            f"{one['images']:,}",
            f"{one['flagged']:,}",
            show("share", one["share"]),
            show_interval("share", one) if "low" in one else NONE,
        )
        for one in found["sets"]
    )
    header = ("Pictures", "Should be flagged", "Images", "Flagged", "Share", "95 % interval")
    blocks: list[Block] = [Table(header, rows, words=2)]
    if found.get("note"):
        blocks.insert(0, Text(found["note"]))
    return Section("unfamiliar", "Pictures it should not judge", tuple(blocks))


def _wanted(wanted: Any) -> str:
    if isinstance(wanted, bool):
        return "yes" if wanted else "no"
    return NONE if wanted is None else str(wanted)
