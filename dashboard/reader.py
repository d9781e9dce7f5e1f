"""Who looks at the page: as the sign-in says, else as they told it; and what their browser says of their clock."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import streamlit as st

from dashboard import connections, permission, wording
from dashboard.browser import part
from dashboard.permission import Action, Person
from triage.intake import utc_now
from triage.settings import get_settings
from triage.trail import note_view
from triage.verdicts import LONGEST_NAME

log = logging.getLogger(__name__)

COOKIE = "triage_reader"
UNNAMED = "dashboard"
"""The actor of what somebody did who has not said who they are."""

_NAME = "reader_name"
_NAME_FIELD = "reader_name_field"
_VIEWED = "reader_viewed_{slot}"
_SLOTS = ("open", "beside")


def person() -> Person | None:
    """Who is at the screen; None if they have not said it yet."""
    if signed_in():
        return person_of(st.user.to_dict())
    told = st.session_state.get(_NAME)
    if told is None:
        told = _clean(unquote(str(st.context.cookies.get(COOKIE) or "")))
    return Person(told) if told else None


def person_of(claims: dict[str, Any]) -> Person:
    """The person that a provider's claims tell of. An e-mail address that it has not verified is no address."""
    email = _clean(str(claims.get("email") or "")) if claims.get("email_verified") is not False else ""
    name = _clean(str(claims.get("name") or ""))
    subject = _clean(str(claims.get("sub") or ""))
    told = f"{name} ({email})" if name and email else email or f"{name} ({subject})" if name else subject
    return Person(told[:LONGEST_NAME] or UNNAMED, email or None, signed_in=True)


def signed_in() -> bool:
    """Whether somebody came through the sign-in."""
    return bool(st.user.get("is_logged_in", False))


def name() -> str | None:
    """Who is at the screen; None if they have not said it yet."""
    known = person()
    return None if known is None else known.name


def actor() -> str:
    """Who the audit trail names."""
    return name() or UNNAMED


def ask_name(question: str, longest: int = LONGEST_NAME) -> None:
    """Ask for a name, once for the session."""
    st.text_input(question, key=_NAME_FIELD, max_chars=longest, on_change=_take_name, width=360)


def forget_name() -> None:
    """Somebody else sits down."""
    st.session_state[_NAME] = ""
    for slot in _SLOTS:
        put_away(slot)
    if signed_in():
        st.logout()


def keep_name() -> None:
    """Have the browser remember a name that was told, until it is closed."""
    told = st.session_state.get(_NAME)
    if told is not None and not signed_in():
        with st.container(key="unseen"):
            part("name_keeper", "name_keeper.js")(data={"cookie": COOKIE, "name": told}, key="name_keeper")


def may(action: Action) -> bool:
    """Whether whoever is at the screen may do something."""
    return permission.may(person(), action, get_settings())


def may_see(image_id: int, slot: str = _SLOTS[0]) -> bool:
    """Note in the audit trail that somebody opens an image; if nobody knows who, ask instead.

    Once for each time that it is opened, not each time that the page is drawn.

    Args:
        image_id: the image.
        slot: where on the page it is opened.

    Returns:
        Whether the image may be shown: nobody sees a picture of which the trail cannot say who saw it.
    """
    return may_see_all([image_id], slot)


def may_see_all(image_ids: Sequence[int], slot: str = _SLOTS[0]) -> bool:
    """The same for images that are shown together."""
    who = name()
    if who is None:
        ask_name(wording.READER_ASK)
        return False
    shown = (tuple(image_ids), who)
    viewed = _VIEWED.format(slot=slot)
    if st.session_state.get(viewed) != shown:
        with connections.writing() as session:
            for image_id in image_ids:
                note_view(session, image_id, actor=who, at=utc_now())
        st.session_state[viewed] = shown
    return True


def put_away(slot: str) -> None:
    """Nothing is open there any more."""
    st.session_state.pop(_VIEWED.format(slot=slot), None)


def _clean(told: str) -> str:
    return "".join(c for c in told if c.isprintable()).strip()[:LONGEST_NAME]


def _take_name() -> None:
    st.session_state[_NAME] = _clean(str(st.session_state.get(_NAME_FIELD) or ""))


def time_zone() -> tzinfo:
    """The reader's time zone; the server's where the browser does not tell one."""
    name = st.context.timezone
    if name:
        try:
            return ZoneInfo(name)
        except (ValueError, OSError, KeyError):  # a browser can send anything
            log.debug("the browser names a time zone that is not known here")
    return datetime.now().astimezone().tzinfo or UTC
