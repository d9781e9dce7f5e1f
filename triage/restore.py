"""``triage restore``: a backup becomes a home again, or nothing changes.

Everything is written beside its place, checked, and then moved: files first, the database last. With PostgreSQL the
database has been brought back by ``pg_restore`` before; of the files, those are kept that it names.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Engine, make_url, select, update
from sqlalchemy.orm import Session, sessionmaker

from triage import queries
from triage.archive import DATABASE, FOLDERS, ArchiveError, ArchiveReader
from triage.backup import PAGE
from triage.broker import WATCHER, children_alive
from triage.condition import open_existing
from triage.database import open_database, sessions
from triage.disk_checks import known_digests
from triage.intake import utc_now
from triage.records import PROCESSING, QUEUED, Image
from triage.row_checks import is_told
from triage.schema import alembic_config, migrate
from triage.settings import Settings
from triage.stack import PartMissing, hold_home, make_home
from triage.store import Store, hash_file, sync_folder

ACTOR: Final = "command line"
STAGING: Final = ".restoring"

_LOCKS: Final = (".lock", ".switching.lock")


class RestoreRefused(Exception):
    """The home is in use or not empty, or does not fit the backup; the message says what to do."""


@dataclass(frozen=True)
class Restored:
    """What came back.

    Attributes:
        created_at: when the backup was made.
        images: rows of the database.
        waiting: of those, how many wait for a worker.
        missing: images whose original was missing or another one in the backup already.
    """

    created_at: str
    images: int
    waiting: int
    missing: list[int]


def restore(settings: Settings, source: Path, tell: Callable[[int, int], None] = lambda done, total: None) -> Restored:
    """Bring a backup back into a home that holds no database and no originals.

    Args:
        settings: which home.
        source: the file that ``triage backup`` wrote.
        tell: called with the number of files that were written, and of all (0: unknown).

    Raises:
        RestoreRefused: the home is in use or not empty, or does not fit the backup.
        AlreadyRunning: the stack runs on the home.
        ArchiveError: the file is no backup, or damaged; the home stays as it was.
        PartMissing: the home or the database cannot be used.
        FileNotFoundError: there is no such file.
    """
    with source.open("rb") as file:
        archive = ArchiveReader(file)
        _check_fits(settings, archive.manifest)
        _check_empty(settings)
        make_home(settings)
        with hold_home(settings):
            _check_empty(settings)
            if children_alive(settings) or children_alive(settings, WATCHER):
                raise RestoreRefused("a worker or watcher is at work on this broker; stop it first")
            with _staging(settings) as (staging, database):
                return _restore(settings, archive, staging, database, tell)


def database_file(settings: Settings) -> Path | None:
    """The SQLite file; None with PostgreSQL."""
    url = make_url(settings.database)
    return Path(url.database).absolute() if url.get_backend_name() == "sqlite" and url.database else None


def _check_fits(settings: Settings, manifest: dict[str, Any]) -> None:
    own = database_file(settings)
    if (manifest.get("database") is None) != (own is None):
        raise RestoreRefused(
            "this backup was made with PostgreSQL: bring its dump back with pg_restore, and set TRIAGE_DATABASE_URL"
            if own is not None
            else "this backup holds an SQLite database: unset TRIAGE_DATABASE_URL to restore it"
        )
    if own is None:
        return
    try:
        ScriptDirectory.from_config(alembic_config()).get_revision(str(manifest.get("schema")))
    except CommandError as error:
        raise PartMissing("the backup has a schema that this program does not know; update the program") from error


def _check_empty(settings: Settings) -> None:
    """A home with anything in it that a restore would have to mix with its own is left alone."""
    database = database_file(settings)
    for path in [] if database is None else [database, database.with_name(f"{database.name}-wal")]:
        if os.path.lexists(path):
            raise RestoreRefused(f"there is a database already ({path}); set TRIAGE_HOME to an empty folder")
    for folder in (settings.home_dir / name for name in (*FOLDERS, "filing")):
        if any(path.name not in _LOCKS and not path.is_dir() for path in folder.rglob("*")):
            raise RestoreRefused(f"there are files in {folder} already; set TRIAGE_HOME to an empty folder")


@contextlib.contextmanager
def _staging(settings: Settings) -> Iterator[tuple[Path, Path | None]]:
    """Where the files, and the database, are put together; nothing of it is left in the end."""
    folder = settings.home_dir / STAGING
    final = database_file(settings)
    database = None if final is None else final.with_name(f".{final.name}.restoring")

    def clear() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        for suffix in ("", "-wal", "-shm") if database is not None else ():
            Path(f"{database}{suffix}").unlink(missing_ok=True)

    clear()  # of a restore that was killed
    folder.mkdir(mode=0o700)
    try:
        yield folder, database
    finally:
        clear()


def _restore(
    settings: Settings,
    archive: ArchiveReader,
    staging: Path,
    database: Path | None,
    tell: Callable[[int, int], None],
) -> Restored:
    targets = {name: staging / name for name in FOLDERS} | ({DATABASE: database} if database is not None else {})
    for number, _ in enumerate(archive.extract(targets), start=1):
        tell(number, 0)
    missing = {image_id for image_id in archive.complete().get("missing", []) if isinstance(image_id, int)}
    engine = open_existing(settings) if database is None else _open_staged(archive.manifest, database)
    try:
        factory = sessions(engine)
        images = _check_originals(factory, staging, missing)
        if database is None:
            _keep_what_is_named(factory, staging)
            os.sync()
            _move_files(settings, staging)
        waiting = put_back_in_queue(factory, str(archive.manifest.get("created_at")), utc_now())
    finally:
        engine.dispose()
    final = database_file(settings)
    if database is not None and final is not None:
        os.sync()
        _move_files(settings, staging)
        database.rename(final)
        sync_folder(final.parent)
    return Restored(str(archive.manifest.get("created_at")), images, waiting, sorted(missing))


def _open_staged(manifest: dict[str, Any], database: Path) -> Engine:
    expected = manifest.get("database")
    digest = expected.get("sha256") if isinstance(expected, dict) else None
    if not database.is_file() or hash_file(database) != digest:
        raise ArchiveError("this backup is damaged: its database is not what was saved")
    engine = open_database(f"sqlite:///{database}")
    migrate(engine)  # a backup of an earlier version comes to this one's schema
    return engine


def _check_originals(factory: sessionmaker[Session], staging: Path, missing: set[int]) -> int:
    """Every image must have its original, but for those that had none when the backup was made; how many images."""
    store, last, images = Store(staging), 0, 0
    columns = (Image.id, Image.sha256, Image.status, Image.error_code)
    while True:
        with factory() as session:
            rows = session.execute(select(*columns).where(Image.id > last).order_by(Image.id).limit(PAGE)).all()
        if not rows:
            break
        for row in rows:
            there = row.sha256 is None or store.original(row.sha256).is_file()
            if not there and row.id not in missing and not is_told("missing_original", row):
                raise RestoreRefused(
                    f"the backup has no original of image {row.id}. With PostgreSQL, the dump must be the older of "
                    "the two; else the backup is damaged"
                )
        images += len(rows)
        last = rows[-1].id
    if not images and any((staging / "originals").glob("*/*")):
        raise RestoreRefused("the database names no image; bring it back with pg_restore first")
    return images


def _keep_what_is_named(factory: sessionmaker[Session], staging: Path) -> None:
    """Drop what came in between the dump and the backup: no row of the dump knows it."""
    for root in (staging / "originals", staging / "renders"):
        for folder in sorted(root.iterdir()) if root.is_dir() else []:
            files = {path.name.removesuffix(".png"): path for path in folder.iterdir()}
            with factory() as session:
                known = known_digests(session, sorted(files))
            for digest in files.keys() - known:
                files[digest].unlink()


def put_back_in_queue(factory: sessionmaker[Any], created_at: str, now: datetime) -> int:
    """Make what waited or was being worked on wait for a message; how many images that are.

    No worker holds a lease from before the backup, and no message of then is left.
    """
    while True:
        with factory.begin() as session:
            held = session.scalars(
                select(Image).where(Image.status == PROCESSING).order_by(Image.id).limit(PAGE).with_for_update()
            ).all()
            for image in held:
                queries.give_back(session, image, actor=ACTOR, at=now, event="restored")
        if not held:
            break
    with factory.begin() as session:
        session.execute(
            update(Image)
            .where(Image.status == QUEUED)
            .values(published_at=None)
            .execution_options(synchronize_session=False)
        )
        waiting = queries.counts(session)[QUEUED]
        detail = {"created_at": created_at, "waiting": waiting}
        queries.record_event(session, "home_restored", None, actor=ACTOR, at=now, detail=detail)
    return waiting


def _move_files(settings: Settings, staging: Path) -> None:
    for name in FOLDERS:
        if (staging / name).is_dir():
            final = settings.home_dir / name
            if final.is_dir():
                _remove_empty(final)
            (staging / name).rename(final)
    sync_folder(settings.home_dir)


def _remove_empty(folder: Path) -> None:
    """Remove a folder in which there are only folders, and perhaps the lock of a promotion."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.name in _LOCKS:
            path.unlink()
        else:
            path.rmdir()
    folder.rmdir()
