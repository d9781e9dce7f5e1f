"""JPEG to grey: its luma, if it is complete.

Decoded by libjpeg-turbo through simplejpeg: unlike Pillow, that one passes on the library's warnings. A JPEG whose
middle is missing is decoded without an error, grey from there on; only a warning tells.
"""

from __future__ import annotations

import io
import re

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from triage.jpeg_segments import JpegFrame, check_jpeg_end
from triage.rejections import cut_short, damaged

# What libjpeg warns of (jerror.h); it fills what is missing with grey, and goes on with rubbish after a bad code.
_INCOMPLETE = ("premature end", "Premature end")
_HARMLESS = ("unknown JFIF revision", "Unknown Adobe color transform", "Invalid SOS parameters", "bad ICC marker")
_UNUSUAL = "Could not determine subsampling"  # chroma sampled in a way that simplejpeg has no name for
_LEFT_OVER = re.compile(r"(\d+) extraneous bytes before marker 0xd9")


def decode_jpeg(data: bytes, frame: JpegFrame, *, at_least: int | None = None) -> npt.NDArray[np.uint8]:
    """Decode a JPEG to grey as it is stored, without turning it upright.

    Args:
        data: the JPEG.
        frame: what `read_jpeg_frame` found; its size is within the limits.
        at_least: see `triage.pixels.decode`.

    Returns:
        (height, width) uint8: the luma of a colour picture.

    Raises:
        ImageRejected: `truncated` or `damaged`.
    """
    end = check_jpeg_end(data, frame)
    shrink = 1
    while at_least and shrink < 8 and min(frame.width, frame.height) >= 2 * shrink * at_least:
        shrink *= 2
    try:
        samples = _samples(data, frame, shrink)
    except ValueError as error:
        _judge(str(error), data[:end])
        samples = _samples_by_pillow(data, frame, at_least)
    if samples.shape[2] == 1:
        return samples[..., 0]
    # Adobe writes CMYK upside down, and says so by its marker.
    inks = 255 - samples if frame.adobe_transform is not None else samples
    return np.array(Image.frombytes("CMYK", inks.shape[1::-1], inks.tobytes()).convert("RGB").convert("L"))


def _samples(data: bytes, frame: JpegFrame, shrink: int) -> npt.NDArray[np.uint8]:
    """(height, width, 1) of luma, or (height, width, 4) of inks, at one `shrink`th of the size.

    Grey is taken from the decoder's luma plane: no colour conversion, no chroma to decode.

    Raises:
        ValueError: with what the library says, also where it only warns.
    """
    if simplejpeg.decode_jpeg_header(data)[:2] != (frame.height, frame.width):
        raise ValueError("two sizes in one JPEG")
    height, width = -(-frame.height // shrink), -(-frame.width // shrink)
    colours = "CMYK" if len(frame.components) == 4 else "GRAY"
    samples = simplejpeg.decode_jpeg(data, colours, min_height=height, min_width=width)
    if samples.shape[:2] != (height, width):
        raise ValueError("another size than was asked for")
    return np.asarray(samples, np.uint8)


def _samples_by_pillow(data: bytes, frame: JpegFrame, at_least: int | None) -> npt.NDArray[np.uint8]:
    """The same, of the few that simplejpeg does not take: it knows no warning that is harmless."""
    # The plugin's class, not Image.open: nothing else may look at these bytes, and Pillow's own guard against
    # large pictures (a warning, or an error) does not come before the limits that were checked.
    with JpegImageFile(io.BytesIO(data)) as image:
        if image.size != (frame.width, frame.height):
            raise ValueError("two sizes in one JPEG")
        image.draft("L", (at_least, at_least) if at_least else None)
        image.load()
        if image.mode == "CMYK":  # which Pillow always takes as Adobe writes it
            return 255 - np.asarray(image)
        return np.array(image.convert("L"))[..., np.newaxis]


def _judge(complaint: str, data: bytes) -> None:
    """Refuse what the decoder complains about, unless it makes no difference to the picture.

    Args:
        complaint: the library's first warning, or its error.
        data: the JPEG up to its end marker.

    Raises:
        ImageRejected: `truncated` or `damaged`.
    """
    if any(words in complaint for words in _INCOMPLETE):
        raise cut_short("JPEG")
    if left_over := _LEFT_OVER.search(complaint):
        harmless = len(set(data[len(data) - int(left_over[1]) :])) == 1  # some cameras fill up their buffer
    else:
        harmless = any(words in complaint for words in (*_HARMLESS, _UNUSUAL))
    if not harmless:
        raise damaged()
