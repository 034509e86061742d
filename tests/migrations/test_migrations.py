"""The schema's history, on both databases: up from nothing, down and up again, nothing left to generate."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import DBAPIError

from provenance.store.migrate import alembic_config, upgrade
from provenance.store.session import make_engine
from provenance.store.tables import metadata


@pytest.fixture
def empty_engine(empty_database_url: str) -> Iterator[Engine]:
    engine = make_engine(empty_database_url)
    yield engine
    engine.dispose()


def _schema(engine: Engine) -> dict[str, list[str]]:
    """Tables with their columns, constraints and triggers, as the database tells them."""
    inspector = inspect(engine)
    found = {}
    for table in sorted(inspector.get_table_names()):
        columns = [f"{item['name']} {item['type']} {item['nullable']}" for item in inspector.get_columns(table)]
        indexes = [f"{item['name']} {item['column_names']} {item['unique']}" for item in inspector.get_indexes(table)]
        keys = [str(inspector.get_pk_constraint(table)["name"]), *map(str, inspector.get_foreign_keys(table))]
        found[table] = [*sorted(columns), *sorted(indexes), *keys]
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            query = "SELECT name FROM sqlite_master WHERE type = 'trigger' ORDER BY name"
        else:
            query = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY tgname"
        found["triggers"] = list(connection.execute(text(query)).scalars())
    return found


def test_every_table_is_there_after_the_upgrade(empty_engine: Engine, empty_database_url: str) -> None:
    upgrade(empty_database_url)
    assert set(inspect(empty_engine).get_table_names()) == {*metadata.tables, "alembic_version"}


def test_down_takes_everything_away_and_up_brings_the_same_back(empty_engine: Engine, empty_database_url: str) -> None:
    upgrade(empty_database_url)
    before = _schema(empty_engine)
    empty_engine.dispose()
    command.downgrade(alembic_config(empty_database_url), "base")
    assert inspect(empty_engine).get_table_names() == ["alembic_version"]
    empty_engine.dispose()
    upgrade(empty_database_url)
    assert _schema(empty_engine) == before


def test_an_upgrade_of_the_newest_schema_changes_nothing(engine: Engine, database_url: str) -> None:
    before = _schema(engine)
    engine.dispose()
    upgrade(database_url)
    assert _schema(engine) == before


def test_autogenerate_finds_nothing(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_autogenerate_would_find_a_forgotten_column(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE token DROP COLUMN revoked_at"))
        found = compare_metadata(MigrationContext.configure(connection), metadata)
    assert [change[0] for change in found] == ["add_column"]


def test_the_history_has_one_head() -> None:
    assert len(ScriptDirectory.from_config(alembic_config("sqlite://")).get_heads()) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entry_segment SET frames = frames",
        "UPDATE entry_segment SET count = 2 WHERE first_index = 0",
        "DELETE FROM entry_segment",
        "DELETE FROM entry_segment WHERE first_index = 0",
    ],
)
def test_the_database_refuses_to_change_entries(engine: Engine, statement: str) -> None:
    _insert(engine)
    with pytest.raises(DBAPIError, match="never changed"), engine.begin() as connection:
        connection.execute(text(statement))
    assert _frames(engine) == [b"kept"]


def test_an_entry_cannot_be_replaced_by_an_insert(engine: Engine) -> None:
    _insert(engine)
    values = "INTO entry_segment (first_index, count, frames) VALUES (0, 1, :new)"
    statement = f"INSERT OR REPLACE {values}"
    if engine.dialect.name == "postgresql":
        statement = f"INSERT {values} ON CONFLICT (first_index) DO UPDATE SET frames = EXCLUDED.frames"
    with pytest.raises(DBAPIError, match="never changed"), engine.begin() as connection:
        connection.execute(text(statement), {"new": b"new"})
    assert _frames(engine) == [b"kept"]


def test_postgres_refuses_to_truncate_entries(postgres_url: str) -> None:
    engine = make_engine(postgres_url)
    _insert(engine)
    with pytest.raises(DBAPIError, match="never changed"), engine.begin() as connection:
        connection.execute(text("TRUNCATE entry_segment"))
    assert _frames(engine) == [b"kept"]
    engine.dispose()


def _insert(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO entry_segment (first_index, count, frames) VALUES (0, 1, :b)"), {"b": b"kept"}
        )


def _frames(engine: Engine) -> list[bytes]:
    with engine.connect() as connection:
        return [bytes(value) for value in connection.execute(text("SELECT frames FROM entry_segment")).scalars()]


def test_blocks_are_counted_from_the_samples_that_are_there(empty_engine: Engine, empty_database_url: str) -> None:
    command.upgrade(alembic_config(empty_database_url), "2026_11_24_first_schema")
    with empty_engine.begin() as connection:
        for table in ("dataset (id, name, first_index, samples, tokens) VALUES (1, 'math', 0, 4, 15)",
                      "fact_class (id, digest, teacher, facts) VALUES (1, 'a', 'p/m', '{}'), (2, 'b', 'p/m', '{}')"):  # fmt: skip
            connection.execute(text(f"INSERT INTO {table}"))
        for place, kind, tokens in ((1, 1, 1), (65_535, 1, 2), (65_536, 1, 4), (140_000, 2, 8)):
            connection.execute(
                text(
                    'INSERT INTO sample ("index", batch_index, dataset_id, fact_class_id, generated_at, tokens) '
                    "VALUES (:place, 0, 1, :kind, '2026-11-24T10:00:00Z', :tokens)"
                ),
                {"place": place, "kind": kind, "tokens": tokens},
            )
    upgrade(empty_database_url)
    query = "SELECT fact_class_id, block, samples, tokens FROM class_block ORDER BY fact_class_id, block"
    with empty_engine.connect() as connection:
        assert [tuple(row) for row in connection.execute(text(query))] == [(1, 0, 2, 3), (1, 1, 1, 4), (2, 2, 1, 8)]
