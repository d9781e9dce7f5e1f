"""Upload in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from waiting import wait_until
from whole_stack import Stack, png

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def upload(page: Page, stack: Stack, name: str, content: bytes) -> None:
    page.goto(f"{stack.url}/upload")
    field = page.locator("input[type=file]")
    field.wait_for(state="attached")
    field.set_input_files({"name": name, "mimeType": "application/octet-stream", "buffer": content})


def test_an_uploaded_picture_is_classified(
    stack: Stack, page: Page, take_screenshots: Callable[[Page, str], None]
) -> None:
    upload(page, stack, "forearm-from-the-ward.png", png(1001, height=1250))
    page.locator(".said h2").wait_for()
    assert page.locator(".probabilities tr").count() == 10
    image = stack.find("forearm-from-the-ward.png")
    assert image is not None
    assert (image.source, image.status) == ("upload", "done")
    wait_until(lambda: page.locator(".stage img").evaluate("i => i.complete && i.naturalWidth"), "the picture", 20)
    take_screenshots(page, "upload")

    page.keyboard.press("r")  # Streamlit runs the script again
    page.wait_for_timeout(1000)
    assert [event for event in stack.events(image.id) if event in ("admitted", "named_again")] == ["admitted"]

    upload(page, stack, "forearm-again.png", png(1001, height=1250))
    page.get_by_text(f"this is image {image.id}").wait_for()
    assert page.locator(".said h2").inner_text() == image.label
    assert stack.find("forearm-again.png") is None


def test_a_text_named_jpg_is_refused_with_the_reason(stack: Stack, page: Page) -> None:
    upload(page, stack, "letter.jpg", b"Dear colleague, thank you for the referral.\n" * 3)
    page.get_by_text("Not accepted").wait_for()
    image = stack.wait_for("letter.jpg", "quarantined")
    assert image.error_detail is not None
    assert image.error_detail in page.locator(".alert").inner_text()


def test_what_waits_says_why_and_finishes_by_itself(stack: Stack, page: Page) -> None:
    with stack.stopped_worker():
        page.goto(stack.url)
        page.get_by_text("No worker is running").wait_for(timeout=40_000)
        upload(page, stack, "patient-one.png", png(1002))
        page.get_by_text("Still waiting because no worker is running").wait_for()
    page.locator(".said h2").wait_for(timeout=60_000)
    stack.wait_for("patient-one.png")
