"""The index tables made again from the entries alone are the same, row by row."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from provenance.errors import ConflictError, StatementError
from provenance.store import reindex as module
from provenance.store.log import get_head
from provenance.store.reindex import reindex
from provenance.store.session import read_session, write_session
from provenance.terms.catalogue import Catalogue
from tests.store.logs import Log, check_log, make_samples, raw_sample, read_index
from tests.store.statements import decision, fill, report, say


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
