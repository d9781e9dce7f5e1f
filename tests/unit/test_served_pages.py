"""How the dashboard is served: what the first page brings, how quickly answers leave, who is refused."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from asking import ask
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from streamlit import file_util

from dashboard import app as served
from dashboard import frontend, listening, picture_route
from triage.settings import get_settings

STATIC = Path(file_util.get_static_dir())


def scripts_of(page: bytes) -> set[str]:
    return set(re.findall(rb'href="\./static/js/([\w.-]+)"', page))  # type: ignore[arg-type]


def streamlit_alone() -> Starlette:
    async def page(_: Request) -> Response:
        return FileResponse(STATIC / "index.html")  # which answers 304, and with a part, where it is asked to

    async def health(_: Request) -> Response:
        return PlainTextResponse("ok", headers={"etag": '"2"'})

    async def script(_: Request) -> Response:
        return PlainTextResponse("from disk")

    routes = [Route("/worklist", page), Route("/static/js/{name:path}", script), Route("/_stcore/health", health)]
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


@pytest.mark.parametrize("name", ["../../index.html", "none.js", "", "%2e%2e/%2e%2e/index.html", "TextInput.js/.."])
def test_nothing_but_streamlits_own_files_is_answered_from_memory(name: str) -> None:
    assert ask(frontend.Frontend(streamlit_alone()), f"/static/js/{name}")[2] == b"from disk"


def test_a_browser_that_knows_streamlits_own_page_gets_ours_all_the_same() -> None:
    app = streamlit_alone()
    known = ask(app, "/worklist")[1]["etag"]
    for asks in ({"if-none-match": known}, {"range": "bytes=0-9"}):
        status, _, page = ask(frontend.Frontend(app), "/worklist", **asks)
        assert status == 200, asks
        assert b"--triage-text" in page


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
        async with served._quick(served.app):
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


@pytest.fixture
def guarded(own_home: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> listening.Guard:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return listening.Guard(echo())


@pytest.mark.parametrize("over", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_what_comes_over_loopback_is_let_in(guarded: listening.Guard, over: str) -> None:
    assert ask(guarded, "/", over=over)[2] == b"hello"


@pytest.mark.parametrize("over", ["192.0.2.1", "2001:db8::1", "", None])
def test_what_others_reach_shows_nothing_without_sign_in(guarded: listening.Guard, over: str | None) -> None:
    """`uvicorn dashboard.app:app --host 0.0.0.0` asks no setting of Streamlit's."""
    status, _, body = ask(guarded, "/", over=over)
    assert status == 403
    assert b"nobody signs in" in body
    assert ask(guarded, "/stream", over=over, kind="websocket")[0] == 1000


def test_what_others_reach_is_let_in_with_sign_in(guarded: listening.Guard, tmp_path: Path) -> None:
    names = ("redirect_uri", "client_id", "client_secret", "server_metadata_url")
    (tmp_path / ".streamlit").mkdir()
    secrets = tmp_path / ".streamlit" / "secrets.toml"
    secrets.write_text("[auth]\n" + "".join(f'{name} = "x"\n' for name in names) + f'cookie_secret = "{"s" * 40}"\n')
    assert ask(guarded, "/", over="192.0.2.1")[2] == b"hello"


def test_a_container_whose_port_is_published_on_loopback_is_let_in(
    guarded: listening.Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIAGE_PUBLISHED_ON_LOOPBACK", "true")
    get_settings.cache_clear()
    assert ask(guarded, "/", over="172.17.0.2")[2] == b"hello"


def test_a_server_of_another_kind_is_held_to_the_settings_beside_the_script(tmp_path: Path) -> None:
    """Streamlit reads them from the folder of the script, if nothing has asked for one of them before."""
    asked = "from dashboard.app import app; import streamlit as st; print([st.get_option(name) for name in {names}])"
    names = ["server.address", "browser.gatherUsageStats", "client.showErrorDetails", "global.minCachedMessageSize"]
    command = [sys.executable, "-c", asked.format(names=names)]
    said = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, check=True
    )
    assert said.stdout.decode().strip() == "['127.0.0.1', False, 'none', 1000000000000.0]"


def test_guard_pictures_and_page_stand_before_streamlit() -> None:
    """In this order: what is refused gets no picture either."""
    names = [each.cls for each in served.app._user_middleware]
    assert names == [listening.Guard, picture_route.Pictures, frontend.Frontend]
