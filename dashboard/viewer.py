"""The picture of an image to read it by: zoom, pan, invert, brightness, contrast, turn, and where the model looked."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard import wording
from triage.records import Image


@cache
def _component() -> Any:
    here = Path(__file__)
    return st.components.v2.component(
        "triage_viewer",
        html='<div class="stage" tabindex="0"><div class="moved"><img alt=""><canvas></canvas></div></div>'
        '<div class="tools" role="toolbar"></div>',
        css=here.with_suffix(".css").read_text(encoding="utf-8"),
        js=here.with_suffix(".js").read_text(encoding="utf-8"),
    )


def show_picture(image: Image, url: str) -> None:
    """Draw the picture with its tools.

    Args:
        image: with its predictions loaded.
        url: where the browser gets the picture.
    """
    prediction = image.predictions[-1]
    data = {
        "url": url,
        "alt": wording.PICTURE.format(id=image.id),
        "image": image.id,
        "heat": prediction.heat_map,
        "heatTitle": wording.HEAT_TITLE.format(label=prediction.label),
        "words": wording.VIEWER,
    }
    _component()(data=data, key="viewer")
