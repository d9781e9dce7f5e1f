"""The report: one HTML page that needs nothing beside it, and the plots as files for the model card."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from training import confidence, findings, plots, provenance
from training.sections import NAMES, Bullets, Plot, Section, Table, Text, show, show_interval

TEMPLATE: Final = "report.html.jinja"
HEADLINE: Final = ("top_1", "top_3", "macro_f1", "auroc", "calibration_error")


def arrange(details: dict[str, Any]) -> list[Section]:
    """The sections that there is something to say in, in order."""
    found = (
        provenance.purpose(details),
        findings.figures(details),
        findings.stages(details),
        findings.trials(details),
        findings.labels(details),
        confidence.calibration(details),
        confidence.review(details),
        confidence.unfamiliar(details),
        findings.runtimes(details),
        provenance.data(details),
        provenance.audit(details),
        provenance.limits(details),
        provenance.licences(details),
        provenance.reproduction(details),
    )
    return [section for section in found if section]


def write_report(folder: Path, details: dict[str, Any]) -> None:
    """Writes ``report.html`` and, as files of their own, the plots in it.

    Args:
        folder: the bundle.
        details: all of ``bundle.json``.
    """
    pictures = plots.draw(details)
    for name, picture in pictures.items():
        (folder / name).write_bytes(picture)
    (folder / "report.html").write_text(render_report(details, pictures), encoding="utf-8")


def render_report(details: dict[str, Any], pictures: dict[str, bytes]) -> str:
    """The page.

    Args:
        details: all of ``bundle.json``.
        pictures: file name -> PNG, as `training.plots.draw` made them.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"code": mark_code, "figure": keep_together}
    environment.tests |= {
        "text": lambda block: isinstance(block, Text),
        "bullets": lambda block: isinstance(block, Bullets),
        "table": lambda block: isinstance(block, Table),
        "plot": lambda block: isinstance(block, Plot),
    }
    metrics = details["metrics"]
    headline = [(name, metrics["figures"][name]) for name in HEADLINE if name in metrics["figures"]]
    headline.append(("coverage", metrics["coverage"]))
    names = NAMES | {"coverage": f"{100 * details['conformal']['coverage']:.0f} % prediction sets hold the label"}
    return environment.get_template(TEMPLATE).render(
        version=details["version"],
        created=details["created"][:10],
        smoke=details.get("smoke", False),
        headline=[
            (names[name].partition(":")[0], show(name, entry["value"]), show_interval(name, entry))
            for name, entry in headline
        ],
        sections=arrange(details),
        pictures={name: base64.b64encode(picture).decode("ascii") for name, picture in pictures.items()},
    )


def mark_code(text: str) -> Markup:
    """Escaped text in which what stands in backticks is code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704


def keep_together(figure: str) -> Markup:
    """A figure that may break before its interval in brackets, and nowhere else."""
    value, bracket, interval = figure.partition(" (")
    return Markup("<span>{}</span>").format(value) + (Markup(" <span>({}</span>").format(interval) if bracket else "")
