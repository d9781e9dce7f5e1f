import copy
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn", reason="needs the train extra")
pytest.importorskip("matplotlib", reason="needs the train extra")

from measured import make_details, make_held

from training import card, report

NASTY = "<script>alert(1)</script> & \"a\" | *b* `c` [d](http://e) 'f'"
PLOTS = {
    "class-balance.png", "confusion.png", "recall.png", "reliability.png", "risk-coverage.png", "set-sizes.png",
    "stages.png",
}  # fmt: skip


@pytest.fixture(scope="module")
def details() -> dict[str, Any]:
    return make_details(make_held(images=200))


@pytest.fixture(scope="module")
def bare() -> dict[str, Any]:
    return make_details(make_held(images=40, repeats=1, folds=0, labels=3), optional=False)


@pytest.fixture(scope="module")
def written(details: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    report.write_report(folder, details)
    card.write_card(folder, details)
    return folder


class Page(HTMLParser):
    """What a page is made of; it must close what it opens."""

    EMPTY = frozenset({"meta", "link", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def headings(text: str) -> list[str]:
    return re.findall(r"^## (.+)$", text, re.MULTILINE)


# -- what ships --------------------------------------------------------------------------------------------------------


def test_report_and_card_come_with_the_plots(written: Path):
    assert {entry.name for entry in written.iterdir()} == PLOTS | {"report.html", "card.md"}


def test_the_page_needs_nothing_from_outside(written: Path):
    page = Page((written / "report.html").read_text())

    targets = [value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href")]
    assert len([target for target in targets if target.startswith("data:image/png;base64,")]) == len(PLOTS)
    assert all(target.startswith(("data:", "#")) for target in targets)
    assert not {"script", "iframe", "object", "form"} & {tag for tag, _ in page.tags}
    assert "url(" not in (written / "report.html").read_text()


def test_the_contents_lead_to_every_section(written: Path):
    page = Page((written / "report.html").read_text())

    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert links == [f"#{attributes['id']}" for tag, attributes in page.tags if tag == "section"]
    assert links == [
        "#purpose", "#figures", "#stages", "#trials", "#labels", "#calibration", "#review", "#unfamiliar",
        "#runtimes", "#data", "#audit", "#limits", "#licences", "#reproduce",
    ]  # fmt: skip


def test_the_card_shows_pictures_that_are_there(written: Path):
    text = (written / "card.md").read_text()

    assert set(re.findall(r"\]\(([^)]+\.png)\)", text)) == PLOTS
    assert "report.html" in text


def test_every_table_of_the_card_is_one(written: Path):
    for block in (written / "card.md").read_text().split("\n\n"):
        if block.startswith("|"):
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_the_limits_are_said_plainly(written: Path):
    for text in ((written / "card.md").read_text(), Page((written / "report.html").read_text()).text):
        for said in (
            "It is not a diagnosis.",
            "cannot say that a bone is intact",
            'There is no "no fracture" label',
            "has not been validated clinically",
            "It must not be used",
            "contradictory labels",
            "by the bone, the device or the layout of the page",
            "nobody has verified it here",
            "CC BY 4.0 by secondary sources, not verified",
            "Refit on all images",
        ):
            assert said in text


def test_figures_come_with_intervals(written: Path, details: dict[str, Any]):
    top = details["metrics"]["figures"]["top_1"]

    value, low, high = (f"{100 * top[name]:.1f}" for name in ("value", "low", "high"))
    assert f"| Top-1: the label is right | {value} % | {low} to {high} % |" in (written / "card.md").read_text()


def test_rows_as_they_are_read(written: Path):
    text = (written / "card.md").read_text()

    assert "| +3.1 % (−0.4 to +6.6) | 101 | yes |" in text
    assert "| Photos | yes | 150 | 147 | 98.0 % | 94.0 to 99.0 % |" in text
    assert re.search(r"\| float32 \| 9\.5 MB \| .+ \| 0\.031 \| 90\.0 % \| 5\.2 \| 4\.4e-06 \| 101 \| yes \|", text)
    assert re.search(r"\| frozen, augmented \| 10 epochs \| .+ \| 44 % \| 3\.0 \|", text)
    assert "| width | least: 58, median: 640, most: 640 |" in text
    assert "| Command | `python -m training.run --data DIR --seed 20` |" in text
    assert "| tensorflow | 2.21.0 |" in text


def test_the_same_details_give_the_same_files(written: Path, details: dict[str, Any], tmp_path: Path):
    report.write_report(tmp_path, details)

    for entry in tmp_path.iterdir():
        assert entry.read_bytes() == (written / entry.name).read_bytes(), entry.name


# -- what may be missing -----------------------------------------------------------------------------------------------


def test_sections_without_anything_to_say_are_left_out(bare: dict[str, Any], tmp_path: Path):
    report.write_report(tmp_path, bare)
    card.write_card(tmp_path, bare)

    text = (tmp_path / "card.md").read_text()
    assert headings(text) == [
        "What it is for, and what not",
        "How good it is",
        "Label by label",
        "What confidence means",
        "When it asks for a human",
        "Data",
        "Limits",
        "Licences",
        "How to make it again",
    ]
    assert not (tmp_path / "stages.png").exists()
    assert "stages.png" not in text
    assert "Measured on a hold-out of 40 images" in text
    assert "None" not in text
    assert "Source and licence of the images are not stated." in text
    Page((tmp_path / "report.html").read_text())


def test_a_smoke_run_says_that_it_is_not_for_use(bare: dict[str, Any]):
    text = card.render_card(bare | {"smoke": True})

    assert "**Made by a smoke run, not for use.**" in text
    assert "A smoke run, not for use." in Page(report.render_report(bare | {"smoke": True}, DummyPictures())).text


class DummyPictures(dict[str, bytes]):
    """Any picture, without drawing it."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(PLOTS, b""))


# -- what comes from data ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nasty(details: dict[str, Any]) -> dict[str, Any]:
    """Markup wherever data can bring it."""
    changed = copy.deepcopy(details)
    changed["training"]["data_note"] = NASTY
    changed["training"]["per_label"] = {NASTY: 3}
    changed["label_mapping"] = {NASTY: NASTY}
    changed["metrics"]["per_label"] = {NASTY: next(iter(changed["metrics"]["per_label"].values()))}
    changed["audit"] = {NASTY: {NASTY: NASTY}, "list": [{NASTY: NASTY}], "text": NASTY}
    changed["stages"][0] |= {"stage": NASTY, "note": NASTY}
    changed["trials"][0] |= {"name": NASTY, "change": NASTY}
    changed["unfamiliar"]["note"] = NASTY
    changed["training"]["other_data"][0] |= {"name": NASTY, "use": NASTY, "licence": NASTY}
    changed["training"]["origins"][NASTY] = 1
    return changed


def test_nothing_from_data_becomes_markup_of_the_page(nasty: dict[str, Any]):
    text = report.render_report(nasty, DummyPictures())

    page = Page(text)
    assert "<script" not in text
    assert "alert(1)" in page.text
    assert [attributes["href"] for tag, attributes in page.tags if tag == "a" and attributes["href"][0] != "#"] == []


def test_nothing_from_data_becomes_markup_of_the_card(nasty: dict[str, Any]):
    text = card.render_card(nasty)

    assert "<script" not in text.replace(r"\<script", "")
    assert "](http" not in text.replace(r"\](http", "")
    rows = [line for line in text.splitlines() if "alert" in line and line.startswith("|")]
    assert rows
    assert all(re.fullmatch(r"\|( (?:[^|\\]|\\.)* \|)+", line) for line in rows)


def test_escaping_by_hand():
    assert card.escape("a|b *c* <d> `low_confidence` e_f\n# g") == r"a\|b \*c\* \<d\> `low_confidence` e\_f \# g"
    assert card.escape("`<b>` ``x``") == r"\`\<b\>\` \`\`x\`\`"
    assert str(report.mark_code("<b> `a_b` & c")) == "&lt;b&gt; <code>a_b</code> &amp; c"
    assert str(report.keep_together("36.4 % (33 to 39)")) == "<span>36.4 %</span> <span>(33 to 39)</span>"
    assert str(report.keep_together("<b>")) == "<span>&lt;b&gt;</span>"
