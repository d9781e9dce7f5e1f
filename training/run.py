"""The command ``python -m training.run``: reads a labelled folder, trains, measures, writes a bundle."""

from __future__ import annotations

import logging
import os
import resource
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import triage.settings
from training import TrainingError
from training.options import parse
from training.preparation import Run
from triage.bundle import BundleError
from triage.settings import SettingsError

if TYPE_CHECKING:
    import argparse

    from training.recipe import Recipe

log = logging.getLogger("training")


def train_bundle(options: argparse.Namespace) -> Path:
    """Everything from the folder to the bundle.

    Returns:
        the bundle's folder.

    Raises:
        TrainingError: with a message for a person.
        ImportError: the train extra is not installed.
    """
    started = time.monotonic()
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(options.seed)
    tf.config.experimental.enable_op_determinism()
    run = Run(options)

    # Imported this late so that a wrong option or folder is answered at once.
    from training import crossvalidation, export, network, recipe, stages
    from training.activations import shrink
    from training.assessment import evaluate
    from training.bundling import describe, write_images
    from training.calibration import calibrate
    from training.fitting import Bench
    from training.plots import write_sample_grid
    from training.unfamiliar import flag, flag_across, set_thresholds

    data, others = run.data, {each.name: each.fit for each in run.others}
    write_sample_grid(run.output, data)
    scratch = run.output / "cache"
    benches: dict[str, Bench] = {}

    def bench(of: Recipe) -> Bench:
        if of.name not in benches:
            benches[of.name] = Bench(
                of, run.origin, data.pixels, data.targets, len(data.labels), options.seed, scratch, others
            )
        return benches[of.name]

    def hold_out(of: Recipe, folds: list[Any]) -> crossvalidation.FoldResults:
        parts = [of.digest(), run.origin.digest(), data.fingerprint(), *(each.digest() for each in run.others)]
        digest = " ".join(parts)
        folder = run.output / "folds" / of.name.replace(" ", "-").replace(",", "")
        return crossvalidation.cross_validate(
            lambda: bench(of), digest, folds, data.targets, data.groups, len(data.labels), options.seed, folder
        )

    table = stages.Stages(options.seed, timed=not options.resume)
    for step in recipe.REPORT_STAGES:
        step = recipe.smaller(step) if options.smoke else step
        results = hold_out(step, run.folds[:1])
        if not table.rows:
            table.add_baselines(results, bench(step), run.folds[0], data.targets)
        table.add_recipe(step, results, stages.describe_stage(step))
        benches.pop(step.name, None)
    results = hold_out(run.recipe, run.folds)
    table.add_recipe(run.recipe, results, stages.describe_stage(run.recipe))

    held = results.held_out
    fitted = calibrate(held)
    flags = flag_across(results.distances, results.other_scores, held.folds)
    metrics = evaluate(held, data.labels, options.seed, flags)
    pooled = None if results.other_scores is None else results.other_scores.ravel()
    checks = set_thresholds(results.distances.ravel(), pooled)

    # With folds every image was held out once, so the model that ships may train on all of them.
    rows = np.flatnonzero(run.folds[0] >= 0) if options.folds else np.flatnonzero(run.folds[0] < 0)
    final = bench(run.recipe)
    # Before the model that ships is trained: a bench has one set of weights.
    runtimes = compare_precisions(run, final, fitted) if options.precisions else []
    log.info("training the model that ships on %d images", len(rows))
    trained = final.train(rows, options.seed)
    familiarity = final.familiarity(trained, rows)
    model = network.assemble(final.backbone, run.recipe.taps, trained.head, fitted.temperature)
    seen = {
        each.name: network.run_batches(
            lambda pictures, training: model(pictures, training=training)["features"],
            shrink(each.trial, run.recipe.side)[..., np.newaxis],
        )
        for each in run.others
        if len(each.trial)
    }
    flagged = {
        name: flag(familiarity.distances(found), familiarity.other_picture_scores(found), checks)
        for name, found in seen.items()
    }
    folders = [run.output, triage.settings.BUNDLES_DIR]
    name = export.next_version(run.created, folders, "smoke" if options.smoke else "mobilenetv2")
    details = describe(name, run, fitted, checks, metrics, table.rows, flags, flagged) | {
        "runtimes": runtimes,
    }
    if not options.resume:
        details["training"]["seconds"] = round(time.monotonic() - started)
    details["training"]["peak_memory_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)

    def add_statistics(folder: Path) -> None:
        export.write_familiarity(folder, familiarity)
        write_images(folder, data, results, fitted, run.folds[0])

    pictures = shrink(data.pixels[: min(len(data.pixels), 160)], run.recipe.side)
    bundle, difference = export.write_bundle(run.output, model, details, pictures, export.add_report, add_statistics)
    shutil.rmtree(scratch, ignore_errors=True)
    log.info("twin differs by at most %.1e; done in %.0f s", difference, time.monotonic() - started)
    if options.install:
        bundle = export.install_bundle(bundle, triage.settings.BUNDLES_DIR)
    return bundle


def compare_precisions(run: Run, bench: Any, fitted: Any) -> list[dict[str, Any]]:
    """The twin in float32, float16 and int8 on the first fold; the bench is trained without it, and stays so."""
    from training import network, precision
    from training.activations import shrink

    held = np.flatnonzero(run.folds[0] == 0)
    rest = np.flatnonzero((run.folds[0] >= -1) & (run.folds[0] != 0))
    trained = bench.train(rest, run.options.seed)
    model = network.assemble(bench.backbone, run.recipe.taps, trained.head, fitted.temperature)
    pictures = shrink(run.data.pixels, run.recipe.side)
    return precision.compare(model, pictures[rest[:200]], pictures[held], run.data.targets[held], fitted.quantile)


def main() -> int:
    """Runs the command; returns the exit code."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    log.setLevel(logging.INFO)
    options = parse()
    try:
        bundle = train_bundle(options)
    except KeyboardInterrupt:
        log.error("stopped; go on with --resume --output and the folder of this run")
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
