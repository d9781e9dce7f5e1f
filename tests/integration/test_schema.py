"""The migrations make the tables that the code expects, on both databases, and take them away again."""

from __future__ import annotations

import subprocess
import sys

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from clinic import NOON, prediction
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import IntegrityError

from triage import queries
from triage.records import Image, Prediction, Record, Review, SourceName, Study, open_database, sessions
from triage.schema import alembic_config, is_current, migrate


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


def test_migrating_again_changes_nothing(engine: Engine) -> None:
    with sessions(engine).begin() as session:
        session.add(Study(study_instance_uid="1.2.3", created_at=NOON))
    migrate(engine)
    with sessions(engine)() as session:
        assert session.query(Study).count() == 1


MIGRATE_ON_A_SIGN = """
import sys
from triage.records import open_database
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
