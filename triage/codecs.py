"""Decoding a compressed codestream in a process of its own, under limits of time and memory.

JPEG 2000, JPEG-LS and lossless JPEG are decoded by native libraries that are not made for hostile input. A worker
child that crashed on one file would take the other images of its message back to the queue, so they run in a helper
process (`triage.codec_process`), which is started with the first such file and kept: a picture then costs two copies
through a pipe. It is no `multiprocessing` process: those cannot be started by Celery's children, which are daemons.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import struct
import subprocess
import sys
import threading
import time
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from triage.rejections import ImageRejected, Limits, cut_short, damaged, too_slow

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


class _Gone(Exception):
    """The helper ended in the middle of its work."""


class CodecProcess:
    """The helper process, started when it is needed first. One picture at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._megabytes = 0
        self._owner = os.getpid()

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
        with self._lock:
            process = self._started(limits.decode_megabytes)
            until = time.monotonic() + limits.decode_seconds
            try:
                return self._ask(process, codec, codestream, most_bytes, until)
            except ImageRejected as rejected:
                if rejected.code not in ("damaged", "truncated"):
                    self.stop()
                raise
            except (_Gone, BrokenPipeError):
                self.stop()
                raise ImageRejected(
                    "decoder_crashed",
                    "The decoder of this compression broke down over the file. Export the X-ray uncompressed, "
                    "as PNG or as JPEG.",
                ) from None
            except BaseException:
                self.stop()  # a time limit in the middle of an answer: the next one could not be told from its rest
                raise

    def stop(self) -> None:
        """End the helper; the next codestream starts another one."""
        process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    assert pipe is not None
                    pipe.close()

    def _started(self, megabytes: int) -> subprocess.Popen[bytes]:
        # After a fork, the helper is the parent's.
        if self._owner != os.getpid():
            self._process, self._owner = None, os.getpid()
        if self._process is not None and (self._process.poll() is not None or self._megabytes != megabytes):
            self.stop()
        if self._process is None:
            self._megabytes = megabytes
            self._process = subprocess.Popen(  # noqa: S603
                # -P: a file in the current folder that is called numpy.py is none of its modules
                [sys.executable, "-P", "-m", "triage.codec_process", str(megabytes)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,  # Ctrl-C is for us; it ends when its input does
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            )
            assert self._process.stdin is not None
            os.set_blocking(self._process.stdin.fileno(), False)
        return self._process

    def _ask(
        self, process: subprocess.Popen[bytes], codec: bytes, codestream: bytes, most_bytes: int, until: float
    ) -> npt.NDArray[Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        for part in (REQUEST.pack(codec, len(codestream)), codestream):
            _write_all(process.stdin.fileno(), memoryview(part), until)
        pipe = process.stdout.fileno()
        head = bytearray(ANSWER.size)
        _read_into(pipe, memoryview(head), until)
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
            raise _Gone
        pixels = np.empty((height, width) if samples == 1 else (height, width, samples), picture)
        _read_into(pipe, pixels.data.cast("B"), until)
        return pixels


def _write_all(pipe: int, view: memoryview, until: float) -> None:
    poll = select.poll()
    poll.register(pipe, select.POLLOUT)
    while view:
        if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
            raise too_slow()
        view = view[os.write(pipe, view) :]


def _read_into(pipe: int, view: memoryview, until: float) -> None:
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    while view:
        if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
            raise too_slow()
        count = os.readv(pipe, [view])
        if count == 0:
            raise _Gone
        view = view[count:]


HELPER: Final = CodecProcess()
"""The one of this process."""

atexit.register(HELPER.stop)
