"""The process that renders with other windows: it may crash, hang or meet anything, and the next picture is drawn."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from decoding import LIMITS, saved
from PIL import Image
from waiting import wait_until

from triage.rejections import ImageRejected
from triage.samples import write_dicom
from triage.window_renderer import WindowRenderer

STORED = np.array([[80, 91, 100, 108, 200]], np.uint16)
EXPECTED = [[0, 0, 1, 22, 255]]  # ((x - 149.5) / 100 + 0.5) * 255


@pytest.fixture
def renderer() -> Iterator[WindowRenderer]:
    process = WindowRenderer()
    yield process
    process.stop()


@pytest.fixture
def original(tmp_path: Path) -> Path:
    return write_dicom(tmp_path / "a.dcm", STORED, WindowCenter=100, WindowWidth=20)


def seen(renderer: WindowRenderer, path: Path, **limits: Any) -> Any:
    png = renderer.render(path, 150, 101, replace(LIMITS, **limits))
    with Image.open(io.BytesIO(png)) as picture:
        assert (picture.format, picture.mode) == ("PNG", "L")
        return np.asarray(picture).tolist()


def pid(renderer: WindowRenderer) -> int:
    assert renderer._process is not None
    return renderer._process.pid


def test_one_process_renders_one_window_after_the_other(renderer: WindowRenderer, original: Path) -> None:
    found = renderer.windows(original, LIMITS)
    assert found is not None
    assert found["shown"] == {"centre": 100.0, "width": 20.0, "name": ""}
    assert found["full"] == {"centre": 140.5, "width": 121.0, "name": ""}
    first = pid(renderer)
    assert seen(renderer, original) == EXPECTED
    assert seen(renderer, original) == EXPECTED
    assert pid(renderer) == first


def test_a_picture_is_decoded_once(renderer: WindowRenderer, original: Path) -> None:
    assert seen(renderer, original) == EXPECTED
    original.unlink()
    assert seen(renderer, original) == EXPECTED


def test_compressed_pixels_are_decoded_by_the_process_that_is_made_for_it(
    renderer: WindowRenderer, tmp_path: Path
) -> None:
    import imagecodecs

    stream = bytes(imagecodecs.jpegls_encode(STORED))
    path = write_dicom(
        tmp_path / "ls.dcm", STORED, codestream=stream, transfer_syntax="1.2.840.10008.1.2.4.80", WindowCenter=1,
        WindowWidth=2,
    )  # fmt: skip
    assert seen(renderer, path) == EXPECTED


def test_a_process_that_was_killed_is_started_again(renderer: WindowRenderer, original: Path) -> None:
    seen(renderer, original)
    first = pid(renderer)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: renderer._process is None or renderer._process.poll() is not None, "it to be gone", 10)
    assert seen(renderer, original) == EXPECTED
    assert pid(renderer) != first


def test_a_crash_in_the_middle_is_told_and_the_next_one_works(
    renderer: WindowRenderer, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen(renderer, original)
    start = renderer.started

    def crash(megabytes: int) -> Any:
        process = start(megabytes)
        os.kill(process.pid, signal.SIGSEGV)
        process.wait()
        return process

    with monkeypatch.context() as patched:
        patched.setattr(renderer, "started", crash)
        with pytest.raises(ImageRejected, match="decoder_crashed"):
            seen(renderer, original)
    assert seen(renderer, original) == EXPECTED


def test_one_that_hangs_is_ended(renderer: WindowRenderer, original: Path) -> None:
    seen(renderer, original)
    os.kill(pid(renderer), signal.SIGSTOP)
    with pytest.raises(ImageRejected, match="decoder_too_slow"):
        seen(renderer, original, decode_seconds=0.2)
    assert seen(renderer, original) == EXPECTED


def test_what_is_refused_is_refused_by_name_and_the_process_lives_on(
    renderer: WindowRenderer, original: Path, tmp_path: Path
) -> None:
    seen(renderer, original)
    first = pid(renderer)
    data = original.read_bytes()
    (tmp_path / "cut.dcm").write_bytes(data[:-4])
    (tmp_path / "noise.dcm").write_bytes(data[:132] + os.urandom(5000))
    (tmp_path / "empty.dcm").write_bytes(b"")
    codes = []
    for name in ("cut.dcm", "noise.dcm", "empty.dcm"):
        with pytest.raises(ImageRejected) as refused:
            renderer.windows(tmp_path / name, LIMITS)
        codes.append(refused.value.code)
    assert codes[0] == "truncated"
    assert codes[2] == "empty_file"
    with pytest.raises(FileNotFoundError):
        renderer.windows(tmp_path / "gone.dcm", LIMITS)
    with pytest.raises(ImageRejected, match="too_many_pixels"):
        renderer.windows(write_dicom(tmp_path / "b.dcm", STORED), replace(LIMITS, max_pixels=4))
    assert seen(renderer, original) == EXPECTED
    assert pid(renderer) == first


def test_no_window_for_what_is_no_dicom(renderer: WindowRenderer, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(saved(Image.new("L", (4, 4)), "PNG"))
    assert renderer.windows(tmp_path / "a.png", LIMITS) is None


def test_a_picture_takes_no_more_memory_than_it_may(renderer: WindowRenderer, tmp_path: Path) -> None:
    large = write_dicom(tmp_path / "large.dcm", np.zeros((4000, 4000), np.uint16))
    with pytest.raises(ImageRejected, match="memory"):
        renderer.windows(large, replace(LIMITS, decode_megabytes=40))
    assert renderer.windows(large, LIMITS) is not None
