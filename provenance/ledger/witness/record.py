"""What a witness remembers: the logs that it knows, and of each the newest tree that it cosigned.

- One SQLite file of its own, fsynced at every commit: a witness needs no server and nothing of the log's.
- `turn` is a lock, a look and at most one step forward, in one transaction: two requests cannot both advance from one
  size, in threads or in processes. What was not committed was not signed.
- Nothing here goes back: `remove_log` forgets keys, never the size that was cosigned. Do not restore this file from a
  backup: a witness that forgot what it cosigned can be made to cosign a fork. Make a new one, with new keys.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from provenance.errors import FieldError, MalformedError, UnavailableError
from provenance.ledger.merkle import EMPTY_ROOT
from provenance.ledger.note import ED25519, ML_DSA_44_COSIGNATURE, VerifierKey, format_vkey, parse_vkey

BUSY_SECONDS = 10.0
MAX_ORIGIN_BYTES = 255  # what an ML-DSA-44 cosignature can name

_SCHEMA = """
CREATE TABLE IF NOT EXISTS log_key (vkey TEXT PRIMARY KEY, origin TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS seen (origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL,
    note TEXT NOT NULL, signed_at INTEGER NOT NULL) STRICT;
"""


@dataclass(frozen=True)
class Seen:
    """The newest tree of a log that this witness cosigned; `note` holds the log's lines and ours, `signed_at` is POSIX."""

    size: int
    root: bytes
    note: str
    signed_at: int


NOTHING = Seen(0, EMPTY_ROOT, "", 0)


class Turn:
    """The one request that may move this log now: what was `seen`, and how to move on."""

    def __init__(self, connection: sqlite3.Connection, origin: str) -> None:
        self._connection, self._origin = connection, origin
        row = connection.execute("SELECT size, root, note, signed_at FROM seen WHERE origin = ?", (origin,)).fetchone()
        self.seen = Seen(*row) if row else NOTHING

    def advance(self, seen: Seen) -> None:
        """Record what is about to be answered; durable when the turn ends."""
        self._connection.execute(
            "INSERT INTO seen VALUES (?, ?, ?, ?, ?) ON CONFLICT (origin) DO UPDATE SET "
            "size = excluded.size, root = excluded.root, note = excluded.note, signed_at = excluded.signed_at",
            (self._origin, seen.size, seen.root, seen.note, seen.signed_at),
        )


class WitnessRecord:
    """The record in the file `path`; every call opens it anew, so threads and processes may share it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as connection:
            connection.executescript(_SCHEMA)

    def add_log(self, vkey: VerifierKey) -> None:
        """Know a log by this key, from now on.

        Raises:
            MalformedError: no log signs with a key of this type, or its name does not fit into a cosignature.
        """
        shown = format_vkey(vkey)
        if vkey.signature_type not in (ED25519, ML_DSA_44_COSIGNATURE):
            raise MalformedError(
                "not a log's key", FieldError("vkey", shown, "type 0x01 (Ed25519) or 0x06 (ML-DSA-44)")
            )
        if len(vkey.name.encode()) > MAX_ORIGIN_BYTES:
            expected = f"a name of at most {MAX_ORIGIN_BYTES} bytes"
            raise MalformedError(
                f"the log's name is too long; expected {expected}", FieldError("vkey", shown, expected)
            )
        with self._open() as connection:
            connection.execute("INSERT OR IGNORE INTO log_key VALUES (?, ?)", (shown, vkey.name))

    def remove_log(self, vkey: VerifierKey) -> bool:
        """Know a log by this key no longer; whether it was known. What was cosigned stays on record."""
        with self._open() as connection:
            return bool(connection.execute("DELETE FROM log_key WHERE vkey = ?", (format_vkey(vkey),)).rowcount)

    def list_logs(self) -> list[tuple[VerifierKey, Seen | None]]:
        """Every key of every known log, and what was cosigned for that log."""
        with self._open() as connection:
            rows = connection.execute(
                "SELECT vkey, size, root, note, signed_at FROM log_key LEFT JOIN seen USING (origin) ORDER BY 1"
            ).fetchall()
        return [(parse_vkey(vkey), None if seen[0] is None else Seen(*seen)) for vkey, *seen in rows]

    def list_vkeys(self, origin: str) -> list[VerifierKey]:
        """The keys by which the log `origin` is known; none is an unknown log."""
        with self._open() as connection:
            rows = connection.execute("SELECT vkey FROM log_key WHERE origin = ?", (origin,)).fetchall()
        return [parse_vkey(vkey) for (vkey,) in rows]

    def list_origins(self) -> list[str]:
        """The logs of which something was cosigned."""
        with self._open() as connection:
            return [origin for (origin,) in connection.execute("SELECT origin FROM seen ORDER BY 1")]

    def read(self, origin: str) -> Seen:
        """What was cosigned last for `origin`; `NOTHING` if nothing was."""
        with self._open() as connection:
            return Turn(connection, origin).seen

    @contextmanager
    def turn(self, origin: str) -> Iterator[Turn]:
        """Hold the record: nobody else looks or moves until this ends, and then it is on the disk.

        Raises:
            UnavailableError: the file cannot be used; nothing was recorded.
        """
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield Turn(connection, origin)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
                # A commit returns when the disk has it (WAL alone would not wait); without WAL, readers would block.
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                yield connection
        except sqlite3.Error as exc:
            raise UnavailableError(f"the witness's record {self.path} cannot be used: {exc}") from exc
