"""Where the browser gets pictures: addresses that this process made for it, and the route that answers for them.

Streamlit's own store of media would hold every picture in memory, and forgets one for a moment while a page is drawn
anew; a browser that asks in that moment gets none. Here a file goes out from where it lies. Whoever has an address gets
its picture, as in Streamlit's store: pages give them only to those who may look. It ends with this process, and after
two hours at most.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections import OrderedDict
from threading import Lock
from typing import Final

import streamlit as st
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from dashboard.connections import store
from triage.pixels import JPEG, PNG

LIFE_SECONDS: Final = 3600
"""An address holds for this long at least, and twice as long at most: until then the same picture has the same one."""

RENDER: Final = "render"
_KINDS: Final = {"jpeg": JPEG, "png": PNG, RENDER: PNG}
# No X-ray stays in the cache of a browser that others use, too; and nothing else is made of its bytes than a picture.
_HEADERS: Final = {"cache-control": "private, no-store", "x-content-type-options": "nosniff"}
_KEY: Final = secrets.token_bytes(32)
_MOST_HELD_BYTES: Final = 100_000_000

_held: OrderedDict[str, bytes] = OrderedDict()
_holding = Lock()


def file_address(sha256: str, kind: str) -> str:
    """The address of a file of the store.

    Args:
        sha256: of the original.
        kind: `jpeg` or `png`, which the original is; or `render`, its rendered picture.
    """
    until = int(time.time() // LIFE_SECONDS + 2) * LIFE_SECONDS
    said = f"{kind}.{sha256}.{until}"
    return _address(f"{said}.{_sign(said)}")


def held_address(png: bytes) -> str:
    """The address of a picture that lies nowhere; it is forgotten when enough newer ones have come."""
    name = secrets.token_hex(16)
    with _holding:
        _held[name] = png
        while len(_held) > 1 and sum(map(len, _held.values())) > _MOST_HELD_BYTES:
            _held.popitem(last=False)
    return _address(f"held.{name}")


async def _answer(request: Request) -> Response:
    name: str = request.path_params["name"]
    kind, _, rest = name.partition(".")
    if kind == "held":
        with _holding:
            png = _held.get(rest)
        return _missing() if png is None else Response(png, media_type=PNG, headers=_HEADERS)
    said, _, signature = name.rpartition(".")
    if not hmac.compare_digest(signature.encode(), _sign(said).encode()):
        return _missing()
    kind, sha256, until = said.split(".")
    path = store().render(sha256) if kind == RENDER else store().original(sha256)
    if time.time() > int(until) or not path.is_file():
        return _missing()
    return FileResponse(path, media_type=_KINDS[kind], headers=_HEADERS)


def _missing() -> Response:
    return Response(status_code=404, headers=_HEADERS)


def _sign(said: str) -> str:
    return hmac.digest(_KEY, said.encode(), "sha256").hex()


def _address(name: str) -> str:
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"{'/' + base if base else ''}/picture/{name}"


def route() -> Route:
    """For the application that serves the pages."""
    return Route(_address("{name}"), _answer)
