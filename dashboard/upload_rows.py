"""The files of an upload, a row for each: what became of it, and a button that opens it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial

import streamlit as st

from dashboard import connections, detail, markup, page_buttons, paging, wording, wording_upload
from dashboard.markup import element, text
from triage import queries
from triage.intake import Admission
from triage.records import DONE, QUARANTINED, QUEUED, Image

POLL_SECONDS = 0.5
_OPENED_KEY = "upload_opened"
_FIRST_KEY = "upload_first"


@dataclass(frozen=True)
class Outcome:
    """What became of an uploaded file; kept for as long as the browser shows that file."""

    file_id: str
    name: str
    admission: Admission | None = None
    problem: str | None = None


def opened_file() -> str | None:
    """The uploader's id of the file that is open; it may be gone from the upload."""
    opened: str | None = st.session_state.get(_OPENED_KEY)
    return opened


def open_file(file_id: str) -> None:
    """Open a file, from the next time on that the page is drawn."""
    st.session_state[_OPENED_KEY] = file_id


def show(outcomes: Sequence[Outcome]) -> None:
    """Draw the rows. While any file waits, they are looked up again by themselves."""
    with connections.reading() as session:
        waits = bool(queries.still_waiting(session, _image_ids(outcomes)))
    st.fragment(_show_rows, run_every=POLL_SECONDS if waits else None)(outcomes, waits)


def _show_rows(outcomes: Sequence[Outcome], waited: bool) -> None:
    first = _first_on_page(len(outcomes))
    page = outcomes[first : first + paging.PAGE_SIZE]
    with connections.reading() as session:
        still = queries.still_waiting(session, _image_ids(outcomes))
        images = queries.images_with_predictions(session, _image_ids(page) | set(sorted(still)[-1:]))
        waiting = queries.capped_counts(session)[QUEUED]
    if waited and not still:
        st.rerun()  # without asking again and again, and with the result of the file that is open
    st.html(element("p", _progress(outcomes, still, images, waiting), class_="hint", role="status"))
    opened = opened_file()
    for place, outcome in enumerate(page, start=first):
        image = images.get(outcome.admission.image_id) if outcome.admission else None
        with st.container(horizontal=True, vertical_alignment="center", key=f"incoming_{place}"):
            st.html(_row(outcome, image, opened=outcome.file_id == opened))
            if image is not None and st.button(wording.SHOW, key=f"show_{outcome.file_id}"):
                open_file(outcome.file_id)
                st.rerun()
    if len(outcomes) > paging.PAGE_SIZE:
        last = first + len(page)
        page_buttons.show(
            None if first == 0 else partial(_turn, first - paging.PAGE_SIZE),
            None if last == len(outcomes) else partial(_turn, last),
            position=wording_upload.POSITION.format(first=first + 1, last=last, count=len(outcomes)),
        )


def _first_on_page(count: int) -> int:
    """Where the page that is shown begins; files may have been taken out of the upload since."""
    first: int = st.session_state.get(_FIRST_KEY, 0)
    return min(first, (count - 1) // paging.PAGE_SIZE * paging.PAGE_SIZE)


def _turn(first: int) -> None:
    st.session_state[_FIRST_KEY] = first


def _image_ids(outcomes: Sequence[Outcome]) -> set[int]:
    return {outcome.admission.image_id for outcome in outcomes if outcome.admission is not None}


def _progress(outcomes: Sequence[Outcome], still: Set[int], images: Mapping[int, Image], waiting: int) -> str:
    """How many files are finished and, while any is not, why."""
    unfinished = sum(1 for outcome in outcomes if outcome.admission and outcome.admission.image_id in still)
    said = text(wording_upload.FINISHED.format(finished=len(outcomes) - unfinished, count=len(outcomes)))
    # The last in line says most about why: the others may be with a worker already.
    image = images.get(max(still, default=0))
    if image is not None:
        why = detail.why_waiting(image.status, connections.queue_state(), waiting, image.source)
        said += " " + element("b", text(wording.STILL_WAITING)) + " " + text(why)
    return said


def _row(outcome: Outcome, image: Image | None, *, opened: bool) -> str:
    lines = [element("bdi", text(outcome.name), class_="name")]
    if outcome.admission is None:
        lines.append(element("span", text(wording_upload.FAILED.format(problem=outcome.problem)), class_="refused"))
    elif image is None:
        lines.append(text(wording.NO_SUCH_IMAGE.format(id=outcome.admission.image_id)))
    else:
        lines += _result(image)
        if outcome.admission.known:
            lines.append(element("span", text(wording_upload.KNOWN_SHORT.format(id=image.id)), class_="known"))
    current = {"aria-current": "true"} if opened else {}
    return element("div", "".join(element("div", line) for line in lines), class_="came", **current)


def _result(image: Image) -> list[str]:
    if image.status == DONE and image.predictions:
        prediction = image.predictions[-1]
        said = text(prediction.label) + " " + element("b", text(wording.percent(prediction.confidence)))
        if not prediction.needs_review:
            return [said]
        reasons = "; ".join(wording.reason(code, short=True) for code in prediction.reasons)
        return [said, markup.badge(prediction.reasons) + " " + element("span", text(reasons), class_="why")]
    if image.status == QUARANTINED:
        title = wording.REFUSED.format(title=wording.error_title(image.error_code))
        return [element("span", text(title), class_="refused"), text(image.error_detail or "")]
    return [text(wording.STATUS.get(image.status, image.status))]
