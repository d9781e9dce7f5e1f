"""The list of keys, in a real browser: opened and closed from the keyboard, and no key reaches what lies below it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from waiting import wait_until
from whole_stack import Stack, png

from dashboard import verdict, wording_keys

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def test_the_list_of_keys(stack: Stack, page: Page, take_screenshots: Callable[[Page, str], None]) -> None:
    stack.drop("keys.png", png(9101))
    image = stack.wait_for("keys.png")
    page.goto(f"{stack.url}/?image={image.id}")
    page.locator(".said h2").wait_for()
    page.get_by_role("button", name="Agree").wait_for()
    page.locator(".stage").focus()
    page.keyboard.press("?")
    overlay = page.get_by_role("dialog", name="Keys")
    overlay.wait_for()
    assert overlay.get_attribute("aria-modal") == "true"
    for group, _ in wording_keys.GROUPS:
        overlay.get_by_role("heading", name=group, exact=True).wait_for()
    take_screenshots(page, "keys")
    page.keyboard.press("a")
    page.keyboard.press("i")
    for _ in range(5):  # the focus does not leave it
        page.keyboard.press("Tab")
        assert overlay.get_by_role("button", name="Close").evaluate("e => e.matches(':focus')") or page.evaluate(
            "document.activeElement === document.body"
        )
    page.keyboard.press("Escape")
    overlay.wait_for(state="hidden")
    assert page.locator(".stage").evaluate("e => e.matches(':focus')")
    assert "invert" not in page.locator(".stage img").evaluate("e => e.style.filter")
    page.locator(".st-key-keys button.open").click()
    overlay.wait_for()
    page.keyboard.press("?")
    overlay.wait_for(state="hidden")
    page.keyboard.press("i")
    wait_until(lambda: "invert" in page.locator(".stage img").evaluate("e => e.style.filter"), "keys to work again", 10)
    assert stack.events(image.id).count("reviewed") == 0


def test_a_question_mark_can_be_typed(stack: Stack, page: Page) -> None:
    page.goto(f"{stack.url}/")
    search = page.get_by_label("Name, accession number or image number", exact=True)
    search.press_sequentially("why?")
    assert search.input_value() == "why?"
    assert not page.get_by_role("dialog", name="Keys").is_visible()


def test_the_list_has_every_key_of_a_verdict() -> None:
    listed = {name for _, keys in wording_keys.GROUPS for names, _ in keys for name in names}
    assert {key.upper() for key in [*verdict.KEYS.values(), verdict.UNDO_KEY]} <= listed
