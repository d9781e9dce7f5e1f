"""What a text finds: studies by the beginning of a name, by an accession number, or by a number of ours."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, false, or_, select, union

from triage.records import Image, SearchKey, WorklistEntry
from triage.worklist_entries import search_key


def _is_key(key: str) -> ColumnElement[bool]:
    if not key:
        return false()
    return and_(SearchKey.key >= key, SearchKey.key < key + "\U0010ffff")


def _number_in(key: str) -> int | None:
    number = key.removeprefix("#")
    return int(number) if number.isascii() and number.isdigit() and len(number) < 19 else None


def found_by(text: str) -> Any:
    """Select the studies that a text finds, one column of their numbers; an empty text finds none."""
    key = search_key(text)
    found: list[Select[Any]] = [select(SearchKey.study_id).where(_is_key(key))]
    number = _number_in(key)
    if number is not None:
        found.append(select(Image.study_id).where(Image.id == number, Image.study_id.is_not(None)))
        found.append(select(WorklistEntry.study_id).where(WorklistEntry.study_id == number))
    return union(*found) if len(found) > 1 else found[0]


def is_found_by(text: str) -> ColumnElement[bool]:
    """Whether a text finds the study of a worklist entry: where it finds very many, each on the way is asked."""
    key = search_key(text)
    found: ColumnElement[bool] = (
        select(SearchKey.study_id).where(SearchKey.study_id == WorklistEntry.study_id, _is_key(key)).exists()
    )
    number = _number_in(key)
    if number is None:
        return found
    of_image = select(Image.study_id).where(Image.id == number, Image.study_id.is_not(None))
    return or_(found, WorklistEntry.study_id == number, WorklistEntry.study_id.in_(of_image))
