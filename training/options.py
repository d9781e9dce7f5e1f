"""The command line of ``python -m training.run``."""

from __future__ import annotations

import argparse
import json
from dataclasses import fields
from pathlib import Path

from training.recipe import BEST, Recipe


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line; wrong usage exits with 2."""
    parser = argparse.ArgumentParser(
        "python -m training.run",
        description="Trains a fracture type classifier on a labelled folder and writes a model bundle with its report.",
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="DIR", help="<class>/Train|Test/ or <class>/ with images")
    add("--output", type=Path, metavar="DIR", help="where everything goes (default: runs/<UTC time>)")
    add("--resume", action="store_true", help="go on in --output: what was finished there is not done again")
    add("--weights", type=Path, metavar="FILE", help="ImageNet weights (default: $TRAINING_WEIGHTS, else fetched)")
    add("--groups", type=Path, metavar="CSV", help="columns sha256, group: images that belong together")
    add("--own-labels", action="store_true", help="folder names are the labels, whatever they are")
    add("--with-reviews", action="store_true", help="add images that clinicians confirmed or corrected here")
    add(
        "--radiographs", type=Path, metavar="DIR",
        help="unlabelled radiographs that are not unlike the training data, for the check that says so",
    )  # fmt: skip
    add("--photos", type=Path, metavar="DIR", help="pictures that are no X-rays, for the check that says so")
    add("--folds", type=_positive, metavar="K", help="cross-validate; the model that ships then trains on everything")
    add("--repeats", type=_positive, default=1, metavar="N", help="of the cross-validation, with other folds")
    add("--precisions", action="store_true", help="also try float16 and int8 twins on the first fold")
    add("--data-note", default="", metavar="TEXT", help="source and licence of the images, for the card")
    add("--smoke", action="store_true", help="a short run on a few images with random weights; not for use")
    add("--install", action="store_true", help="copy the bundle to models/ and make it the shipped one")
    add(
        "--set", type=_change, action="append", default=[], metavar="NAME=VALUE", dest="changes",
        help="change one value of the recipe, as in --set epochs_fine=20; may be given several times",
    )  # fmt: skip
    add("--seed", type=int, default=20, metavar="N", help="of the split, the augmentation and the training")
    options = parser.parse_args(arguments)
    for name in ("data", "radiographs", "photos"):
        if (folder := getattr(options, name)) and not folder.is_dir():
            parser.error(f"--{name}: {folder} is not a folder")
    for name in ("weights", "groups"):
        if (file := getattr(options, name)) and not file.is_file():
            parser.error(f"--{name}: {file} is not a file")
    if options.smoke and options.install:
        parser.error("--smoke makes no model for use, so it cannot be installed")
    if options.folds == 1:
        parser.error("--folds: cross-validation needs 2 or more")
    if options.repeats > 1 and not options.folds:
        parser.error("--repeats needs --folds")
    if options.resume and not options.output:
        parser.error("--resume needs the --output folder of the run to go on with")
    if options.output and not options.resume and (options.output / "run.json").exists():
        parser.error(f"--output: {options.output} holds a run. Go on with it with --resume, or name another folder")
    return options


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _change(text: str) -> tuple[str, object]:
    """``name=value`` for a field of `Recipe`; lists with commas, numbers as in JSON."""
    name, _, value = text.partition("=")
    changeable = {field.name for field in fields(Recipe)} - {"name", "augmentation"}
    if name not in changeable:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(sorted(changeable))}")
    old = getattr(BEST, name)
    if isinstance(old, str):
        return name, value
    if isinstance(old, tuple):
        return name, tuple(value.split(","))
    try:
        new = json.loads(value)
    except ValueError:
        new = None
    # A whole number will do for a fraction, and nothing else for a whole number.
    if not isinstance(new, bool if isinstance(old, bool) else int | float if isinstance(old, float) else int):
        raise argparse.ArgumentTypeError(f"{name} takes a value like {json.dumps(old)}, not {value!r}")
    return name, new
