"""Another window on a DICOM's own values, in a real browser: drawn by a process of its own, without a jump."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest
from waiting import wait_until
from whole_stack import Stack, png

from triage.samples import write_dicom

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

FILE = {"BitsStored": 12, "HighBit": 11, "WindowCenter": [2048, 1000], "WindowWidth": [4096, 101],
        "WindowCenterWidthExplanation": ["NORMAL", "SOFT"]}  # fmt: skip

# What the picture on the stage shows in the middle of its left half and of its right half.
GREYS = """img => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [img.naturalWidth, img.naturalHeight];
  const context = canvas.getContext("2d");
  context.drawImage(img, 0, 0);
  return [1, 3].map(quarter => context.getImageData(img.naturalWidth * quarter / 4, 50, 1, 1).data[0]);
}"""


@pytest.fixture(scope="module")
def halves(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> int:
    """A picture whose left half holds 1000 and whose right half 3000."""
    stored = np.repeat([[1000] * 160 + [3000] * 160], 400, axis=0).astype(np.uint16)
    path = write_dicom(tmp_path_factory.mktemp("window") / "window-halves.dcm", stored, **FILE)
    stack.drop(path.name, path.read_bytes())
    return stack.wait_for(path.name).id


@pytest.fixture
def opened(stack: Stack, page: Page, halves: int) -> Page:
    page.goto(f"{stack.url}/?image={halves}")
    wait_until(lambda: greys(page) == [62, 187], "the stored picture", 20)
    wait_until(lambda: not page.get_by_role("spinbutton", name="Centre").is_disabled(), "its values", 20)
    return page


def greys(page: Page) -> list[int] | None:
    image = page.locator(".stage img")
    if not image.count() or not image.evaluate("i => i.complete && i.naturalWidth"):
        return None
    found: list[int] = image.evaluate(GREYS)
    return found


def look(page: Page) -> str:
    return str(page.locator(".stage img").evaluate("e => e.style.filter"))


def transform(page: Page) -> str:
    return str(page.locator(".moved").evaluate("e => e.style.transform"))


def numbers(page: Page) -> list[str]:
    return [page.get_by_role("spinbutton", name=name).input_value() for name in ("Centre", "Width")]


@pytest.fixture
def renderer(stack: Stack, opened: Page) -> Iterator[psutil.Process]:
    found = [
        child
        for child in psutil.Process(stack.process.pid).children(recursive=True)
        if "triage.window_process" in child.cmdline()
    ]
    yield found[0]
    if found[0].is_running():
        found[0].send_signal(signal.SIGCONT)


def test_the_files_own_windows_and_ranges_are_a_choice_away(
    opened: Page, take_screenshots: Callable[[Page, str], None]
) -> None:
    page = opened
    assert numbers(page) == ["2048", "4096"]
    window = page.get_by_role("combobox", name="Window")
    assert window.locator("option").all_inner_texts() == [
        "NORMAL (file)", "SOFT (file)", "full range", "without extremes",
    ]  # fmt: skip
    page.keyboard.press("+")
    before = transform(page), page.locator(".stage").bounding_box()
    page.keyboard.press("w")
    wait_until(lambda: greys(page) == [129, 255], "the soft window", 20)  # ((1000 - 999.5) / 100 + 0.5) * 255
    assert numbers(page) == ["1000", "101"]
    assert look(page) == ""
    assert (transform(page), page.locator(".stage").bounding_box()) == before
    window.select_option("full range")
    wait_until(lambda: greys(page) == [0, 255], "the full range", 20)
    take_screenshots(page, "window")
    page.keyboard.press("f")
    wait_until(lambda: greys(page) == [62, 187], "the stored picture again", 20)
    assert numbers(page) == ["2048", "4096"]


def test_a_drag_is_previewed_and_the_real_picture_takes_its_place(opened: Page) -> None:
    page = opened
    box = page.locator(".stage").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down(button="right")
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2, steps=4)
    assert look(page).startswith("url(")
    assert greys(page) == [62, 187]
    page.mouse.up(button="right")
    # A quarter of the stage to the left: a quarter of the range less wide, of 0 to 4096; drawn from the values.
    wait_until(lambda: look(page) == "", "the real picture", 20)
    assert numbers(page) == ["2048", "3072"]
    assert greys(page) == [41, 207]  # ((1000 - 2047.5) / 3071 + 0.5) * 255
    assert page.get_by_role("combobox", name="Window").locator("option:checked").inner_text() == "chosen by hand"


def test_numbers_can_be_typed(opened: Page) -> None:
    page = opened
    width = page.get_by_role("spinbutton", name="Width")
    width.fill("2000")
    width.press("Enter")
    wait_until(lambda: greys(page) == [0, 249], "the window that was typed", 20)  # ((3000 - 2047.5) / 1999 + 0.5) * 255
    assert look(page) == ""


def test_a_renderer_that_hangs_is_told_and_the_picture_stays(opened: Page, renderer: psutil.Process) -> None:
    page = opened
    renderer.send_signal(signal.SIGSTOP)
    page.keyboard.press("w")
    page.get_by_text("The picture is being drawn with this window").wait_for()
    assert greys(page) == [62, 187]
    renderer.send_signal(signal.SIGCONT)
    wait_until(lambda: greys(page) == [129, 255], "the window", 20)
    wait_until(lambda: not page.get_by_text("The picture is being drawn").count(), "the note to go", 20)


def test_a_renderer_that_breaks_down_is_told_and_works_when_it_is_asked_again(
    opened: Page, renderer: psutil.Process, take_screenshots: Callable[[Page, str], None]
) -> None:
    page = opened
    renderer.send_signal(signal.SIGSTOP)
    page.keyboard.press("w")
    page.get_by_text("The picture is being drawn with this window").wait_for()
    renderer.kill()
    page.get_by_text("broke down and starts anew").wait_for()
    assert greys(page) == [62, 187]
    assert (look(page), numbers(page)) == ("", ["2048", "4096"])
    take_screenshots(page, "window-trouble")
    page.get_by_role("button", name="Try again").click()
    wait_until(lambda: greys(page) == [129, 255], "the window", 20)


def test_a_jpeg_has_brightness_and_contrast_instead(stack: Stack, page: Page) -> None:
    stack.drop("no-window.png", png(8801))
    page.goto(f"{stack.url}/?image={stack.wait_for('no-window.png').id}")
    page.get_by_label("Brightness").wait_for()
    assert not page.get_by_role("combobox", name="Window").count()
