"""Make a governance entry: a statement in an envelope, signed by the key of the purpose that its kind asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from provenance.attestation.envelope import sign_envelope
from provenance.attestation.predicates import check_predicate, signing_purpose
from provenance.attestation.statement import Statement, Subject, format_statement
from provenance.canonical import canonical_bytes, parse_digest, sha256_digest
from provenance.ledger.keys import KeyRing


def sign_entry(
    ring: KeyRing, kind: str, predicate: Mapping[str, Any], *, subjects: Sequence[tuple[str, str]] = ()
) -> bytes:
    """The bytes of an entry that says `predicate`.

    Args:
        ring: the keys; the one for the kind's purpose signs.
        kind: one of `statement.KINDS`, but `sample`, which its batch signs.
        predicate: what is said; checked against the form of its kind.
        subjects: names and digests (`sha256:<hex>`) of what it is about; the predicate itself where there is nothing else.
    Raises:
        StatementError: a field is missing or has another form.
    """
    check_predicate(kind, predicate)
    named = subjects or [(str(predicate.get("id", kind)), sha256_digest(canonical_bytes(predicate)))]
    statement = Statement(
        tuple(Subject(name, {"sha256": parse_digest(digest).hex()}) for name, digest in named), kind, predicate
    )
    return sign_envelope(format_statement(statement), [ring.signer(signing_purpose(kind))])
