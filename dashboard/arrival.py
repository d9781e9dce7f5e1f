"""The first moment of a page in a browser: nothing is drawn before the style sheet that says where it belongs."""

from __future__ import annotations

from functools import cache
from typing import Any

import streamlit as st

PATIENCE_SECONDS = 2.0
STYLED = "arrival_styled"
_ASKED = "arrival_asked"

# A name of style.css has a value as soon as the browser has read it.
_LOOK = """
export default function ({ setTriggerValue }) {
  const look = () => {
    if (getComputedStyle(document.documentElement).getPropertyValue("--triage-text")) setTriggerValue("styled", true);
    else setTimeout(look, 20);
  };
  look();
}
"""


def is_styled() -> bool:
    """Whether the browser has the style sheet; if not, it says so by itself a moment later, and the script runs again.

    Streamlit's browser side loads what draws HTML, and with it our style sheet, when it meets the first of it. What is
    drawn before that jumps once it comes.
    """
    if st.session_state.get(STYLED):
        return True
    with st.container(key="arrival"):
        _looker()(key="arrival_looker", on_styled_change=_note)
        _lose_patience()
    return bool(st.session_state.get(STYLED))


def _note() -> None:
    st.session_state[STYLED] = True


@st.fragment(run_every=PATIENCE_SECONDS)
def _lose_patience() -> None:
    """A page that jumps is better than none: a browser that does not answer gets it all the same."""
    if st.session_state.get(_ASKED):
        _note()
        st.rerun()
    st.session_state[_ASKED] = True


@cache
def _looker() -> Any:
    return st.components.v2.component("triage_arrival", js=_LOOK)
