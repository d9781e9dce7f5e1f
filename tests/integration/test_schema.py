"""The migrations make the tables that the code expects, on both databases, and take them away again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from clinic import NOON, prediction
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import IntegrityError

from triage import queries
from triage.database import open_database, sessions
from triage.records import Image, Prediction, Record, Review, SourceName, Study
from triage.schema import alembic_config, is_current, migrate
from triage.schema_version import SchemaOutdated, check_not_outdated, revisions
from triage.settings import Settings


def test_the_migrations_make_exactly_what_the_code_expects(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Record.metadata) == []


def test_the_migrations_can_be_taken_back_and_made_again(engine: Engine) -> None:
    config = alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    assert not is_current(engine)
    migrate(engine)
    assert is_current(engine)
    assert set(Record.metadata.tables) <= set(inspect(engine).get_table_names())


def test_predictions_and_their_reviews_survive_the_way_back_and_forth(engine: Engine) -> None:
    with sessions(engine).begin() as session:
        queries.keep_model_version(session, "v1", "d" * 64, ["one"], NOON)
        session.add(image := an_image())
        session.flush()
        image.predictions.append(said := prediction())
        said.heat_map = [[0, 100]]
        session.flush()
        session.add(Review(image_id=image.id, prediction_id=said.id, verdict="agree", reviewer="AB", created_at=NOON))
    config = alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
    assert "heat_map" not in {column["name"] for column in inspect(engine).get_columns("predictions")}
    migrate(engine)
    with sessions(engine)() as session:
        (kept,) = session.query(Prediction)
        assert (kept.label, kept.heat_map, kept.unfamiliarity, kept.turn) == ("Spiral fracture", None, None, 0)
        assert session.query(Review).one().prediction_id == kept.id


def test_a_database_is_current_only_with_the_newest_schema(database_url: str) -> None:
    empty = open_database(database_url)
    assert not is_current(empty)
    migrate(empty)
    assert is_current(empty)
    with empty.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    assert not is_current(empty)
    empty.dispose()


def test_the_names_of_the_migrations_say_their_revisions_in_order() -> None:
    scripts = ScriptDirectory.from_config(alembic_config()).walk_revisions()
    assert revisions() == [script.revision for script in scripts][::-1]


def test_work_begins_on_todays_schema_and_on_a_later_one_but_on_no_earlier_one(database_url: str) -> None:
    database = open_database(database_url)
    with pytest.raises(SchemaOutdated, match="run `triage migrate`"):
        check_not_outdated(database)
    migrate(database, "0004")
    with pytest.raises(SchemaOutdated, match="run `triage migrate`"):
        check_not_outdated(database)
    migrate(database)
    check_not_outdated(database)
    with database.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'of a later release'"))
    check_not_outdated(database)
    database.dispose()


def test_a_watcher_takes_nothing_in_before_the_database_is_migrated(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "inbox").mkdir(parents=True)
    (home / "inbox" / "a.jpg").write_bytes(b"waits")
    environment = {**os.environ, "TRIAGE_HOME": str(home)}
    command = [sys.executable, "-m", "watcher"]
    ended = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert ended.returncode == 3
    assert "the database has not the schema that this program needs; run `triage migrate`" in ended.stderr
    assert (home / "inbox" / "a.jpg").read_bytes() == b"waits"


def test_a_worker_takes_no_lease_before_the_database_is_migrated(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from worker import tasks

    monkeypatch.setattr(tasks, "get_settings", lambda: settings)
    settings.home_dir.mkdir(exist_ok=True)
    with pytest.raises(SchemaOutdated):
        tasks._work()


def test_migrating_again_changes_nothing(engine: Engine) -> None:
    with sessions(engine).begin() as session:
        session.add(Study(study_instance_uid="1.2.3", created_at=NOON))
    migrate(engine)
    with sessions(engine)() as session:
        assert session.query(Study).count() == 1


MIGRATE_ON_A_SIGN = """
import sys
from triage.database import open_database
from triage.schema import migrate
engine = open_database(sys.argv[1])
print("ready", flush=True)
sys.stdin.read()
migrate(engine)
"""


def test_processes_that_migrate_at_the_same_time_wait_for_one_another(database_url: str) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", MIGRATE_ON_A_SIGN, database_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    said = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], "\n".join(said)
    engine = open_database(database_url)
    assert is_current(engine)
    engine.dispose()


def an_image(**values: object) -> Image:
    usual = {"source": "folder", "source_name": "a.jpg", "status": "queued", "received_at": NOON, "sha256": "a" * 64}
    return Image(**(usual | values))


def refused(engine: Engine, *rows: Record) -> None:
    with sessions(engine)() as session:
        session.add_all(rows)
        with pytest.raises(IntegrityError):
            session.commit()


def test_the_database_refuses_a_second_image_with_the_same_bytes(engine: Engine) -> None:
    refused(engine, an_image(), an_image())


def test_the_database_refuses_a_second_prediction_of_one_model_version(engine: Engine) -> None:
    with sessions(engine).begin() as session:
        queries.keep_model_version(session, "v1", "d" * 64, ["one"], NOON)
        session.add(image := an_image())
        session.flush()
        session.add(first := prediction())
        first.image_id = image.id
    second = prediction()
    second.image_id = image.id
    refused(engine, second)


def test_another_model_version_may_add_its_own_prediction(engine: Engine) -> None:
    with sessions(engine).begin() as session:
        session.add(image := an_image())
        for version in ("v1", "v2"):
            queries.keep_model_version(session, version, "d" * 64, ["one"], NOON)
            image.predictions.append(prediction(version=version))
    with sessions(engine)() as session:
        found = session.get(Image, image.id)
        assert found is not None
        assert [said.model_version for said in found.predictions] == ["v1", "v2"]


def test_the_database_refuses_a_prediction_of_an_image_that_is_not_there(engine: Engine) -> None:
    with sessions(engine).begin() as session:
        queries.keep_model_version(session, "v1", "d" * 64, ["one"], NOON)
    said = prediction()
    said.image_id = 99
    refused(engine, said)


def test_one_name_is_kept_once_for_an_image(engine: Engine) -> None:
    with sessions(engine).begin() as session:
        session.add(image := an_image())
    refused(engine, *(SourceName(image_id=image.id, name="a.jpg", source="folder", received_at=NOON) for _ in "12"))


def test_times_come_back_in_utc_and_naive_times_are_refused(engine: Engine) -> None:
    with sessions(engine).begin() as session:
        session.add(image := an_image())
    with sessions(engine)() as session:
        found = session.get(Image, image.id)
        assert found is not None
        assert found.received_at == NOON
        assert found.received_at.utcoffset() is not None
    with pytest.raises(Exception, match="without a zone"), sessions(engine).begin() as session:
        session.add(an_image(sha256="b" * 64, received_at=NOON.replace(tzinfo=None)))
