"""Whom sorting helps, and whom it makes wait: arrivals, one reader, and what the model really said of held-out images.

``python -m benchmarks.triage_simulation``: images arrive at random (Poisson), are drawn from those that the bundle's
folds held out, each with its label and the probabilities that were said of it unseen, and one person reads them, one
after the other (log-normal reading times). Compared are first come, first served; the worklist as it opens (what has
waited longer than TRIAGE_MAX_WAIT_MINUTES, then what needs review, then by confidence); urgency (`triage.urgency`);
urgency with a short longest wait, behind which an image goes first whatever its score; and an oracle that knows the
labels.
Prints waits for each label, JSON with ``--json``; ``--plot FILE.png`` draws them (needs matplotlib).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from triage import simulation
from triage.bundle import find_bundle, open_bundle
from triage.settings import get_settings
from triage.simulation import HeldOutImages, held_out_images
from triage.urgency import WEIGHTS

FIRST_COME = "first come, first served"
WORKLIST = "worklist: {minutes:.0f} minutes at most, review, confidence"
URGENCY = "urgency"
BOUNDED = "urgency, {minutes:.0f} minutes at most"
ORACLE = "urgency, if the labels were known"


def simulate(images: HeldOutImages, load: float, count: int, longest: float, usual: float, seed: int) -> dict[str, Any]:
    """`triage.simulation.simulate` with the names of the orders written out, for people."""
    names = {
        simulation.FIRST_COME: FIRST_COME,
        simulation.WORKLIST: WORKLIST.format(minutes=usual),
        simulation.URGENCY: URGENCY,
        simulation.BOUNDED: BOUNDED.format(minutes=longest),
        simulation.ORACLE: ORACLE,
    }
    found = simulation.simulate(images, load, count=count, longest=longest, usual=usual, seed=seed)
    waits = {
        names[order]: {
            label: {"mean": round(wait.mean, 1), "p95": round(wait.p95, 1), "max": round(wait.longest, 1)}
            for label, wait in by_label.items()
        }
        for order, by_label in found.items()
    }
    return {"load": load, "images": count, "waits_minutes": waits}


def draw(results: list[dict[str, Any]], file: Path) -> None:
    """Mean wait of each label against its weight, an order a line, a load a panel."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, len(results), figsize=(4.6 * len(results), 4.4), sharey=True, layout="constrained")
    colours = ["#7f7f7f", "#d55e00", "#0072b2", "#56b4e9", "#009e73"]
    for panel, result in zip(np.atleast_1d(panels), results, strict=True):
        labels = [label for label in WEIGHTS if label in result["waits_minutes"][FIRST_COME]]
        for (name, by_label), colour in zip(result["waits_minutes"].items(), colours, strict=True):
            means = [by_label[label]["mean"] for label in labels]
            panel.plot(means, range(len(labels)), "o-", color=colour, markersize=4, linewidth=1.2, label=name)
        panel.set_yticks(range(len(labels)), [f"{label} ({WEIGHTS[label]:g})" for label in labels])
        panel.set_title(f"reader busy {result['load']:.0%} of the time", fontsize=10)
        panel.set_xlabel("mean wait, minutes")
        panel.set_xlim(left=0)
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(axis="x", alpha=0.2)
    np.atleast_1d(panels)[0].invert_yaxis()
    handles, names = np.atleast_1d(panels)[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.savefig(file, dpi=110)


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser("python -m benchmarks.triage_simulation", description=__doc__)
    parser.add_argument("--bundle", type=Path, help="default: the active one")
    parser.add_argument("--images", type=int, default=50_000, help="that arrive at each load")
    parser.add_argument("--loads", type=float, nargs="+", default=[0.6, 0.8, 0.95])
    parser.add_argument("--longest", type=float, default=60.0, metavar="MINUTES")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    images = held_out_images(open_bundle(options.bundle or find_bundle(get_settings())))
    usual = get_settings().max_wait_minutes
    results = [simulate(images, load, options.images, options.longest, usual, options.seed) for load in options.loads]
    if options.plot:
        draw(results, options.plot)
    if options.json:
        print(json.dumps(results, indent=2))
        return
    console = Console()
    for result in results:
        orders = result["waits_minutes"]
        table = Table("label (weight)", *orders, title=f"minutes waited, mean / p95 / max, load {result['load']:g}")
        for label in ["all", *WEIGHTS]:
            if label in orders[FIRST_COME]:
                cells = [
                    f"{order[label]['mean']:g} / {order[label]['p95']:g} / {order[label]['max']:g}"
                    for order in orders.values()
                ]
                table.add_row(label if label == "all" else f"{label} ({WEIGHTS[label]:g})", *cells)
        console.print(table)


if __name__ == "__main__":
    main()
