"""The other images of the study that the open one belongs to: to go from one to the next without leaving the place."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from dashboard import connections, markup, wording
from dashboard.markup import element, text
from dashboard.whereabouts import go, here
from triage import queries
from triage.records import DONE, Image

PREVIOUS_KEY, NEXT_KEY = "Left", "Right"


def show(image_id: int) -> None:
    """A button for each image of the open one's study, in the order in which they came; nothing for a study of one."""
    with connections.reading() as session:
        study_id = queries.study_of(session, image_id)
        images = [] if study_id is None else queries.images_of_study(session, study_id)
    if len(images) < 2:
        return
    at = next((number for number, each in enumerate(images) if each.id == image_id), 0)
    with st.container(horizontal=True, vertical_alignment="center", key="study_images"):
        st.html(element("span", text(wording.STUDY_IMAGES.format(count=len(images))), class_="who"), width="content")
        for number, each in enumerate(images):
            key = {at - 1: PREVIOUS_KEY, at + 1: NEXT_KEY}.get(number)
            st.button(
                wording.study_image(number + 1, _says(each), markup.legible(each.view_position or "")),
                key=f"study_image_{each.id}",
                shortcut=key,
                type="primary" if each.id == image_id else "secondary",
                disabled=each.id == image_id,
                on_click=_open,
                args=(each.id,),
            )


def _says(image: Image) -> str:
    if image.status == DONE and image.label is not None:
        return f"{image.label} {wording.percent(image.confidence or 0.0)}"
    return wording.STATUS[image.status]


def _open(image_id: int) -> None:
    go(replace(here(), image_id=image_id))
