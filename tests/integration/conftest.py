"""Rows to begin with, a clinic without processes, and one running stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clinic import LABELS, NOON, Clinic, prediction, seconds
from live_stack import LiveStack, running, settle
from sqlalchemy import Engine

from triage import queries
from triage.database import derive_on_commit, sessions
from triage.records import Image, Study
from triage.settings import Settings
from triage.worklist_entries import refresh

MakeImage = Callable[..., int]


@pytest.fixture
def make_image(engine: Engine) -> MakeImage:
    """Make an image; with a confidence it is done. Gives its id."""
    made = 0

    def make(confidence: float | None = None, needs_review: bool = False, **values: Any) -> int:
        nonlocal made
        made += 1
        usual: dict[str, Any] = {
            "source": "folder",
            "source_name": f"image-{made}.jpg",
            "sha256": f"{made:064x}",
            "status": "queued",
            "received_at": NOON + seconds(made),
            "published_at": NOON,
        }
        with sessions(engine).begin() as session:
            of_its_own = {} if "study_id" in values else {"study": Study(created_at=NOON)}
            image = Image(**(of_its_own | usual | values))
            session.add(image)
            session.flush()
            derive_on_commit(session, image, refresh)
            if confidence is not None:
                queries.keep_model_version(session, "v1", "d" * 64, LABELS, NOON)
                queries.finish(session, image, prediction(confidence, needs_review), actor="worker")
            return image.id

    return make


@pytest.fixture
def clinic(settings: Settings, engine: Engine) -> Clinic:
    return Clinic(settings, engine)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, pinned_model: Path | None) -> Iterator[LiveStack]:
    """Redis, worker and watcher, running for all tests that only put files in and look at what comes out."""
    home = tmp_path_factory.mktemp("stack")
    with running(settle(home, model=pinned_model)) as found:
        yield found
