"""Upload in a real browser."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from waiting import wait_until
from whole_stack import Stack, png
from xray_files import dicom_bytes

from dashboard import wording
from triage.records import Image

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def upload(page: Page, stack: Stack, name: str, content: bytes) -> None:
    upload_many(page, stack, {name: content})


def upload_many(page: Page, stack: Stack, files: Mapping[str, bytes]) -> None:
    page.goto(f"{stack.url}/upload")
    field = page.locator("input[type=file]")
    field.wait_for(state="attached")
    field.set_input_files(
        [{"name": name, "mimeType": "application/octet-stream", "buffer": content} for name, content in files.items()]
    )


def row(page: Page, name: str) -> Locator:
    """The row of a file in an upload of many, with its button."""
    named = page.locator(".came .name").get_by_text(name, exact=True)
    return page.locator("[class*=st-key-incoming_]").filter(has=named)


def wait_for_row(page: Page, name: str, *lines: str | None) -> None:
    """Wait until a file's row says this; it is drawn a moment after the count above it."""
    shown = row(page, name).locator(".came > div")
    wait_until(lambda: shown.all_inner_texts() == [name, *lines], f"the row of {name} says {lines}", 20)


def result_in_row(image: Image) -> list[str]:
    """The lines that a row has for an image that is done."""
    assert image.label is not None
    assert image.confidence is not None
    said = [f"{image.label} {wording.percent(image.confidence)}"]
    if image.needs_review:
        reasons = "; ".join(wording.REASONS_SHORT[code] for code in image.predictions[-1].reasons)
        said.append(f"Needs review {reasons}")
    return said


def test_an_uploaded_picture_is_classified(
    stack: Stack, page: Page, take_screenshots: Callable[[Page, str], None]
) -> None:
    upload(page, stack, "forearm-from-the-ward.png", png(1001, height=1250))
    page.locator(".said h2").wait_for()
    assert page.locator(".probabilities tr").count() == 10
    image = stack.find("forearm-from-the-ward.png")
    assert image is not None
    assert (image.source, image.status) == ("upload", "done")
    wait_until(lambda: page.locator(".stage img").evaluate("i => i.complete && i.naturalWidth"), "the picture", 20)
    take_screenshots(page, "upload")

    page.keyboard.press("r")  # Streamlit runs the script again
    page.wait_for_timeout(1000)
    assert [event for event in stack.events(image.id) if event in ("admitted", "named_again")] == ["admitted"]

    upload(page, stack, "forearm-again.png", png(1001, height=1250))
    page.get_by_text(f"this is image {image.id}").wait_for()
    assert page.locator(".said h2").inner_text() == image.label
    assert stack.find("forearm-again.png") is None


def test_a_text_named_jpg_is_refused_with_the_reason(stack: Stack, page: Page) -> None:
    upload(page, stack, "letter.jpg", b"Dear colleague, thank you for the referral.\n" * 3)
    page.get_by_text("Not accepted").wait_for()
    image = stack.wait_for("letter.jpg", "quarantined")
    assert image.error_detail is not None
    assert image.error_detail in page.locator(".alert").inner_text()


def test_what_waits_says_why_and_finishes_by_itself(stack: Stack, page: Page) -> None:
    with stack.stopped_worker():
        page.goto(stack.url)
        page.get_by_text("No worker is running").wait_for(timeout=40_000)
        upload(page, stack, "patient-one.png", png(1002))
        page.get_by_text("Still waiting because no worker is running").wait_for()
    page.locator(".said h2").wait_for(timeout=60_000)
    stack.wait_for("patient-one.png")


def test_many_files_in_one_upload(
    stack: Stack, page: Page, tmp_path: Path, take_screenshots: Callable[[Page, str], None]
) -> None:
    readable = {f"many-{number}.png": png(1100 + number) for number in range(1, 6)}
    readable["many-<b>6.png"] = png(1106)
    readable |= {f"many-{number}.dcm": dicom_bytes(tmp_path, 1100 + number) for number in (7, 8)}
    letter = b"Dear colleague, here are the ten pictures.\n" * 3
    before = stack.count_images()
    upload_many(page, stack, readable | {"many-letter.jpg": letter, "many-1-again.png": readable["many-1.png"]})

    page.get_by_text("10 of 10 finished.").wait_for(timeout=60_000)
    images = {name: stack.wait_for(name) for name in readable}
    for name, image in images.items():
        assert image.source == "upload"
        wait_for_row(page, name, *result_in_row(image))
    first = images["many-1.png"]
    known = f"these bytes came in before: image {first.id}"
    wait_for_row(page, "many-1-again.png", *result_in_row(first), known)
    refused = stack.wait_for("many-letter.jpg", "quarantined")
    wait_for_row(page, "many-letter.jpg", "Not accepted: Not an X-ray file", refused.error_detail)
    assert stack.count_images() == before + 9

    # Opening one runs the script again: everything was admitted once all the same.
    assert page.locator(".said h2").count() == 0
    opened = images["many-7.dcm"]
    row(page, "many-7.dcm").get_by_role("button", name="Show").click()
    page.locator(".facts .name", has_text="many-7.dcm").wait_for()
    assert opened.label is not None
    page.locator(".said h2", has_text=opened.label).wait_for()
    wait_until(lambda: page.locator(".stage img").evaluate("i => i.complete && i.naturalWidth"), "the picture", 20)
    page.mouse.move(0, 0)
    page.locator(".st-key-incoming").evaluate("box => { box.scrollTop = 0; }")
    wait_until(lambda: page.locator(".tools select").is_enabled(), "the window of the DICOM image", 20)
    take_screenshots(page, "upload-many")
    row(page, "many-letter.jpg").get_by_role("button", name="Show").click()
    page.get_by_text(f"The file is kept in quarantine, as image {refused.id}.").wait_for()
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    assert page.locator(".came").count() == 10
    assert stack.count_images() == before + 9
    admissions = {
        name: [event for event in stack.events(image.id) if event in ("admitted", "named_again", "dropped_again")]
        for name, image in (images | {"many-letter.jpg": refused}).items()
    }
    assert admissions.pop("many-1.png") == ["admitted", "named_again"]
    assert set(map(tuple, admissions.values())) == {("admitted",)}


def test_many_that_wait_say_why_and_finish_by_themselves(stack: Stack, page: Page) -> None:
    with stack.stopped_worker():
        page.goto(stack.url)
        page.get_by_text("No worker is running").wait_for(timeout=40_000)
        upload_many(page, stack, {"two-1.png": png(1201), "two-2.png": png(1202)})
        page.get_by_text("0 of 2 finished. Still waiting because no worker is running").wait_for()
        wait_for_row(page, "two-2.png", "Waiting")
    page.get_by_text("2 of 2 finished.").wait_for(timeout=60_000)
    second = stack.wait_for("two-2.png")
    wait_for_row(page, "two-2.png", *result_in_row(second))
