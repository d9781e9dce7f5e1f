"""What a worker does with one message, with a model that the test holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import imagecodecs
import numpy as np
import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from clinic import NOON, Clinic, seconds
from PIL import Image as Pillow
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless
from sqlalchemy import text
from xray_files import HEIGHT, WIDTH, dicom_bytes, jpeg, many_jpegs

from triage import queries
from triage.classifier import Classification
from triage.database import reading_sessions
from triage.records import Prediction
from triage.samples import draw_radiograph, write_dicom
from triage.store import Store
from worker import renders
from worker import work as module
from worker.work import Work


@dataclass
class Model:
    """Says the same of every picture, and counts."""

    label: str = "Spiral fracture"
    confidence: float = 0.75
    unfamiliarity: float | None = None
    heat_map: Any = None

    seen: list[tuple[int, ...]] = field(default_factory=list)
    bundle: Any = field(
        default_factory=lambda: SimpleNamespace(
            version="v1",
            labels=("Greenstick fracture", "Spiral fracture"),
            input_side=32,
            digests={"model.keras": "d" * 64},
            keras_path=Path("model.keras"),
        )
    )

    def classify(self, inputs: Any) -> list[Classification]:
        self.seen.append(inputs.shape)
        said = Classification(
            label=self.label,
            confidence=self.confidence,
            probabilities={"Greenstick fracture": 0.25, "Spiral fracture": 0.75},
            prediction_set=("Spiral fracture",),
            needs_review=False,
            reasons=(),
            unfamiliarity=self.unfamiliarity,
            heat_map=self.heat_map,
        )
        return [said] * len(inputs)


@dataclass
class Clock:
    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def worker(clinic: Clinic, model: Model, clock: Clock) -> Work:
    return Work(clinic.settings, clinic.engine, lambda: model, clock)  # type: ignore[arg-type, return-value]


def drop(clinic: Clinic, *files: bytes) -> list[int]:
    admissions = clinic.admit(*(clinic.put(f"{number}.jpg", data) for number, data in enumerate(files)))
    return [admission.image_id for admission in admissions if admission]


def statuses(clinic: Clinic, ids: list[int]) -> list[str]:
    return [clinic.record(image_id)["status"] for image_id in ids]


def test_a_message_is_classified_in_one_go_and_committed(clinic: Clinic, worker: Work, model: Model) -> None:
    ids = drop(clinic, *many_jpegs(3))
    assert worker.run(ids, SoftTimeLimitExceeded) == 3
    record = clinic.record(ids[0])
    assert (record["status"], record["label"], record["confidence"]) == ("done", "Spiral fracture", 0.75)
    assert (record["model_version"], record["prediction_set"]) == ("v1", ["Spiral fracture"])
    assert model.seen == [(3, 32, 32)]
    assert [event for image_id in ids for event in clinic.events(image_id)] == ["admitted", "leased", "done"] * 3


def newest(clinic: Clinic, image_id: int) -> Prediction:
    with reading_sessions(clinic.engine)() as session:
        image = queries.image_with_all(session, image_id)
        assert image is not None
        return image.predictions[-1]


def test_where_the_model_looked_is_kept_in_hundredths(clinic: Clinic, worker: Work, model: Model) -> None:
    model.heat_map = np.array([[0.0, 0.004, 0.006], [0.5, 0.996, 1.0]], np.float32)
    model.unfamiliarity = 1.25
    (image_id,) = drop(clinic, jpeg(1))
    worker.run([image_id], SoftTimeLimitExceeded)
    found = newest(clinic, image_id)
    assert (found.heat_map, found.unfamiliarity) == ([[0, 0, 1], [50, 100, 100]], 1.25)


def test_a_model_that_does_not_say_where_it_looked_leaves_nothing(clinic: Clinic, worker: Work) -> None:
    (image_id,) = drop(clinic, jpeg(1))
    worker.run([image_id], SoftTimeLimitExceeded)
    with clinic.engine.connect() as connection:
        kept = connection.execute(text("SELECT heat_map IS NULL, unfamiliarity IS NULL, turn FROM predictions")).one()
    assert tuple(kept) == (True, True, 0)


def test_a_message_is_worked_on_with_the_model_of_the_moment(clinic: Clinic, model: Model, clock: Clock) -> None:
    in_use = [model]
    worker = Work(clinic.settings, clinic.engine, lambda: in_use[0], clock)  # type: ignore[arg-type, return-value]
    first, second = drop(clinic, *many_jpegs(2))
    worker.run([first], SoftTimeLimitExceeded)
    in_use[0] = Model()
    in_use[0].bundle.version = "v2"
    worker.run([second], SoftTimeLimitExceeded)
    assert [clinic.record(image_id)["model_version"] for image_id in (first, second)] == ["v1", "v2"]


def test_a_message_that_comes_twice_is_done_once(clinic: Clinic, worker: Work, model: Model) -> None:
    ids = drop(clinic, jpeg(1))
    assert [worker.run(ids, SoftTimeLimitExceeded) for _ in range(2)] == [1, 0]
    assert len(model.seen) == 1


def test_ids_that_nobody_knows_are_skipped(worker: Work) -> None:
    assert worker.run([4711], SoftTimeLimitExceeded) == 0


def test_one_bad_image_in_a_message_of_eight_leaves_seven_done(
    clinic: Clinic, worker: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = drop(clinic, *many_jpegs(8))
    read = module.read_for_network
    calls = iter(range(8))

    def fails_on_the_third(*arguments: Any) -> Any:
        if next(calls) == 2:
            raise KeyError("a bug that nobody foresaw")
        return read(*arguments)

    monkeypatch.setattr(module, "read_for_network", fails_on_the_third)
    assert worker.run(ids, SoftTimeLimitExceeded) == 8
    assert statuses(clinic, ids) == ["done"] * 2 + ["quarantined"] + ["done"] * 5
    assert clinic.record(ids[2])["error_code"] == "internal_error"


def test_a_dicom_image_gets_a_picture_that_a_browser_can_show(clinic: Clinic, worker: Work, tmp_path: Path) -> None:
    (image_id,) = drop(clinic, dicom_bytes(tmp_path, 1))
    worker.run([image_id], SoftTimeLimitExceeded)
    render = Store(clinic.settings.home_dir).render(clinic.record(image_id)["sha256"])
    with Pillow.open(render) as picture:
        assert (picture.size, picture.mode, picture.format) == ((WIDTH, HEIGHT), "L", "PNG")


def test_a_jpeg_needs_no_second_picture(clinic: Clinic, worker: Work) -> None:
    worker.run(drop(clinic, jpeg(1)), SoftTimeLimitExceeded)
    assert not (clinic.settings.home_dir / "renders").exists()


def test_a_writer_that_kept_the_file_open_is_caught(clinic: Clinic, worker: Work) -> None:
    arrival = clinic.put("slow.jpg", jpeg(1))
    with arrival.path.open("ab") as writer:
        (admission,) = clinic.admit(arrival)
        writer.write(b"the rest, which came after all")
    assert admission is not None
    worker.run([admission.image_id], SoftTimeLimitExceeded)
    record = clinic.record(admission.image_id)
    assert (record["status"], record["error_code"]) == ("quarantined", "changed_after_admission")
    assert "Drop it again once it is whole" in record["error_detail"]


def test_an_original_that_is_gone_is_said_and_mended_by_dropping_it_again(clinic: Clinic, worker: Work) -> None:
    (image_id,) = drop(clinic, jpeg(1))
    Store(clinic.settings.home_dir).original(clinic.record(image_id)["sha256"]).unlink()
    worker.run([image_id], SoftTimeLimitExceeded)
    assert clinic.record(image_id)["error_code"] == "original_missing"
    assert drop(clinic, jpeg(1)) == [image_id]
    worker.run([image_id], SoftTimeLimitExceeded)
    assert clinic.record(image_id)["status"] == "done"


def test_a_full_disk_is_not_taken_for_a_fault_of_the_program(
    clinic: Clinic, worker: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = drop(clinic, dicom_bytes(tmp_path, 1), jpeg(2))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(renders, "write_durably", full)
    worker.run(ids, SoftTimeLimitExceeded)
    record = clinic.record(ids[0])
    assert record["error_code"] == "disk_error"
    assert "(No space left on device)" in record["error_detail"]
    assert statuses(clinic, ids) == ["quarantined", "done"]


def interrupted_at(number: int, read: Callable[..., Any]) -> Callable[..., Any]:
    calls = iter(range(100))

    def slow(*arguments: Any) -> Any:
        if next(calls) == number:
            raise SoftTimeLimitExceeded
        return read(*arguments)

    return slow


def test_a_message_that_takes_too_long_goes_back_image_by_image(
    clinic: Clinic, worker: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = drop(clinic, *many_jpegs(3))
    monkeypatch.setattr(module, "read_for_network", interrupted_at(1, module.read_for_network))
    assert worker.run(ids, SoftTimeLimitExceeded) == 0
    assert statuses(clinic, ids) == ["queued"] * 3
    assert {clinic.events(image_id)[-1] for image_id in ids} == {"time_limit"}
    assert worker.run(ids[:1], SoftTimeLimitExceeded) == 1


def test_an_image_that_alone_takes_too_long_is_put_aside_with_a_reason(
    clinic: Clinic, worker: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    (image_id,) = drop(clinic, jpeg(1))
    monkeypatch.setattr(module, "read_for_network", interrupted_at(0, module.read_for_network))
    worker.run([image_id], SoftTimeLimitExceeded)
    record = clinic.record(image_id)
    assert (record["status"], record["error_code"]) == ("quarantined", "took_too_long")
    assert "TRIAGE_SOFT_TIME_LIMIT_SECONDS" in record["error_detail"]


def test_work_that_was_taken_back_meanwhile_overwrites_nothing(
    clinic: Clinic, model: Model, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    (image_id,) = drop(clinic, jpeg(1))
    slow, quick = (Work(clinic.settings, clinic.engine, lambda: model, clock) for _ in range(2))  # type: ignore[arg-type, return-value]
    read = module.read_for_network

    def overtaken(*arguments: Any) -> Any:
        monkeypatch.setattr(module, "read_for_network", read)
        clock.now += seconds(clinic.settings.lease_seconds + 1)
        take_back(clinic, clock.now)
        assert quick.run([image_id], SoftTimeLimitExceeded) == 1
        return read(*arguments)

    monkeypatch.setattr(module, "read_for_network", overtaken)
    assert slow.run([image_id], SoftTimeLimitExceeded) == 0
    assert clinic.record(image_id)["status"] == "done"
    assert clinic.events(image_id).count("done") == 1


def take_back(clinic: Clinic, now: datetime) -> None:
    from triage import queries
    from triage.database import sessions

    with sessions(clinic.engine).begin() as session:
        for image in queries.expired_leases(session, now, 10):
            queries.give_back(session, image, actor="sweep", at=now, event="lease_expired")


def test_pictures_reach_the_model_as_grey_squares(clinic: Clinic, worker: Work, model: Model) -> None:
    taken: list[Any] = []
    classify = model.classify
    model.classify = lambda inputs: taken.append(inputs) or classify(inputs)  # type: ignore[method-assign, func-returns-value]
    worker.run(drop(clinic, jpeg(1)), SoftTimeLimitExceeded)
    assert taken[0].dtype == np.uint8
    assert taken[0].shape == (1, 32, 32)


def test_text_burned_into_the_picture_is_a_reason_for_review(clinic: Clinic, worker: Work, tmp_path: Path) -> None:
    marked, plain = drop(clinic, dicom_bytes(tmp_path, 1, BurnedInAnnotation="YES"), dicom_bytes(tmp_path, 2))
    worker.run([marked, plain], SoftTimeLimitExceeded)
    assert (clinic.record(marked)["needs_review"], clinic.record(marked)["reasons"]) == (True, ["burned_in_annotation"])
    assert (clinic.record(plain)["needs_review"], clinic.record(plain)["reasons"]) == (False, [])


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
def test_compressed_dicom_is_decoded_and_its_picture_kept(
    clinic: Clinic, worker: Work, tmp_path: Path, syntax: str
) -> None:
    grey = draw_radiograph(np.random.default_rng(3), 90, 70)
    encode = imagecodecs.jpeg2k_encode if syntax == JPEG2000Lossless else imagecodecs.jpegls_encode
    options = {"reversible": True, "codecformat": "j2k"} if syntax == JPEG2000Lossless else {}
    path = write_dicom(tmp_path / "x.dcm", grey, transfer_syntax=syntax, codestream=bytes(encode(grey, **options)))
    (image_id,) = drop(clinic, path.read_bytes())
    worker.run([image_id], SoftTimeLimitExceeded)
    assert clinic.record(image_id)["status"] == "done"
    with Pillow.open(Store(clinic.settings.home_dir).render(clinic.record(image_id)["sha256"])) as render:
        assert np.array_equal(np.asarray(render), grey)


def test_what_dicom_says_of_the_exam_is_exported(clinic: Clinic, tmp_path: Path) -> None:
    study = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.1"}
    # The first station was not told the order's number, the second was.
    first, second = drop(
        clinic,
        dicom_bytes(tmp_path, 1, StudyDate="20260301", BodyPartExamined="HAND", ViewPosition="PA", **study),
        dicom_bytes(tmp_path, 2, StudyDate="20260301", StudyTime="0830", AccessionNumber="A-17",
                    ImageLaterality="L", **study),
    )  # fmt: skip
    names = (
        "study_instance_uid", "series_instance_uid", "accession_number", "study_date", "study_time",
        "body_part", "view_position", "laterality",
    )  # fmt: skip
    assert [clinic.record(first)[name] for name in names] == [
        "1.2.3", "1.2.3.1", "A-17", "20260301", "0830", "HAND", "PA", None,
    ]  # fmt: skip
    assert [clinic.record(second)[name] for name in names] == [
        "1.2.3", "1.2.3.1", "A-17", "20260301", "0830", None, None, "L",
    ]  # fmt: skip
