"""The sheet itself: one study as HTML, each image small beside what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from dashboard import markup, reader, wording, wording_summary, wording_viewer
from dashboard.markup import element, text
from dashboard.picture import picture_url
from triage import NOTICE
from triage.intake import utc_now
from triage.records import DONE, QUARANTINED, Image, Prediction, Study

FIT_ON_A_PAGE = 4


def sheet(study: Study, images: Sequence[Image]) -> str:
    """All that is known of a study here. The pictures of its images are shown: the caller has noted that."""
    zone = reader.time_zone()
    pairs = [(wording_summary.IMAGES, text(", ".join(str(image.id) for image in images)))]
    if study.accession_number:
        pairs.append((wording_summary.ACCESSION, text(study.accession_number)))
    if study.study_date:
        pairs.append((wording_summary.TAKEN, text(wording_summary.date(study.study_date))))
    title = element("h1", text(wording_summary.TITLE.format(id=study.id)))
    head = element("header", element("div", title + element("p", text(wording.TITLE)) + markup.facts(pairs)))
    printed = wording_summary.PRINTED.format(who=reader.actor(), when=wording.full_moment(utc_now(), zone))
    foot = element("footer", element("p", text(NOTICE), class_="aid") + element("p", text(printed)))
    body = "".join(_exam(image, zone) for image in images)
    return element("article", head + element("main", body) + foot, class_=f"sheet images-{len(images)}")


def _exam(image: Image, zone: tzinfo) -> str:
    """One image: small, and beside it all that is known of it."""
    url = picture_url(image)
    if url is not None:
        picture = element("img", "", src=url, alt=wording_viewer.PICTURE.format(id=image.id))
    else:
        picture = element("p", text(wording.NO_PICTURE if image.status == DONE else wording.STATUS[image.status]))
    said = _facts(image, zone)
    if image.status == DONE and image.predictions:
        said += _prediction(image.predictions[-1]) + _verdict(image, zone)
    elif image.status == QUARANTINED:
        refused = wording.REFUSED.format(title=wording.error_title(image.error_code))
        said += element("p", element("b", text(refused))) + element("p", text(image.error_detail or ""))
    else:
        said += element("p", text(wording.STATUS[image.status]))
    return element("section", element("div", picture, class_="small-picture") + element("div", said), class_="exam")


def _facts(image: Image, zone: tzinfo) -> str:
    about = [each for each in (image.body_part, image.view_position, image.laterality) if each]
    title = " · ".join([wording_summary.IMAGE.format(id=image.id), *about])
    name = wording_summary.names(image.source_name, len(image.names))
    received = wording.full_moment(image.received_at, zone)
    times = wording_summary.RECEIVED.format(received=received)
    if image.finished_at is not None:
        finished = wording.full_moment(image.finished_at, zone)
        times = wording_summary.TIMES.format(received=received, finished=finished)
    model = ""
    if image.predictions:
        version = wording_summary.MODEL.format(version=image.predictions[-1].model_version)
        model = " · " + element("span", text(version), class_="version")
    return (
        element("h2", text(title))
        + element("p", element("bdi", text(name)), class_="name")
        + element("p", text(times) + model, class_="less")
    )


def _prediction(prediction: Prediction) -> str:
    said = element(
        "p",
        element("b", text(prediction.label))
        + text(f" · {wording.CONFIDENCE} ")
        + element("b", text(wording.percent(prediction.confidence))),
        class_="said-first",
    )
    said += element("p", text(wording_summary.labels(prediction.prediction_set)))
    if prediction.needs_review:
        reasons = "; ".join(wording.reason(code) for code in prediction.reasons)
        said += element("p", element("b", text(wording_summary.REVIEW)) + text(f": {reasons}"), class_="reasons")
    ranked = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
    ten = "".join(
        element("li", element("span", text(label)) + element("b", text(wording.percent(value))))
        for label, value in ranked
    )
    return said + element("ol", ten, class_="ten")


def _verdict(image: Image, zone: tzinfo) -> str:
    review = image.verdict
    said, note = wording_summary.NO_VERDICT, ""
    if review is not None:
        said = wording_summary.VERDICT_BY.format(
            verdict=wording.verdict(review.verdict, review.label),
            who=review.reviewer,
            when=wording.full_moment(review.created_at, zone),
        )
        note = element("p", text(wording_summary.NOTE.format(note=review.note))) if review.note else ""
    return element("p", element("b", text(wording_summary.VERDICT)) + text(f": {said}"), class_="verdict") + note
