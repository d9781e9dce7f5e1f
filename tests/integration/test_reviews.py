"""What clinicians have said becomes training images, and never trains what it evaluates."""

from pathlib import Path

import numpy as np
import pytest
import xray_files
from clinic import NOON, Clinic
from PIL import Image
from sqlalchemy import Engine, select

pytest.importorskip("cv2", reason="needs the train extra")

from training import DatasetError
from training.dataset import read_dataset
from training.reviews import read_reviews
from triage.database import sessions
from triage.pixels import Limits
from triage.records import Image as Row
from triage.records import Prediction, Review
from triage.settings import Settings

LIMITS = Limits(max_bytes=10_000_000, max_pixels=10_000_000, max_side=10_000)
PREDICTED = "Spiral fracture"
ANKLE, HAND, FOREARM, SHIN = 6, 12, 10, 2


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    (tmp_path / "home" / "inbox").mkdir(parents=True)
    return Settings(home=tmp_path / "home", database_url=database_url, quiet_seconds=0.0, workers=2)


@pytest.fixture
def clinic(settings: Settings, engine: Engine) -> Clinic:
    return Clinic(settings, engine)


def review(clinic: Clinic, image_id: int, verdict: str, label: str | None = None, *, points: bool = True) -> None:
    with sessions(clinic.engine).begin() as session:
        prediction = session.scalar(select(Prediction).where(Prediction.image_id == image_id))
        session.add(
            Review(
                image_id=image_id,
                prediction_id=prediction.id if prediction and points else None,
                verdict=verdict,
                label=label,
                reviewer="Dr. Somebody",
                created_at=NOON,
            )
        )


def classified(clinic: Clinic, name: str, data: bytes) -> int:
    image_id = clinic.drop(name, data)["image_id"]
    clinic.finish(image_id)
    return int(image_id)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of four pictures that look like nothing in the clinic."""
    for number, label in enumerate(["Hairline Fracture", "Spiral Fracture"]):
        (tmp_path / "data" / label / "Test").mkdir(parents=True)
        for seed in range(4):
            coarse = np.random.default_rng(10 * number + seed).integers(0, 256, (9, 9), np.uint8)
            picture = Image.fromarray(coarse).resize((160, 160), Image.Resampling.BICUBIC)
            picture.save(tmp_path / "data" / label / f"{seed}.png")
    return tmp_path / "data"


def test_agreed_and_corrected_images_are_taken(clinic: Clinic, settings: Settings):
    agreed = classified(clinic, "patient a.jpg", xray_files.jpeg(ANKLE))
    corrected = classified(clinic, "patient b.jpg", xray_files.jpeg(HAND))
    review(clinic, agreed, "agree")
    review(clinic, corrected, "correct", "Hairline fracture")
    classified(clinic, "nobody looked.jpg", xray_files.jpeg(FOREARM))

    found = read_reviews(settings)

    assert [(one.image_id, one.verdict, one.label, one.origin) for one in found.images] == [
        (agreed, "agree", PREDICTED, f"review:{agreed}"),
        (corrected, "correct", "Hairline fracture", f"review:{corrected}"),
    ]
    assert found.images[0].path.read_bytes() == xray_files.jpeg(ANKLE)
    assert found.unused == {}
    assert found.skipped == ()
    assert "patient" not in repr(found)
    assert "Somebody" not in repr(found)


def test_the_newest_verdict_counts(clinic: Clinic, settings: Settings):
    first, second = (classified(clinic, f"{n}.jpg", xray_files.jpeg(n)) for n in (ANKLE, HAND))
    review(clinic, first, "correct", "Hairline fracture")
    review(clinic, first, "no_fracture")
    review(clinic, second, "unreadable")
    review(clinic, second, "correct", "Oblique fracture")

    found = read_reviews(settings)

    assert [(one.image_id, one.label) for one in found.images] == [(second, "Oblique fracture")]
    assert found.unused == {"no_fracture": 1}


def test_what_cannot_be_used_is_listed_with_a_reason(clinic: Clinic, settings: Settings):
    altered, gone, no_type, discarded = (
        classified(clinic, f"{n}.jpg", xray_files.jpeg(n)) for n in (ANKLE, HAND, FOREARM, SHIN)
    )
    for image_id in (altered, gone, discarded):
        review(clinic, image_id, "agree")
    review(clinic, no_type, "agree", points=False)
    originals = {one.image_id: one.path for one in read_reviews(settings).images}
    originals[altered].chmod(0o600)
    originals[altered].write_bytes(b"something else")
    originals[gone].unlink()
    with sessions(clinic.engine).begin() as session:
        session.get_one(Row, discarded).status = "discarded"

    found = read_reviews(settings)

    assert found.images == ()
    assert {skipped.name: skipped.reason for skipped in found.skipped} == {
        f"review:{altered}": "its original was altered",
        f"review:{gone}": "its original is gone",
        f"review:{no_type}": "its review names no fracture type",
        f"review:{discarded}": "it was discarded",
    }


def test_reviewed_images_join_the_dataset(clinic: Clinic, settings: Settings, folder: Path):
    usable = classified(clinic, "a.jpg", xray_files.jpeg(ANKLE))
    unknown = classified(clinic, "b.jpg", xray_files.jpeg(HAND))
    review(clinic, usable, "correct", "hairline fracture")
    review(clinic, unknown, "correct", "Oblique fracture")

    data = read_dataset(folder, LIMITS, 96, reviews=read_reviews(settings))

    assert data.names[-1] == data.origins[-1] == f"review:{usable}"
    assert set(data.origins[:-1]) == {"folder"}
    assert data.labels[data.targets[-1]] == "Hairline fracture"
    assert not data.held_back[-1]
    assert [(skipped.name, skipped.reason) for skipped in data.skipped] == [
        (f"review:{unknown}", 'no folder stands for its label, "Oblique fracture"')
    ]


def test_a_reviewed_image_never_trains_what_it_evaluates(clinic: Clinic, settings: Settings, folder: Path):
    image_id = classified(clinic, "a.jpg", xray_files.jpeg(ANKLE))
    other = classified(clinic, "b.jpg", xray_files.jpeg(HAND))
    for one in (image_id, other):
        review(clinic, one, "agree")
    with Image.open(read_reviews(settings).images[0].path) as original:
        width, height = original.size
        original.crop((20, 20, width - 10, height - 10)).save(folder / "Spiral Fracture" / "Test" / "crop.png")

    data = read_dataset(folder, LIMITS, 96, reviews=read_reviews(settings))

    names = list(data.names)
    copy, reviewed = names.index("Spiral Fracture/Test/crop.png"), names.index(f"review:{image_id}")
    assert data.groups[copy] == data.groups[reviewed]
    folds = data.folds(2, 0)
    assert folds[copy] == folds[reviewed] == -1
    assert data.evaluates_only()[reviewed]
    assert folds[names.index(f"review:{other}")] >= 0


def test_bytes_that_the_folder_has_already_are_not_taken_twice(clinic: Clinic, settings: Settings, folder: Path):
    same, contrary = (classified(clinic, f"{n}.jpg", xray_files.jpeg(n)) for n in (ANKLE, HAND))
    (folder / "Spiral Fracture" / "same.jpg").write_bytes(xray_files.jpeg(ANKLE))
    (folder / "Spiral Fracture" / "contrary.jpg").write_bytes(xray_files.jpeg(HAND))
    review(clinic, same, "agree")
    review(clinic, contrary, "correct", "Hairline fracture")

    data = read_dataset(folder, LIMITS, 96, reviews=read_reviews(settings))

    assert {skipped.name: skipped.reason for skipped in data.skipped} == {
        f"review:{same}": "the folder has it already: Spiral Fracture/same.jpg",
        f"review:{contrary}": "the same file under another label: Spiral Fracture/contrary.jpg (Spiral fracture)",
        "Spiral Fracture/contrary.jpg": f"the same file under another label: review:{contrary} (Hairline fracture)",
    }
    assert "Spiral Fracture/same.jpg" in data.names


def test_an_original_that_changes_before_it_is_read_is_left_out(clinic: Clinic, settings: Settings, folder: Path):
    image_id = classified(clinic, "a.jpg", xray_files.jpeg(ANKLE))
    review(clinic, image_id, "agree")
    reviews = read_reviews(settings)
    reviews.images[0].path.chmod(0o600)
    reviews.images[0].path.write_bytes(xray_files.jpeg(HAND))

    data = read_dataset(folder, LIMITS, 96, reviews=reviews)

    assert [(skipped.name, skipped.reason) for skipped in data.skipped] == [
        (f"review:{image_id}", "its bytes are not those that were admitted")
    ]


def test_no_database_is_said_and_none_is_made(tmp_path: Path):
    with pytest.raises(DatasetError, match="There are no reviews: no database is at"):
        read_reviews(Settings(home=tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()


def test_a_database_of_something_else_is_said(tmp_path: Path):
    (tmp_path / "triage.sqlite3").write_bytes(b"")

    with pytest.raises(DatasetError, match="The reviews cannot be read from the database: no such table"):
        read_reviews(Settings(home=tmp_path))
