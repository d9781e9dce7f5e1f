"""Who gets in, in a real browser: an address that others reach, and a real sign-in through OpenID Connect."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from legibility import hard_to_read, nameless, unseen_focus
from waiting import wait_until
from whole_stack import WAIT_MILLISECONDS, free_port

from triage.records import open_database
from triage.schema import migrate
from triage.settings import Settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

APP = Path(__file__).resolve().parents[2] / "dashboard" / "app.py"

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@contextmanager
def streamlit(folder: Path, port: int, *words: str, **variables: str) -> Iterator[str]:
    """Streamlit's own start command, with a home of its own; gives the address on this machine."""
    engine = open_database(Settings(home=folder).database)
    migrate(engine)
    engine.dispose()
    given = {name: value for name, value in os.environ.items() if not name.startswith("TRIAGE_")}
    given |= {"HOME": str(folder), "TRIAGE_HOME": str(folder)} | variables
    command = [sys.executable, "-m", "streamlit", "run", str(APP), "--server.port", str(port), *words]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=given, stdout=log, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        assert process.poll() is None, (folder / "log").read_text()
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    try:
        wait_until(ready, "Streamlit answers", 60)
        yield url
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def window(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    context.set_default_timeout(WAIT_MILLISECONDS)
    yield context.new_page()
    context.close()


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
