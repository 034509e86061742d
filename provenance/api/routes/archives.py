"""Archives of terms: the texts that others fetched, kept and signed for; a list to review, and no fact of the catalogue."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from provenance.api.archive_body import ArchiveIndex, Review
from provenance.api.body import read_body
from provenance.api.deps import ReaderDep, RuntimeDep, SessionDep, WriterDep
from provenance.canonical import sha256_digest
from provenance.errors import DigestMismatchError, FieldError, MalformedError, NotFoundError
from provenance.ledger.append import format_time
from provenance.runtime import Runtime
from provenance.store.curations import find_curation, list_curations
from provenance.store.tables import StatementRow
from provenance.terms.archive.index import Shelf, archive_id, check_growth, count, list_digests

ARCHIVE, REVIEW = "terms-archive", "passage-review"
KEPT = ("id", "name", "source_commit", "first_commit", "rules", "index_digest", "previous", "counts", "actor", "at")
router = APIRouter(prefix="/api/v1/terms/archives", tags=["terms"])


@router.put("/{identifier}/texts/{digest}", status_code=204)
def put_text(
    identifier: str, digest: str, runtime: RuntimeDep, actor: WriterDep, body: Annotated[bytes, Depends(read_body)]
) -> None:
    """Keep one text of an archive, ahead of its index."""
    actor.require("govern")
    if sha256_digest(body) != digest:
        raise DigestMismatchError(f"the text's digest is {sha256_digest(body)}, not {digest}")
    Shelf(runtime.settings.data_dir, identifier).keep_text(body)


@router.post("", status_code=201)
def post_archive(runtime: RuntimeDep, session: SessionDep, actor: WriterDep, body: ArchiveIndex) -> dict[str, Any]:
    """Record what an import found. The same history again records nothing; a longer one records the new state."""
    actor.require("govern")
    index = body.model_dump()
    if index["id"] != archive_id(index["first_commit"]):
        expected = archive_id(index["first_commit"])
        raise MalformedError("id: expected that of the first commit", FieldError("id", index["id"], expected))
    shelf = Shelf(runtime.settings.data_dir, index["id"])
    known = find_curation(session, ARCHIVE, index["id"])
    if known is not None:
        if (known.predicate["source_commit"], known.predicate["rules"]) == (index["source_commit"], index["rules"]):
            return _answer(known.predicate, known.index, replayed=True)
        check_growth(shelf.read_index(known.predicate["index_digest"]), index)
    missing = [digest for digest in list_digests(index) if not shelf.has_text(digest)]
    if missing:
        raise NotFoundError(f"{len(missing)} texts were not sent before the index, the first is {missing[0]}")
    return _record(runtime, shelf, index, actor.name, known)


def _record(
    runtime: Runtime, shelf: Shelf, index: dict[str, Any], actor: str, known: StatementRow | None
) -> dict[str, Any]:
    digest = shelf.keep_index(index)
    previous = known.predicate["index_digest"] if known is not None else None
    made = {
        "id": index["id"], "kind": ARCHIVE, "name": index["name"], "first_commit": index["first_commit"],
        "source_commit": index["source_commit"], "rules": index["rules"], "index_digest": digest, "previous": previous,
        "counts": count(index), "actor": actor,
    }  # fmt: skip
    predicate = {**made, "at": format_time(runtime.clock())}
    # Two imports of the same at once are one entry: the key names the state, not the moment.
    once = (f"{index['id']}:{digest}", {"index_digest": digest, "previous": previous})
    receipt = runtime.append("curation", predicate, subjects=[(index["id"], digest)], once=once)
    return _answer(predicate, receipt.first_index, replayed=receipt.replayed)


def _answer(predicate: dict[str, Any], entry: int, *, replayed: bool) -> dict[str, Any]:
    return {
        "id": predicate["id"], "entry": entry, "index_digest": predicate["index_digest"],
        "counts": predicate["counts"], "replayed": replayed,
    }  # fmt: skip


@router.get("")
def index_archives(session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """The archives on record, the newest first."""
    rows = list_curations(session, ARCHIVE)
    return {"archives": [{**{name: row.predicate[name] for name in KEPT}, "entry": row.index} for row in rows]}


@router.get("/{identifier}")
def show_archive(identifier: str, runtime: RuntimeDep, session: SessionDep, _: ReaderDep) -> dict[str, Any]:
    """One archive: its statement, its index, and which passages a person has looked at."""
    row, index = read_archive(runtime, session, identifier)
    reviewed = {item.key: item.predicate for item in list_curations(session, REVIEW)}
    passages = [{**item, "review": _review(reviewed.get(item["id"]))} for item in index["passages"]]
    statement = {name: row.predicate[name] for name in KEPT}
    return {**statement, "entry": row.index, "index": {**index, "passages": passages}}


@router.post("/passages/{passage}/review", status_code=201)
def post_review(
    passage: str, runtime: RuntimeDep, session: SessionDep, actor: WriterDep, body: Review
) -> dict[str, Any]:
    """Log that a person looked at a passage. No fact changes by it: facts change through the catalogue alone."""
    actor.require("govern")
    archive = find_archive_of(runtime, session, passage)
    at = format_time(runtime.clock())
    predicate = {
        "id": passage, "kind": REVIEW, "archive": archive.predicate["id"],
        "index_digest": archive.predicate["index_digest"], "actor": actor.name, "reason": body.reason, "at": at,
    }  # fmt: skip
    receipt = runtime.append("curation", predicate)
    return {"id": passage, "entry": receipt.first_index}


def read_archive(runtime: Runtime, session: SessionDep, identifier: str) -> tuple[StatementRow, dict[str, Any]]:
    """An archive's newest statement, and the index that it signs for.

    Raises:
        NotFoundError: no such archive is on record.
        DigestMismatchError: the index in the data directory is not the one that was signed.
    """
    row = find_curation(session, ARCHIVE, identifier)
    if row is None:
        raise NotFoundError(f"there is no terms archive {identifier!r} on record; `provenance import ota` records one")
    return row, Shelf(runtime.settings.data_dir, identifier).read_index(row.predicate["index_digest"])


def find_archive_of(runtime: Runtime, session: SessionDep, passage: str) -> StatementRow:
    """The archive in which a passage stands.

    Raises:
        NotFoundError: in none.
    """
    for row in list_curations(session, ARCHIVE):
        index = Shelf(runtime.settings.data_dir, row.key).read_index(row.predicate["index_digest"])
        if any(item["id"] == passage for item in index["passages"]):
            return row
    raise NotFoundError(f"there is no passage {passage!r} in the archives on record")


def _review(predicate: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if predicate is None else {name: predicate[name] for name in ("actor", "reason", "at")}
