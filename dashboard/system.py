"""System: whether the work gets done, by what, and how soon."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import redis
import streamlit as st

from dashboard import connections, markup, reader, trail_search, wording, wording_system
from dashboard.markup import element, text
from triage import statistics
from triage.broker import FOLDER, UPLOADS, WATCHER, WORKER, connect, parts_alive, queue_lengths
from triage.condition import LEAST_FREE_BYTES
from triage.intake import utc_now
from triage.settings import get_settings
from triage.statistics import Delays, Waiting

REFRESH_SECONDS = 5.0


@dataclass(frozen=True)
class Work:
    """What the database tells of the work."""

    uploads: Waiting
    others: Waiting
    upload_delays: Delays
    other_delays: Delays
    by_hour: list[tuple[datetime, int]]
    progress: dict[str, datetime]
    database_bytes: int


@dataclass(frozen=True)
class Queue:
    """What Redis tells: messages in each queue, and who is at work; None: it does not answer."""

    messages: dict[str, int]
    workers: dict[str, int]
    watchers: dict[str, int]


def show() -> None:
    """How it is now, kept up to date, and the audit trail below."""
    _show_state()
    _show_person()
    trail_search.show()


@st.fragment(run_every=REFRESH_SECONDS)
def _show_state() -> None:
    work, queue = _work(), _queue()
    st.html(_figures(work))
    hours, parts = st.columns([6, 8], gap="medium")
    hours.html(_hours(work.by_hour))
    parts.html(_parts(work, queue))


# Asked at most every few seconds, however many people look.
@st.cache_resource(ttl=4, show_spinner=False)
def _work() -> Work:
    with connections.reading() as session:
        return Work(
            uploads=statistics.waiting(session, uploads=True),
            others=statistics.waiting(session, uploads=False),
            upload_delays=statistics.delays(session, uploads=True),
            other_delays=statistics.delays(session, uploads=False),
            by_hour=statistics.finished_by_hour(session, utc_now()),
            progress=statistics.last_progress(session),
            database_bytes=statistics.database_bytes(session),
        )


@st.cache_resource(ttl=4, show_spinner=False)
def _queue() -> Queue | None:
    try:
        with connect(get_settings()) as client:
            return Queue(queue_lengths(client), parts_alive(client, WORKER), parts_alive(client, WATCHER))
    except (redis.RedisError, OSError):
        return None


def _figures(work: Work) -> str:
    this_hour, before = work.by_hour[-1][1], work.by_hour[-2][1]
    cards = [
        (f"{work.uploads.count:,}", wording_system.WAITING_UPLOADS, _oldest(work.uploads)),
        (f"{work.others.count:,}", wording_system.WAITING_OTHERS, _oldest(work.others)),
        (f"{this_hour:,}", wording_system.LAST_HOUR, wording_system.HOUR_BEFORE.format(count=before)),
        (*_delay(work.upload_delays, wording_system.DELAY_UPLOADS),),
        (*_delay(work.other_delays, wording_system.DELAY_OTHERS),),
    ]
    note = wording_system.DELAY_NOTE.format(quiet=get_settings().quiet_seconds)
    return markup.cards(cards) + element("p", text(note), class_="hint small")


def _oldest(waiting: Waiting) -> str:
    if waiting.oldest is None:
        return wording_system.NONE_WAITS
    return wording_system.OLDEST.format(age=wording.duration(utc_now() - waiting.oldest))


def _delay(delays: Delays, name: str) -> tuple[str, str, str]:
    if delays.p50 is None or delays.p95 is None:
        return "–", name, wording_system.NO_DELAY
    value = wording_system.DELAY.format(p50=wording_system.seconds(delays.p50), p95=wording_system.seconds(delays.p95))
    return value, name, wording_system.DELAY_HELP.format(count=delays.count)


def _hours(by_hour: Sequence[tuple[datetime, int]]) -> str:
    zone = reader.time_zone()
    most = max(count for _, count in by_hour)
    title = element("h3", text(wording_system.BY_HOUR))
    if not most:
        return element(
            "div", title + element("p", text(wording_system.NOTHING_FINISHED), class_="empty"), class_="panel"
        )
    bars = "".join(
        element(
            "li",
            f'<span style="height:{100 * count / most:.1f}%"></span>',
            title=wording_system.BY_HOUR_BAR.format(hour=hour.astimezone(zone), count=count),
        )
        for hour, count in by_hour
    )
    ticks = "".join(
        element("span", text(f"{hour.astimezone(zone):%H:%M}")) for hour, _ in (by_hour[0], by_hour[len(by_hour) // 2])
    )
    peak = element("p", text(wording_system.BY_HOUR_PEAK.format(count=most)), class_="hint small")
    ticks += element("span", text(f"{by_hour[-1][0].astimezone(zone):%H:%M}"))
    return element(
        "div",
        title + peak + element("ol", bars, class_="hours") + element("div", ticks, class_="ticks"),
        class_="panel",
    )


def _parts(work: Work, queue: Queue | None) -> str:
    settings = get_settings()
    rows = []
    if queue is None:
        rows += [(wording_system.BROKER, wording.BROKER_AWAY, True)]
    else:
        children = sum(queue.workers.values())
        said = wording_system.WORKERS_ALIVE.format(
            workers=", ".join(sorted(queue.workers)), children=wording.workers(children)
        )
        rows += [(wording_system.WORKER, said if children else wording.NO_WORKER, not children)]
        watching = bool(queue.watchers)
        said = wording_system.WATCHERS_ALIVE if watching else wording_system.NO_WATCHER
        rows += [(wording_system.WATCHER, said, not watching)]
        messages = wording_system.MESSAGES.format(uploads=queue.messages[UPLOADS], folder=queue.messages[FOLDER])
        rows += [(wording_system.BROKER, wording_system.BROKER_ANSWERS.format(messages=messages), False)]
    kind = connections.engine().dialect.name
    said = wording_system.DATABASE_IS.format(kind=kind, size=wording_system.size(work.database_bytes))
    rows += [(wording_system.DATABASE, said, False)]
    disk = shutil.disk_usage(settings.home_dir)
    low = disk.free < LEAST_FREE_BYTES
    said = (wording_system.DISK_LOW if low else wording_system.DISK_IS).format(
        free=wording_system.size(disk.free), total=wording_system.size(disk.total), home=settings.home_dir
    )
    rows += [(wording_system.DISK, said, low)]
    cells = "".join(
        element(
            "tr", element("th", text(name), scope="row") + element("td", text(said), class_="wrong" if wrong else "")
        )
        for name, said, wrong in rows
    )
    now = utc_now()
    progress = "".join(
        element("tr", element("th", text(name), scope="row") + element("td", text(_ago(now, at))))
        for name, at in list(work.progress.items())[:8]
    )
    if not progress:
        progress = element("tr", element("td", text(wording_system.PROGRESS_NONE)))
    return element(
        "div",
        element("h3", text(wording_system.PARTS))
        + element("table", cells, class_="plain")
        + element("h3", text(wording_system.PROGRESS))
        + element("table", progress, class_="plain"),
        class_="panel",
    )


def _ago(now: datetime, at: datetime) -> str:
    return wording_system.AGO.format(age=wording.duration(now - at))


def _show_person() -> None:
    name = reader.name()
    if name is None:
        return
    said = wording_system.SIGNED_IN if reader.signed_in() else wording_system.TOLD
    with st.container(horizontal=True, vertical_alignment="center", key="person"):
        st.html(element("span", text(said.format(name=name)), class_="hint"))
        st.button(
            wording.SIGN_OUT if reader.signed_in() else wording_system.SOMEBODY_ELSE,
            type="tertiary",
            on_click=reader.forget_name,
        )
