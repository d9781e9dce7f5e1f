"""What a worker does with one message: lease the rows, look at each picture, commit what the model says."""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from triage import queries
from triage.classifier import Classification, Classifier
from triage.intake import utc_now
from triage.pixels import ImageRejected, Limits, encode_png, read_for_network
from triage.records import Prediction, sessions
from triage.rejections import failed_on_it
from triage.settings import Settings
from triage.store import Store, write_durably

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Ticket:
    """What is needed of a leased row while no transaction is open."""

    image_id: int
    sha256: str


class Work:
    """Classifies the images of messages. One per worker child, made after the fork.

    Args:
        settings: leases and limits.
        engine: the database.
        classifier: the model.
        clock: gives the time now, in UTC.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        classifier: Classifier,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._settings = settings
        self._limits = Limits.of(settings)
        self._sessions = sessions(engine)
        self._classifier = classifier
        self._clock = clock
        self._store = Store(settings.home_dir)
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._version_kept = False

    def run(self, ids: Sequence[int], interruption: type[BaseException]) -> int:
        """Work on one message; how many of its images this call finished or quarantined.

        Args:
            ids: the images. Those that are not queued any more are somebody else's, and skipped.
            interruption: raised in here when the soft time limit is reached. The images then go back to the
                queue, each alone; one that was alone already is quarantined.
        """
        owner = f"{self._name}:{uuid.uuid4().hex[:12]}"
        tickets = self._lease(ids, owner)
        if not tickets:
            return 0
        try:
            outcomes = self._look(tickets, interruption)
            return self._commit(outcomes, owner)
        except interruption:
            log.warning("the soft time limit ended the work on %d images", len(tickets))
            self._give_back([ticket.image_id for ticket in tickets], owner)
            return 0

    def _lease(self, ids: Sequence[int], owner: str) -> list[_Ticket]:
        with self._sessions.begin() as session:
            images = queries.lease(session, ids, owner=owner, now=self._clock(), seconds=self._settings.lease_seconds)
            return [_Ticket(image.id, image.sha256) for image in images if image.sha256 is not None]

    def _look(
        self, tickets: Sequence[_Ticket], interruption: type[BaseException]
    ) -> dict[int, Classification | ImageRejected]:
        outcomes: dict[int, Classification | ImageRejected] = {}
        inputs: dict[int, NDArray[np.uint8]] = {}
        for ticket in tickets:
            try:
                inputs[ticket.image_id] = self._see(ticket)
            except ImageRejected as rejected:
                outcomes[ticket.image_id] = rejected
            except interruption:
                raise  # nobody's fault yet; Celery's is an ordinary Exception
            except OSError as error:
                log.exception("the disk failed on image %d", ticket.image_id)
                outcomes[ticket.image_id] = ImageRejected(
                    "disk_error",
                    f"The disk failed while this file was worked on ({error.strerror}). "
                    "See whether it is full or damaged, then retry the file.",
                )
            except Exception:
                # One bad image must not touch its neighbours; the trace is for whoever mends the program.
                log.exception("image %d could not be read", ticket.image_id)
                outcomes[ticket.image_id] = failed_on_it()
        if inputs:
            found = self._classifier.classify(np.stack(list(inputs.values())))
            outcomes.update(zip(inputs, found, strict=True))
        return outcomes

    def _see(self, ticket: _Ticket) -> NDArray[np.uint8]:
        """Read an original, check that it is what was admitted, and scale it for the network."""
        try:
            data = self._store.original(ticket.sha256).read_bytes()
        except FileNotFoundError:
            raise ImageRejected("original_missing", "The stored original is gone. Drop the file again.") from None
        if hashlib.sha256(data).hexdigest() != ticket.sha256:
            raise ImageRejected(
                "changed_after_admission",
                "The file was still being written after it had been taken in. Drop it again once it is whole.",
            )
        picture, network_input = read_for_network(data, self._limits, self._classifier.bundle.input_side)
        if picture.rendered:
            write_durably(self._store.render(ticket.sha256), encode_png(picture.pixels))
        return network_input

    def _commit(self, outcomes: dict[int, Classification | ImageRejected], owner: str) -> int:
        with self._sessions.begin() as session:
            now = self._clock()
            self._keep_version(session, now)
            mine = queries.owned(session, list(outcomes), owner)
            for image_id, image in mine.items():
                outcome = outcomes[image_id]
                if isinstance(outcome, ImageRejected):
                    queries.quarantine(session, image, outcome.code, outcome.detail, actor=owner, at=now)
                else:
                    queries.finish(session, image, self._prediction(outcome, now), actor=owner)
        self._version_kept = True
        if len(mine) < len(outcomes):
            log.warning("%d images were taken back before their work ended", len(outcomes) - len(mine))
        return len(mine)

    def _keep_version(self, session: Session, now: datetime) -> None:
        if not self._version_kept:
            bundle = self._classifier.bundle
            queries.keep_model_version(
                session, bundle.version, bundle.digests[bundle.keras_path.name], bundle.labels, now
            )

    def _prediction(self, found: Classification, now: datetime) -> Prediction:
        return Prediction(
            model_version=self._classifier.bundle.version,
            label=found.label,
            confidence=found.confidence,
            probabilities=found.probabilities,
            prediction_set=list(found.prediction_set),
            needs_review=found.needs_review,
            reasons=list(found.reasons),
            created_at=now,
        )

    def _give_back(self, ids: Sequence[int], owner: str) -> None:
        with self._sessions.begin() as session:
            now = self._clock()
            for image in queries.owned(session, ids, owner).values():
                if len(ids) > 1:
                    queries.give_back(session, image, actor=owner, at=now, event="time_limit")
                else:
                    queries.quarantine(
                        session,
                        image,
                        "took_too_long",
                        "Reading this file took longer than TRIAGE_SOFT_TIME_LIMIT_SECONDS allows. "
                        "Export it again in a smaller size.",
                        actor=owner,
                        at=now,
                    )
