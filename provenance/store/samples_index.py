"""Samples in the index: the rows that a group of them makes, and what data sets, fact classes and blocks count of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field
from sqlalchemy import func, text, update
from sqlmodel import Session, col, select

from provenance.attestation.facts import sample_facts, teacher_name
from provenance.store.lineage_index import Placed, add_samples
from provenance.store.rows import insert_samples
from provenance.store.tables import BLOCK_ENTRIES, Dataset, FactClass

LOOKED_UP_AT_ONCE = 500

Predicate = Mapping[str, Any]
Counts = dict[tuple[str, str, int], tuple[int, int]]  # (dataset, class, block) -> samples, tokens


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


def index_samples(session: Session, samples: SampleGroup, *, batch_index: int) -> None:
    """Add the rows of the samples right before the batch entry at `batch_index`."""
    first = batch_index - len(samples.lines)
    counts = _count(samples.lines, first)
    datasets = _intern_datasets(session, samples.lines, first, counts)
    classes = _intern_classes(session, samples)
    insert_samples(
        session,
        [
            (
                index,
                batch_index,
                datasets[line.dataset],
                classes[line.fact_class],
                line.generated_at,
                line.tokens,
                line.external_id,
            )
            for index, line in enumerate(samples.lines, first)
        ],
    )
    _add_to_blocks(session, counts, datasets, classes)
    add_samples(
        session,
        [
            Placed(index, datasets[line.dataset], classes[line.fact_class], line.weights, line.tokens, line.parents)
            for index, line in enumerate(samples.lines, first)
        ],
    )


def _count(lines: Sequence[SampleLine], first: int) -> Counts:
    counts: Counts = {}
    for index, line in enumerate(lines, first):
        key = (line.dataset, line.fact_class, index // BLOCK_ENTRIES)
        samples, tokens = counts.get(key, (0, 0))
        counts[key] = (samples + 1, tokens + line.tokens)
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
        for (dataset, fact_class, block), (samples, tokens) in counts.items()
    ]
    session.connection().execute(_ADD_TO_BLOCK, added)


def completion_tokens(predicate: Predicate) -> int:
    """Output tokens as the provider counted them; a quarter of the bytes where nobody did."""
    usage = predicate.get("usage") or {}
    return count_tokens(usage.get("output_tokens"), predicate["size_bytes"]["completion"])


def count_tokens(counted: int | None, completion_bytes: int) -> int:
    """The same, of a provider's count and a size."""
    return counted if counted is not None else max(1, completion_bytes // 4)


def _intern_datasets(session: Session, lines: Sequence[SampleLine], first: int, counts: Counts) -> dict[str, int]:
    ids: dict[str, int] = {}
    for name in dict.fromkeys(dataset for dataset, _, _ in counts):
        row = session.exec(select(Dataset).where(Dataset.name == name)).one_or_none()
        if row is None:
            place = next(index for index, line in enumerate(lines, first) if line.dataset == name)
            row = Dataset(id=_next_id(session, Dataset), name=name, first_index=place)
            session.add(row)
            session.flush()
        mine = [numbers for (dataset, _, _), numbers in counts.items() if dataset == name]
        samples, tokens = (sum(column) for column in zip(*mine, strict=True))
        session.execute(
            update(Dataset)
            .where(col(Dataset.id) == row.id)
            .values(samples=Dataset.samples + samples, tokens=Dataset.tokens + tokens)
        )
        ids[name] = row.id or 0
    return ids


def _intern_classes(session: Session, samples: SampleGroup) -> dict[str, int]:
    wanted = list(dict.fromkeys(line.fact_class for line in samples.lines))
    ids: dict[str, int] = {}
    for start in range(0, len(wanted), LOOKED_UP_AT_ONCE):
        part = wanted[start : start + LOOKED_UP_AT_ONCE]
        query = select(FactClass.digest, FactClass.id).where(col(FactClass.digest).in_(part))
        ids.update((digest, number or 0) for digest, number in session.exec(query))
    for digest in wanted:
        if digest not in ids:
            facts = dict(samples.facts[digest])
            ids[digest] = _next_id(session, FactClass)
            session.add(FactClass(id=ids[digest], digest=digest, teacher=teacher_name(facts), facts=facts))
            session.flush()
    return ids


def _next_id(session: Session, table: type[Dataset | FactClass]) -> int:
    # Appends are one after the other, and a sequence would leave gaps where one was rolled back.
    return (session.exec(select(func.max(table.id))).one() or 0) + 1
