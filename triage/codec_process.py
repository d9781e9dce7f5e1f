"""The process that native decoders run in: ``python -m triage.codec_process MEGABYTES`` (see `triage.codecs`).

They are C libraries that read what strangers wrote. Here they can crash, hang or ask for all the memory, and only
this process ends. It reads requests on standard input and answers on what was standard output, in the byte layouts
of `triage.codecs`; it ends when its input does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, BinaryIO

import imagecodecs
import numpy as np

from triage.codecs import ANSWER, CUT_SHORT, DAMAGED, HTJ2K, JPEG, JPEG_2000, JPEG_LS, PICTURE, REQUEST, TOO_MUCH_MEMORY
from triage.piped_process import confine

DECODERS: dict[bytes, Callable[[bytes], Any]] = {
    JPEG: imagecodecs.jpeg8_decode,  # libjpeg-turbo: baseline, extended with 12 bits, lossless
    JPEG_LS: imagecodecs.jpegls_decode,  # CharLS
    JPEG_2000: imagecodecs.jpeg2k_decode,  # OpenJPEG
    HTJ2K: imagecodecs.htj2k_decode,  # OpenJPH
}


_FILLER = b"\x35\xca\x6d" * 32


def _is_cut_short(codestream: bytes, picture: Any) -> bool:
    """Whether a JPEG lacks data before its end marker, which its decoder fills with zeros without a word.

    A complete one does not look at what comes after its last sample.
    """
    return not np.array_equal(DECODERS[JPEG](codestream[:-2] + _FILLER + codestream[-2:]), picture)


def _decode(codec: bytes, codestream: bytes) -> tuple[bytes, Any]:
    try:
        picture = np.ascontiguousarray(DECODERS[codec](codestream))
        if codec == JPEG and _is_cut_short(codestream, picture):
            return CUT_SHORT, None
    except MemoryError:
        return TOO_MUCH_MEMORY, None
    except Exception:  # noqa: BLE001
        # Each library has errors of its own, and what they say may quote the file.
        return DAMAGED, None
    if picture.ndim not in (2, 3) or picture.dtype.kind not in "ui" or picture.dtype.itemsize > 2:
        return DAMAGED, None
    return PICTURE, picture


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Decode one codestream after the other, until there are no more."""
    while len(head := requests.read(REQUEST.size)) == REQUEST.size:
        codec, length = REQUEST.unpack(head)
        kind, picture = _decode(codec, requests.read(length))
        if picture is None:
            answers.write(ANSWER.pack(kind, b"  ", 0, 0, 0))
        else:
            height, width, *rest = picture.shape
            code = picture.dtype.newbyteorder("=").str[1:].encode()
            answers.write(ANSWER.pack(kind, code, height, width, rest[0] if rest else 1))
            answers.write(picture.data)
        answers.flush()


def main() -> None:
    """Limits this process, then serves."""
    with confine(int(sys.argv[1])) as answers:
        serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
