"""One flipped bit anywhere: `provenance log verify` fails and names the entry, or nothing was changed that means anything.

Each table and each file of a data directory is listed here with what guards it, so that a new one fails a test until
somebody has said what finds a flipped bit in it.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, reject, settings
from hypothesis import strategies as st

from provenance.errors import ProvenanceError
from provenance.ledger.keys import SignOnce, open_keys, read_index
from provenance.store.index import INDEX_TABLES
from provenance.store.reindex import reindex
from provenance.store.segment import read_item
from provenance.store.session import make_engine, read_session, write_session
from provenance.store.tables import metadata
from tests.cli.inprocess import run_command
from tests.store.logs import read_index as read_rows

GUARDED = {"log_head", "log_tile", "entry_segment", "content_segment"}  # by `log verify`
INDEX = {str(table.__tablename__) for table in INDEX_TABLES}  # by `db reindex`, which makes them anew from the entries
SERVICE = {
    "job": "what this service was asked to do; what came of it is in the log",
    "notice": "messages that wait to be sent; that one arrived is in the log",
    "token": "who may ask; only digests, and a token that no longer fits is refused",
    "idempotency": "answers that were given; the receipts in them verify by themselves",
}
FREE_COLUMNS = {("log_head", "updated_at"): "when the head moved here; every entry carries its own time"}

GUARDED_FILES = ("log/checkpoint", "log/vkey", "log/tile/", "keys/signed", "releases/", "reports/", "provenance.db")
FREE_FILES = {
    ".opening": "empty: a lock",
    "service.lock": "who holds the directory while it runs",
    "service.visitors": "empty: a lock",
    "workflows.db": "the steps of jobs; what they made is in the log",
    "keys/passphrase": "opens the private keys at each start, or does not",
    "keys/": "private keys and their index; a start compares them, see the test",
    "log/.published": "how far publication went: a greater number is found, a smaller one is published again",
    "releases/*/README.md": "a reading of the manifest, for people",
    "releases/*/NOTICE.md": "a reading of the manifest and the decision, for people",
    "releases/*/croissant.json": "a reading of the manifest, for readers of others; the digests that count are the manifest's",
    "releases/*/attestation.json": "signed by itself; `provenance release verify` checks it",
    "releases/*/log-proof.txt": "a proof, checked by itself; `provenance release verify` checks it",
    "reports/*/evidence.json": "a list of entries that the report names too; the bundle is made from the log",
    "reports/*/evidence.zip": "signed and proved by itself; `provenance verify` checks it",
}
QUICK = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
FEW, SOME = QUICK.max_examples // 12, QUICK.max_examples // 5  # an example is a whole run of the command


@pytest.fixture(scope="module")
def data(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory that verifies; each example flips one bit of it and puts it back."""
    data = Path(shutil.copytree(world, tmp_path_factory.mktemp("flips") / "data"))
    with closing(sqlite3.connect(data / "provenance.db")) as database:
        triggers = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in triggers:  # names that the database itself gave
            database.execute(f'DROP TRIGGER "{name}"')
        database.commit()
    assert verify(data) == (True, None, [])
    return data


def verify(data: Path) -> tuple[bool, int | None, list[str]]:
    """What the command says: whether all is well, the first bad index, and what failed."""
    done = run_command("log", "verify", "--json", data_dir=data)
    assert "Traceback" not in done.stderr, done.stderr
    if not done.stdout:
        assert done.returncode != 0
        assert done.stderr
        return False, None, [done.stderr]
    said = json.loads(done.stdout)
    if "ok" not in said:  # it cannot be read at all, and the command says why
        assert done.returncode not in {0, 6}
        return False, None, [done.stdout]
    assert done.returncode == (0 if said["ok"] else 6)
    return said["ok"], said["first_bad_index"], [item["said"] for item in said["findings"]]


def test_each_table_is_guarded_or_says_why_not() -> None:
    assert set(metadata.tables) == GUARDED | INDEX | set(SERVICE)


def test_each_file_is_guarded_or_says_why_not(data: Path) -> None:
    for path in data.rglob("*"):
        name = path.relative_to(data)
        if path.is_file() and not name.name.endswith(".lock"):
            free = [free for free in FREE_FILES if str(name).startswith(free) or name.match(free)]
            released = name.match("releases/*/*/*") and name.name in {"README.md", "attestation.json", "log-proof.txt"}
            assert free or released or str(name).startswith(GUARDED_FILES), f"{name}: what finds a flipped bit in it?"


# --- Tables ------------------------------------------------------------------------------------------------------

COLUMNS = sorted(
    (table, column.name)
    for table in GUARDED
    for column in metadata.tables[table].columns
    if (table, column.name) not in FREE_COLUMNS
)


def _flip(value: Any, bit: int) -> Any:
    if isinstance(value, int):
        return value ^ (1 << bit % 62)
    data = bytearray(value.encode() if isinstance(value, str) else value)
    data[bit // 8 % len(data)] ^= 1 << bit % 8
    return bytes(data)


class _Cell:
    """One cell of the database, with a bit flipped as long as it is entered."""

    def __init__(self, data: Path, table: str, column: str, row: int, bit: int) -> None:
        self._path, self._table, self._column, self._bit = data / "provenance.db", table, column, bit
        rows = self._execute(f'SELECT rowid, "{column}" FROM {table} ORDER BY rowid')  # noqa: S608 - our own names
        self.rowid, self.value = rows[row % len(rows)]
        self.flipped = _flip(self.value, bit)
        self.key = self._execute(f"SELECT * FROM {table} WHERE rowid = ?", self.rowid)[0]  # noqa: S608 - our own names

    def _execute(self, statement: str, *values: Any) -> list[Any]:
        with closing(sqlite3.connect(self._path)) as database:
            found = database.execute(statement, values).fetchall()
            database.commit()
            return found

    def __enter__(self) -> _Cell:
        try:
            self._set(self.flipped, self.rowid)
        except sqlite3.IntegrityError:
            reject()  # a key that another row has: no database can hold it
        return self

    def __exit__(self, *_: object) -> None:
        moved = self._column in {"first_index", "id"}  # the row id itself
        self._set(self.value, self.flipped if moved else self.rowid)

    def _set(self, value: Any, rowid: int) -> None:
        as_text = isinstance(self.value, str) and isinstance(value, bytes)
        place = "CAST(? AS TEXT)" if as_text else "?"
        self._execute(f'UPDATE {self._table} SET "{self._column}" = {place} WHERE rowid = ?', value, rowid)  # noqa: S608 - our own names


def _items(frames: bytes, count: int) -> list[bytes | None]:
    found: list[bytes | None] = []
    for position in range(count):
        try:
            found.append(read_item(frames, position))
        except Exception:  # noqa: BLE001 - whatever a damaged frame leads to
            found.append(None)
    return found


def _expected(cell: _Cell, table: str, column: str) -> tuple[bool, int | None]:
    """Whether the flip changes anything that is said, and which entry it is that no longer is what it was."""
    if column == "frames":
        first, count = cell.key[0], cell.key[1]
        before, after = _items(cell.value, count), _items(cell.flipped, count)
        changed = [first + at for at, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
        return bool(changed), changed[0] if changed else None
    if (table, column) == ("log_tile", "hashes") and cell.key[0] == 0:
        at = next(at for at, (old, new) in enumerate(zip(cell.value, cell.flipped, strict=True)) if old != new)
        return True, cell.key[1] * 256 + at // 32
    return True, None


@pytest.mark.parametrize(("table", "column"), COLUMNS)
@settings(QUICK, max_examples=FEW)
@given(row=st.integers(0, 10_000), bit=st.integers(0, 1 << 24))
@example(row=0, bit=60)  # a count that nobody lives to count to
def test_a_flipped_bit_in_the_log_s_tables_is_found(data: Path, table: str, column: str, row: int, bit: int) -> None:
    with _Cell(data, table, column, row, bit) as cell:
        ok, first, said = verify(data)
        changes, index = _expected(cell, table, column)
        assert ok == (not changes), said
        if index is not None:
            assert first == index, said
        elif changes and table != "log_head":
            assert first is not None, said


@settings(QUICK, max_examples=SOME)
@given(
    table=st.sampled_from(sorted(INDEX)),
    column=st.integers(0, 20),
    row=st.integers(0, 10_000),
    bit=st.integers(0, 1 << 16),
)
def test_a_flipped_bit_in_an_index_table_is_mended_by_reindex(
    data: Path, table: str, column: int, row: int, bit: int
) -> None:
    engine = make_engine(f"sqlite:///{data / 'provenance.db'}")
    with read_session(engine) as session:
        right = read_rows(session)
    rows = right[table]
    if rows:
        names = sorted(json.loads(rows[0]))
        _change(data, table, names[column % len(names)], row % len(rows), bit)
    with write_session(engine) as session:
        reindex(session)
    with read_session(engine) as session:
        assert read_rows(session) == right
    engine.dispose()


def _change(data: Path, table: str, column: str, row: int, bit: int) -> None:
    with closing(sqlite3.connect(data / "provenance.db")) as database:
        found = database.execute(f'SELECT "{column}" FROM "{table}" LIMIT 1 OFFSET ?', (row,)).fetchone()  # noqa: S608 - our own names
        if found[0] is None:
            return
        value = _flip(found[0], bit) if found[0] != "" else b"x"
        place = "CAST(? AS TEXT)" if isinstance(found[0], str) else "?"
        try:
            change = f'UPDATE OR IGNORE "{table}" SET "{column}" = {place} WHERE "{column}" = ?'  # noqa: S608 - our own names
            database.execute(change, (value, found[0]))
            database.commit()
        except sqlite3.IntegrityError:
            database.rollback()


# --- Files -------------------------------------------------------------------------------------------------------


class _File:
    """One file, with a bit flipped as long as it is entered."""

    def __init__(self, path: Path, at: int) -> None:
        self.path, self.before = path, path.read_bytes()
        flipped = bytearray(self.before)
        flipped[at // 8 % len(flipped)] ^= 1 << at % 8
        self._after = bytes(flipped)

    def __enter__(self) -> _File:
        self.path.write_bytes(self._after)
        return self

    def __exit__(self, *_: object) -> None:
        self.path.write_bytes(self.before)


def _files(data: Path, *patterns: str) -> list[Path]:
    return sorted(path for pattern in patterns for path in data.glob(pattern) if path.is_file() and path.stat().st_size)


@settings(QUICK, max_examples=SOME)
@given(number=st.integers(0, 1000), at=st.integers(0, 1 << 24))
def test_a_flipped_bit_in_a_published_file_is_found(data: Path, number: int, at: int) -> None:
    files = _files(data, "log/checkpoint", "log/vkey", "log/tile/**/*")
    path = files[number % len(files)]
    with _File(path, at):
        ok, first, said = verify(data)
    assert not ok
    assert any(str(path) in item for item in said), said
    assert (first is not None) == ("tile" in path.parts), said


@settings(QUICK, max_examples=SOME)
@given(number=st.integers(0, 1000), at=st.integers(0, 1 << 24))
def test_a_flipped_bit_in_a_released_or_reported_file_is_found(data: Path, number: int, at: int) -> None:
    files = _files(data, "releases/*/*/data/*", "releases/*/*/manifest.json", "reports/*/report.*")
    path = files[number % len(files)]
    with _File(path, at):
        ok, first, said = verify(data)
    assert not ok
    assert any(str(path) in item for item in said), said
    assert first is not None


@settings(QUICK, max_examples=SOME)
@given(at=st.integers(0, 1 << 14))
def test_a_flipped_bit_in_the_register_is_found_or_in_an_older_line(data: Path, at: int) -> None:
    register = SignOnce(data / "keys" / "signed")
    before = register.last()
    with _File(data / "keys" / "signed", at):
        try:
            changed = register.last() != before
        except ProvenanceError:
            changed = True
        ok, _, said = verify(data)
    assert ok == (not changed), said


@settings(QUICK, max_examples=SOME)
@given(number=st.integers(0, 1000), at=st.integers(0, 1 << 15))
@example(number=305, at=32768)  # the name of an algorithm that nobody knows
def test_a_flipped_bit_in_the_keys_is_found_by_a_start_or_by_the_log(data: Path, number: int, at: int) -> None:
    folder = data / "keys"
    files = _files(folder, "*.pem", "keys.json", "passphrase")
    right = _public(folder)
    with _File(files[number % len(files)], at):
        ok, _, _ = verify(data)
        assert not ok or _public(folder) in {right, None}


def _public(folder: Path) -> str | None:
    """What a start makes of the keys; None where it refuses."""
    try:
        ring = open_keys(folder, (folder / "passphrase").read_text().strip())
        return repr((ring.vkeys, sorted(ring.public_keys), read_index(folder)))
    except (ProvenanceError, UnicodeError):
        return None


@settings(QUICK, max_examples=SOME)
@given(at=st.integers(0, 1 << 24))
def test_a_flipped_bit_in_the_database_file_changes_nothing_or_is_found(data: Path, at: int) -> None:
    path = data / "provenance.db"
    right = _dump(path)
    with _File(path, at):
        for side in ("-wal", "-shm"):
            path.with_name(path.name + side).unlink(missing_ok=True)
        found = _dump(path)
        ok, _, said = verify(data)
        for side in ("-wal", "-shm"):
            path.with_name(path.name + side).unlink(missing_ok=True)
    assert not ok or found == right, said


def _dump(path: Path) -> list[Any] | None:
    """All rows of the guarded tables; None where they cannot be read."""
    try:
        with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as database:
            names = [
                ", ".join(
                    f'"{column.name}"'
                    for column in metadata.tables[table].columns
                    if (table, column.name) not in FREE_COLUMNS
                )
                for table in sorted(GUARDED)
            ]
            statements = [
                f"SELECT {columns} FROM {table}"  # noqa: S608 - our own names
                for table, columns in zip(sorted(GUARDED), names, strict=True)
            ]
            return [sorted(database.execute(statement).fetchall()) for statement in statements]
    except (sqlite3.Error, UnicodeError):
        return None
