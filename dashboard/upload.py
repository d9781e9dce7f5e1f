"""Upload: one X-ray in, its result a moment later."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import streamlit as st
from sqlalchemy.exc import SQLAlchemyError
from streamlit.runtime.uploaded_file_manager import UploadedFile

from dashboard import connections, detail, markup, reader, wording
from triage import queries
from triage.intake import Admission, Intake
from triage.pixels import ImageRejected
from triage.records import DONE
from triage.settings import get_settings

log = logging.getLogger(__name__)

WAIT_SECONDS = 3.0
POLL_SECONDS = 0.1
_OUTCOME_KEY = "upload_outcome"


@dataclass(frozen=True)
class _Outcome:
    """What became of an upload; kept for as long as the browser shows that file."""

    file_id: str
    admission: Admission | None = None
    problem: str | None = None


def show() -> None:
    """The uploader, and beside it what became of the file."""
    choosing, result = st.columns([4, 10], gap="medium")
    with choosing:
        uploaded = st.file_uploader(wording.UPLOAD_LABEL)
        st.html(markup.element("p", markup.text(wording.UPLOAD_HELP), class_="hint"))
    if uploaded is None:
        st.session_state.pop(_OUTCOME_KEY, None)
        return
    with result, st.container(key="opened"):
        outcome: _Outcome | None = st.session_state.get(_OUTCOME_KEY)
        # The script runs again at every click; the same upload is admitted once.
        if outcome is None or outcome.file_id != uploaded.file_id:
            with st.spinner(wording.UPLOAD_WORKING):
                outcome = _admit(uploaded)
                st.session_state[_OUTCOME_KEY] = outcome
                if outcome.admission is not None:
                    _wait(outcome.admission.image_id)
        _show_outcome(outcome)


def _show_outcome(outcome: _Outcome) -> None:
    if outcome.admission is None:
        st.html(markup.alert(wording.UPLOAD_FAILED.format(problem=outcome.problem)))
        return
    _show_known(outcome.admission)
    detail.show(outcome.admission.image_id)


def _admit(uploaded: UploadedFile) -> _Outcome:
    settings, publisher = get_settings(), connections.publisher()
    try:
        with Intake(settings, connections.engine(), "upload", publisher.publish) as intake:
            admission = intake.admit_bytes(uploaded.getvalue(), uploaded.name)
    except ImageRejected as rejected:
        return _Outcome(uploaded.file_id, problem=rejected.detail)
    except (SQLAlchemyError, OSError):
        log.exception("an upload could not be admitted")
        return _Outcome(uploaded.file_id, problem=wording.UPLOAD_DISK)
    return _Outcome(uploaded.file_id, admission)


def _wait(image_id: int) -> None:
    """Wait a moment for the result, so that it is usually there at once; the page goes on looking if not."""
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        with connections.reading() as session:
            status = queries.status_of(session, image_id)
        if status not in detail.WAITING:
            return
        time.sleep(POLL_SECONDS)


def _show_known(admission: Admission) -> None:
    if not admission.known or admission.status != DONE:
        return
    with connections.reading() as session:
        image = queries.image_with_all(session, admission.image_id)
    if image is not None:
        received = wording.full_moment(image.received_at, reader.time_zone())
        said = wording.UPLOAD_KNOWN.format(received=received, id=image.id)
        st.html(markup.element("p", markup.text(said), class_="hint", role="status"))
