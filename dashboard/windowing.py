"""The window that somebody looks at a DICOM picture with: asked for here, rendered by a process of its own.

Nothing waits for it: the page keeps the picture that it has, and the browser asks again until there is an answer.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import streamlit as st

from dashboard import wording_viewer
from dashboard.connections import store
from dashboard.picture_route import window_address
from triage.pixels import ImageRejected, Limits
from triage.settings import get_settings
from triage.window_renderer import WindowRenderer

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 0.25
"""How long the run that asked waits for the answer, so that a quick one comes with it."""

_HELD = "viewer_window_{slot}"
_LARGEST = 1e12

Asked = Mapping[str, Any]
"""What it asks of an `image` (id): a `centre` and `width`, or the stored picture by null; neither: which there are.
Or that it `waits`."""


@dataclass
class _Held:
    """What was asked for the picture that is open in a slot."""

    image_id: int
    windows: Future[dict[str, Any] | None] | None = None
    chosen: tuple[float, float] | None = None
    picture: Future[bytes] | None = None
    is_new: bool = False
    times: int = 0


@st.cache_resource(show_spinner=False)
def _renderer() -> WindowRenderer:
    return WindowRenderer()


@st.cache_resource(show_spinner=False)
def _line() -> ThreadPoolExecutor:
    """Where requests wait for the one process: not in the threads that draw pages."""
    return ThreadPoolExecutor(1, thread_name_prefix="window")


def take(slot: str, asked: Asked | None, image_id: int, sha256: str) -> None:
    """Take what the browser asks for a picture. It may be anything, or late: of the image that was open before."""
    if not isinstance(asked, Mapping) or asked.get("image") != image_id:
        return
    held = _held(slot, image_id)
    held.is_new = True
    held.times += 1
    if asked.get("waits"):
        return  # for an answer: it may have come meanwhile, and what went wrong is not tried again by itself
    path, limits = store().original(sha256), Limits.of(get_settings())
    if held.windows is None or _has_failed(held.windows):
        held.windows = _line().submit(_renderer().windows, path, limits)
    if "centre" not in asked:
        return
    chosen = _window(asked)
    if chosen == held.chosen and not _has_failed(held.picture):
        return
    if held.picture is not None:
        held.picture.cancel()  # the window has moved on
    held.chosen = chosen
    held.picture = None if chosen is None else _line().submit(_renderer().render, path, *chosen, limits)


def answer(slot: str, image_id: int, sha256: str) -> dict[str, Any]:
    """What the browser is told of a picture's windows.

    Returns:
        `windows`: which there are, as `triage.dicom_grey.Windows`; None: not asked yet, not known yet, or none.
        `none`: whether it is known that it has none. `pending`: whether an answer is still to come. `shown`: centre
        and width of the picture at `url`. `trouble`: what went wrong, in words. `times`: how often it has asked.
    """
    held = _held(slot, image_id)
    asked: list[Future[Any]] = [each for each in (held.windows, held.picture) if each is not None]
    if held.is_new:
        wait(asked, PATIENCE_SECONDS)
        held.is_new = False
    trouble = next((said for each in asked if (said := _trouble(each))), None)
    windows = held.windows.result() if held.windows is not None and _is_well(held.windows) else None
    url = None
    if held.chosen is not None and held.picture is not None and _is_well(held.picture):
        url = window_address(sha256, "{}_{}".format(*held.chosen), held.picture.result())
    return {
        "windows": windows,
        "none": windows is None and held.windows is not None and _is_well(held.windows),
        "pending": any(not each.done() for each in asked),
        "shown": held.chosen if url is not None else None,
        "url": url,
        "trouble": trouble,
        "times": held.times,
    }


def _held(slot: str, image_id: int) -> _Held:
    key = _HELD.format(slot=slot)
    held = st.session_state.get(key)
    if not isinstance(held, _Held) or held.image_id != image_id:
        if isinstance(held, _Held):
            for each in (held.windows, held.picture):
                if each is not None:
                    each.cancel()  # if its turn has not come yet
        held = st.session_state[key] = _Held(image_id)
    return held


def _window(asked: Asked) -> tuple[float, float] | None:
    centre, width = asked.get("centre"), asked.get("width")
    if isinstance(centre, bool) or isinstance(width, bool):
        return None
    if not isinstance(centre, int | float) or not isinstance(width, int | float):
        return None
    if not (math.isfinite(centre) and math.isfinite(width) and abs(centre) <= _LARGEST and 0 < width <= _LARGEST):
        return None
    return float(centre), float(width)


def _is_well(future: Future[Any]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _has_failed(future: Future[Any] | None) -> bool:
    return future is not None and future.done() and not _is_well(future)


def _trouble(future: Future[Any]) -> str | None:
    if not _has_failed(future) or future.cancelled():
        return None
    problem = future.exception()
    if isinstance(problem, ImageRejected):
        return wording_viewer.WINDOW_TROUBLE.get(problem.code, wording_viewer.WINDOW_REFUSED)
    if isinstance(problem, OSError):
        return wording_viewer.WINDOW_MISSING
    log.error("a window could not be rendered", exc_info=problem)
    return wording_viewer.WINDOW_REFUSED
