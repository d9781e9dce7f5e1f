"""What runs in the browser: the files beside this one, and the parts of a page that are made of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

HERE = Path(__file__).parent


def read(name: str) -> str:
    """The text of a file of this folder."""
    return (HERE / name).read_text(encoding="utf-8")


@cache
def part(name: str, *scripts: str, html: str = "", style: str | None = None) -> Any:
    """A part of a page that the browser draws by itself; called with `data` and `key`, it is drawn.

    Args:
        name: unique.
        scripts: names of files; one after the other they are one module, whose default export draws the part.
        html: what it begins with.
        style: name of a file, for this part alone.
    """
    js = "\n".join(read(each) for each in scripts)
    css = None if style is None else read(style)
    return st.components.v2.component(f"triage_{name}", html=html or None, css=css, js=js)
