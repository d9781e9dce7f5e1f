"""The picture of an image, for the browser to decode: this process never does."""

from __future__ import annotations

import streamlit as st
from streamlit import runtime

from dashboard.connections import store
from triage.pixels import DICOM, JPEG, PNG
from triage.records import DONE, Image

LARGEST_PREVIEW_BYTES = 20_000_000
_PLACE = "picture_{id}"


def picture_url(image: Image) -> str | None:
    """An address on this server from which the browser gets the picture of an image that is done.

    JPEG and PNG originals go out as they are; a DICOM file as the PNG that the worker rendered. `st.image` is
    not used: it opens what it is given with Pillow and scales it down when it is wide, which would decode
    untrusted bytes here and blur what a radiologist reads. The file goes straight to the store that `st.image`
    would put it into; that keeps it for as long as a page shows it.

    Returns:
        None if there is no picture to show.
    """
    return _url(image) if image.status == DONE else None


def can_preview(image: Image) -> bool:
    """Whether a browser could show something of an image that was put aside: of a JPEG or PNG that is not huge."""
    small = (image.size_bytes or 0) <= LARGEST_PREVIEW_BYTES
    return image.sha256 is not None and image.media_type in (JPEG, PNG) and small


def preview_url(image: Image) -> str | None:
    """The same for an image that was put aside, as it came; None if it cannot be shown."""
    return _url(image) if can_preview(image) else None


def _url(image: Image) -> str | None:
    if image.sha256 is None:
        return None
    if image.media_type in (JPEG, PNG):
        path, media_type = store().original(image.sha256), image.media_type
    elif image.media_type == DICOM:
        path, media_type = store().render(image.sha256), PNG
    else:
        return None
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return serve(data, media_type, _PLACE.format(id=image.id))


def serve(data: bytes, media_type: str, place: str) -> str:
    """An address on this server from which the browser gets a picture, for as long as a page shows it.

    Args:
        data: the picture, encoded.
        media_type: of it.
        place: where on the page it is; what was there before goes.
    """
    if not runtime.exists():  # in a test of the page without a server
        return "/media/none"
    url = runtime.get_instance().media_file_mgr.add(data, media_type, place)
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{base}{url}" if base else url
