"""The versions that there are, and making another one active: compared first, then confirmed.

What needs the network of a bundle runs in a process of its own (`triage.switching`); this one waits for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from dashboard import connections, markup, model_switch, opened_bundles, reader, wording_model, wording_versions
from dashboard.markup import element, text
from dashboard.permission import Action
from triage import queries
from triage.bundle import active_stamp, all_bundles
from triage.settings import get_settings
from triage.switching import Answer, Request
from triage.versions import Version, known_versions

_CHOSEN = "model_version_chosen"


def show() -> None:
    """All versions, and for whoever may change the model the way to another one."""
    settings = get_settings()
    known = _known((active_stamp(settings), [(path, opened_bundles.stamp(path)) for path in all_bundles(settings)]))
    st.html(_table(known))
    if not reader.may(Action.CHANGE_MODEL):
        st.html(element("p", text(wording_versions.NOT_YOURS), class_="hint small"))
        return
    with st.container(key="model_switch"):
        if get_settings().model is not None:
            st.html(markup.alert(wording_versions.PINNED))
        elif reader.name() is None:
            reader.ask_name(wording_versions.ASK_NAME)
            return
        _show_switch(known)


# Looked through again where something has changed: a version that was just made is there at once.
@st.cache_resource(ttl=60, show_spinner=False, max_entries=2)
def _known(stamps: object) -> list[Version]:
    return known_versions(get_settings())[0]


@dataclass(frozen=True)
class _Ways:
    """Where somebody can go from here."""

    active: str | None
    others: list[str]
    back: str | None


def _ways(known: Sequence[Version]) -> _Ways:
    active = next((version.version for version in known if version.active), None)
    others = [version.version for version in known if not version.active and version.error is None]
    back = None
    if active is not None:
        with connections.reading() as session:
            back = queries.version_before(session, active)
    return _Ways(active, others, back)


def _show_switch(known: Sequence[Version]) -> None:
    pinned = get_settings().model is not None
    ways = _ways(known)
    if model_switch.show():
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            wording_versions.CHOOSE, ways.others, key=_CHOSEN, disabled=pinned or not ways.others, width=360
        )
        st.button(
            wording_versions.COMPARE,
            key="model_compare",
            disabled=pinned or chosen is None,
            on_click=_compare,
        )
        st.button(
            wording_versions.GO_BACK,
            key="model_go_back",
            disabled=pinned or ways.back is None,
            help=None if ways.back else wording_versions.NO_WAY_BACK,
            on_click=_go_back,
            args=(ways.active, ways.back),
        )
    if not ways.others and not pinned:
        st.html(element("p", text(wording_versions.NO_OTHER), class_="hint small"))
    st.html(element("p", text(wording_versions.CHANGES), class_="hint small"))


def _compare() -> None:
    # What is chosen at the click: the page may have been drawn before that.
    model_switch.ask(Request("preview", reader.actor(), st.session_state[_CHOSEN]))


def _go_back(active: str, back: str) -> None:
    """Nothing is tried out yet: going back shows what it would do from what is known."""
    model_switch.propose(Request("roll_back", reader.actor(), expected=active), Answer("tried", active, back))


def _table(known: Sequence[Version]) -> str:
    rows = [
        (
            version.version,
            wording_versions.ACTIVE if version.active else "",
            wording_versions.ORIGINS.get(version.origin, version.origin),
            (version.created or "")[:10],
            "" if version.top_1 is None else wording_model.share(version.top_1),
            version.error or "",
        )
        for version in known
    ]
    table = markup.table(wording_versions.COLUMNS, rows) if rows else ""
    return element("div", element("h3", text(wording_versions.VERSIONS)) + table, class_="panel")
