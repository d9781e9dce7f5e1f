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
import csv
import heapq
import json
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from triage.bundle import find_bundle, open_bundle
from triage.settings import get_settings
from triage.urgency import UNKNOWN, WEIGHTS, urgency

Floats = npt.NDArray[np.float64]
READING_MINUTES = 4.0
READING_SPREAD = 0.6
"""Standard deviation of the logarithm of the reading time: half of the images take 2.2 to 5 minutes."""

FIRST_COME = "first come, first served"
WORKLIST = "worklist: {minutes:.0f} minutes at most, review, confidence"
URGENCY = "urgency"
BOUNDED = "urgency, {minutes:.0f} minutes at most"
ORACLE = "urgency, if the labels were known"


@dataclass(frozen=True)
class HeldOutImages:
    """What was said of the m held-out images.

    Attributes:
        labels: (m,) of the folder.
        rank: (m,) higher goes first, by the worklist's order.
        urgency: (m,) higher goes first.
        known: (m,) the urgency of the label itself.
    """

    labels: list[str]
    rank: Floats
    urgency: Floats
    known: Floats


def read_held_out(bundle_path: Path) -> HeldOutImages:
    """Reads a bundle's ``images.csv``."""
    bundle = open_bundle(bundle_path)
    threshold, margin = bundle.thresholds["low_confidence"], bundle.thresholds["margin"]
    labels, rank, scores, known = [], [], [], []
    with (bundle.path / "images.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if not row[f"p:{bundle.labels[0]}"]:
                continue
            said = {label: float(row[f"p:{label}"]) for label in bundle.labels}
            first, second = sorted(said.values(), reverse=True)[:2]
            review = first < threshold or first - second < margin
            labels.append(row["label"])
            rank.append(2 * review + first)
            scores.append(urgency(said))
            known.append(WEIGHTS.get(row["label"], UNKNOWN))
    return HeldOutImages(labels, np.array(rank), np.array(scores), np.array(known))


def waits(arrivals: Floats, readings: Floats, scores: Floats, longest: float | None = None) -> Floats:
    """Minutes that each image waits for one reader.

    Args:
        arrivals: (n,) minutes, ascending.
        readings: (n,) minutes that reading takes.
        scores: (n,) the highest of those that wait is read next; of equal ones the oldest.
        longest: an image that has waited so many minutes goes first, whatever its score; None: never.
    """
    count = len(arrivals)
    waited = np.zeros(count)
    done = np.zeros(count, bool)
    heap: list[tuple[float, int]] = []
    in_order: deque[int] = deque()
    now, arriving = 0.0, 0
    for _ in range(count):
        while in_order and done[in_order[0]]:
            in_order.popleft()
        if not in_order and arriving < count:
            now = max(now, arrivals[arriving])
        while arriving < count and arrivals[arriving] <= now:
            heapq.heappush(heap, (-scores[arriving], arriving))
            in_order.append(arriving)
            arriving += 1
        if longest is not None and now - arrivals[in_order[0]] > longest:
            chosen = in_order[0]
        else:
            while done[heap[0][1]]:
                heapq.heappop(heap)
            chosen = heapq.heappop(heap)[1]
        done[chosen] = True
        waited[chosen] = now - arrivals[chosen]
        now += readings[chosen]
        while in_order and done[in_order[0]]:
            in_order.popleft()
    return waited


def simulate(images: HeldOutImages, load: float, count: int, longest: float, usual: float, seed: int) -> dict[str, Any]:
    """Waits by order and label at one load (share of the reader's time that reading takes).

    Args:
        images: what arrives.
        load: the share.
        count: how many arrive.
        longest: minutes at most, for urgency.
        usual: minutes at most, for the worklist.
        seed: of chance.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(images.labels), size=count)
    readings = rng.lognormal(np.log(READING_MINUTES) - READING_SPREAD**2 / 2, READING_SPREAD, count)
    arrivals = np.cumsum(rng.exponential(READING_MINUTES / load, count))
    orders = {
        FIRST_COME: (-arrivals, None),
        WORKLIST.format(minutes=usual): (images.rank[drawn], usual),
        URGENCY: (images.urgency[drawn], None),
        BOUNDED.format(minutes=longest): (images.urgency[drawn], longest),
        ORACLE: (images.known[drawn], None),
    }
    labels = np.array(images.labels)[drawn]
    found: dict[str, Any] = {}
    for name, (scores, bound) in orders.items():
        waited = waits(arrivals, readings, scores, bound)
        found[name] = {
            label: {
                "mean": round(float(some.mean()), 1),
                "p95": round(float(np.quantile(some, 0.95)), 1),
                "max": round(float(some.max()), 1),
            }
            for label, some in [("all", waited)] + [(each, waited[labels == each]) for each in sorted(set(labels))]
        }
    return {"load": load, "images": count, "waits_minutes": found}


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
    images = read_held_out(options.bundle or find_bundle(get_settings()))
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
