"""The model page in a real browser: everything that it draws arrives, and another version is made active."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from bundles import rewrite
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
    diagram = page.locator("img.diagram").first
    wait_until(lambda: diagram.evaluate("i => i.complete && i.naturalWidth"), "the diagram", 20)
    page.locator(".confusion tbody tr").nth(len(bundle.labels) - 1).wait_for()
    shade = page.locator(".confusion td.right").first.evaluate("cell => getComputedStyle(cell).backgroundColor")
    assert shade.startswith("rgba(134, 163, 187,")
    page.get_by_role("row", name=f"{bundle.version} active").wait_for()
    page.get_by_text("How urgent each type is").wait_for()
    take_screenshots(page, "model")
    page.get_by_text("Where it does not help").wait_for()
    page.get_by_text("Does sorting help?").evaluate("heading => heading.scrollIntoView({block: 'start'})")
    sorting = page.locator("img.simulation")
    wait_until(lambda: sorting.evaluate("i => i.complete && i.naturalWidth"), "the simulation's chart", 20)
    take_screenshots(page, "model-sorting")


@pytest.fixture
def another_version(stack: Stack) -> Iterator[str]:
    """A version of the clinic's own that is as good as the one that ships; afterwards all is as before."""
    if stack.settings.model is not None:
        pytest.skip("a model is pinned for the tests")
    version, models = "promoted-in-a-browser-1", stack.settings.models_dir
    shutil.copytree(find_bundle(stack.settings), models / version)
    rewrite(models / version, version=version)
    yield version
    (models / "ACTIVE").unlink(missing_ok=True)
    shutil.rmtree(models / version)


def test_another_version_is_made_active_and_gone_back_from(
    stack: Stack, page: Page, another_version: str, take_screenshots: Callable[[Page, str], None]
) -> None:
    before = find_bundle(stack.settings).name
    page.goto(f"{stack.url}/model")
    page.get_by_role("button", name="Compare with the active one").click()
    page.get_by_text(f"Make {another_version} active?").wait_for()
    page.get_by_text("held-out images", exact=False).first.wait_for()
    assert find_bundle(stack.settings).name == before
    confirm = page.get_by_role("button", name=f"Make {another_version} active")
    confirm.scroll_into_view_if_needed()
    take_screenshots(page, "model-compare")
    confirm.click()
    page.get_by_text(f"{another_version} is active; it was {before}. The audit trail says that it was CD.").wait_for()
    page.locator(".version", has_text=another_version).wait_for()
    assert find_bundle(stack.settings).name == another_version

    page.get_by_role("button", name="Go back to the version before").click()
    page.get_by_role("button", name=f"Go back to {before}").click()
    page.get_by_text(f"{before} is active; it was {another_version}.").wait_for()
    page.locator(".version", has_text=before).wait_for()
    assert find_bundle(stack.settings).name == before
