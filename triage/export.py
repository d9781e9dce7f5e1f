"""The exported record of an image: one JSON object, the same columns in CSV. A promise to those who script."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from datetime import datetime
from typing import IO, Any

from triage.records import Image

COLUMNS = (
    "image_id",
    "study_id",
    "source_name",
    "source_names",
    "source",
    "media_type",
    "sha256",
    "sop_instance_uid",
    "status",
    "label",
    "confidence",
    "probabilities",
    "prediction_set",
    "needs_review",
    "reasons",
    "model_version",
    "received_at",
    "finished_at",
    "error_code",
    "error_detail",
    "review",
    "study_instance_uid",
    "series_instance_uid",
    "accession_number",
    "study_date",
    "study_time",
    "body_part",
    "view_position",
    "laterality",
)

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def record_of(image: Image) -> dict[str, Any]:
    """One image as it is exported. ``study``, ``names``, ``predictions`` and ``reviews`` must be loaded.

    Before an image is done, and for one that never was classified, the model's fields are null and its
    lists empty.
    """
    prediction = image.predictions[-1] if image.predictions and image.status == "done" else None
    review = image.verdict
    study = image.study
    return {
        "image_id": image.id,
        "study_id": image.study_id,
        "source_name": image.source_name,
        "source_names": [name.name for name in image.names],
        "source": image.source,
        "media_type": image.media_type,
        "sha256": image.sha256,
        "sop_instance_uid": image.sop_instance_uid,
        "status": image.status,
        "label": prediction and prediction.label,
        "confidence": prediction and prediction.confidence,
        "probabilities": prediction and prediction.probabilities,
        "prediction_set": prediction.prediction_set if prediction else [],
        "needs_review": prediction and prediction.needs_review,
        "reasons": prediction.reasons if prediction else [],
        "model_version": prediction and prediction.model_version,
        "received_at": _iso(image.received_at),
        "finished_at": _iso(image.finished_at),
        "error_code": image.error_code,
        "error_detail": image.error_detail,
        "review": review
        and {
            "verdict": review.verdict,
            "label": review.label,
            "reviewer": review.reviewer,
            "at": _iso(review.created_at),
            "note": review.note,
        },
        "study_instance_uid": study and study.study_instance_uid,
        "series_instance_uid": image.series_instance_uid,
        "accession_number": study and study.accession_number,
        "study_date": study and study.study_date,
        "study_time": study and study.study_time,
        "body_part": image.body_part,
        "view_position": image.view_position,
        "laterality": image.laterality,
    }


def defuse(cell: str) -> str:
    """Make a cell harmless that a spreadsheet would run as a formula (OWASP, CSV injection)."""
    return f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell


def _cell(value: Any) -> str | int | float:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    return defuse(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def write_csv(images: Iterable[Image], target: IO[str]) -> None:
    """Write a header and a row for each image. Lists and objects are JSON within their cell."""
    writer = csv.writer(target)
    writer.writerow(COLUMNS)
    for image in images:
        record = record_of(image)
        writer.writerow([_cell(record[column]) for column in COLUMNS])


def write_json(images: Iterable[Image], target: IO[str]) -> None:
    """Write one JSON array, an object a line; images are taken one by one, however many there are."""
    target.write("[")
    separator = "\n"
    for image in images:
        target.write(separator + json.dumps(record_of(image), ensure_ascii=False))
        separator = ",\n"
    target.write("\n]\n")
