"""Rows of samples, as the drivers write them: all columns as they were said, and errors as SQLAlchemy would raise them."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.exc import DataError, IntegrityError
from sqlmodel import col, select

from provenance.store.rows import Row, insert_samples
from provenance.store.session import read_session, write_session
from provenance.store.tables import SampleRow
from provenance.terms.catalogue import Catalogue
from tests.store.logs import Log, make_samples, open_log, raw_sample

FAR: Row = (2**40, 2**40 + 1, 1, 1, "2026-11-20T10:00:00.250Z", 2**31 - 1, "é\\\t'\"")


@pytest.fixture
def filled(log: Log, catalogue: Catalogue) -> Log:
    log.recorder(catalogue).record(make_samples(raw_sample()), source="api")
    return log


def test_a_row_comes_back_as_it_was_said(filled: Log) -> None:
    with write_session(filled.engine) as session:
        insert_samples(session, [FAR, (2**40 + 2, 2**40 + 3, 1, 1, FAR[4], 0, None)])
    with read_session(filled.engine) as session:
        rows = session.exec(select(SampleRow).order_by(col(SampleRow.index))).all()
    row = rows[1]
    assert (row.index, row.batch_index, row.dataset_id, row.fact_class_id) == FAR[:4]
    assert (row.generated_at, row.tokens, row.external_id) == FAR[4:]
    assert (rows[2].tokens, rows[2].external_id) == (0, None)


def test_a_row_that_is_there_is_refused_and_none_of_its_group_stays(filled: Log) -> None:
    with pytest.raises(IntegrityError), write_session(filled.engine) as session:
        insert_samples(session, [FAR, (1, *FAR[1:])])
    with read_session(filled.engine) as session:
        assert [row.index for row in session.exec(select(SampleRow))] == [1]


def test_a_number_that_is_too_great_for_its_column_is_refused_and_not_cut(postgres_url: str, tmp_path: Path) -> None:
    log = open_log(postgres_url, tmp_path / "keys")
    with pytest.raises(DataError), write_session(log.engine) as session:
        insert_samples(session, [(*FAR[:5], 2**40, None)])
    log.close()
