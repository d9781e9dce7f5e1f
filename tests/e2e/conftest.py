"""The whole stack as real processes, and a real browser in front of it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine
from waiting import wait_until
from whole_stack import READER, WAIT_MILLISECONDS, Stack, free_port

from triage.bundle import BundleError, find_bundle, open_bundle
from triage.database import open_database
from triage.schema import migrate
from triage.settings import Settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SCREEN_SIZES = {"": (1366, 768), "-large": (2560, 1440)}
BROWSER_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, pinned_model: Path | None) -> Iterator[Stack]:
    """The stack, started as a user starts it."""
    home = tmp_path_factory.mktemp("home")
    settings = Settings(home=home, port=free_port(), workers=1, quiet_seconds=0.2, model=pinned_model)
    try:
        open_bundle(find_bundle(settings))
    except BundleError as error:
        pytest.skip(f"no model to classify with: {error}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRIAGE_")}
    environment |= {"TRIAGE_HOME": str(home), "TRIAGE_WORKERS": "1", "TRIAGE_QUIET_SECONDS": "0.2"}
    if pinned_model is not None:
        environment["TRIAGE_MODEL"] = str(pinned_model.absolute())
    log = (tmp_path_factory.mktemp("log") / "up.log").open("wb")
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("triage")), "up", "--port", str(settings.port)],
        cwd=home,  # as from anywhere: nothing may hang on the working folder
        env=environment,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )

    def ready() -> bool:
        said = Path(log.name).read_text(errors="replace")
        assert process.poll() is None, f"triage up ended:\n{said}"
        return "\nready " in said

    try:
        wait_until(ready, "triage up to be ready", 90)
        yield Stack(settings, process)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        log.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, from the system."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium on PATH (Debian: apt install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="the dev extra is not installed")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=found, args=BROWSER_ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """The migrated database of that home."""
    made = open_database(Settings(home=tmp_path).database)
    migrate(made)
    yield made
    made.dispose()


@pytest.fixture
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    """A fresh browser window of somebody who has told their name; it must not ask anybody but us for anything."""
    asked: list[str] = []
    context = browser.new_context(viewport={"width": 1366, "height": 768}, timezone_id="Europe/Berlin")
    context.set_default_timeout(WAIT_MILLISECONDS)
    context.add_cookies([{"name": "triage_reader", "value": READER, "url": stack.url}])
    window = context.new_page()
    window.on("request", lambda request: asked.append(request.url))
    yield window
    context.close()
    foreign = [url for url in asked if not url.startswith((stack.url, f"ws{stack.url[4:]}", "data:", "blob:"))]
    assert not foreign, f"the page asked others: {foreign}"


@pytest.fixture
def window(browser: Browser) -> Iterator[Page]:
    """A fresh browser window, in front of no stack yet."""
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    context.set_default_timeout(WAIT_MILLISECONDS)
    yield context.new_page()
    context.close()


@pytest.fixture
def take_screenshots(tmp_path: Path) -> Callable[[Page, str], None]:
    """Takes a window's picture at a small and a large screen size.

    They go to the folder that TRIAGE_SCREENSHOTS names, else to the test's own.
    """
    folder = Path(os.environ.get("TRIAGE_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)

    def take(window: Page, name: str) -> None:
        for suffix, (width, height) in SCREEN_SIZES.items():
            window.set_viewport_size({"width": width, "height": height})
            window.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
            window.wait_for_function("() => !document.querySelector('[data-testid=stSkeleton]')")
            window.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
            window.screenshot(path=folder / f"{name}{suffix}.png")
        window.set_viewport_size({"width": 1366, "height": 768})

    return take
