"""From entries to index rows: the one place that says which rows an entry makes.

The append calls it for new entries, `provenance db reindex` for all of them, so the two cannot disagree.
Samples take the bulk path (`store/samples_index.py`); a batch entry closes the samples right before it. Who has just written them
hands them over as a `SampleGroup`; from entries that are read again the same is made here. Ids are given out here
and not by the database, so that rows made again from the entries are the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, insert
from sqlalchemy.exc import MultipleResultsFound, NoResultFound
from sqlmodel import Session, SQLModel, col, select

from provenance.attestation.statement import Statement
from provenance.errors import StatementError
from provenance.store import lineage_index
from provenance.store.samples_index import SampleGroup, index_samples
from provenance.store.tables import (
    ClassBlock,
    Dataset,
    Decision,
    DecisionClass,
    FactClass,
    LineageEdge,
    LineageNode,
    Model,
    Release,
    Report,
    Run,
    SampleRow,
    StatementRow,
    Student,
)

Predicate = Mapping[str, Any]
INDEX_TABLES: tuple[type[SQLModel], ...] = (
    LineageEdge,
    LineageNode,
    Report,
    Run,
    Release,
    DecisionClass,
    Decision,
    Model,
    Student,
    SampleRow,
    ClassBlock,
    FactClass,
    Dataset,
    StatementRow,
)
INCOMPLETE = (KeyError, TypeError, ValueError, AttributeError, MultipleResultsFound, NoResultFound)
CLASS_PREFIX = len("sha256:") + 16  # a decision names its classes by this many characters of their digest


def index_entries(session: Session, first_index: int, said: Sequence[Statement | SampleGroup]) -> None:
    """Add the rows of what was said, which stands in the log from `first_index` on.

    Raises:
        StatementError: samples that no batch right behind them counts, or a predicate that lacks what its row needs.
    """
    index_drafts(session, [(first_index, said)])


def index_drafts(session: Session, drafts: Iterable[tuple[int, Sequence[Statement | SampleGroup]]]) -> None:
    """The same for several that follow one another in the log: batches that stand together are added together.

    Raises:
        as `index_entries`.
    """
    waiting = _Waiting(session)
    for first_index, said in drafts:
        _index_draft(session, first_index, said, waiting)
    waiting.flush()


def _index_draft(
    session: Session, first_index: int, said: Sequence[Statement | SampleGroup], waiting: _Waiting
) -> None:
    index, samples = first_index, SampleGroup()
    for item in said:
        if isinstance(item, SampleGroup):
            index, samples = index + len(item.lines), item
            continue
        try:
            if item.kind == "sample":
                samples.add(item.predicate)
            else:
                if item.kind == "batch" or samples.lines:
                    _check_batch(index, item, samples)
                    waiting.add_samples(index, samples)
                    samples = SampleGroup()
                _index_statement(session, index, item, waiting)
        except INCOMPLETE as exc:
            raise StatementError(f"the {item.kind} statement of entry {index} cannot be indexed: {exc!r}") from exc
        index += 1
    if samples.lines:
        first = index - len(samples.lines)
        raise StatementError(f"samples {first}..{index - 1} are not closed by a batch entry")


class _Waiting:
    """Rows that are added with the next ones, in one statement a table; nothing that reads them comes before `flush`."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._batches: list[tuple[int, SampleGroup]] = []
        self._statements: list[dict[str, Any]] = []

    def add_samples(self, batch_index: int, samples: SampleGroup) -> None:
        self._batches.append((batch_index, samples))
        if any(line.parents for line in samples.lines):
            self.flush()  # their parents are looked for, and those that nobody knows get a node now

    def add_statement(self, index: int, kind: str, key: str, predicate: Predicate) -> None:
        self._statements.append({"index": index, "kind": kind, "key": key, "predicate": dict(predicate)})

    def flush(self) -> None:
        batches, self._batches = self._batches, []
        statements, self._statements = self._statements, []
        if batches:
            try:
                index_samples(self._session, batches)
            except INCOMPLETE as exc:
                raise StatementError(f"the samples before entry {batches[-1][0]} cannot be indexed: {exc!r}") from exc
        if statements:
            self._session.connection().execute(_ADD_STATEMENT, statements)


def _check_batch(index: int, statement: Statement, samples: SampleGroup) -> None:
    count = len(samples.lines)
    if statement.kind != "batch" or not count or statement.predicate["count"] != count:
        raise StatementError(f"entry {index} ({statement.kind}) does not count the {count} samples before it")


def clear_index(session: Session) -> None:
    """Empty every index table, children first."""
    for table in INDEX_TABLES:
        session.execute(delete(table))


def _index_statement(session: Session, index: int, statement: Statement, waiting: _Waiting) -> None:
    predicate = statement.predicate
    key = str(predicate.get("id") or predicate.get("keyid") or index)
    waiting.add_statement(index, statement.kind, key, predicate)
    rows, added = _ROWS.get(statement.kind), _LINEAGE.get(statement.kind)
    if rows is not None:
        waiting.flush()
        rows(session, index, predicate)
        session.flush()
    if added is not None:
        added(session, index, predicate)


def _index_student(session: Session, index: int, predicate: Predicate) -> None:
    session.merge(
        Student(id=predicate["id"], index=index, name=str(predicate["facts"]["name"]), digest=predicate["digest"])
    )


def _index_model(session: Session, index: int, predicate: Predicate) -> None:
    session.merge(
        Model(
            id=predicate["id"],
            index=index,
            kind=predicate["kind"],
            name=f"{predicate['provider']}/{predicate['name']}",
            weights_digest=predicate.get("weights_digest"),
            run=predicate.get("run"),
        )
    )


def _index_decision(session: Session, index: int, predicate: Predicate) -> None:
    session.add(
        Decision(
            id=predicate["id"],
            index=index,
            student=predicate["student"]["id"],
            action=predicate["action"],
            verdict=predicate["verdict"],
            dataset=predicate["selection"].get("dataset"),
        )
    )
    session.flush()
    for digest, verdict, samples, tokens in predicate["classes"]:
        fact_class = session.exec(select(FactClass.id).where(col(FactClass.digest).startswith(digest))).one()
        session.add(
            DecisionClass(
                decision=predicate["id"],
                fact_class_id=fact_class or 0,
                verdict=verdict,
                samples=samples,
                tokens=tokens,
            )
        )


def _index_release(session: Session, index: int, predicate: Predicate) -> None:
    session.add(
        Release(
            id=predicate["id"],
            index=index,
            name=predicate["name"],
            version=predicate["version"],
            dataset=predicate["dataset"],
            student=predicate["student"],
            decision=predicate["decision"]["id"],
            state=predicate["state"],
            log_size=predicate["log_size"],
            manifest_digest=predicate.get("manifest_digest"),
        )
    )


def _index_run(session: Session, index: int, predicate: Predicate) -> None:
    before = session.get(Run, predicate["id"])
    session.merge(
        Run(
            id=predicate["id"],
            index=index,
            first_index=before.first_index if before else index,
            phase=predicate["phase"],
            release=predicate["release"],
            student=predicate["student"],
            model=predicate.get("model"),
        )
    )


def _index_report(session: Session, index: int, predicate: Predicate) -> None:
    session.add(
        Report(
            id=predicate["id"],
            index=index,
            kind=predicate["kind"],
            subject_kind=predicate["subject"]["kind"],
            subject=predicate["subject"]["id"],
        )
    )


_ADD_STATEMENT = insert(StatementRow)
_ROWS: dict[str, Callable[[Session, int, Predicate], None]] = {
    "student": _index_student,
    "model": _index_model,
    "decision": _index_decision,
    "release": _index_release,
    "run": _index_run,
    "report": _index_report,
}
_LINEAGE: dict[str, Callable[[Session, int, Predicate], None]] = {
    "model": lineage_index.add_model,
    "release": lineage_index.add_release,
    "run": lineage_index.add_run,
    "report": lineage_index.add_report,
}
