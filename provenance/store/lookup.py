"""Find an entry by what people know of it: an index, an id, an external id, a digest."""

from __future__ import annotations

import re

from sqlmodel import Session, col, select

from provenance.errors import FieldError, MalformedError, NotFoundError
from provenance.store.log import get_statement
from provenance.store.releases import get_release
from provenance.store.samples import get_sample
from provenance.store.tables import Model, Release, SampleRow, StatementRow

LOOKUP_KINDS = (
    "sample",
    "external-id",
    "terms",
    "policy",
    "decision",
    "release",
    "run",
    "model",
    "report",
    "publication",
    "student",
    "erasure",
    "agreement",
    "exception",
    "capture",
    "digest",
)


def find_index(session: Session, kind: str, key: str) -> int:
    """The log index of the newest entry of `kind` that `key` names.

    Raises:
        NotFoundError: there is none.
        MalformedError: a sample's key is not an index.
    """
    if kind == "sample":
        if not re.fullmatch(r"[0-9]{1,18}", key):
            raise MalformedError("key: expected an index", FieldError("key", key, "a decimal index"))
        return get_sample(session, int(key)).index
    if kind == "external-id":
        query = select(SampleRow.index).where(SampleRow.external_id == key).order_by(col(SampleRow.index).desc())
        return _first(session.exec(query).first(), kind, key)
    if kind == "digest":
        return _by_digest(session, key)
    if kind == "release" and "@" in key:
        key = get_release(session, key)["id"]
    return get_statement(session, kind, key).index


def _by_digest(session: Session, digest: str) -> int:
    for column, table in ((Release.manifest_digest, Release), (Model.weights_digest, Model)):
        found = session.exec(select(table.index).where(column == digest).order_by(col(table.index).desc())).first()
        if found is not None:
            return found
    query = select(StatementRow).where(col(StatementRow.kind).in_(["terms", "policy"]))
    for row in session.exec(query):
        if digest in {row.predicate.get("document_digest"), row.predicate.get("digest")}:
            return row.index
    raise NotFoundError(f"no release, model, terms or policy in the log has the digest {digest!r}")


def _first(found: int | None, kind: str, key: str) -> int:
    if found is None:
        raise NotFoundError(f"there is no {kind} {key!r} in the log")
    return found
