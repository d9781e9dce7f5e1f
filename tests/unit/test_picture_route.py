"""Addresses of pictures: only those that this process made, as long as they hold, and only what the store has."""

from __future__ import annotations

import re

import pytest
from asking import ask
from starlette.applications import Starlette
from starlette.types import ASGIApp

from dashboard import listening, picture_route
from triage.settings import get_settings
from triage.store import Store

SHA = "ab" * 32
OTHER = "cd" * 32


@pytest.fixture(autouse=True)
def store(own_home: None) -> Store:
    store = Store(get_settings().home_dir)
    written = {store.original(SHA): b"a jpeg", store.original(OTHER): b"another", store.render(SHA): b"a png"}
    for path, data in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return store


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> ASGIApp:
    monkeypatch.setattr(picture_route, "_held", type(picture_route._held)())
    return picture_route.Pictures(Starlette())


@pytest.mark.parametrize(
    ("kind", "media_type", "data"),
    [("jpeg", "image/jpeg", b"a jpeg"), ("png", "image/png", b"a jpeg"), ("render", "image/png", b"a png")],
)
def test_an_address_leads_to_its_file(app: ASGIApp, kind: str, media_type: str, data: bytes) -> None:
    status, headers, body = ask(app, picture_route.file_address(SHA, kind))
    assert (status, body) == (200, data)
    assert headers["content-type"] == media_type
    assert headers["cache-control"] == "private, no-store", "a cache on disk would keep an X-ray"
    assert headers["x-content-type-options"] == "nosniff"


def test_an_address_that_somebody_made_up_leads_nowhere(app: ASGIApp) -> None:
    given = picture_route.file_address(SHA, "jpeg")
    until = re.findall(r"\d{10}", given)[-1]
    for made_up in (
        given.replace(SHA, OTHER),
        given.replace("/jpeg.", "/render."),
        given.replace(until, str(int(until) + 3600)),
        given[:-1] + ("0" if given[-1] != "0" else "1"),
        "/picture/jpeg." + SHA,
        "/picture/jpeg." + SHA + "." + until + ".",
        "/picture/é",
        "/picture/..",
        "/picture/",
    ):
        assert ask(app, made_up)[0] == 404, made_up


def test_an_address_holds_for_an_hour_and_not_for_three(app: ASGIApp, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr(picture_route.time, "time", lambda: now)
    given = [picture_route.file_address(SHA, "jpeg"), picture_route.window_address(SHA, "first", b"seen")]
    monkeypatch.setattr(picture_route.time, "time", lambda: now + 3600)
    assert [ask(app, each)[0] for each in given] == [200, 200]
    monkeypatch.setattr(picture_route.time, "time", lambda: now + 3 * 3600)
    assert [ask(app, each)[0] for each in given] == [404, 404]
    assert ask(app, picture_route.file_address(SHA, "jpeg"))[0] == 200


def test_the_same_picture_has_the_same_address_so_that_it_is_fetched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_route.time, "time", lambda: 1_800_000_000.0)
    before = picture_route.file_address(SHA, "jpeg")
    monkeypatch.setattr(picture_route.time, "time", lambda: 1_800_000_060.0)
    assert picture_route.file_address(SHA, "jpeg") == before


def test_what_was_purged_is_gone_and_so_are_its_windows(store: Store, app: ASGIApp) -> None:
    given = [picture_route.file_address(SHA, "jpeg"), picture_route.window_address(SHA, "first", b"seen")]
    assert [ask(app, each)[2] for each in given] == [b"a jpeg", b"seen"]
    store.original(SHA).unlink()
    assert [ask(app, each)[0] for each in given] == [404, 404]


def test_a_window_that_a_page_shows_is_kept_while_older_ones_make_room(
    app: ASGIApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_route, "_MOST_HELD_BYTES", 10)
    first = picture_route.window_address(SHA, "first", b"12345")
    second = picture_route.window_address(SHA, "second", b"67890")
    assert picture_route.window_address(SHA, "first", b"12345") == first  # drawn once more
    third = picture_route.window_address(SHA, "third", b"abc")
    assert [ask(app, each)[2] for each in (first, third)] == [b"12345", b"abc"]
    assert ask(app, second)[0] == 404
    large = picture_route.window_address(SHA, "large", b"larger than all")
    assert ask(app, large)[2] == b"larger than all"


def test_heads_and_parts_are_answered_and_nothing_else_is(app: ASGIApp) -> None:
    given = picture_route.file_address(SHA, "jpeg")
    status, headers, body = ask(app, given, method="HEAD")
    assert (status, headers["content-length"], body) == (200, "6", b"")
    status, _, body = ask(app, given, range="bytes=2-5")
    assert (status, body) == (206, b"jpeg")
    assert ask(app, given, method="DELETE")[0] == 404
    assert ask(app, "/worklist")[0] == 404  # Streamlit's, which is not there


def test_pictures_lie_under_the_base_path_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening.st, "get_option", {"server.baseUrlPath": "xray/"}.get)
    given = picture_route.file_address(SHA, "jpeg")
    assert given.startswith("/xray/picture/jpeg.")
    assert ask(picture_route.Pictures(Starlette()), given)[2] == b"a jpeg"
