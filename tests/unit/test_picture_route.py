"""Addresses of pictures: only those that this process made, as long as they hold, and only what the store has."""

from __future__ import annotations

from pathlib import Path

import pytest
from asking import ask
from starlette.applications import Starlette

from dashboard import picture_route
from triage.settings import get_settings
from triage.store import Store

SHA = "ab" * 32
OTHER = "cd" * 32


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("TRIAGE_HOME", str(tmp_path))
    get_settings.cache_clear()
    store = Store(get_settings().home_dir)
    for path, data in (
        (store.original(SHA), b"a jpeg"),
        (store.original(OTHER), b"another"),
        (store.render(SHA), b"a png"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return store


@pytest.fixture
def app() -> Starlette:
    return Starlette(routes=[picture_route.route()])


@pytest.mark.parametrize(
    ("kind", "media_type", "data"),
    [("jpeg", "image/jpeg", b"a jpeg"), ("png", "image/png", b"a jpeg"), ("render", "image/png", b"a png")],
)
def test_an_address_leads_to_its_file(store: Store, app: Starlette, kind: str, media_type: str, data: bytes) -> None:
    status, headers, body = ask(app, picture_route.file_address(SHA, kind))
    assert (status, body) == (200, data)
    assert headers["content-type"] == media_type
    assert headers["cache-control"] == "private, no-store", "a cache on disk would keep an X-ray"
    assert headers["x-content-type-options"] == "nosniff"


def test_an_address_that_somebody_made_up_leads_nowhere(store: Store, app: Starlette) -> None:
    given = picture_route.file_address(SHA, "jpeg")
    for made_up in (
        given.replace(SHA, OTHER),
        given.replace("/jpeg.", "/render."),
        given[:-1] + ("0" if given[-1] != "0" else "1"),
        "/picture/jpeg." + SHA,
        "/picture/held." + "0" * 32,
        "/picture/held.",
        "/picture/é",
        "/picture/",
    ):
        assert ask(app, made_up)[0] == 404, made_up


def test_an_address_holds_for_an_hour_and_not_for_three(
    store: Store, app: Starlette, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = picture_route.file_address(SHA, "jpeg")
    now = picture_route.time.time()
    monkeypatch.setattr(picture_route.time, "time", lambda: now + 3600)
    assert ask(app, given)[0] == 200
    monkeypatch.setattr(picture_route.time, "time", lambda: now + 3 * 3600)
    assert ask(app, given)[0] == 404
    assert ask(app, picture_route.file_address(SHA, "jpeg"))[0] == 200


def test_the_same_picture_has_the_same_address_so_that_it_is_fetched_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_route.time, "time", lambda: 1_800_000_000.0)
    before = picture_route.file_address(SHA, "jpeg")
    monkeypatch.setattr(picture_route.time, "time", lambda: 1_800_000_060.0)
    assert picture_route.file_address(SHA, "jpeg") == before


def test_a_file_that_was_purged_is_gone(store: Store, app: Starlette) -> None:
    given = picture_route.file_address(SHA, "jpeg")
    store.original(SHA).unlink()
    assert ask(app, given)[0] == 404


def test_pictures_that_lie_nowhere_are_kept_until_newer_ones_need_the_room(
    app: Starlette, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_route, "_MOST_HELD_BYTES", 10)
    monkeypatch.setattr(picture_route, "_held", type(picture_route._held)())
    first, second = picture_route.held_address(b"12345"), picture_route.held_address(b"67890")
    assert ask(app, first)[2] == b"12345"
    third = picture_route.held_address(b"abc")
    assert ask(app, first)[0] == 404
    assert [ask(app, each)[2] for each in (second, third)] == [b"67890", b"abc"]
    large = picture_route.held_address(b"larger than all")
    assert ask(app, large)[2] == b"larger than all"
