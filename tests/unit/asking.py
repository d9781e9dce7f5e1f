"""Asks an ASGI application, without a server."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import ASGIApp


def ask(
    app: ASGIApp, path: str, *, over: str | None = "127.0.0.1", kind: str = "http", method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer; of a refused WebSocket the code that it was closed with.

    Args:
        app: the application.
        path: what is asked for.
        over: the address of this machine that the question came to.
        kind: `http` or `websocket`.
        method: of HTTP.
        headers: further ones, with `_` for `-`.
    """
    said: list[Any] = []
    heard: list[Any] = [{"type": f"{kind}.connect"} if kind == "websocket" else {"type": "http.request", "body": b""}]

    async def receive() -> Any:
        return heard.pop() if heard else await asyncio.Event().wait()  # whoever asked stays

    async def send(message: Any) -> None:
        said.append(message)

    further = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": kind,
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"accept", b"text/html"), (b"accept-encoding", b"gzip"), *further],
        "server": None if over is None else (over, 8501),
        "client": ("192.0.2.7", 40000),
    }
    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    if said[0]["type"] == "websocket.close":
        return said[0]["code"], {}, b""
    answered = {name.decode(): value.decode() for name, value in said[0].get("headers", [])}
    return said[0].get("status", 0), answered, b"".join(each.get("body", b"") for each in said[1:])
