"""Write the samples of a release as Parquet shards, streamed: rows in log order, one row group in memory at a time.

The split is by prompt: every sample of one prompt falls on the same side, so that nothing that is trained on is tested.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlmodel import Session

from provenance.attestation.envelope import parse_entry
from provenance.canonical import canonical_bytes
from provenance.ledger.merkle import RightEdge, leaf_hash
from provenance.store.log import load_contents, load_entries
from provenance.store.recalls import load_held
from provenance.store.samples import iterate_samples
from provenance.store.tables import SampleRow

ROWS_PER_GROUP = 1000
ROWS_PER_SHARD = 100_000
TEST_PERCENT = 15
SPLITS = ("train", "test")

_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
SCHEMA = pa.schema(
    [
        ("entry_index", pa.int64()),
        ("prompt", _MESSAGES),
        ("completion", _MESSAGES),
        ("teacher", pa.string()),
        ("terms", pa.list_(pa.string())),
        ("fact_class", pa.string()),
        ("verdict", pa.string()),
        ("evidence", pa.string()),
        ("entry", pa.binary()),
        ("prompt_salt", pa.binary()),
        ("completion_salt", pa.binary()),
        ("words", pa.binary()),
    ]
)


class Frozen:
    """What was written: files with digests, rows a split, and the commitments over all rows, kept as they grow: of a million
    samples in a row stay one run and twenty hashes."""

    def __init__(self) -> None:
        self.files: list[dict[str, Any]] = []
        self.splits = dict.fromkeys(SPLITS, 0)
        self.rows = self.erased = self.recalled = 0
        self._edge = RightEdge()
        self._firsts, self._ends = array("q"), array("q")  # of each run of neighbours
        self._indices = hashlib.sha256(b"[")

    def add(self, indices: Sequence[int], leaves: Sequence[bytes]) -> None:
        """Take up rows, in the order of the log."""
        if not indices:
            return
        self._indices.update((b"," if self.rows else b"") + ",".join(map(str, indices)).encode())
        self._edge.extend(leaves)
        self.rows += len(indices)
        for index in indices:
            if self._ends and self._ends[-1] == index:
                self._ends[-1] = index + 1
            else:
                self._firsts.append(index)
                self._ends.append(index + 1)

    @property
    def ranges(self) -> tuple[range, ...]:
        """The entry indices of all rows, as runs of neighbours."""
        return tuple(map(range, self._firsts, self._ends))

    @property
    def leaves_root(self) -> str:
        """RFC 9162 tree hash over the leaves of all rows, in log order."""
        return f"sha256:{self._edge.root().hex()}"

    @property
    def index_set_digest(self) -> str:
        """Digest of the canonical list of all entry indices: neither more nor less."""
        whole = self._indices.copy()
        whole.update(b"]")
        return f"sha256:{whole.hexdigest()}"


def choose_split(prompt: Any) -> str:
    """The side that a prompt falls on; depends on its text alone."""
    number = int.from_bytes(hashlib.sha256(canonical_bytes(prompt)).digest()[:8], "big")
    return "test" if number % 100 < TEST_PERCENT else "train"


def freeze_samples(
    session: Session,
    folder: Path,
    *,
    dataset: str,
    verdicts: dict[int, str],
    log_size: int,
    progress: Callable[[int], None],
) -> Frozen:
    """Write every sample of the classes in `verdicts` (class id -> verdict) below `log_size` to `folder/data`.

    Samples whose words were erased, or that a recall names, are not released; they are counted.
    """
    frozen, held = Frozen(), load_held(session)
    shards = {split: _Shards(folder, split) for split in SPLITS}
    for group in _groups(iterate_samples(session, dataset, list(verdicts), log_size)):
        indices = [row.index for row in group]
        contents, entries = load_contents(session, indices), load_entries(session, indices)
        taken: dict[int, bytes] = {}
        for row in group:
            words = contents[row.index]
            if words is None:
                frozen.erased += 1
                continue
            if held.find_sample(row.index) is not None:
                frozen.recalled += 1
                continue
            entry = entries[row.index]
            taken[row.index] = leaf_hash(entry)
            split = choose_split(words["prompt"])
            frozen.splits[split] += 1
            shards[split].add(_release_row(row.index, entry, words, verdicts[row.fact_class_id]))
        frozen.add(list(taken), list(taken.values()))
        progress(frozen.rows)
    for split in SPLITS:
        frozen.files.extend(shards[split].close())
    return frozen


def _groups(rows: Iterator[SampleRow]) -> Iterator[list[SampleRow]]:
    group: list[SampleRow] = []
    for row in rows:
        group.append(row)
        if len(group) == ROWS_PER_GROUP:
            yield group
            group = []
    if group:
        yield group


def _release_row(index: int, entry: bytes, words: dict[str, Any], verdict: str) -> dict[str, Any]:
    predicate = parse_entry(entry).predicate
    teacher = predicate["teacher"]
    return {
        "entry_index": index,
        "prompt": [_message(message) for message in words["prompt"]],
        "completion": [_message(message) for message in words["completion"]],
        "teacher": f"{teacher['provider']}/{teacher['model']}",
        "terms": [item["id"] for item in predicate["terms"]],
        "fact_class": predicate["fact_class"],
        "verdict": verdict,
        "evidence": predicate["evidence"],
        "entry": entry,
        "prompt_salt": bytes.fromhex(words["prompt_salt"]),
        "completion_salt": bytes.fromhex(words["completion_salt"]),
        "words": _whole_words(words),
    }


def _whole_words(words: dict[str, Any]) -> bytes | None:
    """The words as they were committed to, where the columns `prompt` and `completion` cannot hold all of them (tool calls)."""
    said = {"prompt": words["prompt"], "completion": words["completion"]}
    shown = {name: [_message(message) for message in messages] for name, messages in said.items()}
    return None if canonical_bytes(shown) == canonical_bytes(said) else canonical_bytes(said)


def _message(message: dict[str, Any]) -> dict[str, Any]:
    return {"role": message["role"], "content": message.get("content")}


class _Shards:
    """The Parquet files of one split; a new one begins after `ROWS_PER_SHARD` rows."""

    def __init__(self, folder: Path, split: str) -> None:
        self._folder, self._split = folder, split
        self._rows: list[dict[str, Any]] = []
        self._writer: pq.ParquetWriter | None = None
        self._counts: list[int] = []

    def add(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        if len(self._rows) == ROWS_PER_GROUP:
            self._flush()

    def close(self) -> list[dict[str, Any]]:
        self._flush()
        if self._writer is not None:
            self._writer.close()
        return [self._finish(number, rows) for number, rows in enumerate(self._counts)]

    def _path(self, number: int) -> Path:
        return self._folder / "data" / f"{self._split}-{number:05}.parquet"

    def _flush(self) -> None:
        if not self._rows:
            return
        if self._writer is None or self._counts[-1] >= ROWS_PER_SHARD:
            if self._writer is not None:
                self._writer.close()
            path = self._path(len(self._counts))
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(path, SCHEMA, compression="zstd", compression_level=3)
            self._counts.append(0)
        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=SCHEMA))
        self._counts[-1] += len(self._rows)
        self._rows = []

    def _finish(self, number: int, rows: int) -> dict[str, Any]:
        path = self._path(number)
        with path.open("rb+") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())  # the manifest that will name it is durable, so this must be
        return {
            "path": str(path.relative_to(self._folder)),
            "digest": f"sha256:{digest}",
            "size_bytes": path.stat().st_size,
            "rows": rows,
        }
