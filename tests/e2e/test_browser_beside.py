"""Two images of a study side by side, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from waiting import wait_until
from whole_stack import Stack, png
from xray_files import dicom_bytes

from triage.samples import make_uid

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def study(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> list[int]:
    """A study of three images."""
    folder = tmp_path_factory.mktemp("beside")
    uid = make_uid("side by side")
    found = []
    for number, view in enumerate(("AP", "LATERAL", "OBLIQUE"), start=1):
        name = f"beside-{number}.dcm"
        stack.drop(name, dicom_bytes(folder, 9300 + number, StudyInstanceUID=uid, ViewPosition=view))
        found.append(stack.wait_for(name).id)
    return found


def pictures(page: Page) -> list[str]:
    """What is painted, left to right."""
    seen: list[str] = page.locator(".stage img").evaluate_all(
        "all => all.filter(i => i.naturalWidth && getComputedStyle(i).visibility === 'visible').map(i => i.alt)"
    )
    return seen


def alts(*images: int) -> list[str]:
    return [f"X-ray, image {image}" for image in images]


def stage(page: Page, number: int) -> Locator:
    return page.locator(".stage").nth(number)


def look(page: Page, number: int) -> tuple[str, str]:
    moved = stage(page, number).locator(".moved").evaluate("e => e.style.transform")
    return str(moved), str(stage(page, number).locator("img").evaluate("e => e.style.filter"))


def test_side_by_side(
    stack: Stack, page: Page, study: list[int], take_screenshots: Callable[[Page, str], None]
) -> None:
    first, second, third = study
    page.goto(f"{stack.url}/?image={first}")
    wait_until(lambda: pictures(page) == alts(first), "the picture", 20)
    page.locator(f".st-key-beside_{second}").get_by_role("button").wait_for()
    views = stack.events(second).count("viewed")
    page.keyboard.press("i")
    page.keyboard.press("b")
    wait_until(lambda: pictures(page) == alts(first, second), "the next image beside it", 20)
    page.wait_for_url(f"**beside={second}**")
    heads = page.locator(".which").all_inner_texts()
    assert heads[0].startswith("Open · 1 (AP): ")
    assert heads[1].startswith("Beside · 2 (LATERAL): ")
    # Whoever looked at the open one in some way still does; the other one is looked at in its own.
    assert [look(page, number)[1] for number in (0, 1)] == ["invert(1)", ""]
    stage(page, 1).hover()
    page.keyboard.press("+")
    wait_until(lambda: "scale(1.4)" in look(page, 1)[0], "the one under the pointer to be larger", 10)
    assert "scale(1)" in look(page, 0)[0]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    sides = page.locator(".st-key-opened").evaluate("e => e.scrollWidth <= e.clientWidth")
    assert sides
    boxes = [stage(page, number).bounding_box() for number in (0, 1)]
    assert all(box is not None and box["width"] >= 330 and box["height"] >= 240 for box in boxes)
    fields = page.get_by_role("spinbutton", name="C", exact=True)
    wait_until(lambda: not any(fields.nth(number).is_disabled() for number in (0, 1)), "the values of both", 20)
    take_screenshots(page, "beside")
    wait_until(lambda: stack.events(second).count("viewed") == views + 1, "the trail to have it", 10)

    page.reload()
    wait_until(lambda: pictures(page) == alts(first, second), "the same after a reload", 20)
    page.locator(".st-key-study_images").get_by_role("button", name="2 (LATERAL)").click()
    wait_until(lambda: pictures(page) == alts(second, first), "the two to change places", 20)
    page.locator(f".st-key-beside_{third}").get_by_role("button").click()
    wait_until(lambda: pictures(page) == alts(second, third), "another one beside it", 20)
    page.keyboard.press("b")
    wait_until(lambda: pictures(page) == alts(second), "the open one alone", 20)
    page.wait_for_function("() => !location.search.includes('beside')")


def test_an_address_cannot_put_another_study_beside(stack: Stack, page: Page, study: list[int]) -> None:
    stack.drop("beside-alone.png", png(9310))
    alone = stack.wait_for("beside-alone.png").id
    page.goto(f"{stack.url}/?image={study[0]}&beside={alone}")
    wait_until(lambda: pictures(page) == alts(study[0]), "the picture", 20)
    page.locator(".st-key-study_images").get_by_role("button", name="3 (OBLIQUE)").wait_for()
    assert page.locator(".stage").count() == 1
    assert "viewed" not in stack.events(alone)
