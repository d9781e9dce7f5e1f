"""The process that renders with other windows: ``python -m triage.window_process MEGABYTES``.

See `triage.window_renderer`, whose byte layouts it speaks. It ends when its input does.
"""

from __future__ import annotations

import json
import sys
from collections import OrderedDict
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import imagecodecs

from triage.dicom import StoredValues, read_stored_values
from triage.dicom_window import Window
from triage.headers import DICOM, HEAD_BYTES, sniff
from triage.piped_process import confine
from triage.rejections import ImageRejected, Limits, as_rejection, failed_on_it
from triage.window_renderer import ANSWER, MISSING, PICTURE, REFUSED, REQUEST, WINDOWS

KEPT_PICTURES = 8
KEPT_BYTES = 200_000_000
"""Of decoded values: of so many pictures at most, for the few people who read at the same time."""

# Compressed by runs of its entropy alone, on differences from the row above: three times as fast as zlib's usual ways,
# and on radiographs no larger.
_HUFFMAN_ONLY, _DIFFERENCES_FROM_ABOVE = 2, 16


class Renderer:
    """Renders, and keeps the values of the pictures that were asked for last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, StoredValues | None] = OrderedDict()

    def answer(self, request: dict[str, Any]) -> tuple[bytes, bytes]:
        """What to say to a request: its kind, and its bytes."""
        try:
            with as_rejection():
                return self._answer(request)
        except ImageRejected as rejected:
            return REFUSED, json.dumps([rejected.code, rejected.detail]).encode()
        except OSError:
            return MISSING, b""
        except Exception:  # noqa: BLE001 - whatever it is, the next picture has nothing to do with it
            failed = failed_on_it()
            return REFUSED, json.dumps([failed.code, failed.detail]).encode()

    def _answer(self, request: dict[str, Any]) -> tuple[bytes, bytes]:
        told = request["limits"]
        limits = Limits(
            **{**told, "modalities": frozenset(told["modalities"]), "sop_classes": frozenset(told["sop_classes"])}
        )
        values = self._read(request["path"], limits)
        if values is None or request["window"] is None:
            return WINDOWS, json.dumps(None if values is None else asdict(values.monochrome.windows())).encode()
        centre, width = request["window"]
        pixels = values.render(Window(float(centre), float(width)))
        png = imagecodecs.png_encode(pixels, level=1, strategy=_HUFFMAN_ONLY, filter=_DIFFERENCES_FROM_ABOVE)
        return PICTURE, bytes(png)

    def _read(self, path: str, limits: Limits) -> StoredValues | None:
        if path in self._kept:
            self._kept.move_to_end(path)
            return self._kept[path]
        data = Path(path).read_bytes()
        limits.check_bytes(len(data))
        values = read_stored_values(data, limits) if sniff(data[:HEAD_BYTES]) == DICOM else None
        self._kept[path] = values
        while len(self._kept) > KEPT_PICTURES or (len(self._kept) > 1 and self._held_bytes() > KEPT_BYTES):
            self._kept.popitem(last=False)
        return values

    def _held_bytes(self) -> int:
        return sum(kept.monochrome.index.nbytes for kept in self._kept.values() if kept is not None)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer one request after the other, until there are no more."""
    renderer = Renderer()
    while len(head := requests.read(REQUEST.size)) == REQUEST.size:
        (length,) = REQUEST.unpack(head)
        kind, said = renderer.answer(json.loads(requests.read(length)))
        answers.write(ANSWER.pack(kind, len(said)))
        answers.write(said)
        answers.flush()


def main() -> None:
    """Limits this process, then serves."""
    with confine(int(sys.argv[1])) as answers:
        serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
