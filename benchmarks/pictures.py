"""Many distinct JPEGs, made from a few synthetic radiographs."""

from __future__ import annotations

import struct
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import track

from triage.samples import draw_radiograph

HEIGHT, WIDTH = 2000, 1600
DRAWN = 24


def with_comment(jpeg: bytes, comment: str) -> bytes:
    """The same picture in other bytes: a comment (marker FFFE, ITU-T T.81, B.2.4.5) after its first marker."""
    said = comment.encode()
    return jpeg[:2] + b"\xff\xfe" + struct.pack(">H", len(said) + 2) + said + jpeg[2:]


def _write(directory: Path, count: int, drawing: int) -> int:
    rng = np.random.default_rng(drawing)
    pixels = draw_radiograph(rng, HEIGHT, WIDTH)
    numbers = range(drawing, count, DRAWN)
    for number in numbers:
        # Shifted and of another brightness: other bytes, the same work to decode.
        varied = np.roll(pixels, tuple(rng.integers(-60, 60, 2)), (0, 1)) * rng.uniform(0.8, 1.0)
        Image.fromarray(varied.astype(np.uint8)).save(directory / f"{number:06}.jpg", quality=92)
    return len(numbers)


def write_pictures(directory: Path, count: int, processes: int) -> int:
    """Write ``count`` greyscale JPEGs of 1600 x 2000 pixels; how many bytes they have together."""
    directory.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        drawings = pool.map(partial(_write, directory, count), range(min(DRAWN, count)))
        for _ in track(drawings, "making pictures", total=min(DRAWN, count), transient=True):
            pass
    return sum(path.stat().st_size for path in directory.iterdir())
