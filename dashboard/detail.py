"""One image: the picture, what the model says, and what happened to the file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

import streamlit as st

from dashboard import beside, connections, markup, reader, verdict, wording, wording_summary
from dashboard.beside import Pair
from dashboard.markup import element, text
from dashboard.viewer import show_picture
from triage import queries
from triage.records import DISCARDED, DONE, PROCESSING, PURGED, QUARANTINED, QUEUED, AuditEvent, Image, Prediction

WAITING = (QUEUED, PROCESSING)
POLL_SECONDS = 0.5


def show(image_id: int, pair: Pair | None = None) -> None:
    """Draw an image, whatever its status is. While it waits, says why, and looks again by itself.

    Args:
        image_id: the image.
        pair: the image that is shown beside it, if one is, and what both are called.
    """
    with connections.reading() as session:
        image = queries.image_with_all(session, image_id)
        events = queries.events_of(session, image_id)
        in_study = queries.images_in_study(session, image.study_id) if image and image.study_id else 1
    if image is None:
        st.html(markup.alert(wording.NO_SUCH_IMAGE.format(id=image_id)))
        return
    if image.status in WAITING:
        _show_waiting(image_id)
    elif image.status == DONE and image.predictions:
        _show_done(image, pair)
    elif image.status == QUARANTINED:
        _show_refused(image)
    elif image.status == DISCARDED:
        said = image.error_detail if image.error_code == PURGED else wording.DISCARDED_NOTE
        st.html(element("p", text(said or ""), class_="hint"))
    _show_facts(image, in_study, events)


def why_waiting(status: str, state: connections.QueueState, waiting: int, source: str) -> str:
    """Why an image has no result yet, as the end of a sentence that begins with `STILL_WAITING`."""
    if not state.reachable:
        return wording.WAITS_NO_BROKER
    if not state.children:
        return wording.WAITS_NO_WORKER
    if status == PROCESSING:
        return wording.WORKING
    return wording.WAITS_BUSY if source == "upload" else wording.WAITS_IN_LINE.format(waiting=waiting)


@st.fragment(run_every=POLL_SECONDS)
def _show_waiting(image_id: int) -> None:
    with connections.reading() as session:
        image = queries.image_with_all(session, image_id)
        waiting = queries.capped_counts(session)[QUEUED]
    if image is None or image.status not in WAITING:
        st.rerun()
    why = why_waiting(image.status, connections.queue_state(), waiting, image.source)
    st.html(element("p", element("b", text(wording.STILL_WAITING)) + " " + text(why), class_="hint", role="status"))


def _show_done(image: Image, pair: Pair | None) -> None:
    if not reader.may_see(image.id):
        return
    if pair is not None and beside.show(image, pair):
        verdict.show(image)
        st.html(element("div", _said(image.predictions[-1]), class_="said"))
        return
    prediction = image.predictions[-1]
    picture_side, said_side = st.columns([61, 39], gap="small")
    with picture_side:
        show_picture(image)
    with said_side:
        st.html(element("div", _said(prediction), class_="said"))
    verdict.show(image)


def _said(prediction: Prediction) -> str:
    head = element("h2", text(prediction.label)) + element(
        "p",
        text(wording.CONFIDENCE) + " " + element("b", text(wording.percent(prediction.confidence))),
        class_="confidence",
    )
    reasons = ""
    if prediction.needs_review:
        said = "".join(element("li", text(wording.reason(code))) for code in prediction.reasons)
        reasons = element("div", element("b", text(wording.NEEDS_REVIEW)) + element("ul", said), class_="reasons")
    chart = element("h3", text(wording.PROBABILITIES)) + markup.probabilities(
        prediction.probabilities, prediction.prediction_set
    )
    members = element(
        "p",
        text(wording.prediction_set(len(prediction.prediction_set))),
        class_="members",
        title=wording.PREDICTION_SET_HELP,
    )
    return head + reasons + chart + members


def _show_refused(image: Image) -> None:
    title = wording.REFUSED.format(title=wording.error_title(image.error_code))
    kept = wording.REFUSED_KEPT.format(id=image.id)
    st.html(
        element(
            "div",
            element("b", text(title)) + element("p", text(image.error_detail or "")) + element("p", text(kept)),
            class_="alert",
            role="alert",
        )
    )


def _show_facts(image: Image, in_study: int, events: Sequence[AuditEvent]) -> None:
    zone = reader.time_zone()
    names = [name.name for name in image.names] or [image.source_name]
    title = wording.FILE_NAME if len(names) == 1 else wording.FILE_NAMES.format(count=len(names))
    study = "–"
    if image.study_id is not None:
        study = text(f"{image.study_id} ({wording.images(in_study)})") + " " + _summary_link(image.study_id)
    pairs = [
        (title, "".join(element("span", element("bdi", text(name)), class_="name") for name in names)),
        (wording.RECEIVED, text(wording.full_moment(image.received_at, zone))),
        (wording.FINISHED, text(wording.full_moment(image.finished_at, zone) if image.finished_at else "–")),
        (wording.IMAGE, text(f"{image.id} · {wording.SOURCES.get(image.source, image.source)}")),
        (wording.STUDY, study),
    ]
    if image.predictions:
        pairs.append((wording.MODEL_VERSION, text(image.predictions[-1].model_version)))
    st.html(element("div", markup.facts(pairs) + _history(events, zone), class_="about"))


def _summary_link(study_id: int) -> str:
    """Opens beside the page: the reader keeps their place."""
    return element("a", text(wording_summary.LINK), href=f"./summary?study={study_id}", target="_blank")


def _history(events: Sequence[AuditEvent], zone: tzinfo) -> str:
    rows = "".join(
        element(
            "tr",
            element("td", text(wording.full_moment(event.at, zone)), class_="number")
            + element("td", text(wording.event(event.event, event.detail)))
            + element("td", text(event.actor), class_="actor"),
        )
        for event in events
    )
    table = element("table", element("tbody", rows), class_="history")
    return element("details", element("summary", text(wording.HISTORY)) + table)
