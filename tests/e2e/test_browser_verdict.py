"""Giving a verdict in a real browser, with the keyboard alone, and taking it back."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import pytest
from waiting import wait_until
from whole_stack import Stack, png

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@pytest.fixture
def opened(stack: Stack, page: Page, request: pytest.FixtureRequest) -> tuple[Page, int]:
    """An image that nobody has spoken of, asked for in the worklist by somebody who has not told their name."""
    name = f"{request.node.name}.png"
    stack.drop(name, png(zlib.crc32(name.encode())))
    image_id = stack.wait_for(name).id
    page.context.clear_cookies()
    page.goto(f"{stack.url}/?image={image_id}")
    page.get_by_label("Your name or initials").wait_for()
    assert page.locator(".stage").count() == 0  # nobody sees a picture of which the trail cannot say who saw it
    return page, image_id


def test_a_verdict_by_keyboard_and_back(
    stack: Stack, opened: tuple[Page, int], take_screenshots: Callable[[Page, str], None]
) -> None:
    page, image_id = opened
    page.get_by_label("Your name or initials").fill("AB")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Agree").wait_for()
    take_screenshots(page, "verdict-choices")
    page.locator(".said h2").click()  # the keys are the page's again, not the field's
    page.keyboard.press("a")
    standing = page.locator(".standing")
    standing.get_by_text("Agrees with the model").wait_for()
    assert "AB, " in standing.inner_text()
    take_screenshots(page, "verdict")
    page.keyboard.press("z")
    page.get_by_role("button", name="Agree").wait_for()
    page.keyboard.press("x")
    page.get_by_text("Which type is it?").wait_for()
    take_screenshots(page, "verdict-types")
    page.keyboard.press("3")
    standing.get_by_text("Corrected to ").wait_for()
    wait_until(lambda: stack.events(image_id)[-3:] == ["reviewed", "review_withdrawn", "reviewed"], "the trail")
    assert stack.events(image_id).count("viewed") == 1
    image = stack.find("test_a_verdict_by_keyboard_and_back.png")
    assert image is not None
    assert image.verdict is not None
    assert (image.verdict.verdict, image.verdict.reviewer) == ("correct", "AB")
    assert image.verdict.label not in (None, image.label)


def test_the_name_is_asked_once_and_a_note_goes_with_the_verdict(stack: Stack, opened: tuple[Page, int]) -> None:
    page, _ = opened
    page.get_by_label("Your name or initials").fill("Dr. <b>Bold</b>")
    page.keyboard.press("Enter")
    page.get_by_text("Add a note").click()
    page.get_by_placeholder("Goes with the next verdict").fill("<i>second view</i>")
    page.get_by_placeholder("Goes with the next verdict").blur()
    page.get_by_role("button", name="Unreadable").click()
    standing = page.locator(".standing")
    standing.get_by_text("Cannot be read").wait_for()
    assert "Dr. <b>Bold</b>" in standing.inner_text()
    assert "<i>second view</i>" in standing.inner_text()
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("as Dr. <b>Bold</b>").wait_for()
    page.reload()
    page.get_by_text("as Dr. <b>Bold</b>").wait_for()
    assert page.get_by_label("Your name or initials").count() == 0
