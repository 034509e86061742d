"""The catalogue as the log holds it: what was recorded when, and what of it is in force.

- Valid time (the days on which a text holds) stands in the documents; recorded time is the log's own order.
- A `terms` statement is about a document, or about a provider itself (`provider:<name>`: its names, and which documents it
  has). The newest statement of each id up to a log size, with the content kept beside it, is the catalogue of that size.
- `shipped_digest` is the digest of the shipped form that a statement knew of. A shipped file that has not changed since
  leaves what people recorded in force; one that has changed supersedes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session

from provenance.canonical import canonical_bytes, sha256_digest
from provenance.errors import DigestMismatchError, NotFoundError
from provenance.store.history import list_history, list_newest
from provenance.store.log import get_statement, load_contents
from provenance.store.tables import StatementRow
from provenance.terms.catalogue import Catalogue, Provider, build_catalogue

PROVIDER_PREFIX = "provider:"  # no document's id has a colon
Rows = Mapping[str, StatementRow]
Values = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Loaded:
    """The catalogue in force at a start, and the values by id that the log does not hold yet."""

    catalogue: Catalogue
    missing: Values
    shipped: Mapping[str, str]


def list_recorded(session: Session, log_size: int | None = None) -> dict[str, StatementRow]:
    """The newest `terms` statement of each id; one of an earlier version of this service, without its time, does not count."""
    return {key: row for key, row in list_newest(session, "terms", log_size).items() if "recorded_at" in row.predicate}


def load_recorded(session: Session, log_size: int | None = None) -> Catalogue:
    """The catalogue as it was recorded at a log size, by default now.

    Raises:
        NotFoundError: no catalogue was recorded by then, or content that it needs was erased.
        DigestMismatchError: content is not what its statement says.
    """
    rows = list_recorded(session, log_size)
    heads = _load_values(session, (row for key, row in rows.items() if key.startswith(PROVIDER_PREFIX)))
    names = [name for head in heads.values() for name in head["documents"]]
    if not heads or not rows.keys() >= set(names):
        raise NotFoundError(f"the first {log_size} entries of the log hold no whole catalogue")
    wanted = [rows[name] for name in names]
    return _assemble(heads, _load_values(session, wanted))


def find_change(session: Session, identifier: str) -> tuple[StatementRow, int, int, list[str]]:
    """The newest statement about a document: with the log sizes before and after its change, and all ids of that change.

    Raises:
        NotFoundError: the log knows no such document.
    """
    row = get_statement(session, "terms", identifier)
    rows = list_history(session, ["terms"])
    at = next(position for position, each in enumerate(rows) if each.index == row.index)
    digest = row.predicate.get("catalogue_digest")
    first = last = at
    while first and _continues(rows[first - 1], rows[first], digest):
        first -= 1
    while last + 1 < len(rows) and _continues(rows[last], rows[last + 1], digest):
        last += 1
    return row, rows[first].index, rows[last].index + 1, [each.key for each in rows[first : last + 1]]


def _continues(before: StatementRow, after: StatementRow, digest: str | None) -> bool:
    """Whether two statements were made together, for the catalogue of this digest."""
    same = before.predicate.get("catalogue_digest") == after.predicate.get("catalogue_digest") == digest
    return same and after.index == before.index + 1


def merge_shipped(session: Session, shipped: Catalogue) -> Loaded:
    """What is in force when a service starts: the record, superseded where the shipped files have changed since.

    Raises:
        NotFoundError: content of a recorded document was erased.
        DigestMismatchError: content is not what its statement says.
        TermsDocumentError: what people recorded contradicts the shipped files.
    """
    rows = list_recorded(session)
    ours = _shipped_values(shipped.providers.values())
    digests = {key: value_digest(value) for key, value in ours.items()}
    fresh = {key for key, digest in digests.items() if key not in rows or _shipped_digest(rows[key]) != digest}
    by_people = {key: row for key, row in rows.items() if row.predicate["document_digest"] != digests.get(key)}
    kept = _load_values(session, (row for key, row in by_people.items() if key not in fresh))
    known = {**kept, **{key: value for key, value in ours.items() if key not in kept}}
    for key in fresh:
        if key.startswith(PROVIDER_PREFIX):
            known[key] = _with_added(ours[key], rows, key, session)
    heads = {key: value for key, value in known.items() if key.startswith(PROVIDER_PREFIX)}
    return Loaded(_assemble(heads, known), {key: known[key] for key in ours if key in fresh}, digests)


def _with_added(head: Mapping[str, Any], rows: Rows, key: str, session: Session) -> Mapping[str, Any]:
    """A changed shipped list of documents, with those that people added to the one before."""
    if key not in rows:
        return head
    before = _load_values(session, [rows[key]])[key]["documents"]
    added = [name for name in before if name not in head["documents"] and rows[name].predicate["recorded_by"]]
    return {**head, "documents": [*head["documents"], *added]}


def _shipped_values(providers: Iterable[Provider]) -> dict[str, Mapping[str, Any]]:
    values: dict[str, Mapping[str, Any]] = {}
    for provider in providers:
        values[PROVIDER_PREFIX + provider.name] = provider.head()
        values.update({document.id: document.to_json() for document in provider.documents})
    return values


def value_digest(value: Mapping[str, Any]) -> str:
    """The digest of a document's or provider's recorded value."""
    return sha256_digest(canonical_bytes(dict(value)))


def _shipped_digest(row: StatementRow) -> str | None:
    found: str | None = row.predicate["shipped_digest"]
    return found


def _load_values(session: Session, rows: Iterable[StatementRow]) -> dict[str, Mapping[str, Any]]:
    wanted = sorted(rows, key=lambda row: row.index)
    contents = load_contents(session, [row.index for row in wanted])
    values: dict[str, Mapping[str, Any]] = {}
    for row in wanted:
        content = contents[row.index]
        if content is None:
            raise NotFoundError(f"the content of terms {row.key!r}, entry {row.index}, is not there any more")
        if value_digest(content) != row.predicate["document_digest"]:
            raise DigestMismatchError(f"the content of terms {row.key!r} is not what entry {row.index} says")
        values[row.key] = content
    return values


def _assemble(heads: Values, documents: Values) -> Catalogue:
    files = {}
    for head in heads.values():
        items = [{k: v for k, v in documents[name].items() if k != "provider"} for name in head["documents"]]
        files[head["provider"]] = {**head, "documents": items}
    return build_catalogue(files)
