"""The pages: which there are, and what stands on each of them."""

from __future__ import annotations

import streamlit as st

from dashboard import (
    browser,
    connections,
    entrance,
    garbage,
    keys,
    markup,
    model,
    quarantine,
    reader,
    status_strip,
    summary,
    system,
    upload,
    whereabouts,
    wording,
    wording_model,
    wording_summary,
    wording_system,
    worklist,
)
from triage.settings import SettingsError, get_settings
from triage.stack import PartMissing

# A picture of our own: the browser would fetch a Material icon from the internet.
ICON = browser.read("icon.svg")


def show() -> None:
    """Draw the page that was asked for."""
    st.set_page_config(page_title=wording.TITLE, page_icon=ICON, layout="wide")
    if not _admit():
        status_strip.show_notice()
        return
    reader.keep_name()
    page = st.navigation(
        [
            st.Page(worklist.show, title=wording.WORKLIST, url_path="worklist", default=True),
            st.Page(upload.show, title=wording.UPLOAD, url_path="upload"),
            st.Page(quarantine.show, title=wording.QUARANTINE, url_path="quarantine"),
            st.Page(model.show, title=wording_model.MODEL, url_path="model"),
            st.Page(system.show, title=wording_system.SYSTEM, url_path="system"),
            # Of one study, and so reached from there.
            st.Page(summary.show, title=wording_summary.SUMMARY, url_path="summary", visibility="hidden"),
        ],
        position="top",
    )
    status_strip.show_notice()
    keys.show()
    try:
        connections.engine()
    except PartMissing as error:
        _wait_for_database(str(error))
    else:
        strip = st.container(key="strip")
        if page.url_path != "":  # the default page, which is the worklist, has none
            whereabouts.leave()
        page.run()
        with strip:  # last: nobody waits for it
            status_strip.show_strip()
        garbage.set_apart_once(page.url_path)


def _admit() -> bool:
    try:
        return entrance.admit(get_settings())
    except SettingsError as error:
        st.html(markup.alert(wording.SETTINGS_WRONG.format(problem=error)))
        return False


@st.fragment(run_every=status_strip.REFRESH_SECONDS)
def _wait_for_database(problem: str) -> None:
    try:
        connections.engine()
    except PartMissing as error:
        st.html(markup.alert(wording.DATABASE_MISSING.format(problem=error or problem)))
    else:
        st.rerun()
