"""How the dashboard listens: only where its settings say, and so that small answers leave at once."""

from __future__ import annotations

import os
import socket

import psutil
import streamlit as st
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from dashboard import wording
from triage.exposure import is_loopback


def send_at_once() -> None:
    """Turn Nagle's algorithm off on what this process listens on; accepted connections inherit it (tcp(7)).

    asyncio does so for sockets that name TCP as their protocol, and Streamlit's names none (its `_bind_socket`): of two
    small writes the second would wait until the browser has acknowledged the first, for which it may take 40 ms.
    """
    for each in psutil.Process().net_connections("tcp"):
        if each.status == psutil.CONN_LISTEN and each.fd >= 0:
            with socket.socket(fileno=os.dup(each.fd)) as listening:
                listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class OnlyWhereSaid:
    """ASGI middleware that refuses what came over an address of this machine on which nothing was to listen.

    `entrance` asks Streamlit's settings where the server listens. A server that is started in another way
    (`uvicorn dashboard.app:app --host 0.0.0.0`) does not ask them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what came as it may."""
        over = (scope.get("server") or ("127.0.0.1",))[0]
        strayed = not is_loopback(over) and is_loopback(st.get_option("server.address"))
        if not strayed or scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
        else:
            await PlainTextResponse(wording.LISTENS_ELSEWHERE, 403)(scope, receive, send)
