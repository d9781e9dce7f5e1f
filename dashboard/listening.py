"""How the dashboard listens: for others only where that is safe, and so that small answers leave at once."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

import psutil
import streamlit as st
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from dashboard import wording
from dashboard.entrance import APP
from triage.exposure import is_loopback, read_sign_in, refusal, sign_in_files
from triage.settings import SettingsError, get_settings


def send_at_once() -> None:
    """Turn Nagle's algorithm off on what this process listens on; accepted connections inherit it (tcp(7)).

    asyncio does so for sockets that name TCP as their protocol, and Streamlit's names none (its `_bind_socket`): of two
    small writes the second would wait until the browser has acknowledged the first, for which it may take 40 ms.
    """
    with suppress(psutil.Error, OSError):  # where that cannot be had, answers are slower
        for each in psutil.Process().net_connections("tcp"):
            if each.status == psutil.CONN_LISTEN and each.fd >= 0:
                with socket.socket(fileno=os.dup(each.fd)) as listening:
                    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def address_of(path: str) -> str:
    """The address, on this server, of a path that begins with a slash: Streamlit may serve all under a base path."""
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{base}{path}" if base else path


class Guard:
    """ASGI middleware that holds every server to the rule of `entrance`, by the address that a question came to.

    `entrance` asks Streamlit's settings where the server listens, and the page says what is wrong. A server that is
    started in another way (`uvicorn dashboard.app:app --host 0.0.0.0`) does not ask them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may be answered."""
        problem = None if scope["type"] == "lifespan" else _problem(scope)
        if problem is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
        else:
            await PlainTextResponse(problem, 403)(scope, receive, send)


def _problem(scope: Scope) -> str | None:
    address, port = scope.get("server") or (None, 0)
    if port is None:
        return None  # a socket in the file system: only a server on this machine reaches it
    if is_loopback(address):
        return None
    try:
        published = get_settings().published_on_loopback
    except SettingsError as error:
        return wording.SETTINGS_WRONG.format(problem=error)
    return refusal(address, read_sign_in(sign_in_files(APP)), published_on_loopback=published)
