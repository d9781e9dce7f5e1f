"""The model page in a real browser: everything that it draws arrives, the picture too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from waiting import wait_until
from whole_stack import Stack

from triage.bundle import find_bundle, open_bundle

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def test_figures_tables_and_the_diagram(
    stack: Stack, page: Page, take_screenshots: Callable[[Page, str], None]
) -> None:
    bundle = open_bundle(find_bundle(stack.settings))
    if "reliability" not in bundle.metrics:
        pytest.skip("the model that was chosen for the tests says nothing of how good it is")
    page.goto(f"{stack.url}/model")
    page.locator(".version", has_text=bundle.version).wait_for()
    page.locator(".cards li").nth(8).wait_for()
    page.get_by_text("What it must not be used for").wait_for()
    diagram = page.locator("img.diagram")
    wait_until(lambda: diagram.evaluate("i => i.complete && i.naturalWidth"), "the diagram", 20)
    page.locator(".confusion tbody tr").nth(len(bundle.labels) - 1).wait_for()
    shade = page.locator(".confusion td.right").first.evaluate("cell => getComputedStyle(cell).backgroundColor")
    assert shade.startswith("rgba(134, 163, 187,")
    page.get_by_role("row", name=f"{bundle.version} active").wait_for()
    page.get_by_text("How urgent each type is").wait_for()
    take_screenshots(page, "model")
