"""DICOM files: JPEG inside, what is refused, damage, and pixel data compared."""

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
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
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
        data = dicom(np.zeros((size, size)), **attributes)
        at = data.index(b"\xe0\x7f\x10\x00")
        jpeg += b"\0" * (len(jpeg) % 2)
        items = b"\xfe\xff\x00\xe0\0\0\0\0" + b"\xfe\xff\x00\xe0" + struct.pack("<I", len(jpeg)) + jpeg
        element = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff" + items + b"\xfe\xff\xdd\xe0\0\0\0\0"
        # UIDs of 19 and 22 characters: both are 20 and 22 bytes long in the file.
        old = b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\0"
        new = b"\x02\x00\x10\x00UI\x16\x00" + JPEGBaseline8Bit.encode()
        assert old in data
        meta_length = struct.unpack_from("<I", data, 140)[0]
        return data[:140] + struct.pack("<I", meta_length + 2) + data[144:at].replace(old, new) + element

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

    @pytest.mark.parametrize(("syntax", "name"), [(JPEG2000Lossless, "JPEG 2000"), (JPEGLosslessSV1, "JPEG Lossless")])
    def test_syntax_is_named(self, dicom: MakeDicom, syntax: str, name: str) -> None:
        data = dicom([[1, 2]])
        old, new = b"UI\x14\x001.2.840.10008.1.2.1\0", b"UI\x16\x00" + syntax.encode()
        data = data[:140] + struct.pack("<I", struct.unpack_from("<I", data, 140)[0] + 2) + data[144:].replace(old, new)
        refusal = rejected(data)
        assert refusal.code == "dicom_unsupported_syntax"
        assert name in refusal.detail
        assert syntax in refusal.detail

    def test_several_frames(self, dicom: MakeDicom) -> None:
        assert rejected(dicom([[1, 2]], NumberOfFrames=12)).code == "dicom_multi_frame"

    @pytest.mark.parametrize("photometric", ["PALETTE COLOR", "YBR_FULL_422", None])
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
            {"RescaleSlope": 0, "RescaleIntercept": 0},
            {"WindowCenter": 5, "WindowWidth": 5, "VOILUTFunction": "CURVE"},
        ],
    )
    def test_what_cannot_be_rendered_correctly(self, dicom: MakeDicom, attributes: dict[str, Any]) -> None:
        assert rejected(dicom([[1, 2]], "u2", **attributes)).code == "dicom_unsupported_encoding"

    def test_float_pixels(self, dicom: MakeDicom) -> None:
        floats = dicom([[1, 2]], PixelData=None, FloatPixelData=b"\0" * 8)
        assert rejected(floats).code == "dicom_unsupported_encoding"

    def test_rle_stops_at_the_size_that_rows_and_columns_say(self) -> None:
        # A run of 128 bytes costs two: without a bound, this megabyte and a half would become a hundred.
        assert unpack_bits(b"\x02abc" + b"\x81\x07" * 800_000, 5) == b"abc\x07\x07"

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
