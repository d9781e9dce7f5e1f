"""Where the browser gets pictures: addresses that this process made for it, and what answers for them.

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
from pathlib import Path
from threading import Lock
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from dashboard.connections import store
from dashboard.listening import address_of
from triage.pixels import JPEG, PNG

LIFE_SECONDS: Final = 3600
"""An address holds for this long at least, and twice as long at most: until then the same picture has the same one."""

RENDER: Final = "render"
WINDOW: Final = "window"
_KINDS: Final = {"jpeg": JPEG, "png": PNG, RENDER: PNG}
# No X-ray stays in the cache of a browser that others use, too; and nothing else is made of its bytes than a picture.
_HEADERS: Final = {"cache-control": "private, no-store", "x-content-type-options": "nosniff"}
_KEY: Final = secrets.token_bytes(32)
_MOST_HELD_BYTES: Final = 100_000_000

_held: OrderedDict[str, bytes] = OrderedDict()
_holding = Lock()


class Pictures:
    """ASGI middleware that answers for pictures, and passes all else on."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._prefix = address_of("/picture/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the picture, or that there is none."""
        is_asked = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        if not is_asked or not scope["path"].startswith(self._prefix):
            await self._app(scope, receive, send)
            return
        response = await run_in_threadpool(_answer, scope["path"].removeprefix(self._prefix))
        await response(scope, receive, send)


def file_address(sha256: str, kind: str) -> str | None:
    """The address of a file of the store; None if it is not there.

    Args:
        sha256: of the original.
        kind: `jpeg` or `png`, which the original is; or `render`, its rendered picture.
    """
    return _signed(kind, sha256) if _file(kind, sha256).is_file() else None


def window_address(sha256: str, name: str, png: bytes) -> str:
    """The address of a picture that lies in no file. It is kept as long as pages ask for its address, and some more.

    Args:
        sha256: of the original: once that is gone, so is this.
        name: of the picture, among those of this original.
        png: the picture.
    """
    of = f"{sha256}-{name}"
    with _holding:
        _held[of] = png
        _held.move_to_end(of)
        while len(_held) > 1 and sum(map(len, _held.values())) > _MOST_HELD_BYTES:
            _held.popitem(last=False)
    return _signed(WINDOW, of)


def _answer(name: str) -> Response:
    said, _, signature = name.rpartition(".")
    if not hmac.compare_digest(signature.encode(), _sign(said).encode()):
        return _missing()
    kind, rest = said.split(".", 1)
    of, until = rest.rsplit(".", 1)  # the name of a window may have dots
    path = _file(kind, of.partition("-")[0])
    try:
        found = path.stat()
    except OSError:
        return _missing()
    if time.time() > int(until):
        return _missing()
    if kind != WINDOW:
        return FileResponse(path, media_type=_KINDS[kind], headers=_HEADERS, stat_result=found)
    with _holding:
        png = _held.get(of)
    return _missing() if png is None else Response(png, media_type=PNG, headers=_HEADERS)


def _missing() -> Response:
    return Response(status_code=404, headers=_HEADERS)


def _file(kind: str, sha256: str) -> Path:
    return store().render(sha256) if kind == RENDER else store().original(sha256)


def _signed(kind: str, of: str) -> str:
    until = int(time.time() // LIFE_SECONDS + 2) * LIFE_SECONDS
    said = f"{kind}.{of}.{until}"
    return address_of(f"/picture/{said}.{_sign(said)}")


def _sign(said: str) -> str:
    return hmac.digest(_KEY, said.encode(), "sha256").hex()
