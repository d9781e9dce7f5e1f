"""DICOM as a person sees it: expected values are written out, not computed again."""

import numpy as np
import pytest
from decoding import LIMITS, MakeDicom, array, rejected, shown
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from triage.pixels import decode, sniff

pytest_plugins = ["radiographs"]


def test_monochrome2(dicom: MakeDicom) -> None:
    assert shown(dicom([[0, 1], [128, 255]])) == [[0, 1], [128, 255]]
    assert decode(dicom([[0, 1]]), LIMITS).rendered


def test_monochrome1_is_inverted(dicom: MakeDicom) -> None:
    assert shown(dicom([[0, 1], [128, 255]], PhotometricInterpretation="MONOCHROME1")) == [
        [255, 254],
        [127, 0],
    ]


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless]
)
def test_transfer_syntaxes(dicom: MakeDicom, syntax: str) -> None:
    window = {"WindowCenter": 2048, "WindowWidth": 4096, "BitsStored": 12, "HighBit": 11}
    data = dicom([[0, 1000], [2048, 4095]], "u2", transfer_syntax=syntax, **window)
    assert shown(data) == [[0, 62], [128, 255]]
    eight = dicom([[0, 1, 2], [3, 200, 255]], transfer_syntax=syntax)
    assert shown(eight) == [[0, 1, 2], [3, 200, 255]]


def test_big_endian_8_bit_in_words(dicom: MakeDicom) -> None:
    data = dicom([[1, 2], [3, 4]], transfer_syntax=ExplicitVRBigEndian)
    at = data.index(b"\x7f\xe0\x00\x10OB")
    swapped = data[: at + 4] + b"OW" + data[at + 6 : -4] + bytes([2, 1, 4, 3])
    assert shown(swapped) == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        # PS3.3 C.11.2.1.2.1: ((x - 99.5) / 19 + 0.5) * 255
        ("LINEAR", [0, 13, 134, 242, 255]),
        # C.11.2.1.3.2: ((x - 100) / 20 + 0.5) * 255
        ("LINEAR_EXACT", [0, 13, 128, 230, 255]),
        # C.11.2.1.3.1: 255 / (1 + exp(-4 (x - 100) / 20))
        ("SIGMOID", [5, 36, 128, 212, 255]),
    ],
)
def test_windows(dicom: MakeDicom, function: str, expected: list[int]) -> None:
    data = dicom([[80, 91, 100, 108, 200]], "u2", WindowCenter=100, WindowWidth=20, VOILUTFunction=function)
    assert shown(data) == [expected]


def test_first_of_several_windows(dicom: MakeDicom) -> None:
    data = dicom([[99, 100]], "u2", WindowCenter=[100, 5], WindowWidth=[1, 7])
    assert shown(data) == [[0, 255]]


def test_signed(dicom: MakeDicom) -> None:
    data = dicom([[-100, -50, 0, 50]], "i2", WindowCenter=0.5, WindowWidth=101)
    assert shown(data) == [[0, 0, 128, 255]]


def test_signed_12_bits(dicom: MakeDicom) -> None:
    data = dicom([[0x800, 0xFFF, 0x000, 0x7FF]], "u2", BitsStored=12, HighBit=11, PixelRepresentation=1,
                 WindowCenter=0, WindowWidth=4096)  # fmt: skip
    assert shown(data) == [[0, 127, 128, 255]]


def test_bits_around_the_value_are_not_part_of_it(dicom: MakeDicom) -> None:
    # 8 bits in the middle of 16, with rubbish (old overlays) above and below.
    stored = [[0xF00F | 0x000, 0xF00F | (128 << 4), 0x3 | (255 << 4)]]
    assert shown(dicom(stored, "u2", BitsStored=8, HighBit=11)) == [[0, 128, 255]]


def test_rescale_comes_before_the_window(dicom: MakeDicom) -> None:
    data = dicom([[0, 50, 100]], "u2", RescaleSlope=2, RescaleIntercept=-100, WindowCenter=0.5, WindowWidth=201)
    assert shown(data) == [[0, 128, 255]]


def test_negative_slope_inverts(dicom: MakeDicom) -> None:
    data = dicom([[0, 50, 100]], "u2", RescaleSlope=-1, RescaleIntercept=0, WindowCenter=-49.5, WindowWidth=101)
    assert shown(data) == [[255, 128, 0]]


def test_12_bits_without_a_window_use_the_range_without_its_extremes(dicom: MakeDicom) -> None:
    stored = np.tile(np.arange(1000, 2001), 10).reshape(10, 1001)
    stored[0, 0], stored[0, 1] = 0, 4095  # two dead pixels; 1005 becomes black and 1996 white
    seen = shown(dicom(stored, "u2", BitsStored=12, HighBit=11))
    assert (seen[0][0], seen[0][1], seen[1][0], seen[1][500], seen[1][1000]) == (0, 255, 0, 127, 255)


def test_padding_takes_no_part_in_the_range_and_is_black(dicom: MakeDicom) -> None:
    stored = np.tile(np.arange(1000, 2001), 10).reshape(10, 1001)
    stored[5:] = 4000
    options = {"BitsStored": 12, "HighBit": 11, "PixelPaddingValue": 4000}
    seen = shown(dicom(stored, "u2", **options))
    assert (seen[1][0], seen[1][500], seen[1][1000], seen[9][0]) == (0, 128, 255, 0)
    inverted = shown(dicom(stored, "u2", PhotometricInterpretation="MONOCHROME1", **options))
    assert (inverted[1][0], inverted[1][1000], inverted[9][0]) == (255, 0, 0)


def test_padding_range_of_signed_values(dicom: MakeDicom) -> None:
    data = dicom([[-2000, -1990, 0, 100]], "i2", PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1980,
                 WindowCenter=-1000, WindowWidth=10, PhotometricInterpretation="MONOCHROME1",
                 transfer_syntax=ImplicitVRLittleEndian)  # fmt: skip
    assert shown(data) == [[0, 0, 0, 0]]


def test_one_single_value(dicom: MakeDicom) -> None:
    assert shown(dicom([[700, 700]], "u2")) == [[0, 0]]


def test_window_of_width_zero_counts_as_none(dicom: MakeDicom) -> None:
    assert shown(dicom([[0, 255]], WindowCenter=0, WindowWidth=0)) == [[0, 255]]


def test_voi_lut(dicom: MakeDicom) -> None:
    lut = Dataset()
    lut.LUTDescriptor = [4, 10, 12]
    lut.LUTData = [0, 1000, 2048, 4095]
    lut["LUTDescriptor"].VR = lut["LUTData"].VR = "US"
    for syntax in (ImplicitVRLittleEndian, "1.2.840.10008.1.2.1"):
        data = dicom([[0, 10, 11, 12, 13, 900]], "u2", VOILUTSequence=Items([lut]), transfer_syntax=syntax)
        assert shown(data) == [[0, 0, 62, 128, 255, 255]]


def test_modality_lut(dicom: MakeDicom) -> None:
    lut = Dataset()
    lut.LUTDescriptor = [3, 0, 16]
    lut.LUTData = [500, 100, 300]
    lut["LUTDescriptor"].VR = lut["LUTData"].VR = "US"
    lut.ModalityLUTType = "US"
    data = dicom([[0, 1, 2]], "u2", ModalityLUTSequence=Items([lut]), WindowCenter=300.5, WindowWidth=401)
    assert shown(data) == [[255, 0, 128]]


def test_non_square_pixels_are_resampled(dicom: MakeDicom) -> None:
    seen = shown(dicom([[10, 10], [10, 10]], PixelSpacing=[0.4, 0.2]))
    assert seen == [[10, 10]] * 4
    assert len(shown(dicom([[10, 10]], PixelAspectRatio=[1, 2]))[0]) == 4


def test_colour_capture(dicom: MakeDicom) -> None:
    rgb = [[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]]
    assert shown(dicom(rgb, Modality="OT")) == [[76, 150, 29, 255]]
    planes = np.moveaxis(array(rgb, "u1"), -1, 0).tobytes()
    assert shown(dicom(rgb, PlanarConfiguration=1, PixelData=planes)) == [[76, 150, 29, 255]]
    assert shown(dicom(rgb, transfer_syntax=RLELossless)) == [[76, 150, 29, 255]]


def test_ybr_full(dicom: MakeDicom) -> None:
    assert shown(dicom([[[90, 1, 2], [200, 3, 4]]], PhotometricInterpretation="YBR_FULL")) == [[90, 200]]


@pytest.mark.parametrize("modality", ["CR", "DX", "RG", "OT", "", None])
def test_accepted_modalities(dicom: MakeDicom, modality: str | None) -> None:
    assert shown(dicom([[3, 4]], Modality=modality)) == [[3, 4]]


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, "1.2.840.10008.1.2.1"])
@pytest.mark.parametrize("keep_meta", [True, False])
def test_without_a_preamble(dicom: MakeDicom, syntax: str, keep_meta: bool) -> None:
    data = dicom([[3, 4], [5, 6]], transfer_syntax=syntax)
    bare = data[132:] if keep_meta else data[data.index(b"\x08\x00\x16\x00") :]
    assert sniff(bare) == "application/dicom"
    assert shown(bare) == [[3, 4], [5, 6]]


def test_what_only_begins_like_dicom() -> None:
    assert rejected(b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100" + b"\x01" * 400).code in (
        "unknown_type",
        "damaged",
    )


def test_warnings_and_logs_carry_nothing_of_the_file(dicom: MakeDicom, caplog: pytest.LogCaptureFixture) -> None:
    data = dicom([[3, 4]], WindowCenter=12345678).replace(b"12345678", b"JANE^DOE")
    data = data.replace(b"\x08\x00\x16\x00", b"\x08\x00\x05\x00CS\x08\x00JANE DOE\x08\x00\x16\x00", 1)
    refusal = rejected(data)
    assert refusal.code == "damaged"
    assert "JANE" not in refusal.detail + caplog.text
    assert refusal.__cause__ is None
