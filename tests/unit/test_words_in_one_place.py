"""What a person reads on the dashboard stands in its wording modules, so that it can be translated there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

DASHBOARD = Path(__file__).parents[2] / "dashboard"
PAGES = sorted(path for path in DASHBOARD.glob("*.py") if not path.stem.startswith("wording"))

# Two words beside each other, or one that begins as a sentence or a button does.
TWO_WORDS = re.compile(r"[A-Za-z]{2,}[,.:;]? [A-Za-z]{2,}")
TITLE_WORD = re.compile(r"[A-Z][a-z]+")
MARKUP = re.compile(r"<[^>]*>?")
# Calls whose words are read by whoever runs or writes the program, not by whoever sits at the screen.
FOR_OPERATORS = ("log.", "logging.", "ValueError")
# Calls that put their arguments on the page.
ON_SCREEN = ("st.", "markup.text", "markup.alert")


def _nodes_on_screen(node: ast.AST) -> Iterator[tuple[ast.AST, bool]]:
    """Every node below this one that is no docstring and no log line, and whether a call draws it."""
    stack = [(node, False)]
    while stack:
        current, drawn = stack.pop()
        if isinstance(current, ast.Expr) and isinstance(current.value, ast.Constant):
            continue  # a docstring
        if isinstance(current, ast.Call):
            called = ast.unparse(current.func)
            if called.startswith(FOR_OPERATORS):
                continue
            drawn = called.startswith(ON_SCREEN)
        if isinstance(current, ast.keyword) and current.arg == "class_":
            continue  # names of styles, however many
        yield current, drawn
        stack.extend((child, drawn) for child in ast.iter_child_nodes(current))


def literal_words(source: str) -> list[tuple[int, str]]:
    """The lines and literals in ``source`` that look like words for a person."""
    found = []
    for node, drawn in _nodes_on_screen(ast.parse(source)):
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            continue
        if node.value.startswith(("public, ", "private, ")):
            continue  # what caches are told
        said = MARKUP.sub("", node.value)
        if TWO_WORDS.search(said) or (drawn and TITLE_WORD.fullmatch(said.strip())):
            found.append((node.lineno, node.value))
    return sorted(found)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_has_no_words_of_its_own(path: Path) -> None:
    assert literal_words(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('st.button("Undo")', [(1, "Undo")]),
        ('st.html(f"<p>{count} images wait</p>")', [(1, " images wait</p>")]),
        ('SAID = "Nothing waits here"', [(1, "Nothing waits here")]),
        ('log.warning("the broker is away")', []),
        ('def show():\n    """Draw the page."""', []),
        ('markup.element("span", class_="hint small")', []),
    ],
)
def test_words_are_told_from_names(source: str, found: list[tuple[int, str]]) -> None:
    assert literal_words(source) == found
