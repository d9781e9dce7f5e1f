"""``triage backup``: all state of a home in one file, while the system runs.

The order is what makes it fit together. The name of the active model is read first (its audit event was committed
before it), then a snapshot of the database is taken, then every file is copied that the snapshot names: originals are
there before their row, and are never altered or removed. With PostgreSQL, ``pg_dump`` takes the snapshot, before this.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any, Final

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, Row, create_engine, func, select
from sqlalchemy.orm import Session

from triage import queries
from triage.archive import DATABASE, FORMAT, MANIFEST, ArchiveWriter
from triage.bundle import ACTIVE_FILE
from triage.condition import open_existing
from triage.intake import utc_now
from triage.records import Image
from triage.row_checks import is_told
from triage.settings import Settings
from triage.store import Refused, Store, hash_file, open_regular, sync_folder

PAGE: Final = 500

Tell = Callable[[int, int], None]


class BackupRefused(Exception):
    """No backup can be made like that; the message says what to do."""


@dataclass
class BackedUp:
    """What a backup holds.

    Attributes:
        images: rows of the database.
        files: files of each folder.
        missing: images whose original could not be read, or is another one.
        with_database: False with PostgreSQL, whose dump is a file of its own.
        size_bytes: of the file.
    """

    images: int = 0
    files: dict[str, int] = field(default_factory=dict)
    missing: list[int] = field(default_factory=list)
    with_database: bool = True
    size_bytes: int = 0


def program_version() -> str:
    """The version of this program, for the manifest."""
    try:
        return version("fracture-triage")
    except PackageNotFoundError:
        return "unknown"


def back_up(settings: Settings, target: Path, tell: Tell = lambda done, total: None) -> BackedUp:
    """Write a backup. It gets its name once it is complete; when something fails, there is no file of this name.

    Args:
        settings: which home.
        target: the file to write; must not be there.
        tell: called with the number of images that were saved, and of all.

    Raises:
        BackupRefused: the file is there already, or would lie in the home or the inbox.
        FileNotFoundError: the folder of the file is not there.
        PartMissing: the database does not answer.
        OSError: the disk is full or failed.
    """
    target = target.expanduser().absolute()
    _check_target(settings, target)
    active = _read_active(settings)
    engine = open_existing(settings)
    try:
        with _written_beside(target) as file, _snapshot(engine, target.parent) as (database, saved):
            result = _write(settings, file, database, saved, active, tell)
        result.size_bytes = target.stat().st_size
        return result
    finally:
        engine.dispose()


def _check_target(settings: Settings, target: Path) -> None:
    if os.path.lexists(target):
        raise BackupRefused(f"{target} exists; name another file")
    folder = target.parent.resolve(strict=True)
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder")
    for own in (settings.home_dir, settings.inbox_dir):
        if folder.is_relative_to(own.resolve()):
            raise BackupRefused(f"a backup must not lie in {own}; best is another disk")


def _read_active(settings: Settings) -> bytes | None:
    try:
        return (settings.models_dir / ACTIVE_FILE).read_bytes()
    except FileNotFoundError:
        return None


@contextlib.contextmanager
def _written_beside(target: Path) -> Iterator[IO[bytes]]:
    """A file that gets its name only when all went well, and for good. Nobody else may read it: it holds pictures."""
    temporary = target.with_name(f".{target.name}.part")
    with os.fdopen(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BackupRefused(f"another backup to {target} is being written") from error
        if not temporary.exists() or not os.path.samestat(temporary.stat(), os.fstat(file.fileno())):
            raise BackupRefused(f"another backup to {target} has just been written")
        try:
            file.truncate(0)  # what a process left that was killed
            yield file
            file.flush()
            os.fsync(file.fileno())
            temporary.rename(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    sync_folder(target.parent)


@contextlib.contextmanager
def _snapshot(engine: Engine, folder: Path) -> Iterator[tuple[Path | None, Engine]]:
    """The database as it is at this moment: a file, and the engine to read it. PostgreSQL: no file, but itself."""
    if engine.dialect.name != "sqlite":
        yield None, engine
        return
    with tempfile.TemporaryDirectory(prefix=".triage-backup-", dir=folder) as temporary:
        copy = Path(temporary) / DATABASE
        source = engine.raw_connection()
        try:
            with contextlib.closing(sqlite3.connect(copy)) as target:
                driver = source.driver_connection
                assert isinstance(driver, sqlite3.Connection)
                driver.backup(target)
                target.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
                (found,) = target.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise BackupRefused(f"the database is damaged ({found}); go back to an earlier backup")
        finally:
            source.close()
        saved = create_engine(f"sqlite:///{copy}", hide_parameters=True)
        try:
            yield copy, saved
        finally:
            saved.dispose()


def _write(
    settings: Settings, file: IO[bytes], database: Path | None, saved: Engine, active: bytes | None, tell: Tell
) -> BackedUp:
    with saved.connect() as connection:
        schema = MigrationContext.configure(connection).get_current_revision()
    with Session(saved) as session:
        statuses = queries.counts(session)
        size = session.scalar(select(func.sum(Image.size_bytes))) or 0
        last = session.scalar(select(func.max(Image.id))) or 0
    size += 0 if database is None else database.stat().st_size
    free = shutil.disk_usage(file.name).free
    if size > free:
        raise OSError(None, f"{size / 1e9:.1f} GB are needed, and only {free / 1e9:.1f} GB are free there")
    result = BackedUp(images=sum(statuses.values()), with_database=database is not None)
    archive = ArchiveWriter(file)
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "program": program_version(),
        "schema": schema,
        "created_at": utc_now().isoformat(),
        "images": statuses,
        "database": None if database is None else {"sha256": hash_file(database), "bytes": database.stat().st_size},
    }
    archive.add_json(MANIFEST, manifest)
    if database is not None:
        with database.open("rb") as reader:
            archive.add(DATABASE, reader, database.stat().st_size)
    for number, row in enumerate(_images(saved, last), start=1):
        if not _add_original(archive, Store(settings.home_dir), row):
            result.missing.append(row.id)
        tell(number, max(number, result.images))
    _add_models(archive, settings.models_dir, active)
    result.files = archive.counts
    archive.complete(missing=result.missing)
    return result


def _images(engine: Engine, last: int) -> Iterator[Row[*tuple[Any, ...]]]:
    """The images up to this id that have an original, by keyset."""
    columns = (Image.id, Image.sha256, Image.media_type, Image.status, Image.error_code)
    after = 0
    while True:
        with Session(engine) as session:
            rows = session.execute(
                select(*columns)
                .where(Image.id > after, Image.id <= last, Image.sha256.is_not(None))
                .order_by(Image.id)
                .limit(PAGE)
            ).all()
        if not rows:
            return
        yield from rows
        after = rows[-1].id


def _add_original(archive: ArchiveWriter, store: Store, row: Row[*tuple[Any, ...]]) -> bool:
    """Add the original and the render of an image; False if the original is not there as it should be."""
    original = store.original(row.sha256)
    try:
        with open_regular(original) as reader:
            found = os.fstat(reader.fileno())
            name = f"originals/{row.sha256[:2]}/{row.sha256}"
            digest = archive.add(name, reader, found.st_size, found.st_mtime)
        well = digest == row.sha256 or is_told("digest_differs", row)
    except FileNotFoundError:
        well = is_told("missing_original", row)
    except Refused:
        well = False
    with contextlib.suppress(FileNotFoundError), store.render(row.sha256).open("rb") as reader:
        found = os.fstat(reader.fileno())
        archive.add(f"renders/{row.sha256[:2]}/{row.sha256}.png", reader, found.st_size, found.st_mtime)
    return well


def _add_models(archive: ArchiveWriter, folder: Path, active: bytes | None) -> None:
    """Add the clinic's own bundles; a bundle may be a link to a folder elsewhere, and is saved as what it is."""
    for bundle in sorted(folder.iterdir()) if folder.is_dir() else []:
        if bundle.name.startswith(".") or not bundle.is_dir():
            continue
        for parent, inside, names in os.walk(bundle):
            inside[:] = [name for name in inside if not name.startswith(".")]
            for path in (Path(parent) / name for name in sorted(names) if not name.startswith(".")):
                with path.open("rb") as reader:
                    found = os.fstat(reader.fileno())
                    archive.add(f"models/{path.relative_to(folder)}", reader, found.st_size, found.st_mtime)
    if active is not None:
        archive.add(f"models/{ACTIVE_FILE}", io.BytesIO(active), len(active))
