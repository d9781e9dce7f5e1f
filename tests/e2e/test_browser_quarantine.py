"""Quarantine in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from whole_stack import Stack, png

from triage.pixels import REJECTION_CODES

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def test_a_broken_file_is_shown_retried_and_discarded(
    stack: Stack, page: Page, take_screenshots: Callable[[Page, str], None]
) -> None:
    stack.drop("hand-from-room-2.png", png(2002)[:5000])
    stack.wait_for("hand-from-room-2.png", "quarantined")
    stack.drop("quarantine-letter.jpg", b"This is a letter.\n" * 20)
    stack.wait_for("quarantine-letter.jpg", "quarantined")
    page.goto(f"{stack.url}/quarantine")
    page.get_by_text("quarantine-letter.jpg").wait_for()
    page.get_by_role("button", name="Preview").first.wait_for()
    page.locator(".strip .well").wait_for()
    take_screenshots(page, "quarantine")

    stack.drop("cut-<i>short.png", png(2001)[:3000])
    image = stack.wait_for("cut-<i>short.png", "quarantined")
    assert image.error_code is not None
    assert image.error_detail is not None

    page.goto(f"{stack.url}/quarantine")
    row = page.locator(f".st-key-refused_{image.id}")
    row.get_by_text(REJECTION_CODES[image.error_code]).wait_for()
    said = row.inner_text()
    assert image.error_detail in said
    assert "cut-<i>short.png" in said

    row.get_by_role("button", name="Preview").click()
    page.locator(".preview img").wait_for()
    page.get_by_text("do not read from it").wait_for()
    assert stack.events(image.id)[-1] == "viewed"

    finished = image.finished_at
    row.get_by_role("button", name="Retry").click()
    page.get_by_text(f"Image {image.id} waits for a worker again").wait_for()
    image = stack.wait_for("cut-<i>short.png", "quarantined")
    assert image.finished_at != finished

    page.reload()
    row.wait_for()
    row.get_by_role("button", name="Discard").click()
    page.get_by_role("button", name="Yes, discard it").click()
    page.get_by_text(f"Image {image.id} was discarded").wait_for()
    row.wait_for(state="detached")
    stack.wait_for("cut-<i>short.png", "discarded")


def test_news_wait_until_they_are_asked_for(stack: Stack, page: Page) -> None:
    page.goto(f"{stack.url}/quarantine")
    page.locator(".strip").wait_for()
    page.get_by_text("Retry sends a file").wait_for()
    stack.drop("late.jpg", b"not a picture at all\n" * 30)
    image = stack.wait_for("late.jpg", "quarantined")
    page.get_by_text("1 more since you opened this page").wait_for()
    assert page.locator(f".st-key-refused_{image.id}").count() == 0
    page.get_by_role("button", name="Show").click()
    page.locator(f".st-key-refused_{image.id}").wait_for()
