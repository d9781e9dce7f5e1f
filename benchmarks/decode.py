"""What it costs to see an X-ray, beside the least that it can cost.

``python -m benchmarks.decode`` makes a JPEG of 2000 x 2500 pixels and a 14-bit uncompressed DICOM file of 2500 x 3000
and measures, in turn within each round:

- *JPEG to network input*, against Pillow's scaled decoding and one resize;
- *DICOM to network input and PNG*, against the sum of reading the file, one pass of windowing over its pixels, and one
  fast PNG encode;
- *peak memory* of each in a fresh process, in decoded frames.

Prints a table, or JSON with ``--json``.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from triage.pixels import Limits, encode_png, read_for_network
from triage.samples import draw_radiograph, write_dicom
from triage.settings import get_settings

SIDE = 224
WINDOW: dict[str, Any] = {"WindowCenter": 8000, "WindowWidth": 12000}
JPEG_FRAME, DICOM_FRAME = 2000 * 2500, 2 * 2500 * 3000


def make_files(directory: Path) -> tuple[Path, Path]:
    """Writes the two files."""
    rng = np.random.default_rng(0)
    jpeg = directory / "x-ray.jpg"
    noise = rng.normal(0, 3, (2500, 2000))
    grey = np.clip(draw_radiograph(rng, 2500, 2000) + noise, 0, 255).astype(np.uint8)
    Image.fromarray(grey).save(jpeg, quality=90)
    fine = draw_radiograph(rng, 3000, 2500).astype(np.uint16) * 60 + rng.integers(0, 60, (3000, 2500), np.uint16)
    return jpeg, write_dicom(directory / "x-ray.dcm", fine, BitsStored=14, HighBit=13, **WINDOW)


def pillow_scaled(path: Path) -> Any:
    """The best that Pillow can do: decode at a fraction of the size, and resize the rest of the way."""
    with Image.open(path) as image:
        image.draft("L", (2 * SIDE, 2 * SIDE))
        return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def pillow_smallest(path: Path) -> Any:
    """The same at the smallest size that is not below the network's: faster, and of less detail."""
    with Image.open(path) as image:
        image.draft("L", (SIDE, SIDE))
        return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def see(path: Path, limits: Limits, *, png: bool) -> None:
    """What this program does."""
    picture, _ = read_for_network(path.read_bytes(), limits, SIDE)
    if png:
        encode_png(picture.pixels)


def floor_of_dicom(path: Path) -> Callable[[], None]:
    """Reading, one pass of windowing, one fast PNG encode."""
    size = 3000 * 2500

    def run() -> None:
        data = path.read_bytes()
        stored = np.frombuffer(data, "<u2", size, len(data) - 2 * size).reshape(3000, 2500)
        grey = np.clip((stored - np.float32(2000)) * np.float32(255 / 12000), 0, 255).astype(np.uint8)
        Image.fromarray(grey).save(io.BytesIO(), "PNG", compress_level=1)

    return run


def peak_frames(path: Path, frame: int, *, png: bool) -> float:
    """Peak memory of a fresh process that sees the file, over that of one that saw a small file, in frames."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.decode", "--peak", str(path), *(["--png"] if png else [])],
        capture_output=True,
        check=True,
        text=True,
    )
    return int(done.stdout) / frame


def print_peak(path: Path, *, png: bool) -> None:
    """In this process: bytes that seeing the file took beyond what a small one of its kind did."""
    limits = Limits.of(get_settings())
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.dcm"
        write_dicom(small, np.zeros((300, 300), np.uint16), BitsStored=14, HighBit=13, **WINDOW)
        jpeg = Path(folder) / "small.jpg"
        Image.new("L", (300, 300)).save(jpeg)
        see(small, limits, png=png)
        see(jpeg, limits, png=png)
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    see(path, limits, png=png)
    print(memory("VmHWM") - before)


def memory(name: str) -> int:
    """A line of /proc/self/status, in bytes. (The peak of getrusage counts the process that started this one.)"""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise SystemExit("peak memory can only be measured on Linux")


def measure(rounds: int) -> dict[str, Any]:
    """Milliseconds of each way, and the ratios within each round."""
    limits = Limits.of(get_settings())
    with tempfile.TemporaryDirectory() as folder:
        jpeg, dicom = make_files(Path(folder))
        pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "JPEG 2000 x 2500 to network input": (
                lambda: see(jpeg, limits, png=False),
                lambda: pillow_scaled(jpeg),
            ),
            "the same, against the smallest scale": (
                lambda: see(jpeg, limits, png=False),
                lambda: pillow_smallest(jpeg),
            ),
            "DICOM 14 bit 2500 x 3000 to network input and PNG": (
                lambda: see(dicom, limits, png=True),
                floor_of_dicom(dicom),
            ),
            "the same without the PNG, as the classifier waits": (
                lambda: see(dicom, limits, png=False),
                floor_of_dicom(dicom),
            ),
        }
        found: list[dict[str, Any]] = []
        for name, ways in pairs.items():
            times: list[list[float]] = [[], []]
            for number in range(rounds + 1):
                for kept, way in zip(times, ways, strict=True):
                    started = time.perf_counter()
                    way()
                    if number:  # the first round warms up
                        kept.append(1000 * (time.perf_counter() - started))
            ratios = [ours / floor for ours, floor in zip(*times, strict=True)]
            found.append(
                {
                    "what": name,
                    "milliseconds": round(statistics.median(times[0]), 1),
                    "floor_milliseconds": round(statistics.median(times[1]), 1),
                    "ratio": round(statistics.median(ratios), 3),
                    "lowest": round(min(ratios), 3),
                    "highest": round(max(ratios), 3),
                }
            )
        return {
            "rounds": rounds,
            "times": found,
            "peak_frames": {
                "JPEG": round(peak_frames(jpeg, JPEG_FRAME, png=False), 2),
                "DICOM and PNG": round(peak_frames(dicom, DICOM_FRAME, png=True), 2),
            },
        }


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser("python -m benchmarks.decode", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--peak", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--png", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        print_peak(options.peak, png=options.png)
        return
    found = measure(options.rounds)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    table = Table(title=f"median of {found['rounds']} rounds")
    for header in ("what", "ms", "floor, ms", "ratio", "lowest", "highest"):
        table.add_column(header)
    for row in found["times"]:
        table.add_row(*(str(value) for value in row.values()))
    console = Console()
    console.print(table)
    for name, frames in found["peak_frames"].items():
        console.print(f"peak memory, {name}: {frames} decoded frames")


if __name__ == "__main__":
    main()
