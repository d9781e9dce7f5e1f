import logging

import pytest

from training import DatasetError
from training.labels import map_labels, spell
from triage.bundle import DEFAULT_LABELS


def test_labels_are_spelled_one_way():
    assert spell("Hairline Fracture") == "Hairline fracture"
    assert spell("fracture_dislocation ") == "Fracture dislocation"


@pytest.mark.parametrize(
    ("folder", "label"),
    [
        ("Hairline Fracture", "Hairline fracture"),
        ("hairline_fracture", "Hairline fracture"),
        ("HAIRLINE", "Hairline fracture"),
        ("Fracture Dislocation", "Fracture dislocation"),
        ("fracture-dislocation", "Fracture dislocation"),
        ("Greenstick  fracture", "Greenstick fracture"),
        ("greenstick", "Greenstick fracture"),
        ("avulsion-fracture", "Avulsion fracture"),
        ("Spiral Fractures", "Spiral fracture"),
        *((label, label) for label in DEFAULT_LABELS),
    ],
)
def test_spellings_of_known_types(folder: str, label: str):
    assert map_labels([folder]).by_folder == {folder: label}


@pytest.mark.parametrize(
    ("folder", "meant"),
    [
        ("Comminuted fractur", "Comminuted fracture"),
        ("greenstik", "Greenstick fracture"),
        ("Oblque fracture", "Oblique fracture"),
        ("Pathologic fracture", "Pathological fracture"),
    ],
)
def test_a_typing_error_is_no_new_class(folder: str, meant: str):
    with pytest.raises(DatasetError, match=f'"{folder}" is no fracture type .* did you mean "{meant}"'):
        map_labels(["Spiral fracture", folder])


@pytest.mark.parametrize("folder", ["Healthy", "misc", "No fracture", "Dislocation", "fracture", "Röntgen"])
def test_an_unknown_folder_is_refused_with_what_to_do(folder: str):
    with pytest.raises(DatasetError, match=f'"{folder}" is no fracture type that is known here. .*--own-labels'):
        map_labels(["Spiral fracture", folder])


def test_a_split_above_the_classes_is_explained():
    with pytest.raises(DatasetError, match='"Train" should lie inside each class folder'):
        map_labels(["Train", "Test"])


def test_all_problems_are_said_at_once():
    with pytest.raises(DatasetError, match=r'"Healthy".*"spirral fracture".*"zzz"'):
        map_labels(["zzz", "Healthy", "spirral fracture"])


def test_two_spellings_are_put_together_and_it_is_said(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, "training")

    mapping = map_labels(["spiral_fracture", "Spiral Fracture", "Oblique fracture"])

    assert mapping.labels == ("Oblique fracture", "Spiral fracture")
    assert "the folders Spiral Fracture and spiral_fracture are put together as Spiral fracture" in caplog.text


def test_missing_types_are_a_warning(caplog: pytest.LogCaptureFixture):
    mapping = map_labels([label for label in DEFAULT_LABELS if label != "Spiral fracture"])

    assert mapping.missing == ("Spiral fracture",)
    assert "no images of: Spiral fracture. The model will know only the other 9 fracture types" in caplog.text

    caplog.clear()
    assert map_labels(DEFAULT_LABELS).missing == ()
    assert caplog.text == ""


def test_own_labels_are_taken_as_they_are(caplog: pytest.LogCaptureFixture):
    mapping = map_labels(["no_fracture", "ACL tear", "spiral Fracture", "No fracture"], own_labels=True)

    assert mapping.labels == ("ACL tear", "No fracture", "Spiral fracture")
    assert mapping.by_folder["no_fracture"] == mapping.by_folder["No fracture"] == "No fracture"
    assert mapping.missing == ()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_own_labels_that_look_like_others_are_a_warning(caplog: pytest.LogCaptureFixture):
    mapping = map_labels(["Comminuted fractur", "Healthy", "Helthy"], own_labels=True)

    assert mapping.labels == ("Comminuted fractur", "Healthy", "Helthy")
    assert '"Comminuted fractur" is a label of its own, though it looks much like "Comminuted fracture"' in caplog.text
    assert '"Helthy" is a label of its own, though it looks much like "Healthy"' in caplog.text


def test_a_label_too_long_for_the_database_is_refused():
    with pytest.raises(DatasetError, match="at most 128 characters"):
        map_labels(["a" * 129, "b"], own_labels=True)
