"""The decoders' own process: it may crash, hang or want too much, and the next picture is decoded all the same."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from decoding import LIMITS

from triage.codecs import JPEG, JPEG_2000, JPEG_LS, CodecProcess
from triage.rejections import ImageRejected

GREY = np.random.default_rng(0).integers(0, 256, (40, 30), np.uint8)
CODESTREAM = bytes(imagecodecs.jpegls_encode(GREY))


@pytest.fixture
def helper() -> Iterator[CodecProcess]:
    process = CodecProcess()
    yield process
    process.stop()


def decode(helper: CodecProcess, **limits: Any) -> Any:
    return helper.decode(JPEG_LS, CODESTREAM, 10_000, replace(LIMITS, **limits))


def pid(helper: CodecProcess) -> int:
    assert helper._process is not None
    return helper._process.pid


def test_one_process_decodes_one_picture_after_the_other(helper: CodecProcess) -> None:
    assert np.array_equal(decode(helper), GREY)
    first = pid(helper)
    with pytest.raises(ImageRejected, match="damaged"):
        helper.decode(JPEG_2000, b"no such thing", 10_000, LIMITS)
    assert np.array_equal(decode(helper), GREY)
    assert pid(helper) == first


def test_a_crash_is_the_files_fault_and_nobody_elses(helper: CodecProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    decode(helper)
    ask = helper._ask

    def crash(process: Any, *rest: Any) -> Any:
        os.kill(process.pid, signal.SIGSEGV)
        process.wait()
        return ask(process, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(helper, "_ask", crash)
        with pytest.raises(ImageRejected) as refused:
            decode(helper)
    assert refused.value.code == "decoder_crashed"
    assert np.array_equal(decode(helper), GREY)


def test_a_decoder_that_hangs_is_ended(helper: CodecProcess) -> None:
    decode(helper)
    os.kill(pid(helper), signal.SIGSTOP)
    with pytest.raises(ImageRejected) as refused:
        decode(helper, decode_seconds=0.2)
    assert refused.value.code == "decoder_too_slow"
    assert np.array_equal(decode(helper), GREY)


def test_a_decoder_that_wants_too_much_memory_is_refused_it(helper: CodecProcess) -> None:
    wide = np.zeros((3000, 3000), np.uint16)
    codestream = bytes(imagecodecs.jpeg2k_encode(wide, reversible=True, codecformat="j2k"))
    with pytest.raises(ImageRejected) as refused:
        helper.decode(JPEG_2000, codestream, wide.nbytes, replace(LIMITS, decode_megabytes=16))
    assert refused.value.code == "decoder_out_of_memory"
    assert np.array_equal(helper.decode(JPEG_2000, codestream, wide.nbytes, LIMITS), wide)


def test_a_decoder_that_does_not_take_what_it_is_given_is_ended(helper: CodecProcess) -> None:
    decode(helper)
    os.kill(pid(helper), signal.SIGSTOP)
    with pytest.raises(ImageRejected) as refused:  # more than a pipe holds
        helper.decode(JPEG_LS, CODESTREAM + bytes(5_000_000), 10_000, replace(LIMITS, decode_seconds=0.2))
    assert refused.value.code == "decoder_too_slow"
    assert np.array_equal(decode(helper), GREY)


def test_a_large_codestream_goes_through_the_pipe(helper: CodecProcess) -> None:
    noise = np.random.default_rng(0).integers(0, 4096, (2000, 1000), np.uint16)
    codestream = bytes(imagecodecs.jpegls_encode(noise))
    assert len(codestream) > 1_000_000
    assert np.array_equal(helper.decode(JPEG_LS, codestream, noise.nbytes, LIMITS), noise)


def test_files_of_the_current_folder_are_no_modules(
    helper: CodecProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`triage render` in a folder that strangers write to."""
    for name in ("numpy.py", "imagecodecs.py", "triage.py"):
        (tmp_path / name).write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    assert np.array_equal(decode(helper), GREY)


@pytest.mark.parametrize("predictor", [1, 2, 4, 7])
def test_a_lossless_jpeg_that_lacks_data_before_its_end(helper: CodecProcess, predictor: int) -> None:
    """Its decoder goes on with zeros: stripes that look like a picture."""
    whole = bytes(imagecodecs.jpeg8_encode(GREY, lossless=True, predictor=predictor, bitspersample=8))
    assert np.array_equal(helper.decode(JPEG, whole, 10_000, LIMITS), GREY)
    for share in (0.5, 0.7, 0.95):
        with pytest.raises(ImageRejected, match="truncated"):
            helper.decode(JPEG, whole[: int(share * len(whole))] + b"\xff\xd9", 10_000, LIMITS)


def test_an_interruption_leaves_no_half_answer_behind(helper: CodecProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interruption(Exception):
        pass

    def interrupted(process: Any, codec: bytes, codestream: bytes, *_: Any) -> Any:
        raise Interruption

    with monkeypatch.context() as patched:
        patched.setattr(helper, "_ask", interrupted)
        with pytest.raises(Interruption):
            decode(helper)
    assert helper._process is None
    assert np.array_equal(decode(helper), GREY)


def test_a_forked_child_starts_one_of_its_own(helper: CodecProcess) -> None:
    decode(helper)
    mine = pid(helper)
    child = os.fork()
    if child == 0:
        right = np.array_equal(decode(helper), GREY) and pid(helper) != mine
        helper.stop()
        os._exit(0 if right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert np.array_equal(decode(helper), GREY)
    assert pid(helper) == mine
