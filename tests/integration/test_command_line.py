"""Commands that come to an end by themselves: what they print where, and their exit status."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image as Pillow
from triage_command import TRIAGE, TriageCommand
from xray_files import HEIGHT, WIDTH, dicom, jpeg, png

from triage.bundle import open_bundle
from triage.cli import main
from triage.export import COLUMNS
from triage.samples import write_dicom, write_samples
from triage.settings import get_settings


@pytest.fixture
def triage(tmp_path: Path, pinned_model: Path | None) -> TriageCommand:
    """The command on a home where nothing has happened yet."""
    return TriageCommand(tmp_path, pinned_model)


@dataclass
class Filled:
    """A home on which ``triage once --json`` has run, and what it answered."""

    triage: TriageCommand
    given: Path
    result: subprocess.CompletedProcess[str]

    @property
    def records(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.result.stdout)
        return found


GOOD = ("=wrist.jpg", "room 1/ankle.png", "room 1/hand.dcm")
BAD = {
    "größe 0.png": "empty_file",
    "link.jpg": "link",
    "room 1/notes.txt": "unknown_type",
    "two\nlines.jpg": "truncated",
}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, pinned_model: Path | None) -> Filled:
    folder = tmp_path_factory.mktemp("filled")
    given = folder / "given"
    (given / "room 1").mkdir(parents=True)
    (given / "=wrist.jpg").write_bytes(jpeg(1))
    (given / "room 1" / "ankle.png").write_bytes(png(2))
    dicom(given / "room 1" / "hand.dcm", 3)
    (given / "größe 0.png").touch()
    (given / "link.jpg").symlink_to("/etc/passwd")
    (given / "room 1" / "notes.txt").write_text("not a picture")
    (given / "two\nlines.jpg").write_bytes(jpeg(4)[:3000])
    (given / "copying.part").write_bytes(jpeg(5))
    triage = TriageCommand(folder, pinned_model)
    return Filled(triage, given, triage.run("once", given, "--json"))


@dataclass
class Answer:
    returncode: int
    stdout: str
    stderr: str


Ask = Callable[..., Answer]


@pytest.fixture
def ask(triage: TriageCommand, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Ask]:
    """Run a command on a new home in this process, which is much faster; an exception that escapes fails the test."""
    monkeypatch.chdir(triage.folder)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
    before = set(os.environ)

    def answer(*arguments: str | Path, **variables: str) -> Answer:
        for name, value in (triage.own | variables).items():
            monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        monkeypatch.setattr(sys, "argv", ["triage", *map(str, arguments)])
        try:
            main()
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
        out, err = capsys.readouterr()
        return Answer(status, out, err)

    yield answer
    get_settings.cache_clear()
    for name in set(os.environ) - before:
        if name.startswith("TRIAGE_"):  # an option of the command became a variable
            del os.environ[name]


def last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


# -- once -----------------------------------------------------------------------------------------------------


def test_once_prints_one_json_array_and_nothing_else(filled: Filled) -> None:
    assert filled.result.stdout.startswith("[")
    assert {record["source_name"]: record["error_code"] for record in filled.records} == dict.fromkeys(GOOD) | BAD
    assert all(tuple(record) == COLUMNS for record in filled.records)
    assert {record["source"] for record in filled.records} == {"once"}


def test_once_answers_1_when_something_was_quarantined(filled: Filled) -> None:
    assert filled.result.returncode == 1


def test_once_ranks_what_is_done_before_what_was_put_aside(filled: Filled) -> None:
    assert [record["status"] for record in filled.records] == ["done"] * 3 + ["quarantined"] * 4
    ranks = [(not record["needs_review"], -record["confidence"]) for record in filled.records[:3]]
    assert ranks == sorted(ranks)


def test_once_names_its_home_on_stderr(filled: Filled) -> None:
    assert filled.result.stderr.splitlines()[0] == f"home: {filled.triage.home}"


def test_once_leaves_the_given_files_where_they_are(filled: Filled) -> None:
    kept = {str(path.relative_to(filled.given)) for path in filled.given.rglob("*") if not path.is_dir()}
    assert kept == {*GOOD, *BAD, "copying.part"}


def test_once_leaves_no_process_and_no_copy_behind(filled: Filled) -> None:
    assert filled.triage.processes() == []
    assert list((filled.triage.home / "filing").iterdir()) == []


def test_once_on_good_files_answers_0_with_a_table_of_just_these(filled: Filled, model_path: Path) -> None:
    del model_path
    result = filled.triage.run("once", filled.given / "=wrist.jpg", filled.given / "room 1" / "ankle.png")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["rank", "label", "confidence", "review", "file"]
    assert len(lines) == 3
    assert sorted(line.strip().split("  ")[-1].strip() for line in lines[1:]) == ["=wrist.jpg", "room 1/ankle.png"]
    assert "not a diagnosis" in result.stderr


def test_once_on_a_path_that_is_not_there_answers_2_and_takes_nothing(
    ask: Ask, triage: TriageCommand, tmp_path: Path
) -> None:
    (tmp_path / "there.jpg").write_bytes(jpeg(1))
    result = ask("once", tmp_path / "there.jpg", "missing.jpg", "--json")
    assert (result.returncode, result.stdout) == (2, "")
    assert last_line(result.stderr) == "triage: there is nothing at missing.jpg"
    assert not triage.home.exists()


def test_once_with_a_model_that_is_not_there_answers_3(ask: Ask, triage: TriageCommand, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    result = ask("once", "a.jpg", TRIAGE_MODEL="/nowhere/bundle")
    assert (result.returncode, result.stdout) == (3, "")
    assert "TRIAGE_MODEL names /nowhere/bundle" in result.stderr
    assert triage.processes() == []


# -- export ---------------------------------------------------------------------------------------------------


def test_export_json_is_one_array_of_what_once_told(filled: Filled) -> None:
    result = filled.triage.run("export", "--format", "json")
    assert result.returncode == 0
    exported = json.loads(result.stdout)
    assert [record["source_name"] for record in exported] == [record["source_name"] for record in filled.records]


def test_export_csv_has_the_promised_columns_and_defuses_formulas(filled: Filled) -> None:
    result = filled.triage.run("export")
    rows = list(csv.DictReader(io.StringIO(result.stdout, newline="")))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 7
    names = {row["source_name"] for row in rows}
    assert "'=wrist.jpg" in names
    assert "two\nlines.jpg" in names


def test_export_to_a_file_keeps_stdout_empty(ask: Ask, filled: Filled, tmp_path: Path) -> None:
    target = tmp_path / "list.json"
    target.write_text("what was there before")
    result = ask("export", "--format", "json", "--output", target, TRIAGE_HOME=str(filled.triage.home))
    assert (result.returncode, result.stdout) == (0, "")
    assert len(json.loads(target.read_text())) == 7
    assert [path.name for path in tmp_path.iterdir()] == ["list.json"]


@pytest.mark.parametrize("target", [".", "missing/list.csv"])
def test_export_to_a_place_that_cannot_be_written_answers_2(ask: Ask, filled: Filled, target: str) -> None:
    result = ask("export", "--output", target, TRIAGE_HOME=str(filled.triage.home))
    assert result.returncode == 2
    assert "cannot be written" in last_line(result.stderr)


def test_export_in_a_locale_without_umlauts_writes_utf_8(filled: Filled) -> None:
    result = filled.triage.run("export", "--format", "json", PYTHONIOENCODING="ascii")
    assert result.returncode == 0, result.stderr
    assert "größe 0.png" in {record["source_name"] for record in json.loads(result.stdout)}


def test_export_into_a_pipe_that_closes_ends_quietly(filled: Filled) -> None:
    process = subprocess.Popen(
        [TRIAGE, "export"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=filled.triage.environment, text=True
    )
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    assert "Traceback" not in process.communicate(timeout=60)[1]


# -- status and doctor ----------------------------------------------------------------------------------------


def test_status_counts_and_answers_1_when_nothing_runs(filled: Filled) -> None:
    result = filled.triage.run("status", "--json")
    assert result.returncode == 1
    found = json.loads(result.stdout)
    assert found["counts"] == {"queued": 0, "processing": 0, "done": 3, "quarantined": 4, "discarded": 0}
    assert (found["workers_alive"], found["broker_reachable"], found["database_reachable"]) == (0, False, True)
    assert found["oldest_wait_seconds"] is None


def test_doctor_says_what_is_wrong_on_a_new_home_and_changes_nothing(ask: Ask, triage: TriageCommand) -> None:
    result = ask("doctor")
    assert result.returncode == 1
    findings = {line.split()[1]: line.split()[0] for line in result.stdout.splitlines()}
    wrong = {name for name, verdict in findings.items() if verdict == "WRONG"}
    assert {"home", "inbox", "database", "broker", "worker"} <= wrong
    assert findings["model"] == "ok"
    assert not triage.home.exists()


@pytest.mark.parametrize("command", [("status",), ("export",), ("quarantine", "list"), ("quarantine", "retry", "1")])
def test_commands_that_need_a_database_answer_3_where_there_is_none(ask: Ask, command: tuple[str, ...]) -> None:
    result = ask(*command)
    assert (result.returncode, result.stdout) == (3, "")
    assert last_line(result.stderr).endswith("`triage up` makes one")


def test_a_database_that_does_not_answer_is_named_without_its_password(ask: Ask) -> None:
    url = "postgresql+psycopg://triage:secret@127.0.0.1:1/triage"
    result = ask("status", TRIAGE_DATABASE_URL=url)
    assert result.returncode == 3
    assert "postgresql+psycopg://triage:***@127.0.0.1:1/triage does not answer" in result.stderr
    assert "secret" not in result.stderr


@pytest.mark.parametrize("command", [("up", "--no-dashboard"), ("migrate",), ("once", ".")])
def test_a_home_that_cannot_be_made_is_said_in_one_sentence(
    ask: Ask, triage: TriageCommand, command: tuple[str, ...]
) -> None:
    triage.home.write_text("a file is in the way")
    result = ask(*command)
    assert result.returncode == 3
    assert "cannot be written" in last_line(result.stderr)


def test_migrate_makes_the_database_and_may_be_run_again(ask: Ask) -> None:
    for _ in range(2):
        result = ask("migrate")
        assert (result.returncode, last_line(result.stderr)) == (0, "the database is up to date")
    assert ask("export", "--format", "json").stdout.split() == ["[", "]"]


# -- quarantine -----------------------------------------------------------------------------------------------


def test_a_database_of_a_newer_program_is_left_alone(ask: Ask, triage: TriageCommand) -> None:
    ask("migrate")
    with sqlite3.connect(triage.home / "triage.sqlite3") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    result = ask("migrate")
    assert result.returncode == 3
    assert last_line(result.stderr).endswith("a schema that this program does not know; update the program")


def test_quarantine_can_be_listed_retried_and_discarded(ask: Ask, triage: TriageCommand, filled: Filled) -> None:
    shutil.copytree(filled.triage.home, triage.home, ignore=shutil.ignore_patterns("*.sock"))
    listed = ask("quarantine", "list")
    assert listed.returncode == 0
    assert len(listed.stdout.splitlines()) == 5
    assert r"two\nlines.jpg" in listed.stdout
    records = json.loads(ask("quarantine", "list", "--json").stdout)
    ids = {record["source_name"]: str(record["image_id"]) for record in records}
    assert set(ids) == set(BAD)

    unread = ask("quarantine", "retry", ids["link.jpg"])
    assert (unread.returncode, unread.stdout) == (1, "0 queued again\n")
    assert "was never read" in unread.stderr
    assert ask("quarantine", "retry", ids["größe 0.png"]).stdout == "1 queued again\n"
    assert ask("quarantine", "discard", ids["link.jpg"]).stdout == "1 discarded\n"
    assert ask("quarantine", "discard", "--all").stdout == "2 discarded\n"
    found = json.loads(ask("status", "--json").stdout)["counts"]
    assert (found["queued"], found["quarantined"], found["discarded"]) == (1, 0, 3)


@pytest.mark.parametrize(
    "arguments", [("discard",), ("retry",), ("retry", "1", "--all"), ("retry", "4711"), ("discard", "first")]
)
def test_quarantine_answers_2_when_it_is_not_clear_which_files_are_meant(
    ask: Ask, filled: Filled, arguments: tuple[str, ...]
) -> None:
    assert ask("quarantine", *arguments, TRIAGE_HOME=str(filled.triage.home)).returncode == 2


# -- render ---------------------------------------------------------------------------------------------------


def test_render_writes_a_dicom_as_a_grey_png_of_full_size(triage: TriageCommand, tmp_path: Path) -> None:
    dicom(tmp_path / "hand.dcm", 1)
    result = triage.run("render", "hand.dcm", "hand.png")
    assert (result.returncode, result.stdout) == (0, "")
    with Pillow.open(tmp_path / "hand.png") as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", "L", (WIDTH, HEIGHT))


def test_render_inverts_monochrome1_and_shows_what_a_viewer_shows(triage: TriageCommand, tmp_path: Path) -> None:
    """And draws the picture of docs/files.md, where TRIAGE_SCREENSHOTS asks for pictures."""
    (source,) = [path for path in write_samples(tmp_path / "samples") if "monochrome1" in path.name]
    result = triage.run("render", str(source), "wrist.png")
    assert result.returncode == 0, result.stderr
    stored = pydicom.dcmread(source).pixel_array
    with Pillow.open(tmp_path / "wrist.png") as rendered:
        assert (np.asarray(rendered) == 255 - stored).all()
        beside = Pillow.new("L", (2 * stored.shape[1] + 20, stored.shape[0]), 96)
        beside.paste(Pillow.fromarray(stored), (0, 0))
        beside.paste(rendered, (stored.shape[1] + 20, 0))
    folder = Path(os.environ.get("TRIAGE_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    beside.resize((beside.width // 2, beside.height // 2)).save(folder / "render.png", optimize=True)


def test_render_writes_over_nothing_unless_forced(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "wrist.jpg").write_bytes(jpeg(1))
    (tmp_path / "wrist.png").write_bytes(b"precious")
    refused = ask("render", "wrist.jpg", "wrist.png")
    assert refused.returncode == 2
    assert (tmp_path / "wrist.png").read_bytes() == b"precious"
    assert ask("render", "wrist.jpg", "wrist.png", "--force").returncode == 0
    assert (tmp_path / "wrist.png").read_bytes().startswith(b"\x89PNG")


def test_render_answers_a_refused_file_with_code_and_sentence(ask: Ask, tmp_path: Path) -> None:
    write_dicom(tmp_path / "report.dcm", None)
    result = ask("render", "report.dcm", "report.png")
    assert (result.returncode, result.stdout) == (1, "")
    assert last_line(result.stderr).startswith("triage: dicom_no_pixels: ")
    assert not (tmp_path / "report.png").exists()


@pytest.mark.parametrize(("source", "target"), [("missing.dcm", "a.png"), ("a.jpg", "missing/a.png"), (".", "a.png")])
def test_render_answers_2_to_a_path_that_is_not_there(ask: Ask, tmp_path: Path, source: str, target: str) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    assert ask("render", source, target).returncode == 2


# -- usage ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("--nonsense",),
        ("nonsense",),
        ("once",),
        ("once", "--nonsense", "x"),
        ("up", "--workers", "0"),
        ("up", "--port", "http"),
        ("up", "--inbox", "missing", "--no-dashboard"),
        ("export", "--format", "xml"),
    ],
)
def test_wrong_usage_answers_2_and_says_so_on_stderr(ask: Ask, arguments: tuple[str, ...]) -> None:
    result = ask(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr != ""


def test_a_wrong_setting_answers_2_by_the_name_of_its_variable(ask: Ask) -> None:
    result = ask("status", TRIAGE_WORKERS="many")
    assert (result.returncode, result.stdout) == (2, "")
    assert last_line(result.stderr).startswith("triage: TRIAGE_WORKERS: Input should be")


def test_model_show_describes_the_model_in_use(ask: Ask, model_path: Path) -> None:
    result = ask("model", "show")
    assert result.returncode == 0
    assert json.loads(result.stdout)["version"] == open_bundle(model_path).version
