"""What a worker does with one message: lease the rows, look at each picture, commit what the model says.

The images of a message to rescore are done already. They are not leased and keep their status, so that none of them
leaves the worklist meanwhile; what they had before stays where something goes wrong.
"""

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
from triage.classifier import BURNED_IN_ANNOTATION, Bundle, Classification, Classifier
from triage.database import reading_sessions, sessions
from triage.intake import utc_now
from triage.pixels import ImageRejected, Limits, Picture, read_for_network
from triage.records import Prediction
from triage.rejections import failed_on_it
from triage.settings import Settings
from triage.store import Store
from worker.renders import RenderWriter
from worker.retries import tried_again

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Ticket:
    """What is needed of a row while no transaction is open."""

    image_id: int
    sha256: str


class Work:
    """Classifies the images of messages. One per worker child, made after the fork.

    Args:
        settings: leases and limits.
        engine: the database.
        classifier: gives the model to use for the next message.
        clock: gives the time now, in UTC.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        classifier: Callable[[], Classifier],
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._settings = settings
        self._limits = Limits.of(settings)
        self._sessions = sessions(engine)
        self._reading_sessions = reading_sessions(engine)
        self._classifier = classifier
        self._clock = clock
        self._store = Store(settings.home_dir)
        self._renders = RenderWriter()
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._version_kept: str | None = None

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
            classifier = self._classifier()
            outcomes = self._look(tickets, classifier, interruption)
            return self._commit(outcomes, classifier.bundle, owner)
        except interruption:
            log.warning("the soft time limit ended the work on %d images", len(tickets))
            self._give_back([ticket.image_id for ticket in tickets], owner)
            return 0

    def rescore(self, ids: Sequence[int], interruption: type[BaseException]) -> int:
        """Let the model in use speak of done images that another version has classified; of how many it did.

        Args:
            ids: the images. Those that have a verdict, or that this version has spoken of last, are skipped, also
                when a verdict comes while this works: the clinician spoke of what was shown then.
            interruption: raised in here when the soft time limit is reached. The images then keep what they had.
        """
        actor = f"{self._name}:{uuid.uuid4().hex[:12]}"
        try:
            classifier = self._classifier()
            with self._reading_sessions() as session:
                wanted = queries.still_open_for_rescore(session, ids, classifier.bundle.version)
                tickets = [_Ticket(*row) for row in queries.digests(session, wanted).items()]
            if not tickets:
                return 0
            outcomes = self._look(tickets, classifier, interruption)
            return self._commit_rescored(outcomes, classifier.bundle, actor)
        except interruption:
            log.warning("the soft time limit ended the rescoring of %d images", len(ids))
            return 0

    @tried_again
    def _lease(self, ids: Sequence[int], owner: str) -> list[_Ticket]:
        with self._sessions.begin() as session:
            images = queries.lease(session, ids, owner=owner, now=self._clock(), seconds=self._settings.lease_seconds)
            return [_Ticket(image.id, image.sha256) for image in images if image.sha256 is not None]

    def _look(
        self, tickets: Sequence[_Ticket], classifier: Classifier, interruption: type[BaseException]
    ) -> dict[int, Classification | ImageRejected]:
        outcomes: dict[int, Classification | ImageRejected] = {}
        inputs: dict[int, NDArray[np.uint8]] = {}
        annotated: set[int] = set()
        for ticket in tickets:
            try:
                picture, inputs[ticket.image_id] = self._see(ticket, classifier.bundle.input_side)
                if picture.burned_in_annotation:
                    annotated.add(ticket.image_id)
                if picture.rendered:
                    self._renders.write(ticket.image_id, self._store.render(ticket.sha256), picture.pixels)
            except ImageRejected as rejected:
                outcomes[ticket.image_id] = rejected
            except interruption:
                raise  # nobody's fault yet; Celery's is an ordinary Exception
            except OSError as error:
                log.exception("the disk failed on image %d", ticket.image_id)
                outcomes[ticket.image_id] = _disk_error(error)
            except Exception:
                # One bad image must not touch its neighbours; the trace is for whoever mends the program.
                log.exception("image %d could not be read", ticket.image_id)
                outcomes[ticket.image_id] = failed_on_it()
        if inputs:
            found = classifier.classify(np.stack(list(inputs.values())))
            outcomes.update(zip(inputs, found, strict=True))
        for image_id in annotated & outcomes.keys():
            outcome = outcomes[image_id]
            if isinstance(outcome, Classification):
                outcomes[image_id] = outcome.with_reason(BURNED_IN_ANNOTATION)
        for image_id, failure in self._renders.finish().items():
            log.error("the picture of image %d could not be written: %s", image_id, failure.strerror)
            outcomes[image_id] = _disk_error(failure)
        return outcomes

    def _see(self, ticket: _Ticket, input_side: int) -> tuple[Picture, NDArray[np.uint8]]:
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
        return read_for_network(data, self._limits, input_side)

    @tried_again
    def _commit(self, outcomes: dict[int, Classification | ImageRejected], bundle: Bundle, owner: str) -> int:
        with self._sessions.begin() as session:
            now = self._clock()
            self._keep_version(session, bundle, now)
            mine = queries.owned(session, list(outcomes), owner)
            for image_id, image in mine.items():
                outcome = outcomes[image_id]
                if isinstance(outcome, ImageRejected):
                    queries.quarantine(session, image, outcome.code, outcome.detail, actor=owner, at=now)
                else:
                    queries.finish(session, image, _prediction(outcome, bundle, now), actor=owner)
        self._version_kept = bundle.version
        if len(mine) < len(outcomes):
            log.warning("%d images were taken back before their work ended", len(outcomes) - len(mine))
        return len(mine)

    @tried_again
    def _commit_rescored(self, outcomes: dict[int, Classification | ImageRejected], bundle: Bundle, actor: str) -> int:
        done = 0
        with self._sessions.begin() as session:
            now = self._clock()
            self._keep_version(session, bundle, now)
            for image in queries.locked_for_rescore(session, list(outcomes), bundle.version):
                outcome = outcomes[image.id]
                if isinstance(outcome, ImageRejected):
                    detail = {"code": outcome.code, "model_version": bundle.version}
                    queries.record_event(session, "rescore_failed", image, actor=actor, at=now, detail=detail)
                else:
                    queries.rescore(session, image, _prediction(outcome, bundle, now), actor=actor)
                    done += 1
        self._version_kept = bundle.version
        return done

    def _keep_version(self, session: Session, bundle: Bundle, now: datetime) -> None:
        if self._version_kept != bundle.version:
            queries.keep_model_version(
                session, bundle.version, bundle.digests[bundle.keras_path.name], bundle.labels, now
            )

    @tried_again
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


def _disk_error(error: OSError) -> ImageRejected:
    return ImageRejected(
        "disk_error",
        f"The disk failed while this file was worked on ({error.strerror}). "
        "See whether it is full or damaged, then retry the file.",
    )


def _prediction(found: Classification, bundle: Bundle, now: datetime) -> Prediction:
    heat_map = found.heat_map
    return Prediction(
        model_version=bundle.version,
        label=found.label,
        confidence=found.confidence,
        probabilities=found.probabilities,
        prediction_set=list(found.prediction_set),
        needs_review=found.needs_review,
        reasons=list(found.reasons),
        created_at=now,
        # In hundredths: a heat map of 7 x 7 is then about 150 bytes, and no eye sees more.
        heat_map=None if heat_map is None else np.rint(heat_map * 100).astype(int).tolist(),
        unfamiliarity=found.unfamiliarity,
    )
