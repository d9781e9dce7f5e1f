"""The list of keys, over whatever page is open: by ``?`` or its button."""

from __future__ import annotations

import streamlit as st

from dashboard import wording_keys
from dashboard.browser import part

_HTML = (
    '<button class="open" type="button" aria-haspopup="dialog"></button>'
    '<dialog role="dialog" aria-modal="true" aria-labelledby="title">'
    '<header><h2 id="title"></h2><button class="close" type="button"></button></header><div class="groups"></div>'
    "</dialog>"
)


def show() -> None:
    """Draw the button; the list itself is drawn when it is asked for."""
    data = {
        "button": wording_keys.BUTTON,
        "title": wording_keys.TITLE,
        "close": wording_keys.CLOSE,
        "groups": wording_keys.GROUPS,
    }
    with st.container(key="keys"):
        part("keys", "piece.js", "keys.js", html=_HTML, style="keys.css")(data=data, key="keys_list")
