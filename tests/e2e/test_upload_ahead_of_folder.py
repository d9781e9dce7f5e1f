"""An upload while more than a thousand files of the folder wait, on the page and with the real queue and worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import streamlit as st
from live_stack import running, settle
from streamlit.testing.v1 import AppTest
from waiting import wait_until
from xray_files import many_jpegs, png

from dashboard import wording
from triage import queries
from triage.broker import Publisher
from triage.database import reading_sessions
from triage.intake import Arrival, Intake
from triage.records import DONE, QUEUED
from triage.settings import get_settings

FOLDER_FILES = 1_300


@contextmanager
def suspended(process: psutil.Process) -> Iterator[None]:
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def _upload_page() -> None:
    from dashboard import upload

    upload.show()


def test_an_upload_says_why_it_waits_and_then_comes_before_a_thousand_of_the_folder(
    tmp_path: Path, pinned_model: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settle(tmp_path, workers=1, model=pinned_model)
    monkeypatch.setenv("TRIAGE_HOME", str(tmp_path))
    get_settings.cache_clear()
    st.cache_resource.clear()
    app = AppTest.from_function(_upload_page, default_timeout=60)
    app.session_state["reader_name"] = "AB"
    app.run()

    def said() -> str:
        assert not app.exception, app.exception
        return "\n".join(block.proto.body for block in app.get("html"))

    with running(settings, watch=False) as stack:
        with suspended(stack.process("worker")):
            arrivals = [
                Arrival(settings.inbox_dir / name, name) for name in stack.drop_all(many_jpegs(FOLDER_FILES, seed=9100))
            ]
            with Intake(settings, stack.engine, "folder", Publisher(settings).publish) as intake:
                intake.admit(arrivals)
            app.file_uploader[0].set_value(("ahead.png", png(9101), "image/png")).run()
            assert wording.STILL_WAITING in said()
            # A worker that is silent for long counts as none.
            assert wording.WAITS_BUSY in said() or wording.WAITS_NO_WORKER in said()
        with reading_sessions(stack.engine)() as session:
            (upload,) = [image for image in queries.all_ranked(session) if image.source == "upload"]

        def done() -> bool:
            with reading_sessions(stack.engine)() as session:
                return queries.status_of(session, upload.id) == DONE

        wait_until(done, "the upload is classified", 20)
        with reading_sessions(stack.engine)() as session:
            still = queries.counts(session)[QUEUED]
        app.run()
        assert wording.STILL_WAITING not in said()
        assert "<h2>" in said()
        assert still > 1_000, "the folder came first"
    get_settings.cache_clear()
    st.cache_resource.clear()
