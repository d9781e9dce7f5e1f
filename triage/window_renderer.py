"""A DICOM radiograph with another window than the stored picture has: rendered again from its original.

Not in the process that asks: what strangers wrote is decoded in one of its own (`triage.window_process`), under limits
of time and memory. It is started with the first picture and kept, with the values of the last few pictures decoded, so
that moving a window costs a look-up and a compression.
"""

from __future__ import annotations

import json
import struct
import subprocess
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from triage.piped_process import Gone, PipedProcess, read_into, write_all
from triage.rejections import ImageRejected, Limits

REQUEST: Final = struct.Struct("<I")
"""How many bytes of JSON follow: `path`, `window` (centre and width, or null to ask which there are), `limits`."""

ANSWER: Final = struct.Struct("<cI")
"""What it is, and how many bytes follow."""

WINDOWS: Final = b"w"
"""JSON of `triage.dicom_grey.Windows`, or null where the picture has none: it is in colour, or no DICOM."""
PICTURE: Final = b"p"
"""A PNG, 8 bit, grey."""
REFUSED: Final = b"r"
"""JSON of code and detail."""
MISSING: Final = b"m"
"""The original cannot be read."""

_MOST_BYTES = 1 << 30


class WindowRenderer(PipedProcess):
    """The process that renders, started when it is needed first. One picture at a time."""

    def __init__(self) -> None:
        super().__init__("triage.window_process")

    def windows(self, path: Path, limits: Limits) -> dict[str, Any] | None:
        """Which windows there are for a file.

        Args:
            path: of the original.
            limits: of time and memory, and how large the picture may be.

        Returns:
            The fields of `triage.dicom_grey.Windows`, as JSON has them; None if it has no windows.

        Raises:
            ImageRejected: see `triage.pixels.decode`; also `decoder_crashed` and `decoder_too_slow`, of this process.
            FileNotFoundError: the original cannot be read.
        """
        kind, said = self._ask(path, None, limits)
        found: dict[str, Any] | None = json.loads(said) if kind == WINDOWS else None
        return found

    def render(self, path: Path, centre: float, width: float, limits: Limits) -> bytes:
        """A file's picture with a window, by the VOI LUT function that the file names.

        Args:
            path: of the original, a DICOM file that has windows.
            centre: of the window, in the units of the file's values after rescale.
            width: the same; the narrowest that the function allows if it is below that.
            limits: of time and memory, and how large the picture may be.

        Returns:
            A PNG, as `triage.pixels.encode_png` makes them of the stored picture: the same size, 8 bit, grey.

        Raises:
            ImageRejected: the same as `windows`.
            FileNotFoundError: the original cannot be read.
        """
        return self._ask(path, (centre, width), limits)[1]

    def _ask(self, path: Path, window: tuple[float, float] | None, limits: Limits) -> tuple[bytes, bytes]:
        told = {**asdict(limits), "modalities": sorted(limits.modalities), "sop_classes": sorted(limits.sop_classes)}
        request = json.dumps({"path": str(path), "window": window, "limits": told}).encode()
        with self.lock:
            until = time.monotonic() + limits.decode_seconds
            try:
                process = self.started(limits.decode_megabytes)
                write_all(process, REQUEST.pack(len(request)) + request, until)
                kind, said = _read_answer(process, until)
            except (Gone, BrokenPipeError):
                self.stop()
                raise ImageRejected(
                    "decoder_crashed", "The program that draws the picture again broke down over the file."
                ) from None
            except BaseException:
                self.stop()  # the answer that still comes would be taken for that of the next request
                raise
        if kind == MISSING:
            raise FileNotFoundError(2, "the original cannot be read")
        if kind == REFUSED:
            raise ImageRejected(*json.loads(said))
        return kind, said


def _read_answer(process: subprocess.Popen[bytes], until: float) -> tuple[bytes, bytes]:
    head = bytearray(ANSWER.size)
    read_into(process, memoryview(head), until)
    kind, length = ANSWER.unpack(head)
    if length > _MOST_BYTES:
        raise Gone
    said = bytearray(length)
    read_into(process, memoryview(said), until)
    return kind, bytes(said)
