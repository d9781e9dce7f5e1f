"""Every page in a real browser: its texts can be read, its controls have names and show the focus, nothing jumps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from legibility import WATCH_SHIFTS, hard_to_read, nameless, shifts, unseen_focus
from waiting import wait_until
from whole_stack import Stack, png
from xray_files import dicom_bytes

from triage.records import Image
from triage.samples import make_uid

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

MOST_SHIFT = 0.1
"""What is counted as good: web.dev/articles/cls."""


@pytest.fixture(scope="module")
def image(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The first image of a study of two; something of every kind is there besides."""
    folder = tmp_path_factory.mktemp("legible")
    names = ["legible-1.dcm", "legible-2.dcm"]
    for number, name in enumerate(names):
        stack.drop(
            name, dicom_bytes(folder, 8000 + number, StudyInstanceUID=make_uid("legible"), BodyPartExamined="HAND")
        )
    stack.drop("legible-not.png", png(8002)[:3000])
    stack.wait_for("legible-not.png", "quarantined")
    first, _ = (stack.wait_for(name) for name in names)
    return first


@pytest.mark.parametrize(
    ("address", "landmark"),
    [
        ("/", "[data-image]"),
        ("/?image={image}", ".probabilities"),
        ("/upload", "[data-testid=stFileUploaderDropzone]"),
        ("/quarantine", "[class*=st-key-refused_]"),
        ("/model", ".version"),
        ("/system", ".trail"),
        ("/summary?study={study}", ".sheet"),
    ],
)
def test_a_page_can_be_read_and_worked_and_stands_still(
    stack: Stack, page: Page, image: Image, address: str, landmark: str
) -> None:
    page.add_init_script(WATCH_SHIFTS)
    page.goto(stack.url + address.format(image=image.id, study=image.study_id))
    page.locator(landmark).first.wait_for()
    page.locator(".strip .well").wait_for()
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.wait_for_load_state("networkidle")
    shift, moved = shifts(page)
    assert shift <= MOST_SHIFT, moved
    assert hard_to_read(page) == []
    assert nameless(page) == []
    assert unseen_focus(page) == []


def test_what_opens_on_a_page_can_be_read(stack: Stack, page: Page, image: Image) -> None:
    page.goto(stack.url)
    page.locator("[data-image]").first.wait_for()
    page.get_by_role("button", name="Filters").click()
    page.get_by_role("combobox", name="Came in by").click()
    page.get_by_role("option", name="upload").wait_for()
    assert hard_to_read(page) == []
    assert nameless(page) == []
    page.goto(f"{stack.url}/upload")
    letter = b"Dear colleague, this letter is hard to read as a picture.\n"
    files = [("legible-words.jpg", letter), ("legible-up.png", png(8003))]
    field = page.locator("input[type=file]")
    field.set_input_files([{"name": name, "mimeType": "", "buffer": content} for name, content in files])
    page.get_by_text("2 of 2 finished.").wait_for()
    page.get_by_role("button", name="Show").first.click()
    page.get_by_text("The file is kept in quarantine").wait_for()
    assert hard_to_read(page) == []
    assert nameless(page) == []
    page.context.clear_cookies()
    page.goto(f"{stack.url}/?image={image.id}")
    page.get_by_label("Your name or initials").wait_for()
    assert hard_to_read(page) == []


def test_a_result_that_comes_in_by_itself_moves_nothing_under_the_pointer(
    stack: Stack, page: Page, image: Image
) -> None:
    page.add_init_script(WATCH_SHIFTS)
    page.goto(stack.url)
    rows = page.locator("[data-image]")
    rows.first.wait_for()
    page.locator(".strip .well").wait_for()
    page.wait_for_load_state("networkidle")
    held = page.locator(f"[data-image='{rows.last.get_attribute('data-image')}']")
    held.hover()
    place = held.bounding_box()
    shifts(page)
    count = page.locator(".strip li", has_text="done").locator("b")
    before = count.inner_text()
    position = page.locator(".position").inner_text()
    stack.drop("legible-late.png", png(8004))
    wait_until(lambda: count.inner_text() != before, "the count to go up", 20)
    wait_until(lambda: page.locator(".position").inner_text() != position, "the list to grow", 20)
    shift, moved = shifts(page)
    assert shift <= MOST_SHIFT, moved
    # This list is so short that it does not scroll; the row keeps its place all the same.
    now = held.bounding_box()
    assert place is not None
    assert now is not None
    assert now["y"] == pytest.approx(place["y"], abs=1)
