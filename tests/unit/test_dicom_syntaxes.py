"""The same picture in every encoding that can be written here: rendered the same, or nearly, or refused by name."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from typing import Any

import imagecodecs
import numpy as np
import pytest
from decoding import LIMITS, MakeDicom, rejected, saved
from PIL import Image
from pydicom import dcmread, uid
from pydicom.encaps import encapsulate, encapsulate_extended, get_frame

from triage.pixels import ImageRejected, decode
from triage.samples import draw_radiograph

pytest_plugins = ["radiographs"]

Array = np.ndarray[Any, Any]
TWELVE = {"BitsStored": 12, "HighBit": 11}
SIGNED = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": 1, "RescaleIntercept": 1000, "RescaleSlope": 1}
WINDOW = {"WindowCenter": 2048, "WindowWidth": 4096}


@pytest.fixture(scope="module")
def eight_bits() -> Array:
    return draw_radiograph(np.random.default_rng(7), 250, 200)


@pytest.fixture(scope="module")
def twelve_bits(eight_bits: Array) -> Array:
    noise = np.random.default_rng(8).integers(0, 16, eight_bits.shape)
    return (eight_bits.astype(np.uint16) * 16 + noise).astype(np.uint16)


def grey(data: bytes) -> Array:
    return decode(data, LIMITS).pixels


# -- lossless: the same pixels ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "syntax",
    [
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRLittleEndian,
        uid.ExplicitVRBigEndian,
        uid.DeflatedExplicitVRLittleEndian,
        uid.RLELossless,
    ],
)
def test_twelve_bits_without_a_codestream(dicom: MakeDicom, twelve_bits: Array, syntax: str) -> None:
    plain = dicom(twelve_bits, "u2", **TWELVE, **WINDOW)
    assert np.array_equal(grey(dicom(twelve_bits, "u2", transfer_syntax=syntax, **TWELVE, **WINDOW)), grey(plain))


def jpeg_lossless(pixels: Array, bits: int) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=1, bitspersample=bits))


def jpeg_ls(pixels: Array, bits: int) -> bytes:
    return bytes(imagecodecs.jpegls_encode(pixels))


def jpeg_2000(pixels: Array, bits: int) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(pixels, reversible=True, codecformat="j2k", bitspersample=bits))


def htj2k(pixels: Array, bits: int) -> bytes:
    return bytes(imagecodecs.htj2k_encode(pixels, reversible=True))


LOSSLESS = [
    (uid.JPEGLossless, jpeg_lossless),
    (uid.JPEGLosslessSV1, jpeg_lossless),
    (uid.JPEGLSLossless, jpeg_ls),
    (uid.JPEG2000Lossless, jpeg_2000),
    (uid.JPEG2000, jpeg_2000),
    (uid.HTJ2KLossless, htj2k),
    (uid.HTJ2KLosslessRPCL, htj2k),
    (uid.HTJ2K, htj2k),
]


@pytest.mark.parametrize(("syntax", "encode"), LOSSLESS)
def test_lossless_codestreams(
    dicom: MakeDicom, eight_bits: Array, twelve_bits: Array, syntax: str, encode: Any
) -> None:
    packed = dicom(twelve_bits, "u2", transfer_syntax=syntax, codestream=encode(twelve_bits, 12), **TWELVE, **WINDOW)
    assert np.array_equal(grey(packed), grey(dicom(twelve_bits, "u2", **TWELVE, **WINDOW)))
    packed = dicom(eight_bits, transfer_syntax=syntax, codestream=encode(eight_bits, 8))
    assert np.array_equal(grey(packed), eight_bits)


@pytest.mark.parametrize(("syntax", "encode"), LOSSLESS)
def test_lossless_colour(dicom: MakeDicom, eight_bits: Array, syntax: str, encode: Any) -> None:
    tinted = np.stack([eight_bits, eight_bits // 2, 255 - eight_bits], axis=-1)
    photometric = "YBR_RCT" if encode is jpeg_2000 else "RGB"
    if encode is htj2k:
        pytest.skip("this encoder writes grey only")
    packed = dicom(tinted, transfer_syntax=syntax, codestream=encode(tinted, 8), PhotometricInterpretation=photometric)
    assert np.array_equal(grey(packed), np.asarray(Image.fromarray(tinted).convert("L")))


@pytest.mark.parametrize("encode", [jpeg_2000, htj2k])
def test_signed_samples(dicom: MakeDicom, twelve_bits: Array, encode: Any) -> None:
    signed = (twelve_bits.astype(np.int16) - 2048).astype(np.int16)
    syntax = uid.JPEG2000Lossless if encode is jpeg_2000 else uid.HTJ2KLossless
    packed = dicom(signed, "i2", transfer_syntax=syntax, codestream=encode(signed, 12), **SIGNED, **WINDOW)
    assert np.array_equal(grey(packed), grey(dicom(signed, "i2", **SIGNED, **WINDOW)))
    contradiction = dicom(
        signed, "i2", transfer_syntax=syntax, codestream=encode(signed, 12), **{**SIGNED, "PixelRepresentation": 0}
    )
    assert "signed" in rejected(contradiction).detail


@pytest.mark.parametrize(("syntax", "encode"), [(uid.JPEGLosslessSV1, jpeg_lossless), (uid.JPEGLSLossless, jpeg_ls)])
def test_signed_samples_that_were_compressed_as_whole_words(
    dicom: MakeDicom, twelve_bits: Array, syntax: str, encode: Any
) -> None:
    """As DCMTK does it: 12 bits in 16, the sign in all bits above."""
    signed = (twelve_bits.astype(np.int16) - 2048).astype(np.int16)
    packed = dicom(
        signed, "i2", transfer_syntax=syntax, codestream=encode(signed.view(np.uint16), 16), **SIGNED, **WINDOW
    )
    assert np.array_equal(grey(packed), grey(dicom(signed, "i2", **SIGNED, **WINDOW)))


# -- lossy: within a bound -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("syntax", "encode", "bound"),
    [
        (uid.JPEGExtended12Bit, lambda p: imagecodecs.jpeg8_encode(p, level=95, bitspersample=12), 2),
        (uid.JPEGLSNearLossless, lambda p: imagecodecs.jpegls_encode(p, level=8), 1),
        (uid.JPEG2000, lambda p: imagecodecs.jpeg2k_encode(p, level=60, codecformat="j2k", bitspersample=12), 2),
        (uid.HTJ2K, lambda p: imagecodecs.htj2k_encode(p, level=0.0001), 2),
    ],
)
def test_lossy_codestreams(dicom: MakeDicom, twelve_bits: Array, syntax: str, encode: Any, bound: int) -> None:
    codestream = bytes(encode(twelve_bits))
    packed = dicom(twelve_bits, "u2", transfer_syntax=syntax, codestream=codestream, **TWELVE, **WINDOW)
    seen, meant = grey(packed), grey(dicom(twelve_bits, "u2", **TWELVE, **WINDOW))
    assert len(codestream) < twelve_bits.nbytes / 2
    assert np.abs(seen.astype(int) - meant).max() <= bound


@pytest.mark.parametrize("syntax", [uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit])
def test_eight_bit_jpeg(dicom: MakeDicom, eight_bits: Array, syntax: str) -> None:
    jpeg = saved(Image.fromarray(eight_bits), "JPEG", quality=95)
    seen = grey(dicom(eight_bits, transfer_syntax=syntax, codestream=jpeg))
    assert np.abs(seen.astype(int) - eight_bits).max() <= 6


# -- what does not fit together --------------------------------------------------------------------------------


def test_another_codec_inside(dicom: MakeDicom, eight_bits: Array) -> None:
    refusal = rejected(dicom(eight_bits, transfer_syntax=uid.JPEGLSLossless, codestream=jpeg_lossless(eight_bits, 8)))
    assert refusal.code == "dicom_unsupported_encoding"
    assert "transfer syntax" in refusal.detail


@pytest.mark.parametrize(("syntax", "encode"), LOSSLESS)
def test_another_size_inside(dicom: MakeDicom, eight_bits: Array, syntax: str, encode: Any) -> None:
    small = encode(eight_bits[:100], 8)
    assert rejected(dicom(eight_bits, transfer_syntax=syntax, codestream=small)).code == "dicom_unsupported_encoding"


@pytest.mark.parametrize(("syntax", "encode"), LOSSLESS)
def test_half_a_codestream(dicom: MakeDicom, eight_bits: Array, syntax: str, encode: Any) -> None:
    whole = encode(eight_bits, 8)
    for half in (whole[: len(whole) // 2], whole[: len(whole) // 2] + b"\xff\xd9"):
        refusal = rejected(dicom(eight_bits, transfer_syntax=syntax, codestream=half))
        assert refusal.code in ("damaged", "truncated")


def test_half_a_codestream_of_12_bits(dicom: MakeDicom, twelve_bits: Array) -> None:
    whole = bytes(imagecodecs.jpeg8_encode(twelve_bits, level=95, bitspersample=12))
    for half in (whole[: len(whole) // 2], whole[: len(whole) // 2] + b"\xff\xd9"):
        packed = dicom(twelve_bits, "u2", transfer_syntax=uid.JPEGExtended12Bit, codestream=half, **TWELVE)
        assert rejected(packed).code == "truncated"


def test_an_overshoot_of_a_lossy_codec_is_no_other_value(dicom: MakeDicom) -> None:
    # 10 bits in a 12-bit JPEG: beside an edge to white, a lossy codec writes some values above 1023.
    edge = np.full((16, 16), 900, np.uint16)
    edge[:, 8:] = 1023
    edge[4, 4] = 1030
    codestream = bytes(imagecodecs.jpegls_encode(edge))
    ten = {"BitsStored": 10, "HighBit": 9, "WindowCenter": 512, "WindowWidth": 1024}
    seen = grey(dicom(edge, "u2", transfer_syntax=uid.JPEGLSNearLossless, codestream=codestream, **ten))
    assert (seen[4, 4], seen[0, 0], seen[0, 15]) == (255, 224, 255)


def test_fewer_bits_inside_a_lossy_codestream_than_announced(dicom: MakeDicom, eight_bits: Array) -> None:
    jpeg = saved(Image.fromarray(eight_bits), "JPEG")
    packed = dicom(eight_bits.astype(np.uint16), "u2", transfer_syntax=uid.JPEGBaseline8Bit, codestream=jpeg, **TWELVE)
    assert "8 bits per sample where 12" in rejected(packed).detail


@pytest.mark.parametrize("fragments", [1, 3])
@pytest.mark.parametrize("table", [True, False])
def test_a_codestream_in_fragments(dicom: MakeDicom, eight_bits: Array, fragments: int, table: bool) -> None:
    data = encapsulate([jpeg_ls(eight_bits, 8)], fragments, table)
    packed = dicom(eight_bits, transfer_syntax=uid.JPEGLSLossless, codestream=b"replaced", PixelData=data)
    assert np.array_equal(grey(packed), eight_bits)


def test_an_extended_offset_table(dicom: MakeDicom, eight_bits: Array) -> None:
    data, offsets, lengths = encapsulate_extended([jpeg_2000(eight_bits, 8)])
    tables = {"ExtendedOffsetTable": offsets, "ExtendedOffsetTableLengths": lengths}
    packed = dicom(eight_bits, transfer_syntax=uid.JPEG2000Lossless, codestream=b"replaced", PixelData=data, **tables)
    assert np.array_equal(grey(packed), eight_bits)


@pytest.mark.parametrize("table", [True, False])
@pytest.mark.parametrize(("syntax", "encode"), [*LOSSLESS[1:4], LOSSLESS[-1]])
def test_frames_that_the_attributes_do_not_tell_of(
    dicom: MakeDicom, eight_bits: Array, syntax: str, encode: Any, table: bool
) -> None:
    data = encapsulate([encode(eight_bits, 8)] * 2, 1, table)
    refusal = rejected(dicom(eight_bits, transfer_syntax=syntax, codestream=b"replaced", PixelData=data))
    assert (refusal.code, "2 frames" in refusal.detail) == ("dicom_multi_frame", True)


def test_rle_frames_that_the_attributes_do_not_tell_of(dicom: MakeDicom) -> None:
    whole = dcmread(io.BytesIO(dicom([[1, 2], [3, 4]], transfer_syntax=uid.RLELossless)))
    frame = get_frame(whole.PixelData, 0, number_of_frames=1)
    two = dicom([[1, 2], [3, 4]], transfer_syntax=uid.RLELossless, PixelData=encapsulate([frame, frame]))
    assert rejected(two).code == "dicom_multi_frame"


def test_rle_in_runs_of_nothing_is_too_slow(dicom: MakeDicom) -> None:
    """A hundred megabytes of them took half a minute."""
    frame = struct.pack("<16I", 1, 64, *[0] * 14) + b"\x80" * 500_000
    slow = dicom([[1, 2]], transfer_syntax=uid.RLELossless, PixelData=encapsulate([frame]))
    with pytest.raises(ImageRejected, match="decoder_too_slow"):
        decode(slow, replace(LIMITS, decode_seconds=0.0))


def test_more_bits_than_announced(dicom: MakeDicom, twelve_bits: Array) -> None:
    packed = dicom(
        twelve_bits, "u2", transfer_syntax=uid.JPEGLSLossless, codestream=jpeg_ls(twelve_bits, 12),
        BitsStored=10, HighBit=9,
    )  # fmt: skip
    assert "more than the 10 bits" in rejected(packed).detail
