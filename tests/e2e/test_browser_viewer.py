"""Reading a picture in a real browser: tools, keys, and where the model looked."""

from __future__ import annotations

import hashlib
import io
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import PIL.Image as Pillow
import pytest
from waiting import wait_until
from whole_stack import Stack, png
from xray_files import dicom_bytes

from triage.samples import make_uid

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page, Route

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@pytest.fixture
def opened(stack: Stack, page: Page, request: pytest.FixtureRequest) -> Page:
    name = f"{request.node.name}.png"
    stack.drop(name, png(zlib.crc32(name.encode())))
    page.goto(f"{stack.url}/?image={stack.wait_for(name).id}")
    page.locator(".said h2").wait_for()
    wait_until(lambda: page.locator(".stage img").evaluate("i => i.complete && i.naturalWidth"), "the picture", 20)
    return page


def transform(page: Page) -> str:
    return str(page.locator(".moved").evaluate("e => e.style.transform"))


def look(page: Page) -> str:
    return str(page.locator(".stage img").evaluate("e => e.style.filter"))


def test_tools_by_click_and_by_key(opened: Page) -> None:
    page = opened
    tools = page.get_by_role("toolbar")
    tools.get_by_role("button", name="Zoom in").click()
    assert "scale(1.4)" in transform(page)
    page.keyboard.press("i")
    assert look(page) == "invert(1) brightness(100%) contrast(100%)"
    page.keyboard.press("t")
    assert "rotate(90deg)" in transform(page)
    tools.get_by_label("Contrast").fill("150")
    assert look(page).endswith("contrast(150%)")
    page.keyboard.press("f")
    assert transform(page) == "translate(0px, 0px) scale(1) rotate(0deg)"
    assert look(page) == "brightness(100%) contrast(100%)"


def test_wheel_and_drag_move_the_picture_and_keep_what_is_under_the_pointer(opened: Page) -> None:
    page = opened
    box = page.locator(".stage").bounding_box()
    assert box is not None
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(*middle)
    page.mouse.wheel(0, -100)
    wait_until(lambda: "scale(1.15)" in transform(page), "the wheel to zoom", 10)
    page.mouse.down()
    page.mouse.move(middle[0] + 40, middle[1] + 25)
    page.mouse.up()
    assert transform(page).startswith("translate(40px, 25px)")


def test_where_the_model_looked_is_off_until_it_is_asked_for(
    opened: Page, take_screenshots: Callable[[Page, str], None]
) -> None:
    page = opened
    overlay = page.locator(".stage canvas")
    assert overlay.evaluate("e => e.style.opacity") == "0"
    page.keyboard.press("h")
    assert overlay.evaluate("e => e.style.opacity") == "0.6"
    painted = "e => e.getContext('2d').getImageData(0, 0, e.width, e.height).data.some(value => value > 0)"
    assert overlay.evaluate(painted)
    assert str(page.locator(".stage").get_attribute("title")).startswith("Where the model looked for “")
    take_screenshots(page, "viewer")
    page.get_by_role("toolbar").get_by_label("Where the model looked").fill("0")
    assert overlay.evaluate("e => e.style.opacity") == "0"


def test_a_picture_turned_on_its_side_is_shown_whole(stack: Stack, page: Page) -> None:
    target = io.BytesIO()
    Pillow.open(io.BytesIO(png(4105))).rotate(90, expand=True).save(target, "PNG")
    stack.drop("landscape.png", target.getvalue())
    page.goto(f"{stack.url}/?image={stack.wait_for('landscape.png').id}")
    page.locator(".said h2").wait_for()
    wait_until(lambda: page.locator(".stage img").evaluate("i => i.naturalWidth") == 400, "the picture", 20)
    page.keyboard.press("t")
    # The file is 400 x 320. As it is drawn on its side, it reaches from edge to edge of the stage, and not beyond.
    beyond = """stage => {
      const moved = stage.querySelector(".moved");
      const upright = Math.min(stage.clientWidth / 400, stage.clientHeight / 320);
      const sideways = upright * new DOMMatrix(getComputedStyle(moved).transform).b;
      return Math.max(400 * sideways - stage.clientHeight, 320 * sideways - stage.clientWidth);
    }"""
    assert abs(float(page.locator(".stage").evaluate(beyond))) < 0.5
    page.keyboard.press("t")
    assert transform(page) == "translate(0px, 0px) scale(1) rotate(180deg)"


def test_keys_are_letters_while_somebody_types(opened: Page) -> None:
    page = opened
    page.get_by_text("Add a note").click()
    page.get_by_placeholder("Goes with the next verdict").press_sequentially("tifi")
    assert transform(page) == "translate(0px, 0px) scale(1) rotate(0deg)"
    assert look(page) == "brightness(100%) contrast(100%)"


def test_the_other_images_of_a_study_are_a_key_away(
    stack: Stack, page: Page, tmp_path: Path, take_screenshots: Callable[[Page, str], None]
) -> None:
    uid = make_uid(5, "study of two")
    names = [f"view-{number}.dcm" for number in (1, 2)]
    for number, name in enumerate(names, start=1):
        view = ("AP", "LATERAL")[number - 1]
        stack.drop(name, dicom_bytes(tmp_path, 700 + number, StudyInstanceUID=uid, ViewPosition=view))
        stack.wait_for(name)
    first, second = (stack.wait_for(name).id for name in names)
    page.goto(f"{stack.url}/?image={first}")
    images = page.locator(".st-key-study_images")
    images.get_by_text("Study of 2").wait_for()
    assert images.get_by_role("button", name="1 (AP)").is_disabled()
    page.locator(".stage img").wait_for()
    wait_until(lambda: page.locator(".stage img").evaluate("i => i.complete && i.naturalWidth"), "the picture", 20)
    page.locator("input[data-number=centre]:not([disabled])").wait_for()
    take_screenshots(page, "study")
    page.keyboard.press("ArrowRight")
    page.wait_for_url(f"**image={second}**")
    wait_until(lambda: images.get_by_role("button", name="2 (LATERAL)").is_disabled(), "the second to be open", 20)
    page.wait_for_function("name => document.querySelector('.about .name').innerText === name", arg=names[1])
    images.get_by_role("button", name="1 (AP)").click()
    page.wait_for_url(f"**image={first}**")


def test_a_picture_that_cannot_be_fetched_is_not_the_one_before(stack: Stack, page: Page) -> None:
    for number in (1, 2):
        stack.drop(f"unfetched-{number}.png", png(4200 + number))
    first, second = (stack.wait_for(f"unfetched-{number}.png").id for number in (1, 2))
    of_the_first = hashlib.sha256(png(4201)).hexdigest()

    def answer_the_first(route: Route) -> None:
        if of_the_first in route.request.url:
            route.continue_()
        else:
            route.abort()

    page.route(f"{stack.url}/picture/*", answer_the_first)
    page.goto(f"{stack.url}/?image={first}&search=unfetched-")
    picture = page.locator(".stage img")
    wait_until(lambda: picture.count() and picture.evaluate("i => i.complete && i.naturalWidth"), "the picture", 20)
    page.locator(f"button[data-image='{second}']").click()
    wait_until(lambda: picture.get_attribute("alt") == f"X-ray, image {second}", "the other image", 20)
    assert picture.evaluate("i => i.naturalWidth") == 0
