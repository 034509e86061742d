"""The index tables made again from the entries alone are the same, row by row."""

from __future__ import annotations

import pytest
from sqlalchemy import inspect, text

from provenance.attestation.envelope import parse_entry
from provenance.attestation.predicates import FORMS
from provenance.errors import ConflictError, StatementError
from provenance.store import reindex as module
from provenance.store.index import INDEX_TABLES
from provenance.store.log import get_head, iterate_entries
from provenance.store.reindex import reindex
from provenance.store.session import read_session, write_session
from provenance.store.tables import metadata
from provenance.terms.catalogue import Catalogue
from tests.store.logs import Log, check_log, make_samples, raw_sample, read_index
from tests.store.statements import decision, fill, report, say

# Tables that are not made from entries, and why. All others are index tables: made again row by row, or a test fails.
NOT_FROM_ENTRIES = {
    "log_head": "the signed head: it says which entries are the log",
    "log_tile": "the tree itself; `log verify` computes it from the entries",
    "entry_segment": "the entries",
    "content_segment": "the erasable words, of which entries hold commitments alone",
    "job": "operation: what this service is doing now; what it made is in entries",
    "notice": "operation: messages that wait to be sent; that one arrived stands in an entry",
    "token": "operation: secrets of access, by digest",
    "idempotency": "operation: answers to repeated requests",
    "alembic_version": "the schema's own version",
}


def test_every_table_is_an_index_or_has_its_reason_not_to_be(log: Log) -> None:
    made = {str(model.__tablename__) for model in INDEX_TABLES}
    assert set(metadata.tables) | {"alembic_version"} == made | NOT_FROM_ENTRIES.keys()
    assert not made & NOT_FROM_ENTRIES.keys()
    assert set(inspect(log.engine).get_table_names()) == made | NOT_FROM_ENTRIES.keys()  # what the migrations made


def test_the_log_of_these_tests_holds_every_kind_of_statement(sqlite_log: Log, catalogue: Catalogue) -> None:
    fill(sqlite_log, catalogue)
    with read_session(sqlite_log.engine) as session:
        kinds = {parse_entry(entry).kind for _, entry in iterate_entries(session)}
    assert kinds == set(FORMS)


def test_only_the_index_is_touched(log: Log, catalogue: Catalogue) -> None:
    def others() -> dict[str, list[str]]:
        with read_session(log.engine) as session:
            tables = [table for name, table in metadata.tables.items() if name in NOT_FROM_ENTRIES]
            rows = {table.name: session.connection().execute(table.select()).all() for table in tables}
            return {name: sorted(map(repr, found)) for name, found in rows.items()}

    fill(log, catalogue)
    before = others()
    with write_session(log.engine) as session:
        reindex(session)
    assert others() == before


def test_rows_from_the_entries_alone_are_the_live_rows(log: Log, catalogue: Catalogue) -> None:
    fill(log, catalogue)
    with pytest.raises(ConflictError):
        say(log, "report", **report("rep_1"))  # what is rolled back leaves no gap in ids
    with pytest.raises(StatementError):
        say(log, "decision", **decision("dec_2", ["sha256:0000000000000000"]))
    log.recorder(catalogue).record(make_samples(raw_sample(dataset="new", role="judge")), source="sdk")
    with read_session(log.engine) as session:
        live = read_index(session)
        size = get_head(session).size
    assert all(live.values()), "a table without rows proves nothing"
    with write_session(log.engine) as session:
        assert reindex(session) == size
    with read_session(log.engine) as session:
        assert read_index(session) == live
    check_log(log.engine, log.ring)


def test_damaged_rows_are_mended(log: Log, catalogue: Catalogue) -> None:
    fill(log, catalogue)
    with read_session(log.engine) as session:
        live = read_index(session)
    with write_session(log.engine) as session:
        for statement in (
            "UPDATE sample SET tokens = tokens + 1",
            "UPDATE dataset SET samples = 0",
            "UPDATE class_block SET samples = samples + 1",
            "DELETE FROM run",
            "UPDATE student SET name = 'another'",
            "UPDATE fact_class SET facts = '{}'",
        ):
            session.connection().execute(text(statement))
        assert read_index(session) != live
    with write_session(log.engine) as session:
        reindex(session)
    with read_session(log.engine) as session:
        assert read_index(session) == live


@pytest.mark.parametrize("group", [1, 2, 5])
def test_groups_end_where_they_may(
    sqlite_log: Log, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, group: int
) -> None:
    fill(sqlite_log, catalogue)
    with read_session(sqlite_log.engine) as session:
        live = read_index(session)
    monkeypatch.setattr(module, "MIN_GROUP", group)
    with write_session(sqlite_log.engine) as session:
        reindex(session)
        assert read_index(session) == live


def test_a_log_goes_on_after_a_reindex(log: Log, catalogue: Catalogue) -> None:
    fill(log, catalogue)
    with write_session(log.engine) as session:
        reindex(session)
    log.recorder(catalogue).record(make_samples(raw_sample(dataset="later", role="reward")), source="api")
    with read_session(log.engine) as session:
        live = read_index(session)
    with write_session(log.engine) as session:
        reindex(session)
        assert read_index(session) == live


def test_an_empty_log_has_nothing_to_index(sqlite_log: Log) -> None:
    with write_session(sqlite_log.engine) as session:
        assert reindex(session) == 0
        assert not any(read_index(session).values())
