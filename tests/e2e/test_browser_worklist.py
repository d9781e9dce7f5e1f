"""The worklist in a real browser, in front of the whole stack."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from waiting import wait_until
from whole_stack import Stack, png

from triage.samples import write_samples

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

HOSTILE = "<b>bold<b> <img src=x onerror=alert(1)> **star** [x](javascript:alert(1)) ![y](y.png).png"


@pytest.fixture(scope="module")
def filled(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """Samples, and enough small pictures for a second page."""
    samples = write_samples(tmp_path_factory.mktemp("samples"))
    for path in samples:
        stack.drop(path.name, path.read_bytes())
    for number in range(30):
        stack.drop(f"room{number % 4 + 1}-{1000 + number}.png", png(number, height=96))
    stack.drop(HOSTILE, png(500))
    for number in range(30):
        stack.wait_for(f"room{number % 4 + 1}-{1000 + number}.png")
    for path in samples:
        stack.wait_for(path.name, "quarantined" if path.name.startswith("broken") else "done")
    stack.wait_for(HOSTILE)
    return stack


def rows(page: Page) -> Locator:
    return page.locator("[data-image]")


def confidences(page: Page) -> list[int]:
    return [int(re.sub(r"\D", "", text)) for text in page.locator("[data-image] .number").all_inner_texts()]


def open_worklist(page: Page, stack: Stack, address: str = "/") -> None:
    page.goto(stack.url + address)
    rows(page).first.wait_for()


def choose_order(page: Page, name: str, marker: str) -> None:
    page.get_by_role("combobox", name="Order").click()
    page.get_by_role("option", name=name).click()
    page.wait_for_url(f"**sort={marker}**")


def lane(page: Page, name: str) -> Locator:
    lanes = page.locator(".st-key-worklist_lane")  # a row of the list may bear the same words
    return lanes.get_by_role("radio", name=name).or_(lanes.get_by_role("button", name=name)).first


def opened(page: Page) -> str | None:
    return page.locator("[aria-current=true]").get_attribute("data-image")


def test_a_dropped_file_shows_by_itself(filled: Stack, page: Page) -> None:
    open_worklist(page, filled, "/?sort=oldest")
    page.get_by_text("need review").wait_for()
    page.goto(filled.url)
    rows(page).first.wait_for()
    before = int(page.locator(".strip li", has_text="done").locator("b").inner_text())
    total = page.locator(".position")
    studies = int(total.inner_text().rpartition(" ")[2])
    # The row under the pointer is the one that is about to be pressed: it stays where it is.
    rows(page).nth(5).hover()
    held = rows(page).nth(5).get_attribute("data-image")
    place = page.locator(f"[data-image='{held}']").bounding_box()
    filled.drop("comes-by-itself.png", png(900))
    wait_until(
        lambda: int(page.locator(".strip li", has_text="done").locator("b").inner_text()) == before + 1,
        "the count to go up without a reload",
        20,
    )
    wait_until(lambda: total.inner_text().endswith(f"of {studies + 1}"), "the list to grow without a reload", 20)
    now = page.locator(f"[data-image='{held}']").bounding_box()
    assert place is not None
    assert now is not None
    assert now["y"] == pytest.approx(place["y"], abs=1)


def test_both_directions_of_confidence(filled: Stack, page: Page) -> None:
    open_worklist(page, filled)
    choose_order(page, "Most confident", "confidence_down")
    wait_until(lambda: (found := confidences(page)) and found == sorted(found, reverse=True), "high to low", 20)
    highest = confidences(page)[0]
    choose_order(page, "Least confident", "confidence_up")
    wait_until(lambda: (found := confidences(page)) and found == sorted(found), "low to high", 20)
    assert confidences(page)[0] < highest


def test_by_default_what_needs_review_comes_first(filled: Stack, page: Page) -> None:
    open_worklist(page, filled)
    flagged = [row.locator(".badge").count() == 1 for row in rows(page).all()]
    assert flagged == sorted(flagged, reverse=True)


def test_an_open_image_shows_picture_and_all_probabilities(filled: Stack, page: Page) -> None:
    for name in ("ankle-fibula-03.jpg", "shin-both-bones-09-16bit.png", "wrist-monochrome1-10.dcm"):
        image = filled.wait_for(name)
        page.goto(f"{filled.url}/?image={image.id}")
        picture = page.locator(".stage img")
        picture.wait_for()
        wait_until(lambda picture=picture: picture.evaluate("i => i.complete && i.naturalWidth"), "the picture", 20)
        assert picture.evaluate("i => [i.naturalWidth, i.naturalHeight]") == [1000, 1250]
        assert page.locator(".probabilities tr").count() == 10
        assert page.locator(".said h2").inner_text() == image.label
        assert name in page.locator(".about").inner_text()


def test_a_wide_original_reaches_the_browser_byte_for_byte(filled: Stack, page: Page) -> None:
    filled.drop("wide.png", png(901, height=2000))
    image = filled.wait_for("wide.png")
    page.goto(f"{filled.url}/?image={image.id}")
    page.locator(".stage img[src]").wait_for()
    source = page.locator(".stage img").get_attribute("src")
    assert page.request.get(f"{filled.url}{source}").body() == png(901, height=2000)


def test_a_reload_keeps_order_page_and_image(filled: Stack, page: Page) -> None:
    open_worklist(page, filled)
    choose_order(page, "Most confident", "confidence_down")
    wait_until(lambda: (found := confidences(page)) and found == sorted(found, reverse=True), "the order", 20)
    page.get_by_role("button", name="Next").click()
    page.wait_for_url("**after=**")
    wait_until(lambda: page.locator(".rank").first.inner_text() == "26", "the second page", 20)
    rows(page).nth(2).click()
    page.wait_for_url("**image=**")
    page.locator(".stage img").wait_for()
    shown = [row.get_attribute("data-image") for row in rows(page).all()]
    image = opened(page)

    filled.drop("while-reading.png", png(902))
    new = filled.wait_for("while-reading.png")
    page.reload()
    rows(page).first.wait_for()
    page.locator(".stage img").wait_for()
    again = [row.get_attribute("data-image") for row in rows(page).all()]
    kept = [each for each in again if each != str(new.id)]
    assert kept == shown[: len(kept)]  # the new one may have come to stand on this page, and pushed the last one off
    assert len(kept) >= len(shown) - 1
    assert opened(page) == image

    page.get_by_role("link", name="Quarantine").click()
    page.get_by_text("Retry sends a file").wait_for()
    page.get_by_role("link", name="Worklist").click()
    page.wait_for_url("**after=**")
    page.locator(".stage img").wait_for()
    assert opened(page) == image

    page.get_by_role("button", name="Previous").click()
    wait_until(lambda: page.locator(".rank").first.inner_text() == "1", "the first page", 20)
    assert f"image={image}" in page.url
    assert "before=" not in page.url


def test_keys_walk_through_the_list_and_on_to_the_next_page(filled: Stack, page: Page) -> None:
    open_worklist(page, filled, "/?sort=oldest")
    shown = [row.get_attribute("data-image") for row in rows(page).all()]
    page.keyboard.press("j")
    page.wait_for_url(f"**image={shown[0]}**")
    page.locator(".stage img").wait_for()
    page.keyboard.press("j")
    page.wait_for_url(f"**image={shown[1]}**")
    page.keyboard.press("ArrowDown")
    page.wait_for_url(f"**image={shown[2]}**")
    page.keyboard.press("k")
    page.wait_for_url(f"**image={shown[1]}**")
    wait_until(lambda: opened(page) == shown[1], "the row to be marked", 20)

    rows(page).nth(24).click()
    page.wait_for_url(f"**image={shown[24]}**")
    page.keyboard.press("j")
    wait_until(lambda: page.locator(".rank").first.inner_text() == "26", "the second page", 20)
    wait_until(lambda: opened(page) == rows(page).first.get_attribute("data-image"), "its first study to be open", 20)
    page.keyboard.press("k")
    wait_until(lambda: page.locator(".rank").first.inner_text() == "1", "the first page again", 20)
    wait_until(lambda: opened(page) == shown[24], "its last study to be open", 20)


def test_a_search_and_a_filter_narrow_the_list_and_are_in_the_address(filled: Stack, page: Page) -> None:
    open_worklist(page, filled)
    box = page.get_by_role("textbox", name="Name, accession number")
    box.fill("ROOM2-10")
    box.press("Enter")
    page.wait_for_url("**search=ROOM2-10**")
    wait_until(lambda: page.locator(".position").inner_text().endswith("of 8"), "what begins so", 20)
    assert all(name.startswith("room2-10") for name in page.locator("[data-image] .name").all_inner_texts())

    page.reload()
    rows(page).first.wait_for()
    assert page.locator(".position").inner_text() == "1–8 of 8"
    page.get_by_role("button", name="Filters").click()
    page.get_by_role("combobox", name="Came in by").click()
    page.get_by_role("option", name="upload").click()
    page.get_by_text("No study fits the filters.").wait_for()
    page.get_by_role("button", name="Clear the filters").last.click()
    rows(page).first.wait_for()


def test_a_lane_can_be_looked_at_alone(filled: Stack, page: Page) -> None:
    open_worklist(page, filled)
    lane(page, "Needs review").click()
    page.wait_for_url("**lane=needs-review**")
    wait_until(lambda: page.locator("[data-image]:not(:has(.badge))").count() == 0, "those that need none to go", 20)
    assert set(page.locator("[data-image] .badge").all_inner_texts()) == {"Needs review"}


def test_the_filtered_list_can_be_taken_away(filled: Stack, page: Page) -> None:
    open_worklist(page, filled, "/?search=room3-10&sort=oldest")
    wait_until(lambda: page.locator(".position").inner_text() == "1–7 of 7", "the list", 20)
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    sheet = Path(download.value.path()).read_text(encoding="utf-8-sig")
    names = [row["source_name"] for row in csv.DictReader(io.StringIO(sheet))]
    assert names == page.locator("[data-image] .name").all_inner_texts()
    assert len(names) == 7


def test_a_name_with_markup_shows_literally(filled: Stack, page: Page) -> None:
    image = filled.wait_for(HOSTILE)
    page.goto(f"{filled.url}/?image={image.id}&search={quote(HOSTILE)}")
    rows(page).first.wait_for()
    page.locator(".about .name").first.wait_for()
    assert page.locator(f"[data-image='{image.id}'] .name").inner_text() == HOSTILE
    assert page.locator(".about .name").first.inner_text() == HOSTILE
    assert page.locator(".about .name :is(b, a, img)").count() == 0


def test_a_mistyped_address_shows_the_list(filled: Stack, page: Page) -> None:
    open_worklist(page, filled, "/?sort=nonsense&after=%5Btrue%2C%22x%22%5D&image=999999")
    assert page.locator(".rank").first.inner_text() == "1"
    page.get_by_text("There is no image 999999 here").wait_for()


def test_a_silent_worker_is_told(filled: Stack, page: Page) -> None:
    open_worklist(page, filled)
    page.locator(".strip .well").wait_for()
    with filled.stopped_worker():
        page.get_by_text("No worker is running").wait_for(timeout=40_000)
    page.locator(".strip .well").wait_for(timeout=40_000)


def test_the_notice_is_on_every_page(filled: Stack, page: Page) -> None:
    for address in ("/", "/upload", "/quarantine", "/model", "/system"):
        page.goto(filled.url + address)
        page.locator(".notice", has_text="not a diagnosis").wait_for()


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (2560, 1440)])
def test_no_page_scrolls_sideways(filled: Stack, page: Page, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    for address in ("/", "/upload", "/quarantine", "/model", "/system"):
        page.goto(filled.url + address)
        page.locator(".strip .well").wait_for()
        page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
        over = page.evaluate(
            "[document.scrollingElement, ...document.querySelectorAll('[data-testid=stMain]')]"
            ".map(box => box.scrollWidth - box.clientWidth)"
        )
        assert over == [0, 0], address


def test_screens(filled: Stack, page: Page, take_screenshots: Callable[[Page, str], None]) -> None:
    open_worklist(page, filled)
    take_screenshots(page, "worklist-closed")
    page.locator("[data-image]", has_text=re.compile("forearm|shin|ankle|femur|hand|wrist|arm")).first.click()
    page.locator(".stage img").wait_for()
    wait_until(lambda: page.locator(".stage img").evaluate("i => i.complete && i.naturalWidth"), "the picture", 20)
    page.get_by_role("button", name="Unreadable").wait_for()
    page.get_by_text("What happened to it").wait_for()
    page.mouse.move(0, 0)
    take_screenshots(page, "worklist")
