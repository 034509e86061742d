"""The in-toto Statement v1: what is said (`predicate`) about which things (`subjects`).

- Ours have the predicate type `https://provenance-ledger.dev/<kind>/v1`; `parse_statement` refuses any other.
- `parse_in_toto` reads the layer alone, for statements of other producers.
- `format_statement` is canonical JSON, so a statement has one spelling and one leaf hash.

Source: in-toto attestation framework, spec/v1/statement.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from provenance.canonical import canonical_bytes, parse_canonical, parse_json
from provenance.errors import FieldError, MalformedError, StatementError

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
KINDS = (
    "model", "terms", "agreement", "capture", "sample", "batch", "curation", "policy", "student", "decision",
    "exception", "release", "approval", "withdrawal", "run", "publication", "recall", "erasure", "report", "key",
    "witness", "access",
)  # fmt: skip

_PREFIX = "https://provenance-ledger.dev/"
_SUFFIX = "/v1"
_FIELDS = frozenset(("_type", "subject", "predicateType", "predicate"))


@dataclass(frozen=True)
class Subject:
    """A thing that a statement is about: its name and its digests by algorithm, in hex."""

    name: str
    digest: Mapping[str, str]


@dataclass(frozen=True)
class Statement:
    """One of our statements; `kind` is the short name of its predicate type, one of `KINDS`."""

    subjects: tuple[Subject, ...]
    kind: str
    predicate: Mapping[str, Any]


@dataclass(frozen=True)
class InTotoStatement:
    """Anybody's statement: the in-toto layer, whatever its predicate type is."""

    subjects: tuple[Subject, ...]
    predicate_type: str
    predicate: Mapping[str, Any]


def predicate_type(kind: str) -> str:
    """The predicate type URI of one of our `KINDS`."""
    if kind not in KINDS:
        raise StatementError(f"unknown kind {kind!r}", FieldError("kind", kind, f"one of {', '.join(KINDS)}"))
    return f"{_PREFIX}{kind}{_SUFFIX}"


def format_statement(statement: Statement) -> bytes:
    """The canonical bytes of a statement: an entry as it stands, or the payload of an envelope.

    Raises:
        StatementError: the kind is unknown or the predicate holds what JSON cannot.
    """
    if not statement.subjects:
        raise StatementError("a statement has at least one subject", FieldError("subject", [], "one or more"))
    body = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": item.name, "digest": dict(item.digest)} for item in statement.subjects],
        "predicateType": predicate_type(statement.kind),
        "predicate": dict(statement.predicate),
    }
    try:
        return canonical_bytes(body)
    except MalformedError as exc:
        raise StatementError(f"the {statement.kind} statement cannot be written: {exc.detail}") from exc


def parse_statement(data: bytes) -> Statement:
    """Parse one of our statements from its canonical bytes.

    Raises:
        StatementError: not canonical JSON, not a Statement v1, or not of one of our kinds.
    """
    try:
        value = parse_canonical(data)
    except MalformedError as exc:
        raise StatementError(f"not a statement: {exc.detail}") from exc
    return statement_of(value)


def statement_of(value: Any) -> Statement:
    """The statement that a parsed JSON value holds; see `parse_statement`."""
    layer = _in_toto_of(value)
    kind = layer.predicate_type.removeprefix(_PREFIX).removesuffix(_SUFFIX)
    if kind not in KINDS or predicate_type(kind) != layer.predicate_type:
        raise StatementError(
            f"unknown predicate type {layer.predicate_type!r:.120}",
            FieldError("predicateType", layer.predicate_type, f"{_PREFIX}<kind>{_SUFFIX}"),
        )
    return Statement(layer.subjects, kind, layer.predicate)


def parse_in_toto(data: bytes) -> InTotoStatement:
    """Parse any in-toto Statement v1, also of another producer and not canonical.

    Raises:
        StatementError: not JSON that all parsers read alike, or not a Statement v1.
    """
    try:
        value = parse_json(data)
    except MalformedError as exc:
        raise StatementError(f"not a statement: {exc.detail}") from exc
    return _in_toto_of(value)


def _in_toto_of(value: Any) -> InTotoStatement:
    if not isinstance(value, dict):
        raise StatementError("a statement is a JSON object", FieldError("", value, "an object"))
    if value.get("_type") != STATEMENT_TYPE:
        raise StatementError("not an in-toto Statement v1", FieldError("_type", value.get("_type"), STATEMENT_TYPE))
    if unknown := value.keys() - _FIELDS:
        name = min(unknown)
        raise StatementError(f"unknown field {name!r} in the statement", FieldError(name, value[name], "no such field"))
    subjects = value.get("subject")
    if not isinstance(subjects, list) or not subjects:
        raise StatementError("a statement has subjects", FieldError("subject", subjects, "a list of one or more"))
    kind, predicate = value.get("predicateType"), value.get("predicate")
    if not isinstance(kind, str) or not kind:
        raise StatementError("a statement names its predicate type", FieldError("predicateType", kind, "a type URI"))
    if not isinstance(predicate, dict):
        raise StatementError("a statement has a predicate", FieldError("predicate", predicate, "an object"))
    return InTotoStatement(tuple(map(_subject_of, subjects)), kind, predicate)


def _subject_of(value: Any) -> Subject:
    if not isinstance(value, dict):
        raise StatementError("a subject is a JSON object", FieldError("subject", value, "an object"))
    name, digest = value.get("name", ""), value.get("digest")
    if not isinstance(name, str):
        raise StatementError("a subject's name is text", FieldError("subject.name", name, "a string"))
    if not isinstance(digest, dict) or not digest:
        raise StatementError("a subject has a digest", FieldError("subject.digest", digest, "algorithm -> hex"))
    for algorithm, text in digest.items():
        if not isinstance(text, str) or not text:
            raise StatementError("a digest is text", FieldError(f"subject.digest.{algorithm}", text, "hex"))
    return Subject(name, digest)


def iterate_digests(value: Any) -> Iterator[str]:
    """Every `sha256:` text anywhere in a predicate."""
    if isinstance(value, str):
        if value.startswith("sha256:"):
            yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from iterate_digests(item)
    elif isinstance(value, list):
        for item in value:
            yield from iterate_digests(item)
