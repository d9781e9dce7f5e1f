"""The printable summary of a study, in a real browser and as the PDF that it prints."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pdf_text import pages
from waiting import wait_until
from whole_stack import READER, Stack
from xray_files import dicom_bytes

from dashboard import wording
from triage import NOTICE
from triage.database import open_database, sessions
from triage.intake import utc_now
from triage.records import Image
from triage.samples import make_uid
from triage.verdicts import give_verdict

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

NOTE = "Second view <i>asked for</i>: " + "the cortex is not to be seen on the side that lies on the plate, " * 4


def drop_study(stack: Stack, folder: Path, name: str, count: int) -> list[Image]:
    """Drop the images of one study; the first under a name with markup."""
    names = [f"{name}-<b>1.dcm", *(f"{name}-{number}.dcm" for number in range(2, count + 1))]
    about = {"BodyPartExamined": "HAND", "ViewPosition": "PA", "StudyInstanceUID": make_uid(name)}
    for number, each in enumerate(names):
        about["SOPInstanceUID"] = make_uid(name, number)
        stack.drop(each, dicom_bytes(folder, 7000 + 10 * count + number, **about))
    return [stack.wait_for(each) for each in names]


def give_note(stack: Stack, image_id: int) -> None:
    engine = open_database(stack.settings.database)
    try:
        with sessions(engine).begin() as session:
            give_verdict(session, image_id, "unreadable", reviewer="Dr. <i>Who", at=utc_now(), note=NOTE)
    finally:
        engine.dispose()


def printed(page: Page, paper: str) -> list[str]:
    """The text of each page that is printed, on one line each, with ligatures taken apart."""
    return [" ".join(unicodedata.normalize("NFKC", text).split()) for text in pages(page.pdf(format=paper))]


def open_summary(page: Page, stack: Stack, study: object) -> None:
    page.goto(f"{stack.url}/summary?study={study}")
    page.locator(".sheet").wait_for()
    loaded = "images => images.every(image => image.complete && image.naturalWidth)"
    wait_until(lambda: page.locator(".sheet img").evaluate_all(loaded), "the pictures", 20)


def test_a_study_of_four_images_prints_on_one_page(
    stack: Stack, page: Page, tmp_path: Path, take_screenshots: Callable[[Page, str], None]
) -> None:
    images = drop_study(stack, tmp_path, "sheet", 4)
    give_note(stack, images[1].id)
    page.add_init_script("window.printed = 0; window.print = () => window.printed++")
    page.goto(f"{stack.url}/?image={images[0].id}")
    with page.context.expect_page() as beside:
        page.get_by_role("link", name="One-page summary").click()
    beside.value.locator(".sheet h1", has_text=f"Study {images[0].study_id}").wait_for()
    beside.value.close()

    open_summary(page, stack, images[0].study_id)
    assert set(page.locator(".sheet .name").all_inner_texts()) == {image.source_name for image in images}
    assert page.locator(".sheet .name b").count() == 0
    assert page.locator(".sheet img").count() == 4
    for image in images:
        assert stack.events(image.id)[-1] == "viewed"
    page.get_by_role("button", name="Print").click()
    assert page.evaluate("window.printed") == 1
    page.locator(".strip .well").wait_for()
    take_screenshots(page, "summary")

    for paper in ("A4", "Letter"):
        (text,) = printed(page, paper)
        assert f"Study {images[0].study_id} Fracture triage" in text
        assert NOTICE in text
        assert f"Printed by {READER}, as things stood on " in text
        assert "Verdict : Cannot be read (Dr. <i>Who, " in text
        assert f"Note: {NOTE.strip()}" in text
        for image in images:
            said = image.predictions[-1]
            for essential in (
                f"Image {image.id} · HAND · PA",
                image.source_name,
                f"{said.label} · Confidence {wording.percent(said.confidence)}",
                f"Prediction set: {', '.join(said.prediction_set)}",
                f"model {said.model_version}",
                *(wording.reason(code) for code in said.reasons),
                *(f"{label} {wording.percent(value)}" for label, value in said.probabilities.items()),
            ):
                assert essential in text, essential
        for beside in ("Worklist", "Quarantine", "quarantined", "worker process", "Ctrl+P"):
            assert beside not in text, beside


def test_many_images_take_more_pages_which_all_say_what_they_belong_to(
    stack: Stack, page: Page, tmp_path: Path
) -> None:
    images = drop_study(stack, tmp_path, "thick", 6)
    open_summary(page, stack, images[0].study_id)
    page.get_by_text("Up to 4 images fit on one page").wait_for()
    texts = printed(page, "A4")
    assert len(texts) == 2
    for text in texts:
        assert f"Study {images[0].study_id} Fracture triage" in text
        assert NOTICE in text
    assert [sum(f"Image {image.id} · HAND" in text for text in texts) for image in images] == [1] * 6


def test_a_study_that_is_not_there_is_told(stack: Stack, page: Page) -> None:
    for study, said in (("999999", "There is no study 999999 here"), ("<b>", "This page shows one study")):
        page.goto(f"{stack.url}/summary?study={study}")
        page.locator(".alert", has_text=said).wait_for()
        assert page.locator(".sheet").count() == 0


def test_nobody_sees_a_sheet_of_which_the_trail_cannot_say_who_saw_it(stack: Stack, page: Page, tmp_path: Path) -> None:
    (image,) = drop_study(stack, tmp_path, "unnamed", 1)
    page.context.clear_cookies()
    page.goto(f"{stack.url}/summary?study={image.study_id}")
    field = page.get_by_label("Your name or initials")
    field.wait_for()
    assert page.locator(".sheet").count() == 0
    field.fill("AB")
    field.press("Enter")
    page.get_by_text("Printed by AB").wait_for()
    assert len(printed(page, "A4")) == 1
