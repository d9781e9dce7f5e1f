"""The weights of urgency, for whoever may change them."""

from __future__ import annotations

import streamlit as st

from dashboard import connections, markup, reader, wording, wording_worklist
from dashboard.markup import element, text
from dashboard.permission import Action
from triage.intake import utc_now
from triage.urgency_weights import WeightsRefused, change_weights, current_weights

_TROUBLE = "urgency_trouble"
_FIELD = "urgency_weight_{label}"


def show() -> None:
    """How much each type matters, 0 to 1; a change reaches the worklist within moments."""
    with connections.reading() as session:
        known = current_weights(session)
    st.html(element("p", text(wording_worklist.URGENCY_NOTE), class_="hint"))
    trouble = st.session_state.pop(_TROUBLE, None)
    if trouble:
        st.html(markup.alert(trouble))
    if known.changed_by is not None and known.changed_at is not None:
        when = wording.full_moment(known.changed_at, reader.time_zone())
        said = wording_worklist.URGENCY_CHANGED.format(who=known.changed_by, when=when)
        st.html(element("p", text(said), class_="hint"))
    allowed = reader.may(Action.CHANGE_MODEL)
    with st.form("urgency_weights", border=False):
        columns = st.columns(5)
        for number, (label, weight) in enumerate(sorted(known.weights.items())):
            columns[number % 5].number_input(
                label,
                min_value=0.0,
                max_value=1.0,
                step=0.1,
                value=float(weight),
                key=_FIELD.format(label=label),
                disabled=not allowed,
            )
        st.form_submit_button(
            wording_worklist.URGENCY_SAVE, disabled=not allowed, on_click=_save, args=(tuple(known.weights),)
        )


def _save(labels: tuple[str, ...]) -> None:
    weights = {label: float(st.session_state[_FIELD.format(label=label)]) for label in labels}
    try:
        with connections.writing() as session:
            if weights != dict(current_weights(session).weights):
                change_weights(session, weights, actor=reader.actor(), at=utc_now())
    except WeightsRefused as refused:
        st.session_state[_TROUBLE] = wording_worklist.URGENCY_REFUSED.format(problem=refused)
