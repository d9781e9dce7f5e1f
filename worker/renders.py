"""Keeping pictures of DICOM files for people, beside the work: the classifier does not wait for a PNG."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triage.pixels import encode_png
from triage.store import write_durably


class RenderWriter:
    """Writes one picture at a time in a thread; compression and the disk leave the interpreter to the work.

    At most one picture is being written and one is being read: a message of large files takes no more memory than
    two of them.
    """

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None
        self._writing: tuple[int, Future[None]] | None = None
        self._failed: dict[int, OSError] = {}

    def write(self, image_id: int, path: Path, pixels: NDArray[np.uint8]) -> None:
        """Begin to write (height, width) pixels as a PNG; waits for the one before."""
        self._wait()
        # Started here, not before: a thread does not survive the fork that makes a worker child.
        self._thread = self._thread or ThreadPoolExecutor(1, "render")
        self._writing = image_id, self._thread.submit(_write, path, pixels)

    def finish(self) -> dict[int, OSError]:
        """Wait for all that was begun; what the disk refused, by image."""
        self._wait()
        failed, self._failed = self._failed, {}
        return failed

    def _wait(self) -> None:
        if self._writing is None:
            return
        (image_id, future), self._writing = self._writing, None
        try:
            future.result()
        except OSError as error:
            self._failed[image_id] = error


def _write(path: Path, pixels: NDArray[np.uint8]) -> None:
    write_durably(path, encode_png(pixels))
