"""Files as an inbox receives them: whole, synthetic radiographs, and everything else that people drop."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from triage.samples import draw_radiograph, write_dicom

HEIGHT, WIDTH = 300, 240


def jpeg(seed: int) -> bytes:
    """A small radiograph; another seed gives another picture, and so another image."""
    return _encoded(seed, "JPEG", quality=80)


def png(seed: int) -> bytes:
    return _encoded(seed, "PNG")


def many_jpegs(count: int, seed: int = 0) -> list[bytes]:
    """Small radiographs in number: one drawing, each file told apart by a comment that it carries."""
    picture = jpeg(seed)
    comments = (f"{seed}/{number}".encode() for number in range(count))
    return [picture[:2] + b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text + picture[2:] for text in comments]


def dicom(path: Path, seed: int, **attributes: Any) -> Path:
    """A DICOM radiograph; ``attributes`` are DICOM keywords, as for ``write_dicom``."""
    return write_dicom(path, draw_radiograph(np.random.default_rng(seed), HEIGHT, WIDTH), **attributes)


def dicom_bytes(folder: Path, seed: int, **attributes: Any) -> bytes:
    path = dicom(folder / f".made-{seed}.dcm", seed, **attributes)
    data = path.read_bytes()
    path.unlink()
    return data


def png_bomb(side: int = 30_000) -> bytes:
    """A valid black PNG of ``side`` x ``side`` pixels: some hundred kilobytes that decode to many hundred megabytes."""
    row = bytes(1 + -(-side // 8))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(1)
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def _encoded(seed: int, kind: str, **options: Any) -> bytes:
    target = io.BytesIO()
    Pillow.fromarray(draw_radiograph(np.random.default_rng(seed), HEIGHT, WIDTH)).save(target, kind, **options)
    return target.getvalue()
