"""Objects that stay are set apart from those that come and go, so that collecting garbage is quick.

Streamlit collects all of it after each drawing of a page or of a part of one (its setting `runner.postScriptGC`), and
that looks at every object there is: some 200,000 that imports have made, which took 90 ms. Everybody who looked at a
page waited for it, because nothing else runs meanwhile. What is frozen is not looked at again (`gc.freeze`).
"""

from __future__ import annotations

import gc
import time
from functools import cache

EARLY_SECONDS = 600.0
_began = time.monotonic()


def set_apart() -> None:
    """Have what is there now no longer looked at."""
    gc.collect()
    gc.freeze()


@cache
def set_apart_once(page: str) -> None:
    """The same, the first time that a page was drawn: more was imported and prepared for it.

    Only while the process is young: later there is more that belongs to people who will leave, and would stay.
    """
    if time.monotonic() - _began < EARLY_SECONDS:
        set_apart()
