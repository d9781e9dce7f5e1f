"""Pieces of HTML, built from text that is always escaped: file names come from outside.

Streamlit's own texts are Markdown, in which a name could draw links and pictures. What is shown here goes
through `st.html`, which knows no Markdown, removes scripts on top, and leaves one thing to take care of: markup.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence

from dashboard import wording


def legible(name: str) -> str:
    """Text from outside as one line: what is invisible or turns the direction of writing is written out.

    Not yet escaped for HTML.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def text(value: object) -> str:
    """Anything as HTML that shows it literally."""
    return html.escape(legible(str(value)), quote=True)


def element(tag: str, content: str, **attributes: str) -> str:
    """An element around HTML; attribute values are escaped, ``class_`` stands for ``class``."""
    given = "".join(f' {name.rstrip("_")}="{text(value)}"' for name, value in attributes.items())
    return f"<{tag}{given}>{content}</{tag}>"


def badge(reasons: Sequence[str]) -> str:
    """The mark of an image that the model asks a human to look at."""
    return element("span", text(wording.NEEDS_REVIEW), class_="badge", title="; ".join(map(wording.reason, reasons)))


def alert(sentence: str) -> str:
    """A sentence about something that needs attention."""
    return element("p", text(sentence), class_="alert", role="alert")


def cards(figures: Sequence[tuple[str, str, str]]) -> str:
    """Figures in a row: each with its name, and a line that says more."""
    shown = "".join(
        element("li", element("b", text(value)) + element("span", text(name)) + element("small", text(more)))
        for value, name, more in figures
    )
    return element("ul", shown, class_="cards")


def bar(probability: float) -> str:
    """A probability as a bar; the number beside it is what is read out."""
    width = f"width:{min(max(probability, 0.0), 1.0) * 100:.1f}%"
    return f'<span class="bar" aria-hidden="true"><span style="{width}"></span></span>'


def probabilities(values: Mapping[str, float], members: Iterable[str]) -> str:
    """All probabilities as a horizontal bar chart, highest first; those in the prediction set stand out."""
    kept = set(members)
    rows = [
        element(
            "tr",
            element("th", text(label), scope="row")
            + element("td", bar(value))
            + element("td", text(wording.percent(value)), class_="number"),
            class_="kept" if label in kept else "out",
        )
        for label, value in sorted(values.items(), key=lambda item: -item[1])
    ]
    return element("table", element("tbody", "".join(rows)), class_="probabilities")


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Names, each with its value; the values are HTML."""
    cells = (element("div", element("dt", text(name)) + element("dd", value)) for name, value in pairs)
    return element("dl", "".join(cells), class_="facts")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of text under their columns' names; the first cell of a row says what the row is."""
    head = "".join(element("th", text(name), scope="col") for name in columns)
    body = "".join(
        element(
            "tr",
            element("th", text(row[0]), scope="row")
            + "".join(element("td", text(cell), class_="number" if cell[:1].isdigit() else "") for cell in row[1:]),
        )
        for row in rows
    )
    return element("table", element("thead", element("tr", head)) + element("tbody", body), class_="plain")
