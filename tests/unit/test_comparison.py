"""Two versions on the same held-out images; the bundles are made up, and their figures can be counted."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from bundles import Row, add_images, held_out, rewrite

from triage.bundle import Bundle, BundleError, open_bundle
from triage.comparison import NotComparable, compare, read_held_out

LABELS = ["Oblique fracture", "Spiral fracture", "Greenstick fracture"]


def make(folder: Path, version: str, rows: list[Row] | None, labels: list[str] = LABELS) -> Bundle:
    """A bundle whose model nobody loads."""
    path = folder / version
    path.mkdir()
    (path / "model.keras").write_bytes(b"model")
    digest = "9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4"
    (path / "bundle.json").write_text("{}")
    rewrite(
        path,
        schema=1, version=version, labels=labels, input={"side": 8}, temperature=1.0, metrics={},
        thresholds={"low_confidence": 0.5, "margin": 0.1}, conformal={"quantile": None},
        files={"model.keras": {"sha256": digest}},
    )  # fmt: skip
    if rows is not None:
        add_images(path, rows)
    return open_bundle(path)


def test_a_version_that_is_right_more_often_is_not_worse(tmp_path: Path) -> None:
    new, old = make(tmp_path, "new", held_out(LABELS, 40, 20)), make(tmp_path, "old", held_out(LABELS, 30, 30))
    found = compare(new, old)
    assert (found.images, found.groups) == (60, 30)
    assert not found.is_worse
    assert (found.top_1.candidate, found.top_1.active) == pytest.approx((40 / 60, 30 / 60))
    assert found.top_1.difference == pytest.approx(10 / 60)
    assert 0 < found.top_1.low < 10 / 60 < found.top_1.high < 0.4
    losses = [-(right * math.log(0.7) + wrong * math.log(0.15)) / 60 for right, wrong in ((40, 20), (30, 30))]
    assert (found.log_loss.candidate, found.log_loss.active) == pytest.approx(tuple(losses))
    assert compare(new, old) == found


def test_a_version_that_is_right_less_often_is_worse_and_says_the_figures(tmp_path: Path) -> None:
    new, old = make(tmp_path, "new", held_out(LABELS, 30, 30)), make(tmp_path, "old", held_out(LABELS, 40, 20))
    found = compare(new, old)
    assert found.is_worse
    assert str(found).startswith(
        "on the same 60 held-out images: top-1 50.0% against 66.7% (difference -16.7 points, 95 % interval -"
    )
    assert found.as_json()["top_1"]["difference"] == -0.16667


def test_the_same_version_differs_by_nothing(tmp_path: Path) -> None:
    rows = held_out(LABELS, 30, 30)
    found = compare(make(tmp_path, "new", rows), make(tmp_path, "old", rows))
    assert (found.top_1.low, found.top_1.difference, found.top_1.high) == (0, 0, 0)
    assert not found.is_worse


def test_images_of_one_group_are_one_piece_of_evidence(tmp_path: Path) -> None:
    def grouped(right: int, size: int) -> list[Row]:
        return [
            (sha, label, f"{int(sha, 16) // size}", said) for sha, label, _, said in held_out(LABELS, right, 60 - right)
        ]

    alone = compare(make(tmp_path, "a", grouped(40, 1)), make(tmp_path, "b", grouped(30, 1)))
    together = compare(make(tmp_path, "c", grouped(40, 10)), make(tmp_path, "d", grouped(30, 10)))
    assert together.top_1.high - together.top_1.low > 2 * (alone.top_1.high - alone.top_1.low)


def test_only_images_that_both_held_out_under_the_same_label_count(tmp_path: Path) -> None:
    rows = held_out(LABELS, 60, 20)
    trained_on = [(sha, label, group, None) for sha, label, group, _ in rows[:5]]
    relabelled = [(sha, LABELS[2], group, said) for sha, _, group, said in rows[5:12]]
    new = make(tmp_path, "new", [*trained_on, *relabelled, *rows[12:]])
    assert compare(new, make(tmp_path, "old", rows[:75])).images == 63


def test_labels_may_stand_in_another_order(tmp_path: Path) -> None:
    rows = held_out(LABELS, 40, 20)
    turned = [(sha, label, group, list(said or ())[::-1]) for sha, label, group, said in rows]
    found = compare(make(tmp_path, "new", rows), make(tmp_path, "old", turned, LABELS[::-1]))
    assert found.top_1.difference == 0


@pytest.mark.parametrize(
    ("rows", "labels", "why"),
    [
        (held_out(LABELS, 49, 0), LABELS, "share 49 held-out images, and it takes 50"),
        (None, LABELS, "new does not bring what it said of held-out images"),
        (held_out(LABELS[:2], 60, 0), LABELS[:2], "know different labels"),
    ],
    ids=["few", "none", "labels"],
)
def test_what_cannot_be_compared_says_why(tmp_path: Path, rows: list[Row] | None, labels: list[str], why: str) -> None:
    with pytest.raises(NotComparable, match=why):
        compare(make(tmp_path, "new", rows, labels), make(tmp_path, "old", held_out(LABELS, 60, 0)))


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([("a", LABELS[0], "g", ["0.5", "", "0.5"])], "line 2 holds what is no probability"),
        ([("a", LABELS[0], "g", [1.5, 0, 0])], "line 2 holds a probability outside"),
        ([("a", LABELS[0], "g", ["nan", 0, 0])], "line 2 holds a probability outside"),
        ([("a", "Buckle fracture", "g", [1, 0, 0])], "line 2 has a label that the bundle does not know"),
        ([("a", LABELS[0], "g", [1, 0, 0])] * 2, "line 3 names an image that was named before"),
    ],
    ids=["gap", "range", "nan", "label", "twice"],
)
def test_a_list_that_training_would_not_write_is_refused(tmp_path: Path, rows: list[Row], why: str) -> None:
    with pytest.raises(BundleError, match=why):
        read_held_out(make(tmp_path, "new", rows))


def test_a_list_without_its_columns_is_refused(tmp_path: Path) -> None:
    bundle = make(tmp_path, "new", held_out(LABELS, 1, 1))
    assert bundle.images_path is not None
    bundle.images_path.write_text("sha256,label\n")
    with pytest.raises(BundleError, match="lacks the columns group, p:Greenstick fracture"):
        read_held_out(bundle)
