"""What a PDF that Chromium has printed says, page by page: just enough of the format for that."""

from __future__ import annotations

import re
import zlib

_OBJECT = re.compile(rb"(?:^|\n)(\d+) 0 obj\n(.*?)\nendobj", re.DOTALL)
_STREAM = re.compile(rb"stream\n(.*)\nendstream", re.DOTALL)
_SHOWN = re.compile(rb"/(F\d+) [\d.]+ Tf|<([0-9A-Fa-f]+)>|\bBT\b")


def pages(pdf: bytes) -> list[str]:
    """The text of each page. Spaces may be missing where the page leaves a gap instead of drawing one."""
    objects = {int(number): body for number, body in _OBJECT.findall(pdf)}
    return [_text(body, objects) for body in objects.values() if re.search(rb"/Type /Page\b", body)]


def _text(page: bytes, objects: dict[int, bytes]) -> str:
    fonts = {name: _unicode(objects[int(number)], objects) for name, number in re.findall(rb"/(F\d+) (\d+) 0 R", page)}
    (content,) = re.findall(rb"/Contents (\d+) 0 R", page)
    font: dict[int, str] = {}
    said = []
    for name, glyphs in _SHOWN.findall(_unpacked(objects[int(content)])):
        if name:
            font = fonts[name]
        elif glyphs:
            codes = (int(glyphs[at : at + 4], 16) for at in range(0, len(glyphs), 4))
            said.append("".join(font.get(code, "") for code in codes))
        else:
            said.append("\n")
    return "".join(said)


def _unicode(font: bytes, objects: dict[int, bytes]) -> dict[int, str]:
    """Which characters the glyphs of a font stand for."""
    named = re.search(rb"/ToUnicode (\d+) 0 R", font)
    table = _unpacked(objects[int(named[1])]) if named else b""
    found = {}
    for block in re.findall(rb"beginbfchar\n(.*?)endbfchar", table, re.DOTALL):
        for glyph, characters in re.findall(rb"<([0-9A-Fa-f]+)> <([0-9A-Fa-f]+)>", block):
            found[int(glyph, 16)] = bytes.fromhex(characters.decode()).decode("utf-16-be")
    for block in re.findall(rb"beginbfrange\n(.*?)endbfrange", table, re.DOTALL):
        for first, last, character in re.findall(rb"<([0-9A-Fa-f]+)> <([0-9A-Fa-f]+)> <([0-9A-Fa-f]+)>", block):
            for glyph in range(int(first, 16), int(last, 16) + 1):
                found[glyph] = chr(int(character, 16) + glyph - int(first, 16))
    return found


def _unpacked(body: bytes) -> bytes:
    stream = _STREAM.search(body)
    assert stream is not None
    return zlib.decompress(stream[1]) if b"/FlateDecode" in body else stream[1]
