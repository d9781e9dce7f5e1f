"""How the dashboard is served: what the first page brings, how quickly answers leave, who is refused."""

from __future__ import annotations

import asyncio
import gc
import re
import socket
from pathlib import Path

import pytest
from asking import ask
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from streamlit import file_util

from dashboard import app as served
from dashboard import frontend, listening

STATIC = Path(file_util.get_static_dir())


def scripts_of(page: bytes) -> set[str]:
    return set(re.findall(rb'href="\./static/js/([\w.-]+)"', page))  # type: ignore[arg-type]


def streamlit_alone() -> Starlette:
    async def page(_: Request) -> Response:
        return HTMLResponse((STATIC / "index.html").read_bytes(), headers={"etag": '"1"', "last-modified": "now"})

    async def health(_: Request) -> Response:
        return PlainTextResponse("ok", headers={"etag": '"2"'})

    routes = [Route("/worklist", page), Route("/_stcore/health", health)]
    return Starlette(routes=routes, middleware=[Middleware(GZipMiddleware)])  # as Streamlit has it for its pages


def test_the_first_page_brings_the_style_sheet_and_names_what_draws_the_worklist() -> None:
    status, headers, page = ask(frontend.Frontend(streamlit_alone()), "/worklist")
    assert status == 200
    assert int(headers["content-length"]) == len(page)
    assert "etag" not in headers, "it speaks of a page without what was added"
    assert "last-modified" not in headers
    assert page.index(b"--triage-text") < page.index(b"</body>")
    before = (STATIC / "index.html").read_bytes()
    named = scripts_of(page) - scripts_of(before)
    for drawing in (b"BidiComponent", b"Html", b"Selectbox", b"TextInput", b"ButtonGroup", b"Button"):
        assert any(name.startswith(drawing + b".") for name in scripts_of(page)), drawing
    for name in named:
        text = (STATIC / "static" / "js" / name.decode()).read_bytes()
        imported = set(re.findall(rb'(?:from|import)"\./([\w.-]+\.js)"', text))
        assert imported <= scripts_of(page) | set(re.findall(rb'src="\./static/js/([\w.-]+)"', page)), name


def test_a_script_of_streamlits_is_answered_from_memory_as_it_is_on_disk() -> None:
    script = next((STATIC / "static" / "js").glob("TextInput.*.js"))
    status, headers, body = ask(frontend.Frontend(streamlit_alone()), f"/static/js/{script.name}")
    assert (status, body) == (200, script.read_bytes())
    assert headers["content-type"].split(";")[0] in ("text/javascript", "application/javascript")
    assert headers["cache-control"] == "public, immutable, max-age=31536000"


@pytest.mark.parametrize("path", ["/static/js/../../index.html", "/static/js/none.js", "/static/", "/static/js/%2e%2e"])
def test_nothing_but_streamlits_own_files_is_answered_from_memory(path: str) -> None:
    assert ask(frontend.Frontend(streamlit_alone()), path)[0] == 404


def test_other_answers_pass_as_they_are() -> None:
    status, headers, body = ask(frontend.Frontend(streamlit_alone()), "/_stcore/health")
    assert (status, headers["etag"], body) == (200, '"2"', b"ok")


def test_small_answers_leave_at_once() -> None:
    with socket.socket() as server:  # as Streamlit's: it names no protocol
        server.bind(("127.0.0.1", 0))
        server.listen()
        listening.send_at_once()
        with socket.create_connection(server.getsockname()), server.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_what_imports_made_is_not_looked_at_with_each_drawing() -> None:
    async def start() -> int:
        async with served._ready(served.app):
            return gc.get_freeze_count()

    try:
        assert asyncio.run(start()) > 50_000
    finally:
        gc.unfreeze()


def echo() -> Starlette:
    async def hello(_: Request) -> Response:
        return PlainTextResponse("hello")

    async def stream(connection: WebSocket) -> None:
        await connection.accept()

    return Starlette(routes=[Route("/", hello), WebSocketRoute("/stream", stream)])


@pytest.mark.parametrize("over", ["127.0.0.1", "::1"])
def test_what_comes_over_loopback_is_let_in(over: str) -> None:
    assert ask(listening.OnlyWhereSaid(echo()), "/", over=over)[2] == b"hello"


def test_a_server_that_listens_elsewhere_than_its_settings_say_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """`uvicorn dashboard.app:app --host 0.0.0.0` asks no setting of Streamlit's."""
    guarded = listening.OnlyWhereSaid(echo())
    monkeypatch.setattr(listening.st, "get_option", {"server.address": "127.0.0.1"}.get)
    status, _, body = ask(guarded, "/", over="192.0.2.1")
    assert status == 403
    assert b"triage up" in body
    assert ask(guarded, "/stream", over="192.0.2.1", kind="websocket")[0] == 1000
    # Where the settings know of it, `entrance` decides.
    monkeypatch.setattr(listening.st, "get_option", {"server.address": "0.0.0.0"}.get)
    assert ask(guarded, "/", over="192.0.2.1")[2] == b"hello"
