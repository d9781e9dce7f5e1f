from __future__ import annotations

import json

import pytest

from triage.console import ExitCode, print_json, printable


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("wrist left.jpg", "wrist left.jpg"),
        ("Röntgen-手.dcm", "Röntgen-手.dcm"),
        ("two\nlines.jpg", r"two\nlines.jpg"),
        ("\x1b[2Jgone.jpg", r"\x1b[2Jgone.jpg"),
        ("back\b\b.jpg", r"back\x08\x08.jpg"),
        ("gpj.\u202ecod.exe", r"gpj.\u202ecod.exe"),
    ],
)
def test_a_name_is_shown_on_one_line_and_moves_no_cursor(name: str, shown: str) -> None:
    assert printable(name) == shown


def test_json_keeps_letters_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_json([{"source_name": "Röntgen.jpg"}])
    out, err = capsys.readouterr()
    assert json.loads(out) == [{"source_name": "Röntgen.jpg"}]
    assert "Röntgen" in out
    assert err == ""


def test_exit_codes_are_what_was_promised() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "OK": 0,
        "FOUND_WRONG": 1,
        "USAGE": 2,
        "PART_MISSING": 3,
        "INTERRUPTED": 130,
    }
