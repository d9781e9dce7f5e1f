"""What clinicians have said of images, as further labelled images: ``--with-reviews``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from training import DatasetError
from training.reading import Skipped
from triage.database import open_database, reading_sessions
from triage.records import AGREE, CORRECT, DISCARDED, WITHDRAWN, Image, Prediction, Review
from triage.settings import Settings
from triage.store import Store, hash_file


@dataclass(frozen=True)
class ReviewedImage:
    """An image whose fracture type a clinician has confirmed or corrected. Nothing says who.

    Attributes:
        image_id: in the clinic's database.
        verdict: ``agree`` or ``correct``.
        label: fracture type, as it was called by the model or the clinician.
        sha256: of the original.
        path: where the original lies.
    """

    image_id: int
    verdict: str
    label: str
    sha256: str
    path: Path

    @property
    def origin(self) -> str:
        """Where a training image came from: ``review:<image id>``."""
        return f"review:{self.image_id}"


@dataclass(frozen=True)
class Reviews:
    """All verdicts of a clinic.

    Attributes:
        images: those that name a fracture type, in the order of image ids.
        unused: how many images have another newest verdict (``no_fracture``, ``other``, ``unreadable``).
        skipped: those that name a type and cannot be used.
    """

    images: tuple[ReviewedImage, ...] = ()
    unused: dict[str, int] = field(default_factory=dict)
    skipped: tuple[Skipped, ...] = ()


def read_reviews(settings: Settings) -> Reviews:
    """Reads the newest verdict of each image, and checks that its original is still what was reviewed.

    Args:
        settings: which clinic: the home and the database.

    Raises:
        DatasetError: there is no such database, or it cannot be read.
    """
    url = make_url(settings.database)
    # SQLite would make an empty database where there is none.
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise DatasetError(
            f"There are no reviews: no database is at {url.database}. Set TRIAGE_HOME or TRIAGE_DATABASE_URL to the "
            "clinic's."
        )
    newest = select(func.max(Review.id)).group_by(Review.image_id)
    query = (
        select(Image.id, Image.sha256, Image.status, Review.verdict, Review.label, Prediction.label)
        .join(Review, Review.image_id == Image.id)
        .outerjoin(Prediction, Prediction.id == Review.prediction_id)
        .where(Review.id.in_(newest), Review.verdict != WITHDRAWN)
        .order_by(Image.id)
    )
    engine = open_database(settings.database)
    try:
        with reading_sessions(engine)() as session:
            rows = session.execute(query).all()
    except SQLAlchemyError as error:
        reason = str(error.__cause__ or type(error).__name__).splitlines()[0]
        raise DatasetError(f"The reviews cannot be read from the database: {reason}") from error
    finally:
        engine.dispose()

    store, unused = Store(settings.home_dir), Counter[str]()
    images, skipped = [], []
    for image_id, sha256, status, verdict, corrected, predicted in rows:
        if verdict not in (AGREE, CORRECT):
            unused[verdict] += 1
            continue
        label = corrected if verdict == CORRECT else predicted
        problem = "it was discarded" if status == DISCARDED else None if label else "its review names no fracture type"
        problem = problem or _check_original(store, sha256)
        if problem:
            skipped.append(Skipped(f"review:{image_id}", problem))
        else:
            images.append(ReviewedImage(image_id, verdict, label, sha256, store.original(sha256)))
    return Reviews(tuple(images), dict(sorted(unused.items())), tuple(skipped))


def _check_original(store: Store, sha256: str | None) -> str | None:
    """What is wrong with an original; None if nothing is."""
    if sha256 is None:
        return "its bytes were never kept"
    try:
        return None if hash_file(store.original(sha256)) == sha256 else "its original was altered"
    except FileNotFoundError:
        return "its original is gone"
    except OSError as error:
        return error.strerror or "its original cannot be read"
