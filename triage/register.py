"""The rows of arriving files: is this image new, known, tried again, or somebody else's UID?"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from triage import queries
from triage.database import derive_on_commit
from triage.pixels import Exam, Header, ImageRejected, same_pixel_data
from triage.records import DISCARDED, PURGED, QUARANTINED, QUEUED, Image, SourceName, Study
from triage.store import Filed, Refused, Store
from triage.worklist_entries import find_by, study_keys

UID_CONFLICT = "sop_uid_conflict"
LONGEST_NAME_BYTES = 1500
"""What a database can index (PostgreSQL: a third of a page); a path in the inbox can be longer."""


@dataclass(frozen=True)
class Candidate:
    """A file that was taken in, or refused, and what is known of it before it has a row.

    Attributes:
        name: the name it came under.
        fingerprint: tells it from a changed one, if it stays where it is.
        filed: where its bytes are; None if they were not read.
        header: what the file says about itself; None if it was not read or is no X-ray file.
        problem: why it is put aside; None if it is to be classified.
    """

    name: str
    fingerprint: str | None
    filed: Filed | None = None
    header: Header | None = None
    problem: Refused | ImageRejected | None = None


def storable_name(name: str) -> str:
    """A file's name as text that any database takes.

    Bytes that are no UTF-8, and NUL, are written out. A path that is too long loses its beginning; a digest in
    its place keeps it apart from others.
    """
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").replace("\0", "\\x00")
    encoded = text.encode()
    if len(encoded) <= LONGEST_NAME_BYTES:
        return text
    digest = hashlib.sha256(encoded).hexdigest()[:16]
    return f"…{digest}…{encoded[-LONGEST_NAME_BYTES:].decode('utf-8', 'ignore')}"


class Register:
    """Records a lot of candidates in one transaction.

    What the database knows of them is read once for the lot, and what is new is written once: admission
    shares two cores with the workers.

    Args:
        session: in a transaction, which the caller commits.
        store: where originals lie.
        candidates: all that will be recorded.
        actor: the source of the files, also who did it in the audit trail.
        now: the time in UTC.
    """

    def __init__(
        self, session: Session, store: Store, candidates: Sequence[Candidate], *, actor: str, now: datetime
    ) -> None:
        self._session = session
        self._store = store
        self._actor = actor
        self._now = now
        self._found_by: list[tuple[Image, set[str]]] = []
        headers = [candidate.header for candidate in candidates if candidate.header]
        digests = [candidate.filed.sha256 for candidate in candidates if candidate.filed]
        self._by_sha256 = queries.images_by_sha256(session, digests)
        self._unread = queries.unread_images_by_name(session, [storable_name(c.name) for c in candidates])
        self._studies = queries.studies_by_uid(session, [h.study_instance_uid for h in headers])
        self._owners = queries.images_by_sop_instance_uid(session, [h.sop_instance_uid for h in headers])

    def record(self, candidate: Candidate) -> tuple[Image, bool]:
        """Find or make the row of a candidate; the image, and whether there is nothing new to do for it."""
        if candidate.filed is None:
            return self._record_unread(candidate)
        known = self._by_sha256.get(candidate.filed.sha256)
        if known is not None:
            return known, self._again(known, candidate, candidate.filed)
        image = self._new(candidate, candidate.filed)
        self._by_sha256[candidate.filed.sha256] = image
        return image, False

    def _again(self, image: Image, candidate: Candidate, filed: Filed) -> bool:
        """The same bytes came once more: only those that were put aside are tried again."""
        if self._add_name(image, candidate):
            self._note("named_again", image)
        if image.status not in (QUARANTINED, DISCARDED):
            return True
        if image.error_code == PURGED:
            self._name_again(image, candidate)
        problem = candidate.problem or self._uid_conflict(image, filed)
        if problem is not None:
            self._refuse(image, problem)
            return True
        queries.requeue(self._session, image, actor=self._actor, at=self._now, event="dropped_again")
        return False

    def _name_again(self, image: Image, candidate: Candidate) -> None:
        """What a purge took away is known again, now that the file is back."""
        image.source_name = storable_name(candidate.name)
        if candidate.header is None:
            return
        exam, uid = candidate.header.exam, candidate.header.study_instance_uid
        image.sop_instance_uid, image.series_instance_uid = candidate.header.sop_instance_uid, exam.series_instance_uid
        study = image.study
        if study is not None and study.study_instance_uid is None and uid not in self._studies:
            study.study_instance_uid, study.accession_number = uid, exam.accession_number
            study.study_date, study.study_time = exam.study_date, exam.study_time

    def _new(self, candidate: Candidate, filed: Filed) -> Image:
        header = candidate.header
        # A file of this name could not be read before, and now it can: it is the same image, going on.
        image = self._unread.pop(storable_name(candidate.name), None) or self._blank(candidate)
        image.study = self._study(header)
        image.sha256, image.size_bytes = filed.sha256, filed.size_bytes
        image.media_type = header.media_type if header else None
        image.sop_instance_uid = header.sop_instance_uid if header else None
        exam = header.exam if header else Exam()
        image.series_instance_uid, image.body_part = exam.series_instance_uid, exam.body_part
        image.view_position, image.laterality = exam.view_position, exam.laterality
        image.status, image.published_at = QUEUED, self._now
        image.error_code = image.error_detail = image.finished_at = None
        self._add_name(image, candidate)
        self._note("admitted", image)
        problem = candidate.problem or self._uid_conflict(image, filed)
        if problem is not None:
            self._refuse(image, problem)
        return image

    def _record_unread(self, candidate: Candidate) -> tuple[Image, bool]:
        assert candidate.problem is not None
        name = storable_name(candidate.name)
        image = self._unread.get(name)
        known = image is not None
        if image is None:
            image = self._unread[name] = self._blank(candidate)
        self._add_name(image, candidate)
        self._refuse(image, candidate.problem)
        return image, known

    def _blank(self, candidate: Candidate) -> Image:
        image = Image(
            source=self._actor,
            source_name=storable_name(candidate.name),
            received_at=self._now,
            attempts=0,
            travels_alone=False,
        )
        self._session.add(image)
        return image

    def _study(self, header: Header | None) -> Study:
        uid, exam = (header.study_instance_uid, header.exam) if header else (None, Exam())
        study = self._studies.get(uid) if uid else None
        if study is None:
            study = Study(study_instance_uid=uid, created_at=self._now)
            if uid is not None:
                self._studies[uid] = study
        # The first file that says it is believed: stations send what they were told, and not all were told all.
        study.accession_number = study.accession_number or exam.accession_number
        study.study_date = study.study_date or exam.study_date
        study.study_time = study.study_time or exam.study_time
        return study

    def _add_name(self, image: Image, candidate: Candidate) -> bool:
        name = storable_name(candidate.name)
        for known in image.names:
            if known.name == name:
                known.fingerprint = candidate.fingerprint or known.fingerprint
                return False
        image.names.append(
            SourceName(name=name, source=self._actor, fingerprint=candidate.fingerprint, received_at=self._now)
        )
        self._found_by.append((image, study_keys([name], image.study.accession_number if image.study else None)))
        derive_on_commit(self._session, image, self._let_be_found)
        return True

    def _let_be_found(self, session: Session, _studies: set[int]) -> None:
        found: dict[int, set[str]] = {}
        for image, keys in self._found_by:
            if image.study_id is not None:
                found.setdefault(image.study_id, set()).update(keys)
        find_by(session, found)

    def _note(self, event: str, image: Image) -> None:
        queries.record_event(self._session, event, image, actor=self._actor, at=self._now)

    def _refuse(self, image: Image, problem: Refused | ImageRejected) -> None:
        queries.quarantine(self._session, image, problem.code, problem.detail, actor=self._actor, at=self._now)

    def _uid_conflict(self, image: Image, filed: Filed) -> ImageRejected | None:
        """Why an image may not have its SOP Instance UID: another one has it."""
        if image.sop_instance_uid is None:
            return None
        owner = self._owners.setdefault(image.sop_instance_uid, image)
        if owner is image:
            return None
        assert owner.sha256 is not None
        same = same_pixel_data(self._store.original(owner.sha256), filed.path)
        what = {
            True: "the pixels are the same",
            False: "the pixels differ",
            None: "the pixels could not be compared",
        }
        self._session.flush()  # the owner may be of this lot, and the sentence names its number
        return ImageRejected(
            UID_CONFLICT,
            f"Image {owner.id} came with the same SOP Instance UID but other bytes ({what[same]}). "
            "Nothing was overwritten. Ask the sending station which of the two is right.",
        )
