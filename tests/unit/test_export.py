"""The exported record is a promise to those who script: its columns, its order, its empty fields."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from triage.export import COLUMNS, defuse, record_of, write_csv, write_json
from triage.records import Image, Prediction, Review, SourceName, Study

RECEIVED = datetime(2026, 3, 1, 8, 30, 0, 120_000, tzinfo=UTC)
FINISHED = datetime(2026, 3, 1, 8, 30, 2, tzinfo=UTC)
REVIEWED = datetime(2026, 3, 1, 9, 0, 0, 5_000, tzinfo=UTC)
MODEL_FIELDS = ("label", "confidence", "probabilities", "needs_review", "model_version")


def image(**values: Any) -> Image:
    usual: dict[str, Any] = {
        "id": 7,
        "study_id": 3,
        "sha256": "ab" * 32,
        "media_type": "image/jpeg",
        "source": "folder",
        "source_name": "room 1/wrist.jpg",
        "status": "queued",
        "received_at": RECEIVED,
        "study": Study(study_instance_uid="1.2.3", accession_number="A-17", study_date="20260301", study_time="0829"),
        "series_instance_uid": "1.2.3.4",
        "body_part": "WRIST",
        "view_position": "AP",
        "laterality": "R",
        "names": [SourceName(name="room 1/wrist.jpg"), SourceName(name="wrist (2).jpg")],
    }
    return Image(**(usual | values))


def done(**values: Any) -> Image:
    prediction = Prediction(
        model_version="v2",
        label="Spiral fracture",
        confidence=0.625,
        probabilities={"Spiral fracture": 0.625, "Oblique fracture": 0.375},
        prediction_set=["Spiral fracture", "Oblique fracture"],
        needs_review=True,
        reasons=["ambiguous"],
    )
    older = Prediction(model_version="v1", label="Oblique fracture", confidence=0.5, needs_review=False)
    return image(status="done", finished_at=FINISHED, predictions=[older, prediction], **values)


def rows_of(*images: Image) -> list[dict[str, str]]:
    target = io.StringIO(newline="")
    write_csv(images, target)
    return list(csv.DictReader(io.StringIO(target.getvalue(), newline="")))


def test_the_columns_are_the_promised_ones_in_their_order() -> None:
    assert (
        " ".join(COLUMNS) == "image_id study_id source_name source_names source media_type sha256 sop_instance_uid "
        "status label confidence probabilities prediction_set needs_review reasons model_version received_at "
        "finished_at error_code error_detail review study_instance_uid series_instance_uid accession_number "
        "study_date study_time body_part view_position laterality"
    )
    assert tuple(record_of(done())) == COLUMNS


def test_a_done_image_says_what_the_newest_model_says() -> None:
    assert record_of(done()) == {
        "image_id": 7,
        "study_id": 3,
        "source_name": "room 1/wrist.jpg",
        "source_names": ["room 1/wrist.jpg", "wrist (2).jpg"],
        "source": "folder",
        "media_type": "image/jpeg",
        "sha256": "ab" * 32,
        "sop_instance_uid": None,
        "status": "done",
        "label": "Spiral fracture",
        "confidence": 0.625,
        "probabilities": {"Spiral fracture": 0.625, "Oblique fracture": 0.375},
        "prediction_set": ["Spiral fracture", "Oblique fracture"],
        "needs_review": True,
        "reasons": ["ambiguous"],
        "model_version": "v2",
        "received_at": "2026-03-01T08:30:00.120Z",
        "finished_at": "2026-03-01T08:30:02.000Z",
        "error_code": None,
        "error_detail": None,
        "review": None,
        "study_instance_uid": "1.2.3",
        "series_instance_uid": "1.2.3.4",
        "accession_number": "A-17",
        "study_date": "20260301",
        "study_time": "0829",
        "body_part": "WRIST",
        "view_position": "AP",
        "laterality": "R",
    }


@pytest.mark.parametrize("status", ["queued", "processing", "quarantined", "discarded"])
def test_before_done_the_models_fields_are_null_and_its_lists_empty(status: str) -> None:
    record = record_of(image(status=status))
    assert [record[name] for name in MODEL_FIELDS] == [None] * 5
    assert (record["reasons"], record["prediction_set"]) == ([], [])


def test_a_quarantined_image_says_why() -> None:
    record = record_of(image(status="quarantined", error_code="truncated", error_detail="Send it again."))
    assert (record["error_code"], record["error_detail"]) == ("truncated", "Send it again.")


def test_the_newest_verdict_is_exported_beside_the_prediction() -> None:
    reviews = [
        Review(verdict="agree", label=None, reviewer="AB", created_at=RECEIVED),
        Review(verdict="correct", label="Greenstick fracture", reviewer="CD", created_at=REVIEWED),
    ]
    record = record_of(done(reviews=reviews))
    assert record["label"] == "Spiral fracture"
    assert record["review"] == {
        "verdict": "correct",
        "label": "Greenstick fracture",
        "reviewer": "CD",
        "at": "2026-03-01T09:00:00.005Z",
        "note": None,
    }


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_a_cell_that_a_spreadsheet_would_run_is_defused(start: str) -> None:
    name = f"{start}HYPERLINK(A1).jpg"
    assert defuse(name) == f"'{name}"
    (row,) = rows_of(image(source_name=name))
    assert row["source_name"] == f"'{name}"


def test_ordinary_names_and_numbers_stay_as_they_are() -> None:
    assert defuse("wrist-1=2.jpg") == "wrist-1=2.jpg"
    (row,) = rows_of(done())
    assert row["confidence"] == "0.625"
    assert row["needs_review"] == "true"
    assert row["image_id"] == "7"


def test_lists_and_objects_are_json_in_their_cell_and_nothing_is_an_empty_cell() -> None:
    (row,) = rows_of(done())
    assert json.loads(row["source_names"]) == ["room 1/wrist.jpg", "wrist (2).jpg"]
    assert json.loads(row["probabilities"]) == {"Spiral fracture": 0.625, "Oblique fracture": 0.375}
    assert row["review"] == ""
    (waiting,) = rows_of(image())
    assert waiting["reasons"] == "[]"
    assert [waiting[name] for name in MODEL_FIELDS] == [""] * 5


def test_a_name_with_commas_quotes_and_newlines_stays_one_cell() -> None:
    name = 'Meier, "left"\nwrist.jpg'
    rows = rows_of(image(source_name=name), image(id=8))
    assert [row["source_name"] for row in rows] == [name, "room 1/wrist.jpg"]


def test_json_is_one_array_whatever_its_length() -> None:
    for count in (0, 1, 3):
        target = io.StringIO()
        write_json([image(id=number) for number in range(count)], target)
        assert [record["image_id"] for record in json.loads(target.getvalue())] == list(range(count))
