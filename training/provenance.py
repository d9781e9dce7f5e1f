"""The parts of a report that say what a model is for, what it was made from, what it cannot do, and how to make it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.sections import NONE, Block, Bullets, Details, Plot, Section, Table, Text, count_of


def purpose(details: Details) -> Section:
    """What it is for, and what it is not."""
    blocks: list[Block] = []
    if details.get("smoke"):
        blocks.append(
            Text(
                "It only shows that the parts fit together; its labels mean nothing.",
                "Made by a smoke run, not for use.",
            )
        )
    blocks += [
        Text(
            f"A MobileNetV2 that names one of {len(details['labels'])} fracture types on a radiograph and says how "
            "sure it is. It is for ordering a worklist, and for a second opinion beside a clinician's own."
        ),
        Text(
            'It was trained on pictures of broken bones only. There is no "no fracture" among its labels, so it cannot '
            "say that a bone is intact, and a low confidence does not mean that one is.",
            "It is not a diagnosis.",
        ),
        Text("", "It must not be used"),
        Bullets(
            (
                "to decide, alone or without a clinician who looks at the picture, on anything about a patient;",
                "to rule a fracture out, to leave a picture unread, or to put off looking at one because it ranks low;",
                "as a medical device: it is none, and it has not been validated in a clinic, on any patient group, or "
                "on any X-ray equipment;",
                "on anything but plain radiographs of bones that may be broken.",
            )
        ),
    ]
    return Section("purpose", "What it is for, and what not", tuple(blocks))


def data(details: Details) -> Section:
    """The images: how many, from where, what was left out."""
    training = details["training"]
    facts = [
        ("Images", f"{training['images']:,}"),
        ("Groups of images that are not independent", f"{training['groups']:,}"),
        ("Groups that carry more than one label", str(training.get("conflicts", NONE))),
        ("Files left out", str(_size(training.get("left_out")))),
        ("Fingerprint (SHA-256 over the files' digests)", f"`{training['fingerprint']}`"),
    ]
    blocks: list[Block] = [
        Text(training.get("data_note") or "Source and licence of the images are not stated."),
        Table(("The images", ""), tuple(facts), words=2),
    ]
    origins = training.get("origins") or {}
    if len(origins) > 1 or "review" in origins:
        blocks.append(Table(("From", "Images"), tuple((name, f"{count:,}") for name, count in origins.items())))
    mapping = details.get("label_mapping") or {}
    labels = training["per_label"]
    folders = {label: ", ".join(f"`{name}`" for name, to in mapping.items() if to == label) for label in labels}
    blocks.append(Plot("class-balance.png", "Images per label."))
    if mapping:
        rows = tuple((label, folders[label] or NONE, f"{count:,}") for label, count in labels.items())
        blocks.append(Table(("Label", "Folder", "Images"), rows, words=2))
    if training.get("other_data"):
        blocks.append(
            Table(
                ("Other pictures", "What they were used for", "Licence", "Images"),
                tuple(
                    (one["name"], one.get("use", NONE), one.get("licence", NONE), f"{one.get('images', 0):,}")
                    for one in training["other_data"]
                ),
                words=3,
            )
        )
    return Section("data", "Data", tuple(blocks))


def audit(details: Details) -> Section | None:
    """What was found wrong with the folder before anything was trained on it."""
    found = details.get("audit")
    if not found:
        return None
    blocks: list[Block] = [
        Text(
            "Copies of one picture on both sides of a split make a model look better than it is. So the folder was "
            "searched for exact and near duplicates first; what was found together stays together in every split."
        )
    ]
    flat = {key: value for key, value in found.items() if not isinstance(value, Mapping) and not _is_table(value)}
    if flat:
        blocks.append(Table(("Found", ""), tuple((_title(key), _cell(value)) for key, value in flat.items()), words=2))
    for key, value in found.items():
        if isinstance(value, Mapping) and value:
            rows = tuple((_plain(inner), _cell(entry)) for inner, entry in value.items())
            blocks.append(Table((_title(key), ""), rows, words=2))
        elif _is_table(value):
            header = tuple(value[0])
            cells = tuple(tuple(_cell(row.get(column)) for column in header) for row in value)
            blocks.append(Table(tuple(map(_title, header)), cells, title=_title(key), words=len(header)))
    return Section("audit", "Leakage audit", tuple(blocks))


def limits(details: Details) -> Section:
    """What the figures do not say."""
    metrics, training = details["metrics"], details["training"]
    return Section(
        "limits",
        "Limits",
        (
            Bullets(
                (
                    'There is no "no fracture" label. Every picture gets a fracture type, a healthy bone as well.',
                    "It has not been validated clinically. All figures are of images from the same sources as those "
                    "that trained it: expect worse on another clinic's pictures.",
                    f"The data are few ({count_of(metrics['images'], 'image')} measured, in "
                    f"{count_of(metrics['groups'], 'group')}), so the intervals are wide. They speak of other images "
                    "of the same kind, not of other clinics, and not of training again.",
                    "Where the images come from, and who labelled them how, is known only as far as the note under "
                    f"Data says. {_conflicts(training)}Wrong labels have trained the model, and count against it.",
                    "Fracture types go with body parts, projections and sources, in small collections above all, so "
                    "the model may know a type by the bone, the device or the layout of the page, not by the fracture.",
                    "Fracture types overlap (an oblique fracture can be comminuted), and the model names one.",
                    "Duplicates that the search did not find may still lie on both sides of a split.",
                    "Nothing is known of age, sex, origin or equipment, so nothing can be said about fairness "
                    "between groups of patients.",
                )
            ),
        ),
    )


def _conflicts(training: Mapping[str, Any]) -> str:
    found = training.get("conflicts")
    return (
        f"{count_of(found, 'group')} of duplicates {'carries' if found == 1 else 'carry'} contradictory labels. "
        if found
        else ""
    )


def licences(details: Details) -> Section:
    """What is known of the rights in data and weights."""
    training = details["training"]
    backbone = training.get("backbone") or {}
    rows = [("Training images", training.get("data_note") or "not stated")]
    rows += [(one["name"], one.get("licence") or "not stated") for one in training.get("other_data") or ()]
    start = ": ".join(str(backbone[key]) for key in ("weights", "licence") if backbone.get(key))
    rows += [("Weights it started from", start or "not stated"), ("Code", "Apache-2.0")]
    return Section(
        "licences",
        "Licences",
        (
            Table(("What", "Licence, as far as it is known"), tuple(rows), words=2),
            Text(
                "No picture is in this bundle. What is said of the images' licence is a note given to training; "
                "nobody has verified it here, and whether it reaches weights that were trained on the images is "
                "unsettled. Clear both for your own use before you pass these weights on or earn money with them."
            ),
        ),
    )


def reproduction(details: Details) -> Section:
    """What it takes to make this model again."""
    training = details["training"]
    backbone, recipe = training.get("backbone") or {}, training.get("recipe") or {}
    command = training.get("command") or f"python -m training.run --data DIR --seed {training['seed']}"
    facts = [("Command", f"`{command}`"), ("Seed", str(training["seed"]))]
    facts += [(title, f"`{backbone[key]}`") for key, title in (("file", "Weights file"), ("sha256", "Its SHA-256"))
              if backbone.get(key)]  # fmt: skip
    if training.get("seconds"):
        facts.append(("Time", f"{training['seconds'] / 60:,.0f} min"))
    if training.get("peak_memory_mb"):
        facts.append(("Memory, at most", f"{training['peak_memory_mb']:,.0f} MB"))
    files = details.get("files") or {}
    facts += [(f"SHA-256 of `{name}`", f"`{entry['sha256']}`") for name, entry in files.items()]
    blocks: list[Block] = [
        Table(("This run", ""), tuple(facts), words=2),
        Text(
            "The same folder (see its fingerprint), seed, packages and processor give the same model; other versions "
            "or processors round differently, and training carries that on to a somewhat different one."
        ),
        Table(
            ("Package", "Version"), tuple((name, str(number)) for name, number in details["packages"].items()), words=2
        ),
    ]
    if recipe:
        rows = tuple((_plain(key), _cell(value)) for key, value in recipe.items())
        blocks.append(Table(("Recipe", ""), rows, words=2))
    return Section("reproduce", "How to make it again", tuple(blocks))


# -- anything as text --------------------------------------------------------------------------------------------------


def _size(value: Any) -> Any:
    return NONE if value is None else len(value) if isinstance(value, list | tuple | Mapping) else value


def _plain(key: Any) -> str:
    return str(key).replace("_", " ")


def _title(key: Any) -> str:
    text = _plain(key)
    return text[:1].upper() + text[1:]


def _is_table(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(one, Mapping) for one in value)


def _cell(value: Any) -> str:
    """A JSON value in one cell."""
    if value is None or value in ({}, [], ()):
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{_plain(key)}: {_cell(entry)}" for key, entry in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_cell, value))
    return str(value)
