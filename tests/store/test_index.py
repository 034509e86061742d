"""From entries to rows: what each kind makes, and what has no place in the index."""

from __future__ import annotations

import pytest
from sqlmodel import select

from provenance.attestation.statement import Statement, Subject
from provenance.errors import StatementError
from provenance.store.index import index_entries
from provenance.store.log import read_statement
from provenance.store.samples import count_classes, get_dataset
from provenance.store.samples_index import completion_tokens
from provenance.store.session import read_session, write_session
from provenance.store.tables import DecisionClass, Model, Release, Run, SampleRow, StatementRow, Student
from provenance.terms.catalogue import Catalogue
from tests.store.logs import Log, digest_of, make_samples, raw_sample
from tests.store.statements import fill


def _state(kind: str, **predicate: object) -> Statement:
    return Statement((Subject("x", {"sha256": "00"}),), kind, predicate)


def test_each_kind_has_its_rows(log: Log, catalogue: Catalogue) -> None:
    fill(log, catalogue)
    with read_session(log.engine) as session:
        student = session.exec(select(Student)).one()
        assert student.name == "acme-1b-v2"  # the latest declaration
        model = session.exec(select(Model)).one()
        assert (model.name, model.run) == ("acme/acme-1b-renamed", "run_1")
        run = session.exec(select(Run)).one()
        assert (run.phase, run.model, run.index - run.first_index) == ("end", "mod_1", 2)
        assert len(session.exec(select(Release)).all()) == 2
        assert {row.verdict for row in session.exec(select(DecisionClass))} == {"deny"}
        for row in session.exec(select(StatementRow)):
            statement = read_statement(session, row.index)
            assert (row.kind, row.predicate) == (statement.kind, statement.predicate)


def test_counts_of_a_dataset_are_those_of_its_samples(log: Log, catalogue: Catalogue) -> None:
    fill(log, catalogue)
    with read_session(log.engine) as session:
        dataset = get_dataset(session, "math")
        rows = session.exec(select(SampleRow).where(SampleRow.dataset_id == dataset.id)).all()
        assert dataset.samples == len(rows) == 6
        assert dataset.tokens == sum(row.tokens for row in rows)
        assert dataset.first_index == min(row.index for row in rows)
        classes = count_classes(session, "math", {}, 10**6)
        assert sum(item.samples for item in classes) == len(rows)
        assert sum(item.tokens for item in classes) == dataset.tokens


def test_tokens_are_the_providers_or_a_quarter_of_the_bytes() -> None:
    assert completion_tokens({"usage": {"output_tokens": 7}, "size_bytes": {"completion": 400}}) == 7
    assert completion_tokens({"usage": {"output_tokens": 0}, "size_bytes": {"completion": 400}}) == 0
    assert completion_tokens({"usage": {"output_tokens": None}, "size_bytes": {"completion": 400}}) == 100
    assert completion_tokens({"usage": None, "size_bytes": {"completion": 3}}) == 1


SAMPLE = _state("sample", dataset="d")


@pytest.mark.parametrize(
    "statements",
    [
        [SAMPLE],
        [SAMPLE, _state("access", actor="a")],
        [_state("batch", count=0)],
        [_state("batch", count=1)],
        [SAMPLE, _state("batch", count=2)],
        [SAMPLE, SAMPLE, _state("batch", count=1)],
        [SAMPLE, _state("access", actor="a"), _state("batch", count=1)],
        [SAMPLE, _state("batch", count=1)],  # a sample without facts
        [_state("student", id="stu_1")],
        [_state("model", id="mod_1")],
        [_state("run", id="run_1")],
        [_state("report", id="rep_1", subject=None)],
        [_state("release", id="rel_1", decision=None)],
    ],
)
def test_what_has_no_place_in_the_index_is_refused(sqlite_log: Log, statements: list[Statement]) -> None:
    with write_session(sqlite_log.engine) as session, pytest.raises(StatementError):
        index_entries(session, 0, statements)


def test_a_decision_about_a_class_that_is_not_there_is_refused(sqlite_log: Log) -> None:
    decision = _state(
        "decision",
        id="dec_1",
        student={"id": "stu_1"},
        action="train",
        verdict="deny",
        selection={},
        classes=[[digest_of("x")[:23], "deny", 1, 1]],
    )
    with write_session(sqlite_log.engine) as session, pytest.raises(StatementError, match="entry 5 cannot be indexed"):
        index_entries(session, 5, [decision])


def test_samples_with_the_same_facts_share_a_class(log: Log, catalogue: Catalogue) -> None:
    recorder = log.recorder(catalogue)
    same = [raw_sample(prompt="a", request_id="1"), raw_sample(prompt="b", generated_at="2026-11-20T23:59:59Z")]
    recorder.record(make_samples(*same), source="api")
    recorder.record(make_samples(raw_sample(generated_at="2026-11-21T00:00:00Z")), source="api")
    recorder.record(make_samples(raw_sample()), source="gateway")
    with read_session(log.engine) as session:
        rows = session.exec(select(SampleRow).order_by(SampleRow.index)).all()  # type: ignore[arg-type]  # a column at run time
    assert [row.fact_class_id for row in rows] == [1, 1, 2, 3]
