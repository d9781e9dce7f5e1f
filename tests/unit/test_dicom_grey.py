"""DICOM as a person sees it: expected values are written out, not computed again."""

import struct
from dataclasses import replace

import numpy as np
import pytest
from decoding import LIMITS, MakeDicom, array, rejected, shown
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EncapsulatedPDFStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from triage.pixels import Exam, decode, read_header, sniff

pytest_plugins = ["radiographs"]

SC = {"SOPClassUID": SecondaryCaptureImageStorage}


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


def look_up_table(first: int, bits: int, data: object, vr: str = "US", entries: int = 4, first_vr: str = "US") -> Items:
    item = Dataset()
    item.add_new("LUTDescriptor", first_vr, [entries, first, bits])
    item.add_new("LUTData", vr, data)
    return Items([item])


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_a_table_of_65536_entries(dicom: MakeDicom, syntax: str) -> None:
    # 65,536 does not fit into the descriptor, and is written as 0.
    downwards = np.arange(65536, dtype="<u2")[::-1].tobytes()
    table = look_up_table(0, 16, downwards, "OW", entries=0)
    assert shown(dicom([[0, 32768, 65535]], "u2", VOILUTSequence=table, transfer_syntax=syntax)) == [[255, 127, 0]]


@pytest.mark.parametrize(("first", "vr"), [(-3, "SS"), (65533, "US")])
def test_a_table_that_begins_below_zero(dicom: MakeDicom, first: int, vr: str) -> None:
    table = look_up_table(first, 8, [10, 20, 30, 40], first_vr=vr)
    assert shown(dicom([[-9, -3, -2, -1, 0, 5]], "i2", VOILUTSequence=table)) == [[10, 10, 20, 30, 40, 40]]
    rescaled = dicom([[0, 1, 2, 3]], "u2", VOILUTSequence=table, RescaleSlope=1, RescaleIntercept=-3)
    assert shown(rescaled) == [[10, 20, 30, 40]]


@pytest.mark.parametrize(
    ("syntax", "data"),
    [(ExplicitVRLittleEndian, [10, 20, 30, 40]), (ExplicitVRBigEndian, [20, 10, 40, 30])],
)
def test_a_table_of_8_bits_in_words(dicom: MakeDicom, syntax: str, data: list[int]) -> None:
    packed = dicom([[0, 1, 2, 3]], "u2", VOILUTSequence=look_up_table(0, 8, bytes(data), "OW"), transfer_syntax=syntax)
    assert shown(packed) == [[10, 20, 30, 40]]
    apart = dicom([[0, 1, 2, 3]], "u2", VOILUTSequence=look_up_table(0, 8, [10, 20, 30, 40]), transfer_syntax=syntax)
    assert shown(apart) == [[10, 20, 30, 40]]


def test_the_window_comes_before_the_table(dicom: MakeDicom) -> None:
    table = look_up_table(0, 8, [40, 30, 20, 10])
    assert shown(dicom([[0, 1, 2, 3]], "u2", VOILUTSequence=table, WindowCenter=2, WindowWidth=4)) == [
        [0, 85, 170, 255]
    ]


def test_a_sequence_whose_writer_did_not_know_that_it_is_one(dicom: MakeDicom) -> None:
    data = dicom([[0, 1, 2, 3]], "u2", VOILUTSequence=look_up_table(0, 8, [10, 20, 30, 40]))
    explicit = b"\x28\x00\x02\x30US\x06\x00" + struct.pack("<3H", 4, 0, 8)
    explicit += b"\x28\x00\x06\x30US\x08\x00" + struct.pack("<4H", 10, 20, 30, 40)
    implicit = b"\x28\x00\x02\x30\x06\x00\x00\x00" + struct.pack("<3H", 4, 0, 8)
    implicit += b"\x28\x00\x06\x30\x08\x00\x00\x00" + struct.pack("<4H", 10, 20, 30, 40)
    assert explicit in data
    unknown = data.replace(explicit, implicit).replace(b"\x28\x00\x10\x30SQ", b"\x28\x00\x10\x30UN")
    assert shown(unknown) == [[10, 20, 30, 40]]


def test_an_empty_padding_value_is_none(dicom: MakeDicom) -> None:
    said = dicom([[0, 255]], PixelPaddingValue=255)
    assert shown(said) == [[0, 0]]
    empty = said.replace(b"\x28\x00\x20\x01US\x02\x00\xff\x00", b"\x28\x00\x20\x01US\x00\x00")
    assert shown(empty) == [[0, 255]]


@pytest.mark.parametrize("attributes", [{"NumberOfFrames": ""}, {"NumberOfFrames": 1}, {"RescaleSlope": ""}])
def test_what_is_empty_is_not_there(dicom: MakeDicom, attributes: dict[str, object]) -> None:
    assert shown(dicom([[0, 255]], **attributes)) == [[0, 255]]


@pytest.mark.parametrize(("bits", "levels"), [(1, [[0, 255]]), (2, [[0, 85]])])
def test_few_bits(dicom: MakeDicom, bits: int, levels: list[list[int]]) -> None:
    assert shown(dicom([[0, 1]], BitsStored=bits, HighBit=bits - 1)) == levels


def test_an_odd_high_bit(dicom: MakeDicom) -> None:
    stored = [[0x0007, 0x4000, 0x7FF8 | 0x8000]]  # 12 bits up to bit 14
    seen = shown(dicom(stored, "u2", BitsStored=12, HighBit=14, WindowCenter=2048, WindowWidth=4096))
    assert seen == [[0, 128, 255]]


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


def test_colour_of_16_bits(dicom: MakeDicom) -> None:
    # White of 12 bits is 4095; 2048 is 127.5, and so 128.
    rgb = [[[4095, 4095, 4095], [2048, 2048, 2048], [4095, 0, 0]]]
    twelve = {"BitsStored": 12, "HighBit": 11}
    assert shown(dicom(rgb, "u2", **twelve)) == [[255, 128, 76]]
    assert shown(dicom(rgb, "u2", transfer_syntax=RLELossless, **twelve)) == [[255, 128, 76]]


@pytest.mark.parametrize(
    ("photometric", "expected"),
    [
        ("YBR_FULL_422", [[16, 90], [235, 255]]),
        ("YBR_PARTIAL_422", [[0, 86], [255, 255]]),  # (y - 16) * 255 / 219
    ],
)
def test_colour_for_two_pixels_each(dicom: MakeDicom, photometric: str, expected: list[list[int]]) -> None:
    octets = bytes([16, 90, 128, 128, 235, 255, 7, 200])
    blank = np.zeros((2, 2, 3))
    assert shown(dicom(blank, PhotometricInterpretation=photometric, PixelData=octets)) == expected


@pytest.mark.parametrize(("depth", "kind"), [(8, "u1"), (16, "<u2")])
def test_palette(dicom: MakeDicom, depth: int, kind: str) -> None:
    # Colours 10 to 13: red, green, blue, white. What lies before and after takes the first and the last.
    colours = {"Red": [255, 0, 0, 255], "Green": [0, 255, 0, 255], "Blue": [0, 0, 255, 255]}
    tables: dict[str, object] = {}
    for name, shades in colours.items():
        entries = np.array(shades, kind) * (257 if depth == 16 else 1)
        tables[f"{name}PaletteColorLookupTableDescriptor"] = [4, 10, depth]
        tables[f"{name}PaletteColorLookupTableData"] = entries.astype(kind).tobytes()
    data = dicom([[0, 10, 11, 12, 13, 200]], PhotometricInterpretation="PALETTE COLOR", Modality="OT", **SC, **tables)
    assert shown(data) == [[76, 76, 150, 29, 255, 255]]


@pytest.mark.parametrize("modality", ["CR", "DX", "RG", "OT", "SC", "", None])
@pytest.mark.parametrize("sop_class", [ComputedRadiographyImageStorage, SecondaryCaptureImageStorage])
def test_what_is_taken_for_a_radiograph(dicom: MakeDicom, modality: str | None, sop_class: str) -> None:
    assert shown(dicom([[3, 4]], Modality=modality, SOPClassUID=sop_class)) == [[3, 4]]


@pytest.mark.parametrize(
    ("modality", "sop_class", "name"),
    [
        ("CT", SecondaryCaptureImageStorage, "computed tomography"),
        ("OT", EncapsulatedPDFStorage, "Encapsulated PDF Storage"),
        (None, CTImageStorage, "CT Image Storage"),
        (None, "1.2.3.4", "does not say what it shows"),
    ],
)
def test_what_is_not(dicom: MakeDicom, modality: str | None, sop_class: str, name: str) -> None:
    refusal = rejected(dicom([[3, 4]], Modality=modality, SOPClassUID=sop_class))
    assert refusal.code == "dicom_not_a_radiograph"
    assert name in refusal.detail


def test_a_clinic_says_what_counts(dicom: MakeDicom) -> None:
    mammograms = replace(LIMITS, modalities=frozenset({"MG"}), sop_classes=frozenset())
    assert decode(dicom([[3, 4]], Modality="MG"), mammograms).pixels.tolist() == [[3, 4]]
    assert rejected(dicom([[3, 4]], Modality="DX"), mammograms).code == "dicom_not_a_radiograph"
    assert rejected(dicom([[3, 4]], Modality="OT"), mammograms).code == "dicom_not_a_radiograph"


def test_what_is_kept_of_the_exam(dicom: MakeDicom) -> None:
    said = {
        "StudyDate": "20260301", "StudyTime": "083015.250", "AccessionNumber": "A-17", "SeriesInstanceUID": "1.2.9",
        "BodyPartExamined": "HAND", "ViewPosition": "AP", "ImageLaterality": "L", "Laterality": "R",
        "PatientBirthDate": "19800101", "StudyDescription": "after a fall",
    }  # fmt: skip
    assert read_header(dicom([[1]], **said), LIMITS).exam == Exam(
        study_date="20260301",
        study_time="083015",
        accession_number="A-17",
        series_instance_uid="1.2.9",
        body_part="HAND",
        view_position="AP",
        laterality="L",
    )


def test_what_is_not_written_as_the_standard_says_is_not_kept(dicom: MakeDicom) -> None:
    said = {"BodyPartExamined": "hand of Jane Doe", "StudyDate": "1.3.2026", "AccessionNumber": "x" * 17}
    assert read_header(dicom([[1]], SeriesInstanceUID=None, **said), LIMITS).exam == Exam()


@pytest.mark.parametrize(("said", "expected"), [("YES", True), ("NO", False), (None, False)])
def test_text_that_is_burned_in(dicom: MakeDicom, said: str | None, expected: bool) -> None:
    assert decode(dicom([[1]], BurnedInAnnotation=said), LIMITS).burned_in_annotation is expected


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, "1.2.840.10008.1.2.1"])
@pytest.mark.parametrize("keep_meta", [True, False])
def test_without_a_preamble(dicom: MakeDicom, syntax: str, keep_meta: bool) -> None:
    data = dicom([[3, 4], [5, 6]], transfer_syntax=syntax)
    bare = data[132:] if keep_meta else data[data.index(b"\x08\x00\x16\x00") :]
    assert sniff(bare) == "application/dicom"
    assert shown(bare) == [[3, 4], [5, 6]]


def test_without_a_preamble_but_with_the_prefix(dicom: MakeDicom) -> None:
    assert shown(dicom([[3, 4], [5, 6]])[128:]) == [[3, 4], [5, 6]]


def test_without_a_meta_header(dicom: MakeDicom) -> None:
    data = dicom([[3, 4], [5, 6]])
    assert shown(data[:132] + data[data.index(b"\x08\x00\x16\x00") :]) == [[3, 4], [5, 6]]


@pytest.mark.parametrize(
    ("says", "written"),
    [(ExplicitVRLittleEndian, ImplicitVRLittleEndian), (ImplicitVRLittleEndian, ExplicitVRLittleEndian)],
)
def test_a_meta_header_that_names_the_other_little_endian(dicom: MakeDicom, says: str, written: str) -> None:
    right = dicom([[3, 4], [5, 6]], transfer_syntax=written)
    wrong = dicom([[3, 4], [5, 6]], transfer_syntax=says)
    start = b"\x08\x00\x16\x00"
    assert shown(wrong[: wrong.index(start)] + right[right.index(start) :]) == [[3, 4], [5, 6]]


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
