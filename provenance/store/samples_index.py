"""Samples in the index: the rows that a group of them makes, and what data sets, fact classes and blocks count of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field
from sqlalchemy import bindparam, func, text
from sqlmodel import Session, col, select

from provenance.attestation.facts import sample_facts, teacher_name
from provenance.store.lineage_index import Placed, add_samples
from provenance.store.rows import insert_samples
from provenance.store.tables import BLOCK_ENTRIES, Dataset, FactClass

LOOKED_UP_AT_ONCE = 500

Predicate = Mapping[str, Any]
Counts = dict[tuple[str, str, int], tuple[int, int, int]]  # (dataset, class, block) -> first index, samples, tokens
Class = tuple[int, str, Mapping[str, Any]]  # id, teacher, facts


class SampleLine(Struct, array_like=True, gc=False):
    """What the index says of one sample; `fact_class` is the digest of its facts."""

    dataset: str
    fact_class: str
    generated_at: str
    tokens: int
    external_id: str | None
    weights: str | None
    parents: list[str]


class SampleGroup(Struct, array_like=True):
    """Samples that stand side by side in the log, and the facts of their classes by digest."""

    lines: list[SampleLine] = field(default_factory=list)
    facts: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def add(self, predicate: Predicate) -> None:
        """Take in the sample whose entry carries `predicate`."""
        digest = predicate["fact_class"]
        line = SampleLine(
            predicate["dataset"],
            digest,
            predicate["generated_at"],
            completion_tokens(predicate),
            predicate.get("external_id"),
            predicate["teacher"].get("weights_digest"),
            predicate.get("parents") or [],
        )
        if digest not in self.facts:
            self.facts[digest] = sample_facts(predicate)
        self.lines.append(line)


def index_samples(session: Session, batches: Sequence[tuple[int, SampleGroup]]) -> None:
    """Add the rows of samples that stand right before batch entries: of each, its index and its samples, in order.

    One statement a table, however many batches there are; the rows are those that one batch after the other would make.
    """
    placed = [
        (index, batch_index, line)
        for batch_index, samples in batches
        for index, line in enumerate(samples.lines, batch_index - len(samples.lines))
    ]
    counts = _count(placed)
    datasets = _intern_datasets(session, counts)
    classes = _intern_classes(session, batches)
    numbers = {digest: number for digest, (number, _, _) in classes.items()}
    insert_samples(
        session,
        [
            (
                index,
                batch_index,
                datasets[line.dataset],
                numbers[line.fact_class],
                line.generated_at,
                line.tokens,
                line.external_id,
            )
            for index, batch_index, line in placed
        ],
    )
    _add_to_blocks(session, counts, datasets, numbers)
    add_samples(
        session,
        [
            Placed(index, datasets[line.dataset], numbers[line.fact_class], line.weights, line.tokens, line.parents)
            for index, _, line in placed
        ],
        {number: (teacher, facts) for number, teacher, facts in classes.values()},
    )


def _count(placed: Sequence[tuple[int, int, SampleLine]]) -> Counts:
    counts: Counts = {}
    for index, _, line in placed:
        key = (line.dataset, line.fact_class, index // BLOCK_ENTRIES)
        first, samples, tokens = counts.get(key, (index, 0, 0))
        counts[key] = (first, samples + 1, tokens + line.tokens)
    return counts


# Both databases read it so; the ORM has no word for it that both know.
_ADD_TO_BLOCK = text(
    "INSERT INTO class_block (dataset_id, fact_class_id, block, samples, tokens) "
    "VALUES (:dataset_id, :fact_class_id, :block, :samples, :tokens) "
    "ON CONFLICT (dataset_id, fact_class_id, block) "
    "DO UPDATE SET samples = class_block.samples + excluded.samples, tokens = class_block.tokens + excluded.tokens"
)


def _add_to_blocks(session: Session, counts: Counts, datasets: Mapping[str, int], classes: Mapping[str, int]) -> None:
    """Add to what `ClassBlock` holds; in the transaction of the rows, so that the two never differ."""
    added = [
        {
            "dataset_id": datasets[dataset],
            "fact_class_id": classes[fact_class],
            "block": block,
            "samples": samples,
            "tokens": tokens,
        }
        for (dataset, fact_class, block), (_, samples, tokens) in counts.items()
    ]
    session.connection().execute(_ADD_TO_BLOCK, added)


def completion_tokens(predicate: Predicate) -> int:
    """Output tokens as the provider counted them; a quarter of the bytes where nobody did."""
    usage = predicate.get("usage") or {}
    return count_tokens(usage.get("output_tokens"), predicate["size_bytes"]["completion"])


def count_tokens(counted: int | None, completion_bytes: int) -> int:
    """The same, of a provider's count and a size."""
    return counted if counted is not None else max(1, completion_bytes // 4)


_ADD_TO_DATASET = text(
    "UPDATE dataset SET samples = samples + :samples, tokens = tokens + :tokens WHERE name = :name RETURNING id"
)
_FIND_CLASSES = select(FactClass.digest, FactClass.id, FactClass.teacher, FactClass.facts).where(
    col(FactClass.digest).in_(bindparam("digests", expanding=True))
)


def _intern_datasets(session: Session, counts: Counts) -> dict[str, int]:
    ids: dict[str, int] = {}
    for name in dict.fromkeys(dataset for dataset, _, _ in counts):
        mine = [numbers for (dataset, _, _), numbers in counts.items() if dataset == name]
        first, samples, tokens = mine[0][0], sum(each[1] for each in mine), sum(each[2] for each in mine)
        added: dict[str, Any] = {"name": name, "samples": samples, "tokens": tokens}
        number: int | None = session.connection().execute(_ADD_TO_DATASET, added).scalar_one_or_none()
        if number is None:
            number = _next_id(session, Dataset)
            session.add(Dataset(id=number, first_index=first, **added))
            session.flush()
        ids[name] = number
    return ids


def _intern_classes(session: Session, batches: Sequence[tuple[int, SampleGroup]]) -> dict[str, Class]:
    facts_of = {
        digest: facts for _, samples in reversed(batches) for digest, facts in samples.facts.items()
    }  # those of the first
    wanted = list(dict.fromkeys(line.fact_class for _, samples in batches for line in samples.lines))
    found: dict[str, Class] = {}
    for start in range(0, len(wanted), LOOKED_UP_AT_ONCE):
        rows = session.connection().execute(_FIND_CLASSES, {"digests": wanted[start : start + LOOKED_UP_AT_ONCE]})
        found.update((digest, (number, teacher, facts)) for digest, number, teacher, facts in rows)
    for digest in wanted:
        if digest not in found:
            facts = dict(facts_of[digest])
            found[digest] = (_next_id(session, FactClass), teacher_name(facts), facts)
            session.add(FactClass(id=found[digest][0], digest=digest, teacher=found[digest][1], facts=facts))
            session.flush()
    return found


def _next_id(session: Session, table: type[Dataset | FactClass]) -> int:
    # Appends are one after the other, and a sequence would leave gaps where one was rolled back.
    return (session.exec(select(func.max(table.id))).one() or 0) + 1
