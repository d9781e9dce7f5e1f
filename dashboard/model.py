"""Model: which one judges the images, how good it is, and what it must not be used for."""

from __future__ import annotations

import streamlit as st

from dashboard import (
    markup,
    model_agreement,
    model_drift,
    model_figures,
    model_simulation,
    model_versions,
    opened_bundles,
    urgency_editor,
    wording_model,
    wording_worklist,
)
from dashboard.markup import element, text
from triage.bundle import DEFAULT_LABELS, Bundle, BundleError, find_bundle
from triage.settings import get_settings


def show() -> None:
    """The active model from what its bundle says, verdicts on it, other versions, and the weights of urgency."""
    bundle = None
    try:
        bundle = opened_bundles.opened(find_bundle(get_settings()))
    except BundleError as error:
        st.html(markup.alert(wording_model.UNUSABLE.format(problem=error)))
    else:
        _show_bundle(bundle)
        model_agreement.show(bundle.version)
        model_drift.show(bundle)
    model_versions.show()
    with st.expander(wording_worklist.URGENCY_TITLE):
        urgency_editor.show()
    if bundle is not None:
        model_simulation.show(bundle)


def _show_bundle(bundle: Bundle) -> None:
    created = bundle.details.get("created")
    made = wording_model.MADE.format(date=created[:10]) if isinstance(created, str) else ""
    title = element("h3", text(bundle.version) + element("span", text(made), class_="hint"), class_="version")
    cards = model_figures.cards(bundle)
    if cards:
        title += markup.cards(cards) + element("p", text(_measured(bundle)), class_="hint small")
    else:
        title += element("p", text(wording_model.NO_FIGURES), class_="empty")
    st.html(element("div", title, class_="panel"))
    diagram = model_figures.reliability(bundle)
    words, picture = st.columns([8, 6], gap="medium")
    words.html(_not_for(bundle))
    if diagram is not None:
        said = element("p", text(wording_model.RELIABILITY_HELP), class_="hint small")
        picture.html(element("div", element("h3", text(wording_model.RELIABILITY)) + said + diagram, class_="panel"))
    table = model_figures.confusion(bundle)
    if table is not None:
        said = element("p", text(wording_model.CONFUSION_HELP), class_="hint small")
        st.html(element("div", element("h3", text(wording_model.CONFUSION)) + said + table, class_="panel"))


def _measured(bundle: Bundle) -> str:
    said = [wording_model.INTERVALS]
    images, groups = (bundle.metrics.get(name) for name in ("images", "groups"))
    if isinstance(images, int) and isinstance(groups, int):
        said.append(wording_model.MEASURED.format(images=images, groups=groups))
    if bundle.metrics.get("protocol") == "cross-validation":
        said.append(wording_model.HELD_OUT)
    return " ".join(said)


def _not_for(bundle: Bundle) -> str:
    """Only what is so of this bundle: of one that came from elsewhere little is known."""
    said = [wording_model.NOT_A_DIAGNOSIS]
    if set(bundle.labels) <= set(DEFAULT_LABELS):
        said.append(wording_model.NO_NO_FRACTURE.format(count=len(bundle.labels)))
    said += wording_model.USES
    images = bundle.metrics.get("images")
    if isinstance(images, int):
        said += [
            wording_model.NOT_VALIDATED,
            wording_model.FEW_DATA.format(images=images),
            wording_model.NO_GROUPS,
        ]
    if not bundle.metrics:
        said.append(wording_model.UNKNOWN)
    points = "".join(element("li", text(point)) for point in said)
    return element(
        "div", element("h3", text(wording_model.NOT_FOR)) + element("ul", points, class_="points"), class_="panel"
    )
