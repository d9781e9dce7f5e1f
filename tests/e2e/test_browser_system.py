"""The system page in a real browser: how the work goes, and who did what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from whole_stack import READER, Stack, png

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

NAME = "<img src=x onerror=alert(1)>.png"


def test_work_parts_and_the_trail_of_an_image(
    stack: Stack, page: Page, take_screenshots: Callable[[Page, str], None]
) -> None:
    stack.drop(NAME, png(3001))
    image = stack.wait_for(NAME)
    page.goto(f"{stack.url}/?image={image.id}")
    page.locator(".stage").wait_for()

    page.goto(f"{stack.url}/system")
    page.get_by_text("1 worker process runs: celery@").wait_for()
    page.get_by_text("answers; 0 upload and ").wait_for()
    page.locator(".hours li").first.wait_for()
    field = page.get_by_label("Image number")
    field.fill(str(image.id))
    field.press("Enter")
    trail = page.locator(".trail tbody tr")
    # Until the number has arrived the rows of other images are there too; then people's doings alone.
    page.wait_for_function("() => document.querySelectorAll('.trail tbody tr').length === 1")
    trail.filter(has_text="looked at").filter(has_text=READER).wait_for()
    take_screenshots(page, "system")

    field.fill("<b>1</b>")
    field.press("Enter")
    page.get_by_text("An image number has digits only.").wait_for()
    field.fill("")
    field.press("Enter")
    who = page.get_by_label("Who (name begins with)")
    who.fill("nobody of this name")
    who.press("Enter")
    page.get_by_text("Nothing in the trail fits").wait_for()
