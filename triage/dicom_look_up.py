"""Look-up tables of a DICOM data set, and the colours that samples can be numbers of (PS3.3)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom.dataset import Dataset

from triage.dicom_attributes import raw_value, read_words, unsupported
from triage.dicom_file import Coding
from triage.dicom_layout import Layout


def values_alone(samples: npt.NDArray[Any], layout: Layout) -> npt.NDArray[Any]:
    """PS3.5, 8.1.1: the value lies below the high bit; bits around it may be overlays and are no part of it."""
    shift = layout.high_bit + 1 - layout.stored
    values = samples >> shift if shift else samples
    return values & ((1 << layout.stored) - 1) if layout.stored < layout.allocated else values


def render_palette(
    samples: npt.NDArray[Any], dataset: Dataset, coding: Coding, layout: Layout
) -> npt.NDArray[np.uint8]:
    """The luma of a picture whose samples are numbers of colours (PS3.3 C.7.6.3.1.5 and C.7.9).

    Args:
        samples: (rows, columns) uint8 or uint16, as stored.
        dataset: where the three look-up tables are; those in segments are not read.
        coding: of the data set.
        layout: of the samples.

    Returns:
        (rows, columns) uint8.

    Raises:
        ImageRejected: `dicom_unsupported_encoding`.
    """
    stored = np.arange(1 << layout.stored)
    if layout.signed:
        stored[len(stored) // 2 :] -= len(stored)
    colours = np.empty((1, len(stored), 3), np.uint8)
    for number, colour in enumerate(("Red", "Green", "Blue")):
        name = f"{colour}PaletteColorLookupTable"
        shades, bits = look_up(dataset, name, coding, stored, signed=layout.signed)
        colours[0, :, number] = shades.astype(np.int64) >> (bits - 8)
    table = np.asarray(Image.fromarray(colours).convert("L"))[0]
    shown: npt.NDArray[np.uint8] = table[values_alone(samples, layout)]
    return shown


def look_up(
    item: Dataset, name: str, coding: Coding, values: npt.NDArray[Any], *, signed: bool
) -> tuple[npt.NDArray[np.float64], int]:
    """Apply the table in the attributes `name`Descriptor and `name`Data (PS3.3 C.11.1.1.1, C.11.2.1.1, C.7.6.3.1.5).

    Its descriptor: number of entries (0 means 65,536), the value mapped to the first entry (signed if the
    input is), bits per entry. Values before the first and after the last entry get those entries.

    Returns:
        The entries, float64, and their number of bits.
    """
    descriptor = read_words(item, f"{name}Descriptor", coding) if f"{name}Descriptor" in item else ()
    if len(descriptor) != 3:
        raise unsupported("the descriptor of its look-up table is broken")
    entries, first, bits = (int(word) for word in descriptor)
    entries = entries or 65536
    if signed and first >= 32768:
        first -= 65536
    raw, _ = raw_value(item, f"{name}Data")
    if not 8 <= bits <= 16 or len(raw) not in (2 * entries, entries, entries + 1):
        raise unsupported("its look-up table has not the size it says")
    if len(raw) == 2 * entries:
        table = read_words(item, f"{name}Data", coding)
    elif bits == 8:  # two entries in each word, the first in its lower byte
        table = read_words(item, f"{name}Data", coding).astype("<u2").view(np.uint8)[:entries].astype(np.int64)
    else:
        raise unsupported("its look-up table has not the size it says")
    if table.max() >= 2**bits:
        raise unsupported("its look-up table has entries beyond the bits it says")
    position = np.clip(np.floor(values + 0.5).astype(np.int64) - first, 0, entries - 1)
    return table[position].astype(np.float64), bits
