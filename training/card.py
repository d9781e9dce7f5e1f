"""The model card: the sections of the report as Markdown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from training.report import arrange
from training.sections import Block, Bullets, Plot, Table, Text

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~#&])")
# Code is not escaped, so it is taken for code only where nothing in it could be anything else.
_CODE = re.compile(r"(?<!`)(`[\w ./,:=+()-]+`)(?!`)")


def write_card(folder: Path, details: dict[str, Any]) -> None:
    """Writes ``card.md``. The pictures it shows are files beside it: `training.report.write_report` writes them.

    Args:
        folder: the bundle.
        details: all of ``bundle.json``.
    """
    (folder / "card.md").write_text(render_card(details), encoding="utf-8")


def render_card(details: dict[str, Any]) -> str:
    """The text of the card."""
    made = (
        f"Made {details['created'][:10]} by `python -m training.run`. The same as a page: [report.html](report.html)."
    )
    parts = [f"# {escape(details['version'])}", made]
    for section in arrange(details):
        parts += [f"## {escape(section.title)}", *(_write(block) for block in section.blocks)]
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Plain text, with code in backticks, as one line of Markdown that has no other markup."""
    pieces = _CODE.split(" ".join(text.split()))
    return "".join(piece if place % 2 else _SPECIAL.sub(r"\\\1", piece) for place, piece in enumerate(pieces))


def _write(block: Block) -> str:
    match block:
        case Text(text, lead):
            return " ".join(filter(None, (f"**{escape(lead)}**" if lead else "", escape(text))))
        case Bullets(items):
            return "\n".join(f"- {escape(item)}" for item in items)
        case Plot(file, caption):
            return f"![{escape(caption)}]({file})"
        case Table():
            return _write_table(block)


def _write_table(table: Table) -> str:
    rules = ["---" if column < table.words else "---:" for column in range(len(table.header))]
    rows = [table.header, rules, *table.rows]
    lines = ["| " + " | ".join(escape(cell) if row is not rules else cell for cell in row) + " |" for row in rows]
    return "\n".join(([f"{escape(table.title)}:", ""] if table.title else []) + lines)
