"""The picture of an image, for the browser to decode: this process never does."""

from __future__ import annotations

from dashboard import picture_route
from triage.pixels import DICOM, JPEG, PNG
from triage.records import DONE, Image

LARGEST_PREVIEW_BYTES = 20_000_000
_KINDS = {JPEG: "jpeg", PNG: "png", DICOM: picture_route.RENDER}


def picture_url(image: Image) -> str | None:
    """An address on this server from which the browser gets the picture of an image that is done.

    JPEG and PNG originals go out as they are; a DICOM file as the PNG that the worker rendered. `st.image` is not
    used: it opens what it is given with Pillow and scales it down when it is wide, which would decode untrusted bytes
    here and blur what a radiologist reads.

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
    if image.sha256 is None or image.media_type not in _KINDS:
        return None
    return picture_route.file_address(image.sha256, _KINDS[image.media_type])
