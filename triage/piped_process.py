"""A process of our own at the other end of two pipes: started when it is needed first, kept, and ended on any trouble.

For work on what strangers wrote: it may crash, hang or ask for all the memory, and only that process ends. It is no
`multiprocessing` process: those cannot be started by Celery's children, which are daemons.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO

from triage.rejections import too_slow

_MEGABYTE = 1 << 20


class Gone(Exception):
    """The process ended in the middle of its work."""


class PipedProcess:
    """One such process, ``python -m MODULE MEGABYTES``. One request at a time: whoever asks holds `lock`."""

    def __init__(self, module: str) -> None:
        self.lock = threading.Lock()
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None
        self._megabytes = 0
        self._owner = os.getpid()

    def stop(self) -> None:
        """End it; the next request starts another one."""
        process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    assert pipe is not None
                    pipe.close()

    def started(self, megabytes: int) -> subprocess.Popen[bytes]:
        """The process, with so much memory in units of 2**20 bytes; the same as before where that fits."""
        # After a fork, it is the parent's.
        if self._owner != os.getpid():
            self._process, self._owner = None, os.getpid()
        if self._process is not None and (self._process.poll() is not None or self._megabytes != megabytes):
            self.stop()
        if self._process is None:
            self._megabytes = megabytes
            self._process = subprocess.Popen(  # noqa: S603
                # -P: a file in the current folder that is called numpy.py is none of its modules
                [sys.executable, "-P", "-m", self._module, str(megabytes)],
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


def write_all(process: subprocess.Popen[bytes], data: bytes, until: float) -> None:
    """Write to its standard input.

    Raises:
        ImageRejected: `decoder_too_slow`, it has not taken all of it until then (`time.monotonic`, in seconds).
        BrokenPipeError: it has ended.
    """
    assert process.stdin is not None
    pipe = process.stdin.fileno()
    view = memoryview(data)
    poll = select.poll()
    poll.register(pipe, select.POLLOUT)
    while view:
        if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
            raise too_slow()
        view = view[os.write(pipe, view) :]


def read_into(process: subprocess.Popen[bytes], view: memoryview, until: float) -> None:
    """Fill `view`, of bytes, from its standard output.

    Raises:
        ImageRejected: `decoder_too_slow`, it has not said all of it until then (`time.monotonic`, in seconds).
        Gone: it has ended.
    """
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    while view:
        if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
            raise too_slow()
        count = os.readv(pipe, [view])
        if count == 0:
            raise Gone
        view = view[count:]


def confine(megabytes: int) -> BinaryIO:
    """Limit this process, which is one of those.

    Args:
        megabytes: memory that it may take beyond what it has now, in units of 2**20 bytes.

    Returns:
        Where its answers go.
    """
    if sys.platform.startswith("linux"):  # elsewhere the limit is not kept, or counts what nobody uses
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        most = pages * resource.getpagesize() + megabytes * _MEGABYTE
        # The soft limit only: a process that this one starts sets a limit of its own.
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold a patient's picture
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # it has nothing to write but answers
    # What a library prints must not end up among the answers, nor in a log: it may quote the file.
    answers = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    return os.fdopen(answers, "wb")
