"""Alembic's environment: our engine, our metadata, one transaction a migration run."""

from __future__ import annotations

from alembic import context

from provenance.store.session import make_engine
from provenance.store.tables import metadata

OURS = set(metadata.tables)


def _ours(_object: object, name: str | None, kind: str, _reflected: bool, _compare_to: object) -> bool:
    # DBOS keeps its tables in the same PostgreSQL; they are not ours to migrate.
    return kind != "table" or name in OURS


def run() -> None:
    engine = make_engine(context.config.attributes["url"])
    with engine.execution_options(write=True).connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=metadata,
            include_object=_ours,
            transactional_ddl=True,
        )
        with context.begin_transaction():
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("SET lock_timeout = '5s'")
                connection.exec_driver_sql("SET statement_timeout = '10min'")
            context.run_migrations()
    engine.dispose()


run()
