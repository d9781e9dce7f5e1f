"""What a browser loads before it shows anything: Streamlit's own page and scripts, sent sooner and completed.

Streamlit's page asks for what draws an element only once an element of that kind has come, and for our style sheet with
the first of our own markup; and each of its hundred small scripts is read from disk by a thread that is asked several
times. Here the page brings the style sheet and names the scripts, and the scripts are kept in memory.
"""

from __future__ import annotations

import mimetypes
import re
from functools import cache, lru_cache
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import file_util

from dashboard import browser
from dashboard.listening import address_of

DRAWS = ("BidiComponent", "Html", "Selectbox", "TextInput", "ButtonGroup", "Button")
"""Streamlit's names of the scripts that draw what stands on the worklist. What it does not know is left out."""

_IMPORTED = re.compile(r'(?:from|import)"\./([\w.-]+\.js)"')
# The page is completed here: as a whole, in plain text, whatever the browser has of Streamlit's own.
_NOT_PASSED_ON = (b"accept-encoding", b"if-modified-since", b"if-none-match", b"if-range", b"range")
_CACHING = "public, immutable, max-age=31536000"  # a year, as Streamlit says: a name has the hash of its content in it


class Frontend:
    """ASGI middleware around Streamlit's application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._assets = {address_of(f"/static/{name}"): path for name, path in _assets().items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer for a script of Streamlit's; complete its page; leave all else as it is."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
        elif (asset := self._assets.get(scope["path"])) is not None:
            await _asset(asset)(scope, receive, send)
        elif "text/html" in Headers(scope=scope).get("accept", ""):
            headers = [header for header in scope["headers"] if header[0] not in _NOT_PASSED_ON]
            await self._app({**scope, "headers": headers, "extensions": {}}, receive, _Completed(send).send)
        else:
            await self._app(scope, receive, send)


class _Completed:
    """Passes an answer on; a page once it is whole, with what it lacks."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_page(message):
            self._start = message
            return
        if self._start is None or message["type"] != "http.response.body":
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        body = complete(bytes(self._body))
        headers = MutableHeaders(scope=self._start)
        headers["content-length"] = str(len(body))
        for name in ("etag", "last-modified"):  # they speak of the page as it was
            del headers[name]
        await self._send(self._start)
        await self._send({"type": "http.response.body", "body": body})


@lru_cache(maxsize=2)
def complete(page: bytes) -> bytes:
    """Streamlit's page, with the scripts that it will ask for, and with our style sheet behind its own."""
    hints = "".join(
        f'<link rel="modulepreload" crossorigin href="./static/js/{name}">' for name in scripts_to_come(page)
    )
    ours = f"<style>{browser.read('style.css')}</style><script>{browser.read('arrival.js')}</script>"
    return page.replace(b"</head>", f"{hints}</head>".encode(), 1).replace(b"</body>", f"{ours}</body>".encode(), 1)


def scripts_to_come(page: bytes) -> list[str]:
    """The scripts that draw our pages, with all that they import, without those that the page names itself."""
    named = set(re.findall(r"static/js/([\w.-]+\.js)", page.decode()))
    files = [name.removeprefix("js/") for name in _assets() if name.startswith("js/")]
    waiting = [file for file in files if file.split(".")[0] in DRAWS]
    found: list[str] = []
    while waiting:
        file = waiting.pop(0)
        if file in named or file not in files:
            continue
        named.add(file)
        found.append(file)
        waiting += _imported_by(file)
    return found


@cache
def _imported_by(script: str) -> list[str]:
    return _IMPORTED.findall(_assets()[f"js/{script}"].read_text(encoding="utf-8"))


@cache
def _assets() -> dict[str, Path]:
    root = Path(file_util.get_static_dir()) / "static"
    return {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}


@cache
def _asset(path: Path) -> Response:
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Response(path.read_bytes(), media_type=kind, headers={"cache-control": _CACHING})


def _is_page(start: Message) -> bool:
    return Headers(raw=start["headers"]).get("content-type", "").startswith("text/html")
