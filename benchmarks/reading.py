"""How quickly a reader gets what they ask for, in a real browser: the next picture, a window, the page itself.

``python -m benchmarks.reading`` runs ``triage up`` on a home of its own with some dozens of synthetic radiographs of
1600 x 2000 pixels, JPEG and DICOM with 12 bits (uncompressed and JPEG 2000), and drives Chromium (Debian: chromium).
From a key until the picture that it asks for is painted; from a cold start until the first row can be pressed; then
five people at once, each with a window of their own, for half a minute. Everything runs on the same machine: the
browsers take part of the cores that the stack needs. Prints a table to stderr and JSON to stdout.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
from rich.console import Console
from rich.table import Table
from sqlalchemy import select

from benchmarks.faults.home import wait_until
from benchmarks.pictures import HEIGHT, WIDTH, write_pictures
from benchmarks.running import running_stack
from triage.database import reading_sessions
from triage.records import DONE, Image
from triage.samples import draw_radiograph, write_dicom

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

TARGET_MS = 300
LONGEST_MS = 60_000
JPEG_2000 = "1.2.840.10008.1.2.4.90"
BROWSER_ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
console = Console(stderr=True)

# Notes when the first row can be pressed: it is there, and nothing lies over it. Looked at before every frame.
READY = """
(() => {
  const look = () => {
    for (const each of document.querySelectorAll("*")) {
      const row = each.shadowRoot?.querySelector("button[data-image]");
      if (!row) continue;
      const { x, y, width, height } = row.getBoundingClientRect();
      if (row.contains(each.shadowRoot.elementFromPoint(x + width / 2, y + height / 2))) {
        window.readyAt = performance.now();
        return;
      }
    }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})();
"""

# Notes when a key is pressed, and when another picture than the one before is painted: there, decoded, and visible.
WATCH = """
addEventListener("keydown", () => (window.pressedAt = performance.now()), true);
window.watchPicture = () => {
  const roots = [...document.querySelectorAll("*")].map((each) => each.shadowRoot).filter(Boolean);
  const stage = roots.map((root) => root.querySelector(".stage")).find(Boolean);
  const before = stage?.querySelector("img").src;
  window.shown = null;
  const look = async () => {
    const now = stage?.isConnected ? stage : [...document.querySelectorAll("*")]
      .map((each) => each.shadowRoot?.querySelector(".stage")).find(Boolean);
    const img = now?.querySelector("img");
    const visible = img && getComputedStyle(img).visibility !== "hidden" && !img.style.filter.includes("url(");
    if (!img || img.src === before || !img.complete || !img.naturalWidth || !visible) {
      return requestAnimationFrame(look);
    }
    const { src } = img;
    await img.decode().catch(() => {});
    if (!img.isConnected || img.src !== src) return requestAnimationFrame(look);
    requestAnimationFrame(() => requestAnimationFrame(() => {
      window.shown = { ms: performance.now() - window.pressedAt, alt: img.alt };
    }));
  };
  requestAnimationFrame(look);
};
"""

VALUES_KNOWN = """() => [...document.querySelectorAll("*")].some(
  (each) => each.shadowRoot?.querySelector("input[data-number]:not(:disabled)"))"""


@dataclass
class Seen:
    """Times in milliseconds, by what was done, and what went wrong."""

    times: dict[str, list[float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def note(self, what: str, milliseconds: float) -> None:
        """Keep a time."""
        self.times.setdefault(what, []).append(milliseconds)

    def note_error(self, what: str) -> None:
        """Keep what went wrong."""
        self.errors.append(what)


def write_dicoms(folder: Path, count: int) -> None:
    """Write ``count`` DICOM files with 12 bits, every other one compressed as JPEG 2000."""
    for number in range(count):
        rng = np.random.default_rng([9, number])
        drawn = draw_radiograph(rng, HEIGHT, WIDTH).astype(np.float64) * 14 + rng.normal(200, 20, (HEIGHT, WIDTH))
        stored = np.clip(drawn, 0, 4095).astype(np.uint16)
        options: dict[str, Any] = {"BitsStored": 12, "HighBit": 11}
        if number % 2:
            options["codestream"] = bytes(imagecodecs.jpeg2k_encode(stored, level=0, reversible=True, bitspersample=12))
            options["transfer_syntax"] = JPEG_2000
        else:
            options |= {"WindowCenter": 2000, "WindowWidth": 3000}
        write_dicom(folder / f"{number:03}.dcm", stored, **options)


@contextmanager
def filled_stack(folder: Path, pictures: Path) -> Iterator[tuple[str, dict[int, str]]]:
    """``triage up`` once it has classified all pictures: the dashboard's address, and each image's media type."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = folder / "home"
    (home / "inbox").mkdir(parents=True)
    paths = sorted(pictures.iterdir())
    for path in paths:
        shutil.copyfile(path, home / "inbox" / path.name)
    with running_stack(home, {"port": port}, dashboard=True) as stack:
        wait_until(lambda: stack.count(DONE) == len(paths), "all are classified", 300.0, every=0.5)
        with reading_sessions(stack.engine)() as session:
            kinds = {row.id: str(row.media_type) for row in session.execute(select(Image.id, Image.media_type))}
        yield f"http://127.0.0.1:{port}", kinds


async def open_window(browser: Browser, url: str, name: str, seen: Seen) -> Page:
    """A window of somebody's own, which notes what goes wrong in it."""
    context = await browser.new_context(viewport={"width": 1366, "height": 768})
    await context.add_cookies([{"name": "triage_reader", "value": name, "url": url}])
    await context.add_init_script(READY + WATCH)
    page = await context.new_page()
    page.set_default_timeout(LONGEST_MS)
    page.on("pageerror", lambda error: seen.note_error(f"script: {error}"))
    page.on(
        "response", lambda answer: seen.note_error(f"{answer.status} {answer.url}") if answer.status >= 400 else None
    )
    page.on("console", lambda line: seen.note_error(f"console: {line.text}") if line.type == "error" else None)
    return page


async def press(page: Page, key: str) -> tuple[float, int]:
    """Press a key, and wait until another picture is painted: milliseconds, and the id of its image."""
    await page.evaluate("watchPicture()")
    await page.keyboard.press(key)
    handle = await page.wait_for_function("() => window.shown")
    shown = await handle.json_value()
    found = re.search(r"\d+", shown["alt"])
    return float(shown["ms"]), int(found[0]) if found else 0


async def start(page: Page, url: str) -> float:
    """Milliseconds from when the browser sets out for the page until its first row can be pressed."""
    await page.goto(url)
    handle = await page.wait_for_function("() => window.readyAt")
    return float(await handle.json_value())


async def read_alone(browser: Browser, url: str, kinds: dict[int, str], seen: Seen, colds: int) -> None:
    """One person: cold starts, every study of the first page, and windows."""
    for _ in range(colds):
        page = await open_window(browser, url, "A", seen)
        seen.note("page interactive", await start(page, url))
        await page.context.close()
    page = await open_window(browser, url, "A", seen)
    await start(page, url)
    for _ in range(colds):
        seen.note("page interactive, opened again", await start(page, url))
    seen.note("first picture", (await press(page, "j"))[0])
    for pace, pause in (("", 1.0), (", pressed at once", 0.0)):
        for key in "j" * 20 + "k" * 20:
            milliseconds, image = await press(page, key)
            seen.note(
                f"next image, {'DICOM' if kinds.get(image, '').endswith('dicom') else 'JPEG'}{pace}", milliseconds
            )
            await asyncio.sleep(pause)
    for key in "j" * 20:
        _, image = await press(page, key)
        if not kinds.get(image, "").endswith("dicom"):
            continue
        await page.wait_for_function(VALUES_KNOWN)
        for _ in range(3):
            seen.note("window changed", (await press(page, "w"))[0])
    await page.context.close()


async def read_together(browser: Browser, url: str, seen: Seen, people: int, seconds: float) -> None:
    """Several people at once, each with the next study a moment after the one before is there."""

    async def read(number: int) -> None:
        page = await open_window(browser, url, f"R{number}", seen)
        rng = np.random.default_rng(number)
        what = f"next image, {people} people"
        try:
            seen.note(f"page interactive, {people} people", await start(page, url))
            await press(page, "j")
            at, step = 0, 1
            until = time.perf_counter() + seconds
            while time.perf_counter() < until:
                at, step = (at + step, step) if 0 <= at + step < 20 else (at - step, -step)
                seen.note(what, (await press(page, "j" if step > 0 else "k"))[0])
                await asyncio.sleep(float(rng.uniform(0.5, 1.5)))
            alerts = await page.locator(".alert, [data-testid=stException]").all_inner_texts()
            seen.errors.extend(f"the page says: {said}" for said in alerts)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what is counted
            seen.errors.append(f"R{number}: {type(error).__name__}: {str(error).splitlines()[0]}")
        await page.context.close()

    await asyncio.gather(*(read(number) for number in range(people)))


async def measure(url: str, kinds: dict[int, str], asked: argparse.Namespace) -> Seen:
    """Everything, in one Chromium."""
    from playwright.async_api import async_playwright

    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        raise SystemExit("no Chromium on PATH (Debian: apt install chromium)")
    seen = Seen()
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=found, args=BROWSER_ARGUMENTS)
        await read_alone(browser, url, kinds, seen, asked.colds)
        await read_together(browser, url, seen, asked.people, asked.seconds)
        await browser.close()
    return seen


def summary(times: list[float]) -> dict[str, float]:
    """Of some times: how many, median, 95th percentile and longest."""
    return {
        "count": len(times),
        "p50": round(statistics.median(times)),
        "p95": round(float(np.percentile(times, 95))),
        "max": round(max(times)),
    }


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser("python -m benchmarks.reading", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--images", type=int, default=48, help="half of them DICOM")
    parser.add_argument("--colds", type=int, default=8, help="cold starts")
    parser.add_argument("--people", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long they read at once")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="triage-reading-") as name:
        folder = Path(name)
        write_pictures(folder / "pictures", asked.images // 2, 2)
        write_dicoms(folder / "pictures", asked.images - asked.images // 2)
        with filled_stack(folder, folder / "pictures") as (url, kinds):
            seen = asyncio.run(measure(url, kinds, asked))
    table = Table("milliseconds until", "times", "p50", "p95", "max", f"above {TARGET_MS}")
    for what, times in seen.times.items():
        late = sum(each > TARGET_MS for each in times)
        table.add_row(what, *(str(value) for value in summary(times).values()), str(late))
    console.print(table)
    console.print(f"errors: {len(seen.errors)}", *seen.errors[:20], sep="\n")
    result = {what: summary(times) for what, times in seen.times.items()}
    # Who else is at work on the machine matters more than anything that is measured here.
    about = {"cores": os.cpu_count(), "load": [round(each, 1) for each in os.getloadavg()]}
    print(json.dumps({**about, "milliseconds": result, "errors": seen.errors}, indent=2))


if __name__ == "__main__":
    main()
