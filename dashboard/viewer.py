"""The picture of an image to read it by: zoom, pan, invert, window, turn, and where the model looked."""

from __future__ import annotations

from typing import Any, Literal

import streamlit as st

from dashboard import markup, windowing, wording, wording_viewer
from dashboard.browser import part
from dashboard.picture import picture_url
from triage.pixels import DICOM
from triage.records import Image

Slot = Literal["open", "beside"]
FETCHING = "viewer_fetching.js"
SCRIPTS = ("piece.js", FETCHING, "viewer_picture.js", "viewer_window.js", "viewer_tools.js", "viewer.js")

_HTML = (
    '<svg class="filters" aria-hidden="true"><filter color-interpolation-filters="sRGB"><feComponentTransfer>'
    '<feFuncR type="linear"/><feFuncG type="linear"/><feFuncB type="linear"/></feComponentTransfer></filter></svg>'
    '<div class="stage" tabindex="0"><div class="moved"><img alt=""><canvas></canvas></div>'
    '<div class="note" role="status"></div></div>'
    '<div class="tools" role="toolbar"></div>'
)


def show_picture(image: Image, *, slot: Slot = "open", compact: bool = False) -> None:
    """Draw the picture with its tools; if there is none, say so.

    Args:
        image: with its predictions loaded.
        slot: the open image, or the one beside it.
        compact: whether it shares its place with another picture.
    """
    prediction = image.predictions[-1]
    words = {**wording_viewer.VIEWER}
    if compact:
        words |= {name: (short, "") for name, short in wording_viewer.SHORT.items()}
    data = {
        "alt": wording_viewer.PICTURE.format(id=image.id),
        "image": image.id,
        "heat": prediction.heat_map,
        "heatTitle": wording_viewer.HEAT_TITLE.format(label=prediction.label),
        "words": words,
        "slot": slot,
        "compact": compact,
    }
    # Of a file that was not DICOM nothing more can be had than its browser has.
    values = image.sha256 if image.media_type == DICOM else None
    _draw(slot, image, values, data)


@st.fragment
def _draw(slot: Slot, image: Image, values: str | None, data: dict[str, Any]) -> None:
    """The component alone: a window is asked for, and comes, without drawing the page again.

    Args:
        slot: which of the pictures it is.
        image: whose it is. Its address is asked for with each drawing, because none holds for ever.
        values: SHA-256 of an original that has more values than the picture shows; None if it has not.
        data: for the browser.
    """
    url = picture_url(image)
    if url is None:
        st.html(markup.element("p", markup.text(wording.NO_PICTURE), class_="hint"))
        return
    key = f"viewer_{slot}"

    def take() -> None:
        if values is not None:
            windowing.take(slot, st.session_state[key].get("asked"), image.id, values)

    window = None if values is None else _window(windowing.answer(slot, image.id, values))
    picture_part = part("viewer", *SCRIPTS, html=_HTML, style="viewer.css")
    picture_part(data={**data, "url": url, "window": window}, key=key, on_asked_change=take)


def _window(answer: dict[str, Any]) -> dict[str, Any] | None:
    """What is known of the windows of a picture, with the names of those to choose; None if there are none."""
    if answer["none"]:
        return None
    windows = answer["windows"]
    words = {"slow": wording_viewer.WINDOW_SLOW, "working": wording_viewer.WINDOW_WORKING}
    told = {**answer, "words": words, "chosen": wording_viewer.WINDOW_NAMES["chosen"]}
    return {**told, "presets": [] if windows is None else presets(windows)}


def presets(windows: dict[str, Any]) -> list[dict[str, Any]]:
    """The windows to choose from, each with its name; the first is the stored picture, whose centre is null."""
    names = wording_viewer.WINDOW_NAMES
    own = [
        (names["named"].format(name=each["name"]) if each["name"] else names["own"].format(number=number), each)
        for number, each in enumerate(windows["own"], start=1)
    ]
    first = own[0][0] if own and windows["own"][0]["name"] else names["file"]
    others = [*own[1:], (names["full"], windows["full"]), (names["robust"], windows["robust"])]
    return [
        {"name": first, "centre": None, "width": None},
        *({"name": name, "centre": each["centre"], "width": each["width"]} for name, each in others),
    ]
