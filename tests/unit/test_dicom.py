"""DICOM files: JPEG inside, what is refused, damage, and pixel data compared."""

import math
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from decoding import LIMITS, MakeDicom, array, rejected, saved, shown
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    MediaStorageDirectoryStorage,
    RLELossless,
)

from triage import pixels
from triage.dicom_samples import unpack_bits
from triage.pixels import ImageRejected, Limits, decode, read_header
from triage.samples import draw_radiograph, write_dicom

pytest_plugins = ["radiographs"]


class TestDicomJpeg:
    def make(self, dicom: MakeDicom, jpeg: bytes, size: int, **attributes: Any) -> bytes:
        """A DICOM file around a JPEG of `size` by `size`."""
        return dicom(np.zeros((size, size)), transfer_syntax=JPEGBaseline8Bit, codestream=jpeg, **attributes)

    def test_grey(self, dicom: MakeDicom) -> None:
        jpeg = saved(Image.new("L", (16, 16), 200), "JPEG", quality=100)
        assert shown(self.make(dicom, jpeg, 16))[8][8] == 200
        assert shown(self.make(dicom, jpeg, 16, PhotometricInterpretation="MONOCHROME1"))[8][8] == 55

    def test_colour(self, dicom: MakeDicom) -> None:
        jpeg = saved(Image.new("RGB", (16, 16), (255, 0, 0)), "JPEG", quality=100)
        colour = {"SamplesPerPixel": 3, "PlanarConfiguration": 0}
        data = self.make(dicom, jpeg, 16, PhotometricInterpretation="YBR_FULL_422", **colour)
        assert shown(data)[8][8] == pytest.approx(76, abs=1)
        # It says RGB, and the JPEG inside is YCbCr: viewers disagree about such files.
        contradiction = self.make(dicom, jpeg, 16, PhotometricInterpretation="RGB", **colour)
        assert rejected(contradiction).code == "dicom_unsupported_encoding"

    def test_another_size_inside(self, dicom: MakeDicom) -> None:
        jpeg = saved(Image.new("L", (5000, 5000), 200), "JPEG")
        assert rejected(self.make(dicom, jpeg, 16)).code == "dicom_unsupported_encoding"

    def test_cut_short(self, dicom: MakeDicom, jpeg: bytes) -> None:
        small = saved(Image.fromarray(draw_radiograph(np.random.default_rng(1), 64, 64)), "JPEG")
        whole = self.make(dicom, small, 64)
        assert rejected(whole[: len(whole) - 200]).code == "truncated"
        assert rejected(self.make(dicom, small[: len(small) // 2], 64)).code == "truncated"


class TestDicomRefused:
    def test_no_pixels(self, dicom: MakeDicom) -> None:
        assert rejected(dicom(None)).code == "dicom_no_pixels"
        assert rejected(dicom([[1, 2]], PixelData=None)).code == "dicom_no_pixels"
        assert rejected(dicom([[1, 2]], PixelData=b"")).code == "dicom_no_pixels"

    @pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", ImplicitVRLittleEndian, RLELossless])
    def test_cut_short(self, dicom: MakeDicom, syntax: str) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (40, 40))
        whole = dicom(noise, transfer_syntax=syntax)
        for length in (len(whole) - 20, len(whole) // 2, whole.index(b"\x20\x00\x0d\x00") + 11):
            assert rejected(whole[:length]).code == "truncated", length

    def test_deflated_and_cut_short(self, dicom: MakeDicom) -> None:
        whole = dicom(
            np.random.default_rng(0).integers(0, 256, (40, 40)),
            transfer_syntax=DeflatedExplicitVRLittleEndian,
        )
        assert rejected(whole[:-500]).code == "truncated"

    def test_deflated_bomb(self, dicom: MakeDicom) -> None:
        data = dicom(np.zeros((2000, 2000)), transfer_syntax=DeflatedExplicitVRLittleEndian)
        assert len(data) < 10_000
        assert rejected(data, Limits(max_bytes=100_000, max_pixels=20_000_000, max_side=10_000)).code == "too_large"

    def test_fewer_pixels_than_rows_and_columns_say(self, dicom: MakeDicom) -> None:
        assert rejected(dicom([[1, 2]], Rows=5)).code == "truncated"

    def test_more_pixels_than_rows_and_columns_say(self, dicom: MakeDicom) -> None:
        assert rejected(dicom(np.zeros((100, 100)), Rows=5)).code == "dicom_unsupported_encoding"

    @pytest.mark.parametrize(
        ("syntax", "name"),
        [(MPEG2MPML, "MPEG2"), ("1.2.840.10008.1.2.4.102", "MPEG-4"), ("1.2.840.10008.1.2.4.94", "JPIP")],
    )
    def test_syntax_is_named(self, dicom: MakeDicom, syntax: str, name: str) -> None:
        data = dicom([[1, 2]], transfer_syntax=syntax, codestream=b"anything")
        refusal = rejected(data)
        assert refusal.code == "dicom_unsupported_syntax"
        assert name in refusal.detail
        assert syntax in refusal.detail

    @pytest.mark.parametrize(
        ("syntax", "name"),
        [("1.2.840.10008.1.2.4.110", "JPEG XL Lossless"), ("1.2.840.113619.5.2", "GE Private"), ("1.2.3", "is 1.2.3,")],
    )
    def test_syntax_that_pydicom_does_not_know_is_named(self, dicom: MakeDicom, syntax: str, name: str) -> None:
        uid = syntax.encode() + b"\0" * (len(syntax) % 2)
        data = dicom([[1, 2]])
        at = data.index(b"\x02\x00\x10\x00UI") + 6
        length = int.from_bytes(data[at : at + 2], "little")
        refusal = rejected(data[:at] + struct.pack("<H", len(uid)) + uid + data[at + 2 + length :])
        assert refusal.code == "dicom_unsupported_syntax"
        assert name in refusal.detail
        assert syntax in refusal.detail

    def test_several_frames(self, dicom: MakeDicom) -> None:
        assert rejected(dicom([[1, 2]], NumberOfFrames=12)).code == "dicom_multi_frame"

    @pytest.mark.parametrize("photometric", ["PALETTE COLOR", "YBR_FULL_422", "HSV", None])
    def test_photometric(self, dicom: MakeDicom, photometric: str | None) -> None:
        refusal = rejected(dicom([[1, 2]], PhotometricInterpretation=photometric))
        assert refusal.code == "dicom_unsupported_photometric"
        assert (photometric or "missing") in refusal.detail

    @pytest.mark.parametrize(("modality", "name"), [("CT", "tomography"), ("MR", "magnetic"), ("US", "ultrasound")])
    def test_modality(self, dicom: MakeDicom, modality: str, name: str) -> None:
        refusal = rejected(dicom([[1, 2]], Modality=modality))
        assert refusal.code == "dicom_not_a_radiograph"
        assert name in refusal.detail

    def test_an_unknown_modality_is_not_quoted(self, dicom: MakeDicom) -> None:
        refusal = rejected(dicom([[1, 2]], Modality="JANE DOE"))
        assert refusal.code == "dicom_not_a_radiograph"
        assert "JANE" not in refusal.detail

    @pytest.mark.parametrize(
        "attributes",
        [
            {"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31},
            {"BitsStored": 12, "HighBit": 7},
            {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "IDENTITY"},
            {"PresentationLUTShape": "INVERSE"},
            {"PresentationIntentType": "FOR PROCESSING"},
            {"PresentationIntentType": None, "SOPClassUID": DigitalXRayImageStorageForProcessing},
            {"RescaleSlope": 0, "RescaleIntercept": 0},
            {"RescaleSlope": "1e308", "RescaleIntercept": 0},
            {"WindowCenter": 5, "WindowWidth": 5, "VOILUTFunction": "CURVE"},
        ],
    )
    def test_what_cannot_be_rendered_correctly(self, dicom: MakeDicom, attributes: dict[str, Any]) -> None:
        assert rejected(dicom([[1, 2]], "u2", **attributes)).code == "dicom_unsupported_encoding"

    @pytest.mark.parametrize("photometric", ["YBR_ICT", "YBR_RCT"])
    @pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, RLELossless])
    def test_colours_of_another_compression(self, dicom: MakeDicom, photometric: str, syntax: str) -> None:
        data = dicom(np.full((2, 2, 3), 90), transfer_syntax=syntax, PhotometricInterpretation=photometric)
        assert rejected(data).code == "dicom_unsupported_encoding"

    @pytest.mark.parametrize(
        "inside",
        [
            b"\x09\x00\x01\x10LO\x00\x00" * 200_000,  # elements of nothing
            b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\0\0\0\0" * 200_000,  # items of nothing
            (b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff") * 50_000,  # ever deeper
        ],
        ids=["elements", "items", "nested"],
    )
    def test_more_elements_than_anybody_needs(self, dicom: MakeDicom, inside: bytes) -> None:
        """The watcher reads headers too; a file of 200 MB kept it for a quarter of an hour."""
        whole = dicom([[1, 2]])
        at = whole.index(b"\x10\x00\x10\x00PN")
        data = whole[:at] + inside + whole[at:]
        for read in (read_header, decode):
            with pytest.raises(ImageRejected, match="damaged"):
                read(data, LIMITS)

    def test_items_that_are_not_looked_at_cost_nothing(self, dicom: MakeDicom) -> None:
        whole = dicom([[0, 1]], VOILUTSequence=Items([Dataset()]))
        at = whole.index(b"\x28\x00\x10\x30SQ")
        item = b"\xfe\xff\x00\xe0\0\0\0\0"
        many = whole[: at + 8] + struct.pack("<I", 8 * 400_000) + item * 400_000 + whole[at + 20 :]
        assert rejected(many).code == "dicom_unsupported_encoding"  # its first item holds no table

    def test_a_picture_elsewhere_is_not_fetched(self, dicom: MakeDicom) -> None:
        """JPIP and pixel data providers name an address instead of pixels; a DICOMDIR names files."""
        data = dicom([[1, 2]], transfer_syntax="1.2.840.10008.1.2.4.94", codestream=b"x", PixelData=None,
                     PixelDataProviderURL="file:///etc/passwd", RetrieveURL="http://127.0.0.1:1/x")  # fmt: skip
        assert rejected(data).code == "dicom_unsupported_syntax"
        plain = dicom([[1, 2]], PixelData=None, PixelDataProviderURL="file:///etc/passwd")
        assert rejected(plain).code == "dicom_no_pixels"
        directory = dicom(None, SOPClassUID=MediaStorageDirectoryStorage, Modality=None)
        assert "Media Storage Directory" in rejected(directory).detail

    def test_float_pixels(self, dicom: MakeDicom) -> None:
        floats = dicom([[1, 2]], PixelData=None, FloatPixelData=b"\0" * 8)
        assert rejected(floats).code == "dicom_unsupported_encoding"

    def test_rle_stops_at_the_size_that_rows_and_columns_say(self) -> None:
        # A run of 128 bytes costs two: without a bound, this megabyte and a half would become a hundred.
        assert unpack_bits(b"\x02abc" + b"\x81\x07" * 800_000, 5, math.inf) == b"abc\x07\x07"

    def test_random_damage_never_escapes(self, dicom: MakeDicom) -> None:
        rng = np.random.default_rng(0)
        lut = Dataset()
        lut.LUTDescriptor, lut.LUTData = [4, 0, 12], [0, 1, 2, 3]
        lut["LUTDescriptor"].VR = lut["LUTData"].VR = "US"
        for syntax in ("1.2.840.10008.1.2.1", ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless):
            whole = dicom(rng.integers(0, 4096, (8, 8)), "u2", transfer_syntax=syntax, VOILUTSequence=Items([lut]))
            for _ in range(150):
                damaged = bytearray(whole)
                for at in rng.integers(128, len(whole), 4):
                    damaged[at] = rng.integers(256)
                with suppress(ImageRejected):
                    decode(bytes(damaged), LIMITS)


class TestSamePixelData:
    def test_tells_same_from_different(self, tmp_path: Path) -> None:
        grey = array([[1, 2], [3, 4]], "u1")
        one = write_dicom(tmp_path / "one.dcm", grey)
        same = write_dicom(tmp_path / "two.dcm", grey, transfer_syntax=ImplicitVRLittleEndian, PatientID="OTHER")
        other = write_dicom(tmp_path / "three.dcm", grey + 1)
        compressed = write_dicom(tmp_path / "four.dcm", grey, transfer_syntax=RLELossless)
        assert pixels.same_pixel_data(one, same) is True
        assert pixels.same_pixel_data(one, other) is False
        assert pixels.same_pixel_data(one, compressed) is None
        assert pixels.same_pixel_data(one, tmp_path / "missing.dcm") is None


def test_a_value_of_a_wrong_length_is_damage(tmp_path: Path) -> None:
    """Pydicom answers this with an error that derives from plain `Exception`."""
    whole = write_dicom(tmp_path / "whole.dcm", np.zeros((16, 16), np.uint16)).read_bytes()
    rows = whole.index(b"\x28\x00\x10\x00US\x02\x00")
    broken = whole[: rows + 6] + b"\x03\x00" + whole[rows + 8 : rows + 10] + b"\0" + whole[rows + 10 :]

    for read in (read_header, decode):
        with pytest.raises(ImageRejected) as refused:
            read(broken, LIMITS)
        assert refused.value.code == "damaged"
