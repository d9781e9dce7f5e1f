"""The command ``python -m training.run``: reads a labelled folder, trains, writes a bundle."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import triage.settings
from training import TrainingError
from training.dataset import read_dataset, split_holdout
from training.stages import HOLDOUT_SHARE, SMOKE, Recipe, run_stages
from triage.bundle import BundleError
from triage.pixels import Limits
from triage.settings import SettingsError, get_settings

log = logging.getLogger("training")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line; wrong usage exits with 2."""
    parser = argparse.ArgumentParser(
        "python -m training.run",
        description="Trains a fracture type classifier on a labelled folder and writes a model bundle.",
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="DIR", help="<class>/Train|Test/ or <class>/ with images")
    add("--output", type=Path, metavar="DIR", help="where the bundle goes (default: runs/<UTC time>)")
    add(
        "--weights",
        type=Path,
        metavar="FILE",
        help="ImageNet weights (default: $TRAINING_WEIGHTS, else fetched)",
    )
    add(
        "--groups",
        type=Path,
        metavar="CSV",
        help="columns sha256, group: images to keep on one side of the split",
    )
    add("--data-note", default="", metavar="TEXT", help="source and licence of the images, for the card")
    add("--smoke", action="store_true", help="a minute's run on a few images with random weights; not for use")
    add("--install", action="store_true", help="copy the bundle to models/ and make it the active one")
    add("--epochs-frozen", type=_positive, metavar="N", help=f"default {Recipe.epochs_frozen}")
    add("--epochs-fine", type=_positive, metavar="N", help=f"default {Recipe.epochs_fine}")
    add(
        "--passes",
        type=_positive,
        metavar="N",
        help=f"augmented versions of each image (default {Recipe.passes})",
    )
    add("--seed", type=int, default=20, metavar="N", help="of the split, the augmentation and the training")
    options = parser.parse_args(arguments)
    if not options.data.is_dir():
        parser.error(f"--data: {options.data} is not a folder")
    for name in ("weights", "groups"):
        if (file := getattr(options, name)) and not file.is_file():
            parser.error(f"--{name}: {file} is not a file")
    if options.smoke and options.install:
        parser.error("--smoke makes no model for use, so it cannot be installed")
    return options


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def make_recipe(options: argparse.Namespace) -> Recipe:
    """The recipe with what the command line changes."""
    base = vars(SMOKE if options.smoke else Recipe())
    given = {name: getattr(options, name) for name in ("epochs_frozen", "epochs_fine", "passes")}
    return Recipe(**(base | {name: value for name, value in given.items() if value}))


def train_bundle(options: argparse.Namespace) -> Path:
    """Everything from the folder to the bundle.

    Returns:
        the bundle's folder.

    Raises:
        TrainingError: with a message for a person.
        ImportError: the train extra is not installed.
    """
    started, recipe = time.monotonic(), make_recipe(options)
    created = datetime.now(UTC)
    output = options.output or Path("runs") / f"{created:%Y%m%dT%H%M%SZ}"
    limits = Limits.of(get_settings())
    data = read_dataset(options.data, limits, recipe.side, options.groups, recipe.per_label)
    holdout = split_holdout(data.targets, data.groups, data.held_back, HOLDOUT_SHARE, options.seed)
    for skipped in data.skipped:
        log.warning("left out: %s (%s)", skipped.name, skipped.reason)
    log.info(
        "%d images of %d labels in %d groups: %d train, %d are the hold-out",
        len(data.targets), len(data.labels), len(set(data.groups)), (~holdout).sum(), holdout.sum(),
    )  # fmt: skip

    # Imported this late so that a wrong option or folder is answered at once.
    import keras
    import tensorflow as tf

    from training import calibration, evaluation, export, network, plots, report

    keras.utils.set_random_seed(options.seed)
    tf.config.experimental.enable_op_determinism()
    environment = os.environ.get("TRAINING_WEIGHTS")
    weights = None if options.smoke else options.weights or (Path(environment) if environment else "imagenet")
    backbone = network.build_backbone(recipe.side, recipe.alpha, weights, recipe.trainable_layers)
    stages, head = run_stages(backbone, data, holdout, recipe, options.seed)

    targets, groups = data.targets[holdout], data.groups[holdout]
    untempered = network.before_softmax(network.assemble(backbone, head, 1.0))
    logits = network.logits_of(untempered, data.pixels[holdout][..., None])
    fitted = calibration.calibrate(logits, targets)
    probabilities = evaluation.softmax(logits, fitted.temperature)
    sets = calibration.prediction_sets(probabilities, fitted.quantile)
    metrics = {
        "holdout": evaluation.measure(probabilities, targets, groups, options.seed),
        "cross_fit": calibration.cross_fit(logits, targets, groups, options.seed),
        "per_label": evaluation.per_label(probabilities, targets, data.labels),
        "confusion": evaluation.confusion(probabilities, targets).tolist(),
        "review": calibration.review_shares(probabilities, fitted),
        "mean_set_size": round(float(sets.sum(axis=1).mean()), 2),
    }
    folders = [output, triage.settings.BUNDLES_DIR]
    name = export.next_version(created, folders, "smoke" if options.smoke else "mobilenetv2")
    details = report.describe(name, created, data, holdout, recipe, fitted, backbone.origin, options) | {
        "stages": stages,
        "metrics": metrics,
    }
    model = network.assemble(backbone, head, fitted.temperature)

    def add_report(folder: Path, final: dict[str, Any]) -> None:
        report.write_card(folder, final)
        plots.plot_balance(folder, data, holdout)
        plots.plot_confusion(folder, data.labels, evaluation.confusion(probabilities, targets))
        plots.plot_reliability(folder, probabilities, targets)

    bundle, difference = export.write_bundle(output, model, details, data.pixels[holdout], add_report)
    plots.write_sample_grid(output, data)
    report.write_lists(output, data, holdout)
    log.info("twin differs by at most %.1e; done in %.0f s", difference, time.monotonic() - started)
    if options.install:
        bundle = export.install_bundle(bundle, triage.settings.BUNDLES_DIR)
    return bundle


def main() -> int:
    """Runs the command; returns the exit code."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    log.setLevel(logging.INFO)
    options = parse()
    try:
        bundle = train_bundle(options)
    except KeyboardInterrupt:
        return 130
    except TrainingError as error:
        log.error("%s", error)
        return error.exit_code
    except (SettingsError, BundleError) as error:
        log.error("%s", error)
        return 2
    except ImportError as error:
        log.error("%s. Training needs the `train` extra: pip install 'fracture-triage[train]'", error)
        return 3
    except OSError as error:
        log.error("%s", error)
        return 1
    sys.stdout.write(f"{bundle}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
