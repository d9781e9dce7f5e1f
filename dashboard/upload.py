"""Upload: one or many X-rays in, their results a moment later."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import streamlit as st
from sqlalchemy.exc import SQLAlchemyError
from streamlit.runtime.uploaded_file_manager import UploadedFile

from dashboard import connections, detail, markup, reader, upload_rows, wording, wording_upload
from dashboard.upload_rows import Outcome
from triage import queries
from triage.intake import Admission, Intake
from triage.pixels import ImageRejected
from triage.records import DONE
from triage.settings import get_settings

log = logging.getLogger(__name__)

WAIT_SECONDS = 3.0
POLL_SECONDS = 0.1
_OUTCOMES_KEY = "upload_outcomes"


def show() -> None:
    """The uploader with a row for each file, and beside it the file that is open."""
    choosing, opened = st.columns([4, 10], gap="medium")
    with choosing, st.container(key="incoming"):
        files = st.file_uploader(wording_upload.LABEL, accept_multiple_files=True)
        st.html(markup.element("p", markup.text(wording_upload.HELP), class_="hint"))
        outcomes = _kept(files)
        if len(files) > 1:
            with st.spinner(wording_upload.TAKING_IN):
                _admit(files, outcomes)
            upload_rows.show([outcomes[file.file_id] for file in files])
    with opened, st.container(key="opened"):
        if not files:
            st.html(markup.element("p", markup.text(wording_upload.NOTHING_YET), class_="empty"))
        elif len(files) == 1:
            _show_single(files[0], outcomes)
        else:
            _show_opened(outcomes)


def _kept(files: Sequence[UploadedFile]) -> dict[str, Outcome]:
    """What became of the files that the browser still shows, by the uploader's id of each."""
    outcomes: dict[str, Outcome] = st.session_state.setdefault(_OUTCOMES_KEY, {})
    for gone in outcomes.keys() - {file.file_id for file in files}:
        del outcomes[gone]
    return outcomes


def _show_single(file: UploadedFile, outcomes: dict[str, Outcome]) -> None:
    if file.file_id not in outcomes:
        with st.spinner(wording_upload.WORKING):
            _admit([file], outcomes)
            admission = outcomes[file.file_id].admission
            if admission is not None:
                _wait(admission.image_id)
    upload_rows.open_file(file.file_id)  # and it stays open when others join it
    _show_outcome(outcomes[file.file_id])


def _show_opened(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes.get(upload_rows.opened_file() or "")
    if outcome is None:
        st.html(markup.element("p", markup.text(wording_upload.NOTHING_OPEN), class_="empty"))
    else:
        _show_outcome(outcome)


def _show_outcome(outcome: Outcome) -> None:
    if outcome.admission is None:
        st.html(markup.alert(wording_upload.FAILED.format(problem=outcome.problem)))
        return
    _show_known(outcome.admission)
    detail.show(outcome.admission.image_id)


def _admit(files: Sequence[UploadedFile], outcomes: dict[str, Outcome]) -> None:
    """Admit each file that has no outcome yet, and write down what became of it.

    The script runs again at every click, and may be broken off for that wherever it calls Streamlit. So nothing
    calls Streamlit between an admission and its outcome: a file is admitted once.
    """
    new = [file for file in files if file.file_id not in outcomes]
    if not new:
        return
    settings, engine, publisher = get_settings(), connections.engine(), connections.publisher()
    with Intake(settings, engine, "upload", publisher.publish) as intake:
        for file in new:
            outcomes[file.file_id] = _outcome(intake, file)


def _outcome(intake: Intake, file: UploadedFile) -> Outcome:
    try:
        return Outcome(file.file_id, file.name, intake.admit_bytes(file.getvalue(), file.name))
    except ImageRejected as rejected:
        return Outcome(file.file_id, file.name, problem=rejected.detail)
    except (SQLAlchemyError, OSError):
        log.exception("an upload could not be admitted")
        return Outcome(file.file_id, file.name, problem=wording_upload.DISK)


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
        said = wording_upload.KNOWN.format(received=received, id=image.id)
        st.html(markup.element("p", markup.text(said), class_="hint", role="status"))
