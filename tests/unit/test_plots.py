import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("sklearn", reason="needs the train extra")
pytest.importorskip("matplotlib", reason="needs the train extra")

from measured import LABELS, make_details, make_held

from training import plots


@pytest.fixture(scope="module")
def details() -> dict[str, Any]:
    return make_details(make_held(images=200))


def texts(figure: Any) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_every_plot_is_wide_enough_to_read(details: dict[str, Any]):
    for name, picture in plots.draw(details).items():
        width, height = Image.open(io.BytesIO(picture)).size
        assert 950 <= width <= 1100, name
        assert 300 <= height <= 1100, name
        assert b"Software" not in picture


def test_confusion_names_every_label_and_count(details: dict[str, Any]):
    figure = plots.draw_confusion(details | {"labels": ["a", "b"], "metrics": {"confusion": [[12.5, 0.5], [0.0, 3.0]]}})

    assert texts(figure) == ["12", "0.5", "3.0"]
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["a", "b"]


def test_counts_of_one_repeat_have_no_decimals(details: dict[str, Any]):
    figure = plots.draw_confusion(details | {"labels": ["a", "b"], "metrics": {"confusion": [[12.0, 1.0], [0.0, 3.0]]}})

    assert texts(figure) == ["12", "1", "3"]


def test_reliability_shows_the_bins_before_and_after(details: dict[str, Any]):
    figure = plots.draw_reliability(details)

    bins = details["metrics"]["reliability"]
    assert [axes.get_title() for axes in figure.axes[:2]] == ["Before calibration", "After calibration"]
    for axes, when in zip(figure.axes[:2], ("before", "after"), strict=True):
        drawn = axes.lines[1].get_xydata()
        np.testing.assert_allclose(drawn, [[100 * one["confidence"], 100 * one["right"]] for one in bins[when]])


def test_recall_is_sorted_and_labels_without_images_are_left_out(details: dict[str, Any]):
    table = dict(details["metrics"]["per_label"]) | {"Nowhere": {"recall": None, "precision": None}}

    figure = plots.draw_recall({"metrics": {"per_label": table}})

    names = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert sorted(names) == sorted(LABELS)
    recalls = [table[name]["recall"]["value"] for name in names]
    assert recalls == sorted(recalls, reverse=True)


def test_risk_coverage_begins_and_ends_where_the_figures_say(details: dict[str, Any]):
    curve = details["metrics"]["risk_coverage"]

    figure = plots.draw_risk_coverage(details)

    drawn = figure.axes[0].lines[1].get_xydata()
    assert drawn[-1].tolist() == pytest.approx([100, 100 * curve["area_random"]], abs=0.01)
    assert len(drawn) == len(curve["points"])
