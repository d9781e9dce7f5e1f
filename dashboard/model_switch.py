"""One change of the model on its way: being tried out, waiting to be confirmed, being carried out, or told."""

from __future__ import annotations

from dataclasses import dataclass, replace

import streamlit as st

from dashboard import markup, model_figures, opened_bundles, reader, wording_model, wording_versions
from dashboard.markup import element, text
from dashboard.permission import Action
from triage.bundle import Bundle, BundleError, find_version
from triage.settings import get_settings
from triage.switching import Answer, Request, switch

_JOB = "model_switch_job"
_REASON = "model_switch_reason"
_TROUBLE = "model_switch_trouble"


@dataclass
class _Job:
    """What was asked for, and what came of it; None: it is not carried out yet.

    It is changed in place: Streamlit ends a run of the page at any access to the session's state, and what has
    happened to the model must not be forgotten with it.
    """

    request: Request
    answer: Answer | None = None


def ask(request: Request) -> None:
    """Have a request carried out, in the run of the page that follows."""
    if reader.may(Action.CHANGE_MODEL):
        st.session_state[_JOB] = _Job(request)


def propose(request: Request, answer: Answer) -> None:
    """Have somebody confirm a request of which it is known already what it does."""
    st.session_state[_JOB] = _Job(request, answer)


def show() -> bool:
    """What is on its way; whether it takes the place of the buttons that begin something."""
    job: _Job | None = st.session_state.get(_JOB)
    if job is None:
        return False
    if job.answer is None:
        with st.spinner(_said_meanwhile(job.request), show_time=True):
            job.answer = switch(get_settings(), job.request)
        st.rerun()
    elif job.answer.outcome == "tried":
        _show_proposal(job, job.answer)
        return True
    else:
        _tell(job.request, job.answer)
    return False


def _said_meanwhile(request: Request) -> str:
    said = {
        "preview": wording_versions.TRYING,
        "promote": wording_versions.SWITCHING,
        "roll_back": wording_versions.GOING_BACK,
    }
    return said[request.action].format(version=request.version)


def _tell(request: Request, answer: Answer) -> None:
    if answer.outcome in ("refused", "failed"):
        message = wording_versions.sentence(answer.message or "")
        said = wording_versions.REFUSED.format(message=message) if answer.message else wording_versions.FAILED
        st.html(markup.alert(said))
        return
    words = {
        "switched": wording_versions.DONE if answer.before else wording_versions.DONE_FIRST,
        "unchanged": wording_versions.UNCHANGED,
    }
    said = words[answer.outcome].format(after=answer.after, before=answer.before, actor=request.actor)
    st.html(element("p", text(said), class_="done", role="status"))


def _show_proposal(job: _Job, answer: Answer) -> None:
    back = job.request.action == "roll_back"
    title = (wording_versions.BACK_TITLE if back else wording_versions.PROMOTE_TITLE).format(after=answer.after)
    shown = element("h3", text(title))
    if answer.before is not None:
        shown += element("p", text(wording_versions.INSTEAD.format(before=answer.before)), class_="hint small")
    shown += _figures(answer) + _comparison(answer, back=back)
    if answer.objection is not None:
        shown += markup.alert(wording_versions.OBJECTION.format(objection=answer.objection))
    st.html(element("div", shown, class_="panel"))
    if back or answer.objection is not None:
        asked = wording_versions.REASON_BACK if back else wording_versions.REASON
        st.text_input(asked, key=_REASON, max_chars=500)
    trouble = st.session_state.pop(_TROUBLE, None)
    if trouble:
        st.html(markup.alert(trouble))
    confirm = wording_versions.CONFIRM_BACK if back else wording_versions.CONFIRM_PROMOTE
    with st.container(horizontal=True):
        st.button(
            confirm.format(after=answer.after), key="model_confirm", type="primary", on_click=_confirm, args=(job,)
        )
        st.button(wording_versions.CANCEL, key="model_cancel", on_click=_cancel)


def _figures(answer: Answer) -> str:
    """What both bundles say of themselves."""
    sides = [_cards(version) for version in (answer.before, answer.after)]
    rows = [
        (name, *(side.get(name, wording_versions.NO_FIGURE) for side in sides))
        for name in wording_model.FIGURES.values()
        if any(name in side for side in sides)
    ]
    if not rows:
        return ""
    columns = (wording_versions.FIGURE, answer.before or "–", answer.after or "–")
    return markup.table(columns, rows) + element("p", text(wording_versions.EACH_ON_ITS_OWN), class_="hint small")


def _cards(version: str | None) -> dict[str, str]:
    bundle = _bundle(version)
    if bundle is None:
        return {}
    return {name: f"{value} ({interval})" for value, name, interval in model_figures.cards(bundle)}


def _bundle(version: str | None) -> Bundle | None:
    if version is None:
        return None
    try:
        return opened_bundles.opened(find_version(get_settings(), version))
    except BundleError:
        return None


def _comparison(answer: Answer, *, back: bool) -> str:
    if back:
        return element("p", text(wording_versions.NO_COMPARISON_BACK), class_="hint small")
    if answer.comparison is None:
        return ""
    columns = [name.format(before=answer.before, after=answer.after) for name in wording_versions.SAME_COLUMNS]
    title = wording_versions.SAME_TITLE.format(images=answer.comparison.images)
    return element("h3", text(title)) + markup.table(columns, wording_versions.same_images(answer.comparison))


def _confirm(job: _Job) -> None:
    """Carry out what was proposed, once: a second click finds another job, or none."""
    answer = job.answer
    if st.session_state.get(_JOB) is not job or answer is None:
        return
    reason = str(st.session_state.get(_REASON) or "").strip() or None
    if answer.objection is not None and reason is None:
        st.session_state[_TROUBLE] = wording_versions.REASON_MISSING
        return
    request = replace(job.request, actor=reader.actor(), reason=reason, expected=answer.before)
    ask(request if request.action == "roll_back" else replace(request, action="promote"))


def _cancel() -> None:
    st.session_state.pop(_JOB, None)
