"""The other images of the study that the open one belongs to: one after the other in its place, or beside it."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from dashboard import connections, markup, reader, wording, wording_viewer
from dashboard.beside import Pair
from dashboard.markup import element, text
from dashboard.whereabouts import go, here
from triage import queries
from triage.records import DONE, Image

PREVIOUS_KEY, NEXT_KEY = "Left", "Right"
BESIDE_KEY = "b"  # C, for compare, is Streamlit's own key


def show(image_id: int) -> Pair | None:
    """A button for each image of the open one's study, in the order in which they came; nothing for a study of one.

    Returns:
        The image to show beside the open one; None if there is none.
    """
    with connections.reading() as session:
        study_id = queries.study_of(session, image_id)
        images = [] if study_id is None else queries.images_of_study(session, study_id)
    at = next((number for number, each in enumerate(images) if each.id == image_id), None)
    chosen = here().beside_id
    beside = next((number for number, each in enumerate(images) if each.id == chosen and number != at), None)
    if at is None or beside is None or not _can_be_beside(images[beside]):
        beside = None
        reader.put_away("beside")
    if len(images) < 2:
        return None
    with st.container(horizontal=True, vertical_alignment="center", key="study_images"):
        st.html(element("span", text(wording.STUDY_IMAGES.format(count=len(images))), class_="who"), width="content")
        _show_buttons(images, at or 0, beside)
    if at is None or beside is None:
        return None
    return Pair(images[beside].id, _name(images[at], at), _name(images[beside], beside))


def _show_buttons(images: list[Image], at: int, beside: int | None) -> None:
    # The key takes the one beside away; without one it takes the next that can be seen.
    after = [*range(at + 1, len(images)), *range(at)]
    by_key = beside if beside is not None else next((each for each in after if _can_be_beside(images[each])), None)
    for number, each in enumerate(images):
        st.button(
            _name(each, number),
            key=f"study_image_{each.id}",
            shortcut={at - 1: PREVIOUS_KEY, at + 1: NEXT_KEY}.get(number),
            type="primary" if number == at else "secondary",
            disabled=number == at,
            on_click=_open,
            args=(each.id,),
        )
        if number == at or not _can_be_beside(each):
            continue
        is_there = number == beside
        said = wording_viewer.BESIDE_AWAY_HELP if is_there else wording_viewer.BESIDE_HELP
        st.button(
            wording_viewer.BESIDE_AWAY if is_there else wording_viewer.BESIDE,
            key=f"beside_{each.id}",
            shortcut=BESIDE_KEY if number == by_key else None,
            help=said.format(number=number + 1),
            on_click=_put_beside,
            args=(None if is_there else each.id,),
        )


def _can_be_beside(image: Image) -> bool:
    return image.status == DONE and image.label is not None


def _name(image: Image, number: int) -> str:
    return wording.study_image(number + 1, _says(image), markup.legible(image.view_position or ""))


def _says(image: Image) -> str:
    if image.status == DONE and image.label is not None:
        return f"{image.label} {wording.percent(image.confidence or 0.0)}"
    return wording.STATUS[image.status]


def _open(image_id: int) -> None:
    place = here()
    # The two change places if it is the one beside that is opened.
    beside = place.image_id if place.beside_id == image_id else place.beside_id
    go(replace(place, image_id=image_id, beside_id=beside))


def _put_beside(image_id: int | None) -> None:
    go(replace(here(), beside_id=image_id))
