"""The rows of a release against its manifest: each entry is the one that was logged, and each row says what it says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from provenance.attestation.envelope import parse_entry
from provenance.canonical import (
    COMPLETION_DOMAIN,
    PROMPT_DOMAIN,
    canonical_bytes,
    format_digest,
    parse_json,
    sha256_digest,
    verify_commitment,
)
from provenance.errors import DigestMismatchError, FieldError, MalformedError, ManifestError
from provenance.ledger.merkle import leaf_hash, tree_root

COLUMNS = (
    "entry_index", "prompt", "completion", "teacher", "fact_class", "entry", "prompt_salt", "completion_salt", "words",
)  # fmt: skip
ROWS_AT_ONCE = 1000


def check_rows(manifest: Mapping[str, Any], tables: Mapping[str, Any]) -> dict[int, bytes]:
    """Check every row of `tables` (path -> Arrow table) against the manifest; the answer is the leaf hash of each entry.

    Raises:
        DigestMismatchError: an entry, its words or the set of entries is not what was released.
        ManifestError: a column is missing, or the number of rows is another.
    """
    leaves: dict[int, bytes] = {}
    for item in manifest["files"]:
        table = tables[item["path"]]
        if table.num_rows != item["rows"]:
            raise ManifestError(f"{item['path']} has {table.num_rows} rows; the manifest says {item['rows']}")
        for row in _rows(table, item["path"]):
            index = row["entry_index"]
            if index in leaves:
                raise DigestMismatchError(f"entry {index} stands twice in the release")
            _check_row(row, f"{item['path']}, entry {index}")
            leaves[index] = leaf_hash(row["entry"])
    indices = sorted(leaves)
    root = format_digest(tree_root([leaves[index] for index in indices]))
    if root != manifest["leaves_root"]:
        raise DigestMismatchError(f"the entries hash to {root}; the manifest says {manifest['leaves_root']}")
    digest = sha256_digest(canonical_bytes(indices))
    if digest != manifest["index_set_digest"]:
        raise DigestMismatchError(f"the index set is {digest}; the manifest says {manifest['index_set_digest']}")
    return leaves


def _rows(table: Any, path: str) -> Iterator[dict[str, Any]]:
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise ManifestError(f"{path} lacks columns", FieldError("columns", table.column_names, ", ".join(missing)))
    for batch in table.select(COLUMNS).to_batches(max_chunksize=ROWS_AT_ONCE):
        yield from batch.to_pylist()


def _check_row(row: Mapping[str, Any], where: str) -> None:
    try:
        statement = parse_entry(row["entry"])
        said = statement.predicate
        teacher = f"{said['teacher']['provider']}/{said['teacher']['model']}"
        for column, value in (("teacher", teacher), ("fact_class", said["fact_class"])):
            if row[column] != value:
                raise DigestMismatchError(f"{where}: the column {column} says {row[column]!r}, the entry {value!r}")
        commitments = (said["prompt_commitment"], said["completion_commitment"])
    except (MalformedError, KeyError, TypeError) as exc:
        raise DigestMismatchError(f"{where}: not the entry of a sample: {exc}") from exc
    words = _whole_words(row, where)
    _check_words(commitments[0], PROMPT_DOMAIN, row["prompt_salt"], words["prompt"], f"{where}: prompt")
    _check_words(commitments[1], COMPLETION_DOMAIN, row["completion_salt"], words["completion"], f"{where}: completion")


def _whole_words(row: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """The committed words: the two columns, or `words` where these leave something out; both must say the same."""
    if row["words"] is None:
        return row
    words = parse_json(row["words"])
    for name in ("prompt", "completion"):
        shown = [{"role": message["role"], "content": message.get("content")} for message in words[name]]
        if shown != row[name]:
            raise DigestMismatchError(f"{where}: the column {name} and the words it is cut from differ")
    return words  # type: ignore[no-any-return]  # its form was just walked


def _check_words(commitment: str, domain: str, salt: bytes, messages: Any, where: str) -> None:
    try:
        verify_commitment(commitment, domain, salt, canonical_bytes(messages))
    except (DigestMismatchError, MalformedError) as exc:
        raise DigestMismatchError(f"{where} was altered: {exc.detail}") from exc
