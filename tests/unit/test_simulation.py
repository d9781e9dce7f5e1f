"""Waits of simulated images, worked out by hand, and what the orders do to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bundles import add_images, copy_bundle, held_out, labels_of

from triage.agreement import interval
from triage.bundle import BundleError, open_bundle
from triage.drift import quartiles
from triage.simulation import ALL, BOUNDED, FIRST_COME, ORDERS, URGENCY, HeldOutImages, held_out_images, simulate, waits


def test_the_highest_score_of_those_that_wait_goes_first() -> None:
    arrivals, readings = np.array([0.0, 1.0, 2.0, 30.0]), np.array([10.0, 10.0, 10.0, 10.0])
    scores = np.array([0.0, 1.0, 2.0, 0.0])
    # The first is read at once, though it is worth least: nobody else was there.
    assert waits(arrivals, readings, -arrivals).tolist() == [0.0, 9.0, 18.0, 0.0]
    assert waits(arrivals, readings, scores).tolist() == [0.0, 19.0, 8.0, 0.0]
    # One that has waited more than 8 minutes goes first whatever its score.
    assert waits(arrivals, readings, scores, longest=8.5).tolist() == [0.0, 9.0, 18.0, 0.0]


def test_urgency_shifts_waits_and_a_longest_wait_shifts_them_back() -> None:
    labels = ["Fracture dislocation", "Hairline fracture"] * 5
    scores = np.array([1.0, 0.2] * 5)
    found = simulate(HeldOutImages(labels, scores, scores, scores), 0.9, count=4000, longest=20.0, usual=240.0)
    assert set(found) == set(ORDERS)
    first, urgent, bounded = (found[order] for order in (FIRST_COME, URGENCY, BOUNDED))
    assert urgent["Fracture dislocation"].mean < first["Fracture dislocation"].mean / 2
    assert urgent["Hairline fracture"].mean > 1.5 * first["Hairline fracture"].mean
    assert urgent[ALL].mean == pytest.approx(first[ALL].mean, rel=0.1)
    assert bounded["Hairline fracture"].mean < urgent["Hairline fracture"].mean
    again = simulate(HeldOutImages(labels, scores, scores, scores), 0.9, count=4000, longest=20.0, usual=240.0)
    assert again == found


def test_images_are_weighed_with_the_weights_that_are_given(tmp_path: Path, model_path: Path) -> None:
    path = copy_bundle(model_path, tmp_path, "new-1")
    with pytest.raises(BundleError, match=r"new-1 has no images\.csv"):
        held_out_images(open_bundle(path))
    add_images(path, held_out(labels_of(path), 2, 1, sure=0.91))
    weights = dict.fromkeys(labels_of(path), 0.0) | {labels_of(path)[0]: 1.0}
    found = held_out_images(open_bundle(path), weights)
    assert found.labels == [labels_of(path)[0]] * 3
    assert found.urgency.round(2).tolist() == [0.91, 0.91, 0.01]
    assert found.rank.tolist() == [0.91, 0.91, 0.91]
    assert found.known.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("count", "total", "ends"), [(0, 3, (0.0, 0.562)), (3, 3, (0.438, 1.0)), (50, 100, (0.404, 0.596))]
)
def test_an_interval_of_few_is_wide(count: int, total: int, ends: tuple[float, float]) -> None:
    assert tuple(round(end, 3) for end in interval(count, total)) == ends


def test_quartiles_of_counted_values() -> None:
    assert quartiles({}) is None
    assert quartiles({0.3: 1}) == (0.3, 0.3, 0.3)
    assert quartiles({0.9: 1, 0.1: 1, 0.4: 2}) == (0.1, 0.4, 0.4)
    assert quartiles({0.1: 10, 0.2: 10, 0.3: 10, 0.4: 10}) == (0.1, 0.2, 0.3)
