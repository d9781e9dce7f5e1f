"""Memory of a worker child: freed pages are kept for the next picture."""

from __future__ import annotations

import ctypes
import sys

# malloc.h of glibc
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_KEPT_BYTES = 64 * 1024 * 1024
_TOP_PAD_BYTES = 16 * 1024 * 1024
_HEAP_BYTES = 32 * 1024 * 1024  # the most that glibc takes from its heap rather than from a mapping of its own


def keep_freed_memory() -> bool:
    """Tell glibc not to give the pages of each picture back to the system, to be faulted in for the next one.

    Between messages a child's heap shrinks to its last object, and with glibc's defaults every picture then pays
    for its pages again: about a sixth of a child's time. At most 64 MB stay with the child for this.

    Returns:
        False where the C library is another one (macOS, musl): nothing is changed there.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    wanted = ((_M_TRIM_THRESHOLD, _KEPT_BYTES), (_M_TOP_PAD, _TOP_PAD_BYTES), (_M_MMAP_THRESHOLD, _HEAP_BYTES))
    return all(mallopt(option, size) == 1 for option, size in wanted)
