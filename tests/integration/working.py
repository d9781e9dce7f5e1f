"""A worker without processes, and a home on which one of each kind of image has come in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from clinic import Clinic
from xray_files import dicom_bytes, jpeg, png

from triage import queries
from triage.classifier import Classification
from triage.cli import main
from triage.database import sessions
from triage.intake import utc_now
from triage.settings import Settings, get_settings
from worker.work import Work

BUNDLE = SimpleNamespace(
    version="v1",
    labels=("Greenstick fracture", "Spiral fracture"),
    input_side=32,
    digests={"model.keras": "d" * 64},
    keras_path=Path("model.keras"),
)


class Model:
    """Says the same of every picture."""

    bundle: Any = BUNDLE

    def classify(self, inputs: Any) -> list[Classification]:
        said = Classification(
            label="Spiral fracture",
            confidence=0.75,
            probabilities={"Greenstick fracture": 0.25, "Spiral fracture": 0.75},
            prediction_set=("Spiral fracture",),
            needs_review=False,
            reasons=(),
            unfamiliarity=None,
            heat_map=None,
        )
        return [said] * len(inputs)


def work_on(clinic: Clinic, *ids: int) -> int:
    """Classify images as a worker does; how many."""
    model: Any = Model()
    return Work(clinic.settings, clinic.engine, lambda: model).run(ids, SoftTimeLimitExceeded)


@dataclass
class Busy:
    """A clinic with an image of each kind."""

    clinic: Clinic
    done: int
    dicom: int
    queued: int
    processing: int
    quarantined: int
    discarded: int
    unread: int

    @property
    def home(self) -> Path:
        return self.clinic.settings.home_dir

    def sha256(self, image_id: int) -> str:
        return str(self.clinic.record(image_id)["sha256"])

    def original(self, image_id: int) -> str:
        digest = self.sha256(image_id)
        return f"originals/{digest[:2]}/{digest}"

    def render(self, image_id: int) -> str:
        digest = self.sha256(image_id)
        return f"renders/{digest[:2]}/{digest}.png"


def busy(clinic: Clinic) -> Busy:
    folder = clinic.settings.home_dir
    done = clinic.drop("done.jpg", jpeg(1))["image_id"]
    scan = clinic.drop("scan.dcm", dicom_bytes(folder, 2))["image_id"]
    assert work_on(clinic, done, scan) == 2
    broken = clinic.drop("broken.png", png(3)[:2000])["image_id"]
    unwanted = clinic.drop("notes.txt", b"no picture")["image_id"]
    (clinic.settings.inbox_dir / "link.jpg").symlink_to("/etc/passwd")
    (unread,) = clinic.admit(clinic.arrival("link.jpg"))
    assert unread is not None
    queued = clinic.drop("queued.jpg", jpeg(4))["image_id"]
    processing = clinic.drop("processing.jpg", jpeg(5))["image_id"]
    with sessions(clinic.engine).begin() as session:
        queries.lease(session, [processing], owner="worker", now=utc_now(), seconds=120)
        (image,) = queries.images_by_id(session, [unwanted])
        queries.discard(session, image, actor="command line", at=utc_now())
    if clinic.record(broken)["status"] == "queued":
        work_on(clinic, broken)
    assert clinic.record(broken)["status"] == clinic.record(unread.image_id)["status"] == "quarantined"
    return Busy(clinic, done, scan, queued, processing, broken, unwanted, unread.image_id)


def ask(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], settings: Settings, *arguments: str
) -> tuple[int, str, str]:
    """Run a command on a home, in this process: exit status, stdout, stderr."""
    monkeypatch.setenv("TRIAGE_HOME", str(settings.home_dir))
    monkeypatch.setenv("TRIAGE_SWEEP_SECONDS", "0.001")
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("sys.argv", ["triage", *arguments])
    get_settings.cache_clear()
    status = 0
    try:
        main()
    except SystemExit as end:
        status = int(end.code or 0)
    finally:
        get_settings.cache_clear()
    out, err = capsys.readouterr()
    return status, out, err
