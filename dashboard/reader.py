"""Who looks at the page: what the browser says about the person in front of it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import streamlit as st

log = logging.getLogger(__name__)


def time_zone() -> tzinfo:
    """The reader's time zone; the server's where the browser does not tell one."""
    name = st.context.timezone
    if name:
        try:
            return ZoneInfo(name)
        except (ValueError, OSError, KeyError):  # a browser can send anything
            log.debug("the browser names a time zone that is not known here")
    return datetime.now().astimezone().tzinfo or UTC
