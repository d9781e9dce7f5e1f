"""What the dashboard makes of addresses, names and numbers; no browser needed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import detail, markup, model_figures, paging, wording, wording_worklist
from dashboard.choice import Choice
from dashboard.connections import QueueState
from dashboard.paging import Place
from triage.bundle import Bundle
from triage.pixels import REJECTION_CODES
from triage.records import OVERDUE, PROCESSING, QUEUED, STATUSES, WorklistEntry
from triage.worklist import Count, View

PROJECT_DIR = Path(__file__).resolve().parents[2]
AT = datetime(2026, 3, 4, 5, 6, 7, 891011, tzinfo=UTC)
CURSORS = {
    "triage": (2, 0.1 + 0.2, 7),
    "confidence_down": (1.0, 2**40),
    "confidence_up": (0.0, 1),
    "urgency": (0.5, 1),
    "oldest": (AT, 3),
    "newest": (AT, 3),
}


@pytest.mark.parametrize("sort", CURSORS)
def test_a_place_survives_the_address(sort: str) -> None:
    place = Place(sort, after=CURSORS[sort], image_id=12)  # type: ignore[arg-type]
    params: dict[str, str] = {"unrelated": "stays"}
    paging.write_place(params, place, tuple(CURSORS))  # type: ignore[arg-type]
    assert paging.read_place(params, tuple(CURSORS)) == place  # type: ignore[arg-type]
    paging.write_place(params, place.at_start(), tuple(CURSORS))  # type: ignore[arg-type]
    assert "after" not in params
    assert params["unrelated"] == "stays"


def test_the_default_place_leaves_the_address_empty() -> None:
    params: dict[str, str] = {}
    paging.write_place(params, Place())
    assert params == {}
    assert paging.read_place(params) == Place()


@pytest.mark.parametrize(
    "text",
    ["", "x", "[", "null", "{}", "[1,2,3]", "[4,0.5,1]", "[true,0.5,1]", "[1,1.5,1]", "[1,NaN,1]", '["1",0.5,1]',
     "[1,0.5,true]", "[1,0.5,-1]", f"[1,0.5,{2**64}]", "[1,0.5,1,1]", "[" * 9000],
)  # fmt: skip
def test_a_mistyped_cursor_is_no_cursor(text: str) -> None:
    assert paging.read_cursor(text, "triage") is None


PARAMETERS = ("sort", "after", "before", "image", "status", "lane", "reviewed", "type", "part", "source", "from", "to")


@given(st.dictionaries(st.sampled_from((*PARAMETERS, "search")), st.text()))
def test_any_address_is_a_place_that_it_then_names(params: dict[str, str]) -> None:
    place = paging.read_place(params)
    assert place.sort in paging.SORTS
    place.choice.filters(UTC)
    again: dict[str, str] = {}
    paging.write_place(again, place)
    assert paging.read_place(again) == place


def test_filters_survive_the_address() -> None:
    choice = Choice(
        status="quarantined", lane=OVERDUE, reviewed=False, label="Spiral fracture", body_part="HAND", source="upload",
        first=date(2026, 3, 1), last=date(2026, 3, 2), search="ward 3",
    )  # fmt: skip
    params: dict[str, str] = {}
    paging.write_place(params, Place("oldest", choice=choice))
    assert params == {
        "sort": "oldest",
        "status": "quarantined", "lane": "overdue", "reviewed": "no", "type": "Spiral fracture", "part": "HAND",
        "source": "upload", "from": "2026-03-01", "to": "2026-03-02", "search": "ward 3",
    }  # fmt: skip
    assert paging.read_place(params) == Place("oldest", choice=choice)
    # The model has said nothing of what is not done, so that there is one order for it.
    assert paging.read_place(params | {"sort": "urgency"}) == Place("oldest", choice=choice)
    filters = choice.filters(ZoneInfo("Europe/Berlin"))
    assert filters.since == datetime(2026, 2, 28, 23, tzinfo=UTC)
    assert filters.until == datetime(2026, 3, 2, 23, tzinfo=UTC)


def test_a_position_is_told_as_far_as_it_is_known() -> None:
    def view(before: Count, lanes: dict[int, Count], rows: int = 3) -> View:
        return View([WorklistEntry()] * rows, None, None, lanes, before)

    here = wording_worklist.position
    assert here(view(Count(0), {1: Count(3)}), None) == "1–3 of 3"
    assert here(view(Count(25), {1: Count(10_000, False), 0: Count(2)}), None) == "26–28 of 10,002+"
    assert here(view(Count(1_000, False), {1: Count(10_000, False)}), 1) == "beyond 1,000 of 10,000+"


def test_the_lane_that_goes_by_wait_has_a_cursor_of_its_own() -> None:
    assert paging.read_cursor(paging.write_cursor((OVERDUE, AT, 7)), "triage") == (OVERDUE, AT, 7)
    assert paging.read_cursor(f"[{OVERDUE},0.5,7]", "triage") is None
    assert paging.read_cursor(f'[{OVERDUE - 1},"{AT.isoformat()}",7]', "triage") is None


def test_a_naive_time_is_no_cursor() -> None:
    assert paging.read_cursor(json.dumps(["2026-01-01T00:00:00", 1]), "oldest") is None


@given(st.text())
def test_text_never_becomes_markup(name: str) -> None:
    shown = markup.text(name)
    assert not re.search(r"[<>\"']", shown)
    assert "&" not in re.sub(r"&(lt|gt|amp|quot|#x27);", "", shown)
    assert shown.isprintable()


def test_text_shows_what_would_hide() -> None:
    assert markup.text("a\u202egpj.exe\n\0") == "a\\u202egpj.exe\\n\\x00"
    assert markup.text("Müller Röntgen 手.jpg") == "Müller Röntgen 手.jpg"
    assert markup.element("p", "x", title='"><script>') == '<p title="&quot;&gt;&lt;script&gt;">x</p>'


def test_percent_claims_neither_nothing_nor_everything() -> None:
    assert [wording.percent(p) for p in (0.0, 0.0099, 0.0101, 0.444, 0.994, 0.996, 1.0)] == [
        "<1 %", "<1 %", "1 %", "44 %", "99 %", ">99 %", ">99 %",
    ]  # fmt: skip


def test_times_are_on_the_readers_clock() -> None:
    assert wording.moment(AT, AT + timedelta(hours=1), UTC) == "05:06:07"
    assert wording.moment(AT, AT + timedelta(days=1), UTC) == "04 Mar 05:06"
    assert wording.moment(AT, AT + timedelta(days=365), UTC) == "04 Mar 2026 05:06"
    assert [wording.duration(timedelta(seconds=s)) for s in (-3, 59, 119, 120, 7_200, 172_800)] == [
        "0 s", "59 s", "119 s", "2 min", "2 h", "2 d",
    ]  # fmt: skip


def test_every_code_of_the_core_has_words() -> None:
    assert set(wording.STATUS) == set(STATUSES)
    assert all(wording.error_title(code) == title for code, title in REJECTION_CODES.items())
    raised = set()
    for file in (
        *(PROJECT_DIR / "triage").glob("*.py"),
        *(PROJECT_DIR / "worker").glob("*.py"),
        *(PROJECT_DIR / "watcher").glob("*.py"),
    ):
        source = file.read_text(encoding="utf-8")
        raised |= set(re.findall(r'(?:Refused|ImageRejected)\(\s*"([a-z_0-9]+)"', source))
        raised |= set(re.findall(r'queries\.quarantine\(\s*session,\s*image,\s*"([a-z_]+)"', source))
    assert len(raised) > 10
    assert {code for code in raised if wording.error_title(code) == code.replace("_", " ")} == set()
    assert wording.reason("a_code_from_later") == "a code from later"


def test_every_reason_of_the_model_has_words() -> None:
    assert wording.reason("not_an_xray") == "This does not look like an X-ray"
    assert wording.reason("unlike_training_data") == "This picture is unlike those that the model learnt from"
    source = (PROJECT_DIR / "triage" / "classifier.py").read_text(encoding="utf-8")
    codes = dict(re.findall(r'^([A-Z_]+) = "([a-z_]+)"', source, re.MULTILINE))
    reasons = {codes[name] for name in re.findall(r"reasons\.append\((\w+)\)", source)}
    assert len(reasons) == 4
    work = (PROJECT_DIR / "worker" / "work.py").read_text(encoding="utf-8")
    reasons |= {codes[name] for name in re.findall(r"with_reason\((\w+)\)", work)}
    assert len(reasons) == 5
    assert reasons == set(wording.REASONS) == set(wording.REASONS_SHORT)


def test_every_event_of_the_core_has_words() -> None:
    written = set()
    for file in (
        *(PROJECT_DIR / "triage").glob("*.py"),
        *(PROJECT_DIR / "worker").glob("*.py"),
        *(PROJECT_DIR / "watcher").glob("*.py"),
    ):
        source = file.read_text(encoding="utf-8")
        written |= set(re.findall(r'event="([a-z_]+)"', source))
        written |= set(re.findall(r'record_event\(\s*session,\s*"([a-z_]+)"', source))
    assert len(written) > 3
    assert written <= set(wording.EVENTS)


@pytest.mark.parametrize(
    ("state", "status", "source", "said"),
    [
        (QueueState(False, 0), QUEUED, "upload", wording.WAITS_NO_BROKER),
        (QueueState(True, 0), PROCESSING, "upload", wording.WAITS_NO_WORKER),
        (QueueState(True, 2), PROCESSING, "folder", wording.WORKING),
        (QueueState(True, 2), QUEUED, "upload", wording.WAITS_BUSY),
        (QueueState(True, 2), QUEUED, "folder", wording.WAITS_IN_LINE.format(waiting=1234)),
    ],
)
def test_why_an_image_waits(state: QueueState, status: str, source: str, said: str) -> None:
    assert detail.why_waiting(status, state, 1234, source) == said


def test_the_dashboard_loads_no_model_and_no_other_service() -> None:
    pages = "connections, detail, markup, model, paging, picture, quarantine, reader, status_strip, upload, worklist"
    program = f"import sys\nfrom dashboard import {pages}\nprint(*sys.modules, sep='\\n')"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    names = set(loaded.stdout.split())
    unwanted = {"keras", "tensorflow", "ai_edge_litert", "worker", "watcher", "training", "triage.classifier",
                "triage.promotion", "pandas", "altair", "pydicom"}  # fmt: skip
    assert not names & unwanted


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_bundle_from_elsewhere_leaves_out_what_it_does_not_know() -> None:
    def bundle(**metrics: object) -> Bundle:
        nowhere = Path("nowhere")
        return Bundle(nowhere, "v1", ("A", "B"), 8, 1.0, {}, None, nowhere, None, {}, metrics=metrics)

    for unknown in ({}, {"confusion": [[1]]}, {"confusion": 3, "reliability": {"after": []}, "figures": {"top_1": 1}}):
        found = bundle(**unknown)
        assert model_figures.cards(found) == []
        assert model_figures.confusion(found) is None
        assert model_figures.reliability(found) is None
    known = bundle(
        confusion=[[3.0, 1.0], [0.0, 0.0]], figures={"top_1": {"value": 0.4244, "low": 0.39, "high": 0.4581}}
    )
    assert model_figures.cards(known) == [("42.4 %", "Top-1: the type is right", "39.0 to 45.8 %")]
    table = model_figures.confusion(known)
    assert table is not None
    assert re.findall(r"rgba\(134,163,187,([\d.]+)\)", table) == ["0.375", "0.125", "0.000", "0.000"]


def test_numbers_on_the_deepest_shade_have_enough_contrast() -> None:
    # Half of the bar's colour over the background.
    ratio = (luminance("#dbe2e8") + 0.05) / (luminance("#4a5b69") + 0.05)
    assert ratio >= 4.5


def test_every_text_colour_has_enough_contrast() -> None:
    style = (PROJECT_DIR / "dashboard" / "browser" / "style.css").read_text(encoding="utf-8")
    theme = (PROJECT_DIR / "dashboard" / ".streamlit" / "config.toml").read_text(encoding="utf-8")
    colours = dict(re.findall(r"--triage-([a-z-]+): (#[0-9a-f]{6})", style))
    background = re.search(r'backgroundColor = "(#[0-9a-f]{6})"', theme)
    assert background is not None
    for ink in (colours["text"], colours["muted"], colours["accent"]):
        for paper in (background[1], colours["hover"], colours["chosen"]):
            lighter, darker = sorted((luminance(ink), luminance(paper)), reverse=True)
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5
