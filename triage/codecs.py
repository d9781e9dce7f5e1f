"""Decoding a compressed codestream in a process of its own, under limits of time and memory.

JPEG 2000, JPEG-LS and lossless JPEG are decoded by native libraries that are not made for hostile input. A worker
child that crashed on one file would take the other images of its message back to the queue, so they run in a helper
process (`triage.codec_process`), which is started with the first such file and kept: a picture then costs two copies
through a pipe (`triage.piped_process`).
"""

from __future__ import annotations

import atexit
import struct
import subprocess
import time
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from triage.piped_process import Gone, PipedProcess, read_into, write_all
from triage.rejections import ImageRejected, Limits, cut_short, damaged

JPEG: Final = b"jpeg    "
JPEG_LS: Final = b"jpegls  "
JPEG_2000: Final = b"jpeg2000"
HTJ2K: Final = b"htj2k   "

REQUEST: Final = struct.Struct("<8sQ")
"""Codec, and how many bytes of codestream follow."""

ANSWER: Final = struct.Struct("<c2sIII")
"""`PICTURE`, its type (u1, u2, i1, i2), height, width and samples per pixel; its samples follow. Or what went wrong."""

PICTURE: Final = b"p"
DAMAGED: Final = b"d"
CUT_SHORT: Final = b"c"
TOO_MUCH_MEMORY: Final = b"m"


class CodecProcess(PipedProcess):
    """The helper process, started when it is needed first. One picture at a time."""

    def __init__(self) -> None:
        super().__init__("triage.codec_process")

    def decode(self, codec: bytes, codestream: bytes, most_bytes: int, limits: Limits) -> npt.NDArray[Any]:
        """Decode a codestream.

        Args:
            codec: one of the four.
            codestream: complete as far as its markers tell; a JPEG's end marker is its last two bytes.
            most_bytes: what the picture may have at most.
            limits: of time and memory.

        Returns:
            (height, width) or (height, width, samples), uint8, uint16, int8 or int16.

        Raises:
            ImageRejected: `damaged`, `truncated`, `decoder_crashed`, `decoder_too_slow` or `decoder_out_of_memory`.
        """
        with self.lock:
            process = self.started(limits.decode_megabytes)
            until = time.monotonic() + limits.decode_seconds
            try:
                return self._ask(process, codec, codestream, most_bytes, until)
            except ImageRejected as rejected:
                if rejected.code not in ("damaged", "truncated"):
                    self.stop()
                raise
            except (Gone, BrokenPipeError):
                self.stop()
                raise ImageRejected(
                    "decoder_crashed",
                    "The decoder of this compression broke down over the file. Export the X-ray uncompressed, "
                    "as PNG or as JPEG.",
                ) from None
            except BaseException:
                self.stop()  # a time limit in the middle of an answer: the next one could not be told from its rest
                raise

    def _ask(
        self, process: subprocess.Popen[bytes], codec: bytes, codestream: bytes, most_bytes: int, until: float
    ) -> npt.NDArray[Any]:
        for part in (REQUEST.pack(codec, len(codestream)), codestream):
            write_all(process, part, until)
        head = bytearray(ANSWER.size)
        read_into(process, memoryview(head), until)
        kind, code, height, width, samples = ANSWER.unpack(head)
        # Most libraries say no more than that they failed. They work on 4 bytes per sample, and copy once.
        if kind == TOO_MUCH_MEMORY or (kind == DAMAGED and 4 * most_bytes > self._megabytes << 20):
            raise ImageRejected(
                "decoder_out_of_memory",
                "Decoding the file takes more memory than TRIAGE_DECODE_MEGABYTES allows. "
                "Export the X-ray uncompressed, as PNG or as JPEG.",
            )
        if kind == CUT_SHORT:
            raise cut_short("picture inside")
        if kind != PICTURE:
            raise damaged()
        picture = np.dtype(code.decode())
        if height * width * samples * picture.itemsize > most_bytes:
            raise Gone
        pixels = np.empty((height, width) if samples == 1 else (height, width, samples), picture)
        read_into(process, pixels.data.cast("B"), until)
        return pixels


HELPER: Final = CodecProcess()
"""The one of this process."""

atexit.register(HELPER.stop)
