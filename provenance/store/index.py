"""From entries to index rows: the one place that says which rows an entry makes.

The append calls it for new entries, `provenance db reindex` for all of them, so the two cannot disagree.
Samples take the bulk path (Core, `executemany`); a batch entry closes the samples right before it. Ids are given out here
and not by the database, so that rows made again from the entries are the same rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, func, insert, text, update
from sqlalchemy.exc import MultipleResultsFound, NoResultFound
from sqlmodel import Session, SQLModel, col, select

from provenance.attestation.facts import sample_facts, teacher_name
from provenance.attestation.statement import Statement
from provenance.errors import StatementError
from provenance.store import lineage_index
from provenance.store.tables import (
    BLOCK_ENTRIES,
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
CLASS_PREFIX = len("sha256:") + 16  # a decision names its classes by this many characters of their digest


def index_entries(session: Session, first_index: int, statements: Sequence[Statement]) -> None:
    """Add the rows of `statements`, which stand in the log from `first_index` on.

    Raises:
        StatementError: samples that no batch right behind them counts, or a predicate that lacks what its row needs.
    """
    samples: list[tuple[int, Predicate]] = []
    for index, statement in enumerate(statements, first_index):
        try:
            if statement.kind == "sample":
                samples.append((index, statement.predicate))
                continue
            if statement.kind == "batch" or samples:
                _check_batch(index, statement, samples)
                _index_samples(session, samples, batch_index=index)
                samples = []
            _index_statement(session, index, statement)
        except (KeyError, TypeError, ValueError, AttributeError, MultipleResultsFound, NoResultFound) as exc:
            raise StatementError(f"the {statement.kind} statement of entry {index} cannot be indexed: {exc!r}") from exc
    if samples:
        raise StatementError(f"samples {samples[0][0]}..{samples[-1][0]} are not closed by a batch entry")


def _check_batch(index: int, statement: Statement, samples: Sequence[tuple[int, Predicate]]) -> None:
    if statement.kind != "batch" or not samples or statement.predicate["count"] != len(samples):
        raise StatementError(f"entry {index} ({statement.kind}) does not count the {len(samples)} samples before it")


def clear_index(session: Session) -> None:
    """Empty every index table, children first."""
    for table in INDEX_TABLES:
        session.execute(delete(table))


def _index_samples(session: Session, samples: Sequence[tuple[int, Predicate]], *, batch_index: int) -> None:
    datasets = _intern_datasets(session, samples)
    classes = _intern_classes(session, [predicate for _, predicate in samples])
    rows = [
        {
            "index": index,
            "batch_index": batch_index,
            "dataset_id": datasets[predicate["dataset"]],
            "fact_class_id": classes[predicate["fact_class"]],
            "generated_at": predicate["generated_at"],
            "tokens": completion_tokens(predicate),
            "external_id": predicate.get("external_id"),
        }
        for index, predicate in samples
    ]
    session.connection().execute(insert(SampleRow), rows)
    _count_blocks(session, rows)
    lineage_index.add_samples(session, rows, [predicate for _, predicate in samples])


# Both databases read it so; the ORM has no word for it that both know.
_ADD_TO_BLOCK = text(
    "INSERT INTO class_block (dataset_id, fact_class_id, block, samples, tokens) "
    "VALUES (:dataset_id, :fact_class_id, :block, :samples, :tokens) "
    "ON CONFLICT (dataset_id, fact_class_id, block) "
    "DO UPDATE SET samples = class_block.samples + excluded.samples, tokens = class_block.tokens + excluded.tokens"
)


def _count_blocks(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows to what `ClassBlock` holds; in the transaction of the rows, so that the two never differ."""
    samples: Counter[tuple[int, int, int]] = Counter()
    tokens: Counter[tuple[int, int, int]] = Counter()
    for row in rows:
        key = (row["dataset_id"], row["fact_class_id"], row["index"] // BLOCK_ENTRIES)
        samples[key] += 1
        tokens[key] += row["tokens"]
    names = ("dataset_id", "fact_class_id", "block")
    added = [
        {**dict(zip(names, key, strict=True)), "samples": count, "tokens": tokens[key]}
        for key, count in sorted(samples.items())
    ]
    session.connection().execute(_ADD_TO_BLOCK, added)


def completion_tokens(predicate: Predicate) -> int:
    """Output tokens as the provider counted them; a quarter of the bytes where nobody did."""
    usage = predicate.get("usage") or {}
    tokens: int | None = usage.get("output_tokens")
    return tokens if tokens is not None else max(1, predicate["size_bytes"]["completion"] // 4)


def _intern_datasets(session: Session, samples: Sequence[tuple[int, Predicate]]) -> dict[str, int]:
    made: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    first: dict[str, int] = {}
    for index, predicate in samples:
        made[predicate["dataset"]] += 1
        tokens[predicate["dataset"]] += completion_tokens(predicate)
        first.setdefault(predicate["dataset"], index)
    ids = {}
    for name in made:
        row = session.exec(select(Dataset).where(Dataset.name == name)).one_or_none()
        if row is None:
            row = Dataset(id=_next_id(session, Dataset), name=name, first_index=first[name])
            session.add(row)
            session.flush()
        session.execute(
            update(Dataset)
            .where(col(Dataset.id) == row.id)
            .values(samples=Dataset.samples + made[name], tokens=Dataset.tokens + tokens[name])
        )
        ids[name] = row.id or 0
    return ids


def _intern_classes(session: Session, predicates: Sequence[Predicate]) -> dict[str, int]:
    wanted = {predicate["fact_class"]: predicate for predicate in predicates}
    ids: dict[str, int] = {}
    for digest, predicate in wanted.items():
        row = session.exec(select(FactClass).where(FactClass.digest == digest)).one_or_none()
        if row is None:
            facts = sample_facts(predicate)
            row = FactClass(id=_next_id(session, FactClass), digest=digest, teacher=teacher_name(facts), facts=facts)
            session.add(row)
            session.flush()
        ids[digest] = row.id or 0
    return ids


def _next_id(session: Session, table: type[Dataset | FactClass]) -> int:
    # Appends are one after the other, and a sequence would leave gaps where one was rolled back.
    return (session.exec(select(func.max(table.id))).one() or 0) + 1


def _index_statement(session: Session, index: int, statement: Statement) -> None:
    predicate = statement.predicate
    key = str(predicate.get("id") or predicate.get("keyid") or index)
    session.add(StatementRow(index=index, kind=statement.kind, key=key, predicate=dict(predicate)))
    rows = _ROWS.get(statement.kind)
    if rows is not None:
        rows(session, index, predicate)
    session.flush()
    added = _LINEAGE.get(statement.kind)
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
