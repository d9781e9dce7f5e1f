"""From files to arrays: each as serving reads it, with what is needed to recognise it and to tell about it."""

from __future__ import annotations

import hashlib
import io
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from training.progress import report_progress
from training.sketches import Sketch, sketch
from triage.pixels import DICOM, ImageRejected, Limits, read_for_network, read_header

PROCESSES: Final = 2
MANY_FILES: Final = 200
"""From so many files on, starting further processes is worth its seconds."""

COLOUR_SIDE: Final = 64


@dataclass(frozen=True)
class Skipped:
    """A file that takes no part, and why. ``name`` is relative to the data folder, or ``review:<image id>``."""

    name: str
    reason: str


@dataclass(frozen=True)
class Source:
    """A labelled file.

    Attributes:
        path: where it lies.
        name: that people know it by: relative to the data folder, or ``review:<image id>``.
        label: as in the mapping.
        origin: ``folder`` or ``review:<image id>``.
        test: from a ``Test`` folder, so it must not train.
        sha256: that its bytes must have; None if any will do.
    """

    path: Path
    name: str
    label: str
    origin: str = "folder"
    test: bool = False
    sha256: str | None = None


@dataclass(frozen=True)
class ReadImage:
    """A file that could be read.

    Attributes:
        source: which.
        pixels: (side, side) uint8, the network's input.
        sketch: what it is recognised by.
        digest: SHA-256 of the file, hex.
        width: of the upright picture, in pixels.
        height: as well.
        media_type: of the file.
        chroma: mean difference between the strongest and the weakest of red, green and blue, 0..255.
    """

    source: Source
    pixels: npt.NDArray[np.uint8]
    sketch: Sketch
    digest: str
    width: int
    height: int
    media_type: str
    chroma: float


def read_images(sources: Sequence[Source], limits: Limits, side: int) -> tuple[list[ReadImage], list[Skipped]]:
    """Reads files, many of them in further processes; the order is that of the sources.

    Args:
        sources: what to read.
        limits: what is refused unread, as in serving.
        side: pixels of the network's square input.

    Returns:
        the images, and the files that could not be read with a rejection code.
    """
    read: list[ReadImage] = []
    skipped: list[Skipped] = []
    with _answers(sources, limits, side) as answers:
        for _ in report_progress(sources, "Reading"):
            answer = next(answers)
            if isinstance(answer, Skipped):
                skipped.append(answer)
            else:
                read.append(answer)
    return read, skipped


@contextmanager
def _answers(sources: Sequence[Source], limits: Limits, side: int) -> Iterator[Iterator[ReadImage | Skipped]]:
    work = partial(read_image, limits=limits, side=side)
    if len(sources) < MANY_FILES:
        yield map(work, sources)
        return
    # Spawned and not forked: whoever calls may hold threads, TensorFlow's for instance, that do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, context, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        try:
            yield pool.map(work, sources, chunksize=8)
        finally:
            pool.shutdown(cancel_futures=True)


def read_image(source: Source, limits: Limits, side: int) -> ReadImage | Skipped:
    """Reads one file; see `read_images`."""
    try:
        data = source.path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if source.sha256 not in (None, digest):
            return Skipped(source.name, "its bytes are not those that were admitted")
        picture, pixels = read_for_network(data, limits, side)
        header = read_header(data, limits)
    except ImageRejected as rejection:
        return Skipped(source.name, rejection.code)
    except OSError as error:
        return Skipped(source.name, error.strerror or "unreadable")
    return ReadImage(
        source=source,
        pixels=pixels,
        sketch=sketch(picture.pixels),
        digest=digest,
        width=header.width,
        height=header.height,
        media_type=picture.media_type,
        chroma=0.0 if picture.media_type == DICOM else measure_chroma(data),
    )


def measure_chroma(data: bytes) -> float:
    """Mean difference between the strongest and the weakest of red, green and blue: 0 is grey.

    Only told about, never trained on: the network is shown grey, so a tint tells it nothing.

    Args:
        data: a JPEG or PNG that `read_for_network` has accepted.
    """
    with Image.open(io.BytesIO(data)) as image:
        if image.mode in ("1", "L", "LA", "I", "I;16", "F"):
            return 0.0
        image.draft("RGB", (COLOUR_SIDE, COLOUR_SIDE))
        small = image.convert("RGB").resize((COLOUR_SIDE, COLOUR_SIDE), Image.Resampling.BOX)
    colours = np.asarray(small, np.int16)
    return float((colours.max(axis=2) - colours.min(axis=2)).mean())
