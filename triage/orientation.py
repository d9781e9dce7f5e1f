"""Which way is up: what EXIF says about it, and turning a picture by that."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt


def read_orientation(exif: bytes) -> int:
    """The orientation (tag 0x0112) in an EXIF block's first directory, 1 to 8; 1 where it says none that
    makes sense.

    Read here and not through Pillow, so that the header and the decoded picture agree and odd EXIF raises no
    warnings.
    """
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None or len(exif) < 10:
        return 1
    (directory,) = struct.unpack_from(order + "I", exif, 4)
    if directory + 2 > len(exif):
        return 1
    (count,) = struct.unpack_from(order + "H", exif, directory)
    for entry in range(directory + 2, min(directory + 2 + 12 * count, len(exif) - 11), 12):
        tag, kind, _, value = struct.unpack_from(order + "HHIH", exif, entry)
        if tag == 0x0112:
            return int(value) if kind == 3 and 1 <= value <= 8 else 1
    return 1


def upright_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """Width and height, in pixels, of a stored picture once it is turned upright."""
    return (height, width) if orientation >= 5 else (width, height)


def upright(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """Turn a stored picture upright (EXIF 2.32, 4.6.4 A, Orientation)."""
    if orientation >= 5:
        pixels = pixels.T
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
