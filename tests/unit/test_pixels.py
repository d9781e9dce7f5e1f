"""What is taken and what is refused, whatever the format, and what the network is shown."""

import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from decoding import LIMITS, MakeDicom, png, rejected, saved
from PIL import Image
from pydicom.uid import RLELossless

from triage import pixels
from triage.dicom_file import CODECS, NATIVE_SYNTAXES
from triage.pixels import REJECTION_CODES, ImageRejected, Limits, decode, read_header, sniff
from triage.settings import Settings

pytest_plugins = ["radiographs"]


class TestKindOfFile:
    @pytest.mark.parametrize(
        ("head", "media_type"),
        [
            (b"\xff\xd8\xff\xe0" + b"\0" * 128, "image/jpeg"),
            (b"\x89PNG\r\n\x1a\n" + b"\0" * 124, "image/png"),
            (b"\0" * 128 + b"DICM", "application/dicom"),
            (b"II*\0" + b"\0" * 124 + b"DICM", "application/dicom"),
            (b"II*\0" + b"\0" * 128, None),
            (b"\0" * 132, None),
            (b"", None),
        ],
    )
    def test_sniffs_by_content(self, head: bytes, media_type: str | None) -> None:
        assert sniff(head) == media_type

    @pytest.mark.parametrize(
        ("head", "name"),
        [
            (b"II*\0", "TIFF"),
            (b"MM\0*", "TIFF"),
            (b"GIF89a", "GIF"),
            (b"RIFF\0\0\0\0WEBPVP8 ", "WebP"),
            (b"\0\0\0\x18ftypheic", "HEIC"),
            (b"%PDF-1.7\n", "PDF"),
            (b"PK\x03\x04", "ZIP"),
            (b"\x1f\x8b\x08", "gzip"),
            (b"BM" + b"\x01" * 12 + b"\x28\0\0\0\x01", "BMP"),
        ],
    )
    def test_names_what_is_not_supported(self, head: bytes, name: str) -> None:
        refusal = rejected(head + b"\x01" * 200)
        assert refusal.code == "unsupported_type"
        assert name in refusal.detail
        with pytest.raises(ImageRejected, match="unsupported_type"):
            read_header(head + b"\x01" * 200, LIMITS)

    def test_text_renamed_to_jpg(self) -> None:
        refusal = rejected(b"Hello, this is a report.\n" * 20)
        assert refusal.code == "unknown_type"
        assert "text" in refusal.detail

    def test_noise(self) -> None:
        assert rejected(b"\x07\x01\x99" * 100).code == "unknown_type"

    def test_empty(self) -> None:
        assert rejected(b"").code == "empty_file"

    def test_zeros_of_a_copy_that_never_finished(self) -> None:
        assert rejected(b"\0" * 4096).code == "truncated"

    @pytest.mark.parametrize(("kind", "sof"), [("lossless", b"\xff\xc3"), ("JPEG-LS", b"\xff\xf7")])
    def test_jpeg_of_another_kind(self, jpeg: bytes, kind: str, sof: bytes) -> None:
        refusal = rejected(jpeg.replace(b"\xff\xc0\x00\x0b\x08", sof + b"\x00\x0b\x08", 1))
        assert refusal.code == "unsupported_type"
        assert kind in refusal.detail

    def test_animated_png(self) -> None:
        frames = [Image.new("L", (4, 4), level) for level in (10, 200)]
        assert rejected(saved(frames[0], "PNG", save_all=True, append_images=frames[1:])).code == "unsupported_type"


class TestLimits:
    def test_come_from_the_settings(self) -> None:
        assert Limits.of(Settings(max_bytes=7, max_pixels=8, max_side=9)) == Limits(7, 8, 9)

    def test_too_large_is_not_opened(self, tmp_path: Path) -> None:
        path = tmp_path / "large.jpg"
        with path.open("wb") as file:
            file.truncate(LIMITS.max_bytes + 1)
        with pytest.raises(ImageRejected, match="too_large"):
            read_header(path, LIMITS)

    def test_a_few_bytes_that_claim_900_megapixels(self) -> None:
        bomb = png(30_000, 30_000, 8, 0, b"\0" * 1000)
        assert rejected(bomb).code == "too_many_pixels"
        with pytest.raises(ImageRejected, match="too_many_pixels"):
            read_header(bomb, LIMITS)

    def test_a_jpeg_whose_side_is_too_long(self) -> None:
        long = saved(Image.new("L", (16, 12_000)), "JPEG")
        assert rejected(long).code == "too_many_pixels"

    def test_a_large_picture_within_the_limits_raises_no_bomb_warning(self) -> None:
        # Pillow warns from 89 million pixels, and refuses from 179 million.
        huge = png(13_500, 13_500, 1, 0, (b"\0" + b"\xff" * 1688) * 13_500)
        limits = Limits(max_bytes=1_000_000, max_pixels=200_000_000, max_side=20_000)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert decode(huge, limits).pixels.shape == (13_500, 13_500)

    def test_dicom_is_checked_before_its_pixels(self, dicom: MakeDicom) -> None:
        data = dicom([[1, 2]], Rows=30_000, Columns=30_000)
        assert rejected(data).code == "too_many_pixels"

    def test_out_of_memory_is_a_rejection(self, jpeg: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object, **__: object) -> None:
            raise MemoryError

        monkeypatch.setattr(pixels, "decode_jpeg", fail)
        refusal = rejected(jpeg)
        assert refusal.code == "damaged"
        assert "memory" in refusal.detail

    def test_a_time_limit_in_the_middle_is_not_taken_for_damage(
        self, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class TimeIsUp(Exception):
            pass

        def fail(*_: object, **__: object) -> None:
            raise TimeIsUp

        monkeypatch.setattr(pixels, "decode_jpeg", fail)
        with pytest.raises(TimeIsUp):
            decode(jpeg, LIMITS)


class TestHeader:
    def test_reads_a_path(self, tmp_path: Path, jpeg: bytes) -> None:
        path = tmp_path / "image.dcm"  # the name says nothing
        path.write_bytes(jpeg)
        header = read_header(path, LIMITS)
        assert (header.media_type, header.width, header.height) == ("image/jpeg", 1000, 1250)
        assert header.study_instance_uid is None

    def test_needs_only_the_start_of_a_file(self, jpeg: bytes) -> None:
        assert read_header(jpeg[:2000], LIMITS).height == 1250

    def test_a_missing_path_is_no_rejection(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            read_header(tmp_path / "none.jpg", LIMITS)

    def test_dicom_identifiers(self, dicom: MakeDicom) -> None:
        header = read_header(dicom([[1, 2]], StudyInstanceUID="1.2.3", SOPInstanceUID="1.2.3.4"), LIMITS)
        assert (header.media_type, header.width, header.height) == ("application/dicom", 2, 1)
        assert (header.study_instance_uid, header.sop_instance_uid) == ("1.2.3", "1.2.3.4")

    def test_what_is_no_uid_is_not_kept(self, dicom: MakeDicom) -> None:
        data = dicom([[1, 2]], StudyInstanceUID="1.2.30304050607")
        header = read_header(data.replace(b"1.2.30304050607", b"DOE^JANE  19800"), LIMITS)
        assert header.study_instance_uid is None

    def test_header_refuses_what_decoding_would(self, dicom: MakeDicom) -> None:
        for options in (
            {"Modality": "CT"},
            {"NumberOfFrames": 2},
            {"PhotometricInterpretation": "PALETTE COLOR"},
        ):
            data = dicom([[1, 2]], **options)
            with pytest.raises(ImageRejected) as caught:
                read_header(data, LIMITS)
            assert caught.value.code == rejected(data).code

    def test_rejections_survive_pickling(self) -> None:
        copy = pickle.loads(pickle.dumps(ImageRejected("damaged", "It is.")))
        assert (copy.code, copy.detail, str(copy)) == ("damaged", "It is.", "damaged: It is.")


def test_png_round_trip(radiograph: np.ndarray[Any, Any]) -> None:
    for level in (1, 6):
        assert np.array_equal(decode(pixels.encode_png(radiograph, compress_level=level), LIMITS).pixels, radiograph)


def test_network_input_is_stretched() -> None:
    left_half = np.zeros((100, 50), np.uint8)
    left_half[:, :25] = 200
    seen = pixels.network_input(left_half, 10)
    assert seen.shape == (10, 10)
    assert seen.dtype == np.uint8
    assert (seen[5, 0], seen[5, 9]) == (200, 0)


def test_titles_are_plain() -> None:
    assert all(title and title[0].isupper() and len(title) <= 40 for title in REJECTION_CODES.values())


def test_the_documentation_lists_every_code_and_every_syntax() -> None:
    page = (Path(__file__).parents[2] / "docs" / "files.md").read_text(encoding="utf-8")
    codes = re.findall(r"^\| `([a-z_]+)` \|", page[page.index("## Codes") :], re.MULTILINE)
    assert sorted(codes) == sorted(REJECTION_CODES)
    read = NATIVE_SYNTAXES | CODECS.keys() | {RLELossless}
    assert set(re.findall(r"\| (1\.2\.840[0-9.]+) \|", page)) == {str(each) for each in read}
