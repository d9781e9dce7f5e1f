"""A DICOM picture with a window that somebody chose: expected values are written out, not computed again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from decoding import LIMITS, MakeDicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from triage.dicom import read_stored_values
from triage.dicom_grey import Windows
from triage.dicom_window import Window
from triage.pixels import decode

pytest_plugins = ["radiographs"]

ROW = [[80, 91, 100, 108, 200]]


def windowed(data: bytes, centre: float, width: float) -> list[list[int]]:
    values = read_stored_values(data, LIMITS)
    assert values is not None
    rows: list[list[int]] = values.render(Window(centre, width)).tolist()
    return rows


def windows(data: bytes) -> Windows:
    values = read_stored_values(data, LIMITS)
    assert values is not None
    return values.monochrome.windows()


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        # PS3.3 C.11.2.1.2.1: ((x - 149.5) / 100 + 0.5) * 255
        ("LINEAR", [0, 0, 1, 22, 255]),
        # C.11.2.1.3.2: ((x - 150) / 101 + 0.5) * 255
        ("LINEAR_EXACT", [0, 0, 1, 21, 254]),
        # C.11.2.1.3.1: 255 / (1 + exp(-4 (x - 150) / 101))
        ("SIGMOID", [15, 22, 31, 41, 224]),
    ],
)
def test_another_window_goes_by_the_function_of_the_file(dicom: MakeDicom, function: str, expected: list[int]) -> None:
    data = dicom(ROW, "u2", WindowCenter=100, WindowWidth=20, VOILUTFunction=function)
    assert windowed(data, 150, 101) == [expected]


def test_the_lowest_value_of_monochrome1_is_white(dicom: MakeDicom) -> None:
    data = dicom(ROW, "u2", PhotometricInterpretation="MONOCHROME1", WindowCenter=100, WindowWidth=20)
    assert windowed(data, 150, 101) == [[255, 255, 254, 233, 0]]
    assert windows(data).inverted


def test_a_window_counts_in_the_values_after_rescale(dicom: MakeDicom) -> None:
    data = dicom([[0, 50, 100]], "u2", RescaleSlope=2, RescaleIntercept=-100)
    assert windowed(data, 0.5, 101) == [[0, 128, 255]]
    assert windows(data).full == Window(0.5, 201)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_with_every_window(dicom: MakeDicom, photometric: str) -> None:
    data = dicom(ROW, "u2", PhotometricInterpretation=photometric, PixelPaddingValue=200)
    assert windowed(data, 150, 101)[0][4] == 0
    assert windowed(data, 0, 1)[0][4] == 0
    assert windows(data).full == Window(94.5, 29)  # 80 to 108


def test_a_window_narrower_than_there_is_becomes_a_threshold(dicom: MakeDicom) -> None:
    assert windowed(dicom(ROW, "u2"), 100, 0) == [[0, 0, 255, 255, 255]]


def test_a_file_names_several_windows(dicom: MakeDicom) -> None:
    data = dicom(
        ROW,
        "u2",
        WindowCenter=[100, 5, 7],
        WindowWidth=[20, 7, 0],
        WindowCenterWidthExplanation=["BONE", "for: J. Doe"],
    )
    found = windows(data)
    # The third has no width; what may be anybody's name is no name of a window.
    assert found.own == (Window(100, 20, "BONE"), Window(5, 7))
    assert (found.shown_by, found.shown) == ("file", Window(100, 20, "BONE"))
    assert found.least_width == 1.0


def test_without_a_window_12_bits_are_shown_by_the_range_without_its_extremes(dicom: MakeDicom) -> None:
    stored = np.tile(np.arange(1000, 2001), 10).reshape(10, 1001)
    stored[0, 0], stored[0, 1] = 0, 4095  # two dead pixels
    data = dicom(stored, "u2", BitsStored=12, HighBit=11)
    found = windows(data)
    assert (found.shown_by, found.shown, found.own) == ("robust", Window(1501, 992), ())
    assert (found.robust, found.full) == (Window(1501, 992), Window(2048, 4096))
    # The window that is named is the one that the stored picture has.
    assert windowed(data, 1501, 992) == decode(data, LIMITS).pixels.tolist()


def test_without_a_window_8_bits_are_shown_as_they_are(dicom: MakeDicom) -> None:
    data = dicom([[0, 10], [128, 250]])
    found = windows(data)
    assert (found.shown_by, found.shown, found.full) == ("full", Window(128, 256), Window(125.5, 251))
    assert windowed(data, 128, 256) == [[0, 10], [128, 250]]


def test_a_table_is_no_window_and_a_chosen_window_comes_instead(dicom: MakeDicom) -> None:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4, 0, 8])
    item.add_new("LUTData", "OW", bytes([0, 0, 200, 0, 100, 0, 255, 0]))
    data = dicom([[0, 1, 2, 3]], "u2", VOILUTSequence=Items([item]), VOILUTFunction="NONSENSE")
    assert decode(data, LIMITS).pixels.tolist() == [[0, 200, 100, 255]]
    assert (windows(data).shown_by, windows(data).shown) == ("table", None)
    assert windowed(data, 2, 4) == [[0, 85, 170, 255]]


@pytest.mark.parametrize(
    ("rows", "options"),
    [
        ([[[1, 2, 3], [4, 5, 6]]], {}),
        ([[0, 1]], {"PhotometricInterpretation": "PALETTE COLOR"}),
    ],
)
def test_a_picture_in_colour_has_no_window(dicom: MakeDicom, rows: list[Any], options: dict[str, Any]) -> None:
    if options:
        for colour in ("Red", "Green", "Blue"):
            options[f"{colour}PaletteColorLookupTableDescriptor"] = [2, 0, 8]
            options[f"{colour}PaletteColorLookupTableData"] = bytes([0, 0, 255, 0])
    assert read_stored_values(dicom(rows, **options), LIMITS) is None


def test_a_flat_picture_has_windows_too(dicom: MakeDicom) -> None:
    data = dicom([[7, 7]], "u2")
    assert windows(data).full == Window(7.5, 1)
    assert windowed(data, 7.5, 1) == [[0, 0]]
