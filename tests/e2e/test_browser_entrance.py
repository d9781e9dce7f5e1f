"""Who gets in, in a real browser: an address that others reach, and a real sign-in through OpenID Connect."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from legibility import hard_to_read, nameless, unseen_focus
from streamlit_alone import streamlit
from whole_stack import free_port

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def test_another_address_without_sign_in_is_refused(tmp_path: Path, window: Page) -> None:
    with streamlit(tmp_path, free_port(), "--server.address", "0.0.0.0") as url:
        for page in ("", "/upload", "/quarantine"):
            window.goto(f"{url}{page}")
            window.get_by_text("The dashboard listens on 0.0.0.0, and nobody signs in").wait_for()
            assert window.get_by_text("an aid for ordering").count() == 1
            assert window.locator(".strip").count() == 0
            assert window.locator("input").count() == 0
            assert window.get_by_role("link", name="Upload").count() == 0
        assert hard_to_read(window) == []


def test_whoever_signs_in_is_known_and_whoever_is_not_listed_sees_nothing(tmp_path: Path, window: Page) -> None:
    pytest.importorskip("authlib", reason="the dashboard extra is not installed")
    from identity_provider import CLIENT_ID, provider

    with provider() as at:
        port = free_port()
        (tmp_path / ".streamlit").mkdir()
        (tmp_path / ".streamlit" / "secrets.toml").write_text(
            f'[auth]\nredirect_uri = "http://127.0.0.1:{port}/oauth2callback"\ncookie_secret = "{"s" * 40}"\n'
            f'client_id = "{CLIENT_ID}"\nclient_secret = "secret"\nserver_metadata_url = "{at.metadata_url}"\n'
        )
        lists = {"TRIAGE_READERS": "@clinic.example"}
        with streamlit(tmp_path, port, "--server.address", "0.0.0.0", **lists) as url:
            at.person = {"sub": "2", "name": "Eve", "email": "eve@elsewhere.example"}
            window.goto(url)
            window.get_by_role("button", name="Sign in").wait_for()
            assert window.locator(".strip").count() == 0
            assert hard_to_read(window) + nameless(window) + unseen_focus(window) == []
            window.get_by_role("button", name="Sign in").click()
            window.get_by_text("Eve (eve@elsewhere.example) is signed in, and may not use").wait_for()
            assert window.locator(".strip").count() == 0
            assert hard_to_read(window) == []
            window.get_by_role("button", name="Sign out").click()

            at.person = {"sub": "1", "name": "Ada Byron", "email": "ada@clinic.example"}
            window.get_by_role("button", name="Sign in").click()
            window.locator(".strip").wait_for()
            window.get_by_text("Nothing has been classified yet.").wait_for()
