"""The clinician's verdict on an image: by a click or a key, and taken back by another one."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from dashboard import connections, markup, reader, wording
from dashboard.markup import element, text
from triage.intake import utc_now
from triage.records import AGREE, CORRECT, Image
from triage.verdicts import LONGEST_NAME, LONGEST_NOTE, VerdictRefused, give_verdict, withdraw_verdict

# C and R are Streamlit's own keys.
KEYS: Mapping[str, str] = {AGREE: "a", CORRECT: "x", "no_fracture": "n", "other": "o", "unreadable": "u"}
UNDO_KEY = "z"
LABEL_KEYS = "1234567890"
_CORRECTING = "verdict_correcting"
_TROUBLE = "verdict_trouble"
_NOTE = "verdict_note_{id}"


def show(image: Image) -> None:
    """The verdict that stands, with a way back; else the verdicts there are to give. ``reviews`` must be loaded."""
    with st.container(key="verdict"):
        trouble = st.session_state.pop(_TROUBLE, None)
        if trouble:
            st.html(markup.alert(trouble))
        name = reader.name()
        if image.verdict is not None:
            _show_standing(image, name)
        elif name is None:
            reader.ask_name(wording.REVIEWER_ASK, LONGEST_NAME)
        elif st.session_state.get(_CORRECTING) == image.id:
            _show_labels(image, name)
        else:
            _show_choices(image, name)


def _show_standing(image: Image, name: str | None) -> None:
    review = image.verdict
    assert review is not None
    when = wording.full_moment(review.created_at, reader.time_zone())
    said = wording.verdict(review.verdict, review.label)
    note = element("p", text(review.note), class_="note") if review.note else ""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.html(
            element(
                "div",
                element("b", text(said))
                + " "
                + element("span", text(f"{review.reviewer}, {when}"), class_="who")
                + note,
                class_="standing",
                role="status",
            )
        )
        st.button(
            wording.UNDO,
            key=f"undo_{image.id}",
            shortcut=UNDO_KEY,
            on_click=_withdraw,
            args=(image.id, name or review.reviewer),
        )


def _show_choices(image: Image, name: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        for verdict, key in KEYS.items():
            st.button(
                wording.VERDICTS[verdict],
                key=f"verdict_{verdict}_{image.id}",
                shortcut=key,
                type="primary" if verdict == AGREE else "secondary",
                on_click=_correct if verdict == CORRECT else _give,
                args=(image.id,) if verdict == CORRECT else (image.id, verdict, name),
            )
        st.html(element("span", text(wording.REVIEWER_IS.format(name=name)), class_="who"))
        st.button(wording.REVIEWER_CHANGE, key="reviewer_change", type="tertiary", on_click=reader.forget_name)
    with st.expander(wording.NOTE):
        st.text_area(
            wording.NOTE_HELP,
            key=_NOTE.format(id=image.id),
            max_chars=LONGEST_NOTE,
            height=80,
            label_visibility="collapsed",
            placeholder=wording.NOTE_HELP,
        )


def _show_labels(image: Image, name: str) -> None:
    prediction = image.predictions[-1]
    others = [label for label in sorted(prediction.probabilities) if label != prediction.label]
    st.html(element("p", text(wording.CORRECT_TO), class_="hint"))
    with st.container(horizontal=True):
        for number, label in enumerate(others):
            st.button(
                label,
                key=f"label_{number}_{image.id}",
                shortcut=LABEL_KEYS[number] if number < len(LABEL_KEYS) else None,
                on_click=_give,
                args=(image.id, CORRECT, name, label),
            )
        st.button(
            wording.CANCEL, key=f"cancel_{image.id}", shortcut="x", type="tertiary", on_click=_correct, args=(None,)
        )


def _correct(image_id: int | None) -> None:
    st.session_state[_CORRECTING] = image_id


def _give(image_id: int, verdict: str, name: str, label: str | None = None) -> None:
    _correct(None)
    note = st.session_state.get(_NOTE.format(id=image_id))
    try:
        with connections.writing() as session:
            give_verdict(session, image_id, verdict, reviewer=name, at=utc_now(), label=label, note=note)
    except VerdictRefused as refused:
        st.session_state[_TROUBLE] = wording.VERDICT_REFUSED.format(problem=refused)


def _withdraw(image_id: int, name: str) -> None:
    with connections.writing() as session:
        withdraw_verdict(session, image_id, reviewer=name, at=utc_now())
