"""All tables, in one file.

- **Ledger** tables (`log_*`, `entry_segment`) hold the log itself; rows are only ever added, but for the head and the
  growing tiles at the right edge.
- **Index** tables (`statement` to `lineage_edge`) can be rebuilt from the entries (`provenance db reindex`).
- `content_segment` holds the erasable words that the entries only commit to.
- **Service** tables (`job`, `token`, `idempotency`) are about this service, not about what happened.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Index, Integer, LargeBinary, MetaData, Text
from sqlmodel import Field, SQLModel

metadata: MetaData = SQLModel.metadata
metadata.naming_convention = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

BLOCK_ENTRIES = 1 << 16  # of `ClassBlock`; the migration that fills it says the same number

# SQLite makes an INTEGER primary key its row id, which saves a second index; PostgreSQL needs 64 bits said.
Big = BigInteger().with_variant(Integer, "sqlite")


def _index(**keywords: Any) -> Any:
    return Field(sa_type=Big, **keywords)


class LogHead(SQLModel, table=True):
    """The one row that every append locks: origin, tree size, root and the checkpoint that signs them."""

    __tablename__ = "log_head"
    id: int = Field(primary_key=True)
    origin: str
    size: int = _index()
    root: bytes = Field(sa_type=LargeBinary)
    checkpoint: str = Field(sa_type=Text)
    updated_at: str


class LogTile(SQLModel, table=True):
    """A C2SP tile: up to 256 hashes of `level`; only the rightmost tile of a level grows."""

    __tablename__ = "log_tile"
    level: int = Field(primary_key=True)
    number: int = _index(primary_key=True)
    hashes: bytes = Field(sa_type=LargeBinary)


class EntrySegment(SQLModel, table=True):
    """The entries of one append, as zstd frames; never changed."""

    __tablename__ = "entry_segment"
    first_index: int = _index(primary_key=True, sa_column_kwargs={"autoincrement": False})
    count: int
    frames: bytes = Field(sa_type=LargeBinary)


class ContentSegment(SQLModel, table=True):
    """Prompts, completions and salts of one append, as zstd frames; an erasure rewrites the frame."""

    __tablename__ = "content_segment"
    first_index: int = _index(primary_key=True, sa_column_kwargs={"autoincrement": False})
    count: int
    frames: bytes = Field(sa_type=LargeBinary)


class StatementRow(SQLModel, table=True):
    """One governance statement: everything in the log but samples. `key` is the id that its predicate carries."""

    __tablename__ = "statement"
    __table_args__ = (Index("ix_statement_kind_key", "kind", "key"),)
    index: int = _index(primary_key=True, sa_column_kwargs={"autoincrement": False})
    kind: str
    key: str
    predicate: dict[str, Any] = Field(sa_type=JSON)


class Dataset(SQLModel, table=True):
    """A named set of samples, with the counts that pages show."""

    __tablename__ = "dataset"
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)
    first_index: int = _index()
    samples: int = 0
    tokens: int = _index(default=0)


class FactClass(SQLModel, table=True):
    """The distinct facts of samples that policies can see; a decision judges classes, not samples."""

    __tablename__ = "fact_class"
    id: int | None = Field(default=None, primary_key=True)
    digest: str = Field(unique=True)
    teacher: str = Field(index=True)
    facts: dict[str, Any] = Field(sa_type=JSON)


class SampleRow(SQLModel, table=True):
    """One sample entry; its words lie in `content_segment`."""

    __tablename__ = "sample"
    __table_args__ = (Index("ix_sample_dataset_id_fact_class_id_index", "dataset_id", "fact_class_id", "index"),)
    index: int = _index(primary_key=True, sa_column_kwargs={"autoincrement": False})
    batch_index: int = _index()
    dataset_id: int = Field(foreign_key="dataset.id")
    fact_class_id: int = Field(foreign_key="fact_class.id")
    generated_at: str
    tokens: int
    external_id: str | None = Field(default=None, index=True)


class ClassBlock(SQLModel, table=True):
    """What a fact class of a dataset holds in one block of `BLOCK_ENTRIES` entries, so that a count reads no samples."""

    __tablename__ = "class_block"
    __table_args__ = {"sqlite_with_rowid": False}  # rows lie in the order of the key, which is the order of the count
    dataset_id: int = Field(foreign_key="dataset.id", primary_key=True)
    fact_class_id: int = Field(foreign_key="fact_class.id", primary_key=True)
    block: int = _index(primary_key=True)
    samples: int
    tokens: int = _index()


class Student(SQLModel, table=True):
    """The latest declaration of each student."""

    __tablename__ = "student"
    id: str = Field(primary_key=True)
    index: int = _index()
    name: str
    digest: str


class Model(SQLModel, table=True):
    """A model as a thing; teacher and student are roles that it plays."""

    __tablename__ = "model"
    id: str = Field(primary_key=True)
    index: int = _index()
    kind: str
    name: str = Field(index=True)
    weights_digest: str | None = None
    run: str | None = Field(default=None, index=True)


class Decision(SQLModel, table=True):
    """A stored answer of the policies about a student and a set of samples."""

    __tablename__ = "decision"
    id: str = Field(primary_key=True)
    index: int = _index()
    student: str = Field(index=True)
    action: str
    verdict: str
    dataset: str | None = None


class DecisionClass(SQLModel, table=True):
    """What a decision said of one fact class, and how many samples it holds."""

    __tablename__ = "decision_class"
    decision: str = Field(foreign_key="decision.id", primary_key=True)
    fact_class_id: int = Field(foreign_key="fact_class.id", primary_key=True, index=True)
    verdict: str
    samples: int
    tokens: int = _index()


class Release(SQLModel, table=True):
    """A frozen, approved set of samples."""

    __tablename__ = "release"
    __table_args__ = (Index("uq_release_name_version", "name", "version", unique=True),)
    id: str = Field(primary_key=True)
    index: int = _index()
    name: str
    version: int
    dataset: str
    student: str
    decision: str = Field(foreign_key="decision.id")
    state: str
    log_size: int = _index()
    manifest_digest: str | None = None


class Run(SQLModel, table=True):
    """One training run: its newest phase."""

    __tablename__ = "run"
    id: str = Field(primary_key=True)
    index: int = _index()
    first_index: int = _index()
    phase: str
    release: str = Field(index=True)
    student: str
    model: str | None = None


class Report(SQLModel, table=True):
    """A report that was rendered, signed and logged."""

    __tablename__ = "report"
    id: str = Field(primary_key=True)
    index: int = _index()
    kind: str
    subject_kind: str
    subject: str = Field(index=True)


class LineageNode(SQLModel, table=True):
    """A thing of the lineage; samples are folded by dataset, fact class and teacher (`store.lineage` says how)."""

    __tablename__ = "lineage_node"
    __table_args__ = (
        Index("uq_lineage_node_kind_key", "kind", "key", unique=True),
        Index("ix_lineage_node_fact_class_id_dataset_id", "fact_class_id", "dataset_id"),
    )
    id: int = _index(primary_key=True, sa_column_kwargs={"autoincrement": False})
    kind: str
    key: str
    entry: int = _index()
    name: str | None = Field(default=None, index=True)
    revision: str | None = None
    digest: str | None = Field(default=None, index=True)
    dataset_id: int | None = Field(default=None, foreign_key="dataset.id")
    fact_class_id: int | None = Field(default=None, foreign_key="fact_class.id")
    samples: int = 0
    tokens: int = _index(default=0)


class LineageEdge(SQLModel, table=True):
    """From what was used to what was made of it; `entry` says so."""

    __tablename__ = "lineage_edge"
    __table_args__ = {"sqlite_with_rowid": False}
    parent: int = _index(foreign_key="lineage_node.id", primary_key=True)
    child: int = _index(foreign_key="lineage_node.id", primary_key=True)
    relation: str = Field(primary_key=True)
    entry: int = _index()
    samples: int = 0
    tokens: int = _index(default=0)


class Job(SQLModel, table=True):
    """A piece of long work that this service does; its id is the id of what it makes.

    `number` counts them as they were asked for: many are asked for in one second, and then times give no order.
    """

    __tablename__ = "job"
    id: str = Field(primary_key=True)
    kind: str = Field(index=True)
    state: str
    request: dict[str, Any] = Field(sa_type=JSON)
    progress: dict[str, Any] = Field(sa_type=JSON, default_factory=dict)
    error: dict[str, Any] | None = Field(sa_type=JSON, default=None)
    created_at: str
    updated_at: str
    number: int = _index(default=0, sa_column_kwargs={"server_default": "0"})


class Notice(SQLModel, table=True):
    """A message that must reach somebody; it waits here until it did. `next_at` is when it is tried again.

    `about` is the recall, release or run; `entry` the entry that an event tells of, and null for a notice of a recall.
    """

    __tablename__ = "notice"
    id: str = Field(primary_key=True)
    about: str = Field(index=True)
    entry: int | None = _index(default=None, nullable=True)
    address: str
    body: dict[str, Any] = Field(sa_type=JSON)
    state: str = Field(index=True)
    attempts: int = 0
    next_at: str
    last_error: str | None = None
    created_at: str


class Token(SQLModel, table=True):
    """A bearer token; only its digest is kept."""

    __tablename__ = "token"
    id: str = Field(primary_key=True)
    name: str
    role: str
    digest: str = Field(unique=True)
    created_at: str
    expires_at: str | None = None
    revoked_at: str | None = None


class Idempotency(SQLModel, table=True):
    """The answer that an Idempotency-Key was given."""

    __tablename__ = "idempotency"
    key: str = Field(primary_key=True)
    request_digest: str
    status: int
    body: dict[str, Any] = Field(sa_type=JSON)
    created_at: str
