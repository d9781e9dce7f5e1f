"""What stands before every page: where the dashboard may be shown at all, and the sign-in where there is one."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from streamlit import runtime

from dashboard import markup, reader, wording
from dashboard.permission import Action
from triage.exposure import read_sign_in, refusal, sign_in_files
from triage.settings import Settings

APP = Path(__file__).with_name("app.py")


def admit(settings: Settings) -> bool:
    """Whether whoever asks may see the pages; if not, the page says what to do.

    This is asked in every run of the script, so that Streamlit's own start command is held to the same rule as
    `triage up`: the server may listen, but it has nothing to show.
    """
    sign_in = read_sign_in(sign_in_files(APP))
    address = st.get_option("server.address") if runtime.exists() else "127.0.0.1"  # no server: a test of the pages
    problem = refusal(address, sign_in, published_on_loopback=settings.published_on_loopback)
    if problem is not None:
        st.html(markup.alert(problem))
        return False
    if not sign_in:
        return True
    if not reader.signed_in():
        with st.container(key="entrance"):
            st.html(markup.element("p", markup.text(wording.SIGN_IN_WHY)))
            st.button(wording.SIGN_IN, on_click=st.login, type="primary")
        return False
    if not reader.may(Action.LOOK):
        with st.container(key="entrance"):
            st.html(markup.alert(wording.NOT_FOR_YOU.format(name=reader.actor())))
            st.button(wording.SIGN_OUT, on_click=st.logout)
        return False
    return True
