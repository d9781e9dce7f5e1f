"""An inbox without a watcher and without a broker: what is dropped is admitted at once, and messages are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from triage import queries
from triage.database import reading_sessions, sessions
from triage.export import record_of
from triage.intake import Admission, Arrival, Intake
from triage.records import Prediction
from triage.settings import Settings

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LABELS = ("Greenstick fracture", "Spiral fracture")


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def prediction(confidence: float = 0.75, needs_review: bool = False, version: str = "v1") -> Prediction:
    return Prediction(
        model_version=version,
        label="Spiral fracture",
        confidence=confidence,
        probabilities={"Spiral fracture": confidence, "Greenstick fracture": 1 - confidence},
        prediction_set=["Spiral fracture"],
        needs_review=needs_review,
        reasons=["low_confidence"] if needs_review else [],
        created_at=NOON + seconds(60),
    )


@dataclass
class Clinic:
    """A home, a database, and the messages that would have gone out."""

    settings: Settings
    engine: Engine
    published: list[tuple[list[int], str]] = field(default_factory=list)
    broker_answers: bool = True

    def publish(self, ids: Sequence[int], source: str) -> bool:
        if self.broker_answers:
            self.published.append((list(ids), source))
        return self.broker_answers

    def intake(self, source: Any = "folder") -> Intake:
        return Intake(self.settings, self.engine, source, self.publish)

    def put(self, name: str, data: bytes) -> Arrival:
        path = self.settings.inbox_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return Arrival(path, name)

    def arrival(self, name: str) -> Arrival:
        return Arrival(self.settings.inbox_dir / name, name)

    def admit(self, *arrivals: Arrival) -> list[Admission | None]:
        with self.intake() as intake:
            return intake.admit(arrivals)

    def drop(self, name: str, data: bytes) -> dict[str, Any]:
        """Put a file into the inbox and admit it; the record of its image."""
        (admission,) = self.admit(self.put(name, data))
        assert admission is not None
        return self.record(admission.image_id)

    def record(self, image_id: int) -> dict[str, Any]:
        with reading_sessions(self.engine)() as session:
            image = queries.image_with_all(session, image_id)
            assert image is not None
            return record_of(image)

    def records(self) -> list[dict[str, Any]]:
        with reading_sessions(self.engine)() as session:
            return [record_of(image) for image in queries.all_ranked(session)]

    def events(self, image_id: int) -> list[str]:
        with reading_sessions(self.engine)() as session:
            return [event.event for event in queries.events_of(session, image_id)]

    def finish(self, image_id: int) -> None:
        """Classify an image, as a worker would."""
        with sessions(self.engine).begin() as session:
            queries.keep_model_version(session, "v1", "d" * 64, LABELS, NOON)
            (image,) = queries.lease(session, [image_id], owner="worker", now=NOON, seconds=60)
            queries.finish(session, image, prediction(), actor="worker")

    def quarantine(self, image_id: int, code: str) -> None:
        """Refuse an image, as a worker would."""
        with sessions(self.engine).begin() as session:
            (image,) = queries.lease(session, [image_id], owner="worker", now=NOON, seconds=60)
            queries.quarantine(session, image, code, "A reason.", actor="worker", at=NOON)

    def inbox(self) -> list[str]:
        root = self.settings.inbox_dir
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())

    def originals(self) -> int:
        return sum(1 for path in (self.settings.home_dir / "originals").rglob("*") if path.is_file())

    def left_in_filing(self) -> list[str]:
        filing = self.settings.home_dir / "filing"
        return [path.name for path in filing.rglob("*") if not path.is_dir() and path.name != ".lock"]
