"""Files that were named, or made, to do harm: nothing outside the inbox is touched, and no log line is forged."""

from __future__ import annotations

import csv
import io
import logging
import os
import socket
from pathlib import Path

import pytest
from clinic import Clinic
from xray_files import jpeg

from triage import queries
from triage.database import reading_sessions
from triage.export import write_csv
from triage.store import Store

NAMES = [
    "<img src=x onerror=alert(1)>.jpg",
    "<script>alert(1)<\u2044script>.jpg",
    "=HYPERLINK(\"http:x\",\"y\").jpg",
    "+1+cmd|' \u2044C calc'!A0.jpg",
    "-2+3.jpg",
    "@SUM(1).jpg",
    "'; DROP TABLE images; --.jpg",
    "$(touch outside).jpg",
    "`touch outside`.jpg",
    "%s%n%x.jpg",
    "{0.__class__}.jpg",
    "--rm -rf .jpg",
    "-rf",
    "~",
    "C:\\Windows\\system.jpg",
    "..\\..\\outside.jpg",
    "...",
    "x\r\n2026-01-01 00:00:00 ERROR forged line.jpg",
    "x\x1b[31mred\x1b[0m.jpg",
    "x\x07bell\x08.jpg",
    "gpj\u202eexe.jpg",
    "zero\u200bwidth\ufeff.jpg",
    "e\u0301 and \u00e9.jpg",
    "\U0001f9b4.jpg",
    "n" * 251 + ".jpg",
    os.fsdecode(b"\xff\xfe\x80.jpg"),
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_only_a_name(clinic: Clinic, name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    home = clinic.settings.home_dir
    # Not deeper: what lies in the folders beside it belongs to other tests, and to processes of theirs that end.
    around = (home.parent, home, Path.cwd())
    before = {path for folder in around for path in folder.iterdir()}
    record = clinic.drop(name, jpeg(1))
    assert record["status"] == "queued"
    assert clinic.inbox() == []
    made = {path.name for folder in around for path in folder.iterdir() if path not in before}
    assert made <= {"originals", "filing"}
    assert Store(home).original(record["sha256"]).read_bytes() == jpeg(1)
    assert clinic.left_in_filing() == []
    assert name not in caplog.text
    assert "forged line" not in caplog.text
    rows = list(csv.DictReader(io.StringIO(as_csv(clinic), newline="")))
    assert len(rows) == 1
    assert not rows[0]["source_name"].startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


def as_csv(clinic: Clinic) -> str:
    target = io.StringIO(newline="")
    with reading_sessions(clinic.engine)() as session:
        write_csv(queries.all_ranked(session), target)
    return target.getvalue()


def test_a_hard_link_is_taken_and_what_it_shares_is_left_alone(clinic: Clinic, tmp_path: Path) -> None:
    """It cannot be told from a file: its bytes are copied or renamed, and the other name keeps them unaltered."""
    outside = tmp_path / "somewhere else.jpg"
    outside.write_bytes(jpeg(1))
    os.link(outside, clinic.settings.inbox_dir / "linked.jpg")
    (admission,) = clinic.admit(clinic.arrival("linked.jpg"))
    assert admission is not None
    assert clinic.record(admission.image_id)["status"] == "queued"
    assert outside.read_bytes() == jpeg(1)


def test_a_socket_is_reported_and_left(clinic: Clinic) -> None:
    here = Path.cwd()
    with socket.socket(socket.AF_UNIX) as listening:
        os.chdir(clinic.settings.inbox_dir)  # the path of a socket may only be a hundred bytes long
        try:
            listening.bind("socket.jpg")
        finally:
            os.chdir(here)
        (admission,) = clinic.admit(clinic.arrival("socket.jpg"))
    assert admission is not None
    assert clinic.record(admission.image_id)["error_code"] == "not_a_file"
    assert clinic.inbox() == ["socket.jpg"]


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside.jpg", "nowhere", "."])
def test_a_link_is_never_followed(clinic: Clinic, target: str) -> None:
    (clinic.settings.home_dir / "outside.jpg").write_bytes(jpeg(1))
    (clinic.settings.inbox_dir / "link.jpg").symlink_to(target)
    (admission,) = clinic.admit(clinic.arrival("link.jpg"))
    assert admission is not None
    record = clinic.record(admission.image_id)
    assert (record["error_code"], record["sha256"]) == ("link", None)
    assert clinic.originals() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a device")
def test_a_device_is_reported_and_not_read(clinic: Clinic) -> None:
    path = clinic.settings.inbox_dir / "zero.jpg"
    try:
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("devices cannot be made here")
    (admission,) = clinic.admit(clinic.arrival("zero.jpg"))
    assert admission is not None
    assert clinic.record(admission.image_id)["error_code"] == "not_a_file"
