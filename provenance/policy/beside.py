"""What is kept beside governance statements, and how each commits to it: the opposite of what wrote it.

Words of samples open commitments of their own (`ledger/audit.py`, step 6). Nothing here is secret; it must only be what
was signed: texts of terms, sources of packs, whole answers of decisions, lists of erasures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from provenance.canonical import canonical_bytes, sha256_digest
from provenance.errors import DigestMismatchError
from provenance.policy.pack import digest_sources
from provenance.store.ranges import parse_runs
from provenance.terms.recorded import value_digest

Predicate = Mapping[str, Any]


def check_beside(kind: str, said: Predicate, content: Any) -> None:
    """Check what lies beside a statement of `kind`; None where nothing does.

    Raises:
        DigestMismatchError: it is gone, or not what the statement commits to.
        MalformedError: it has another form.
    """
    found = _COMMITMENTS.get(kind)
    if found is None:
        return
    committed, digest = found(said, content) if content is not None else (_needed(kind, said), "nothing")
    if committed is not None and digest != committed:
        raise DigestMismatchError(f"what lies beside it has the digest {digest}; the statement says {committed}")


def _terms(said: Predicate, content: Any) -> tuple[str | None, str]:
    return said["document_digest"], value_digest(content)


def _policy(said: Predicate, content: Any) -> tuple[str | None, str]:
    cases = said.get("cases")  # of a proposal; its flips are shown to people and committed to by the replay's digest
    if cases is not None and sha256_digest(canonical_bytes(content["cases"])) != cases["digest"]:
        raise DigestMismatchError(f"the cases beside it are not those of {cases['digest']}")
    return said["digest"], digest_sources(content["rules"], content["schema"])


def _decision(said: Predicate, content: Any) -> tuple[str | None, str]:
    return said["answer_digest"], sha256_digest(canonical_bytes(content))


def _erasure(said: Predicate, content: Any) -> tuple[str | None, str]:
    return said["indices_digest"], parse_runs(content["runs"]).digest


_COMMITMENTS: Mapping[str, Callable[[Predicate, Any], tuple[str | None, str]]] = {
    "terms": _terms,
    "policy": _policy,
    "decision": _decision,
    "erasure": _erasure,
}
_NAMES = {"terms": "document_digest", "policy": "digest", "decision": "answer_digest"}


def _needed(kind: str, said: Predicate) -> str | None:
    if kind == "erasure":  # the list lies beside the request; the later phases repeat its digest
        return said["indices_digest"] if said["phase"] == "requested" else None
    found: str | None = said[_NAMES[kind]]
    return found
