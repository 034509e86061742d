"""The entry of one sample, written straight from it: the canonical bytes of its Statement, and of its words.

What comes out is `format_statement` of a plain dict, byte for byte, without the dict: the encoder writes the fields of
`_Predicate` in the order of RFC 8785, and text and counts as it does. JSON of free form, where numbers may need more than
that, is made canonical apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import astuple

from provenance.attestation.statement import STATEMENT_TYPE, predicate_type
from provenance.canonical import COMPLETION_DOMAIN, PROMPT_DOMAIN, canonical_bytes, commit, is_plain
from provenance.capture.sample import Account, Message, PromptOrigin, Sample, SourceDataset, Teacher, Usage
from provenance.errors import MalformedError, StatementError

_HEAD = f'{{"_type":"{STATEMENT_TYPE}","predicate":'.encode()
_MIDDLE = f',"predicateType":"{predicate_type("sample")}","subject":[{{"digest":{{"sha256":"'.encode()
_TAIL = b'"},"name":"sample"}]}'
FactsKey = tuple[Any, ...]

_DIGEST = len("sha256:")
_encode = msgspec.json.Encoder(order="sorted").encode
_WORDS = b'{"prompt":%b,"completion":%b,"prompt_salt":"%b","completion_salt":"%b"}'


class _Size(Struct, gc=False):
    prompt: int
    completion: int


class _Predicate(Struct, gc=False):
    """The fields of a sample's predicate (`attestation/predicates.py`); those of the sample have its names."""

    dataset: str
    teacher: Teacher
    role: str
    generated_at: str
    generated_in: str | None
    account: Account | None
    parameters: Raw
    usage: Usage | None
    request_id: str | None
    finish_reason: str | None
    prompt_origin: PromptOrigin | None
    source_dataset: SourceDataset | None
    parents: list[str]
    human_contribution: Raw
    external_id: str | None
    capture: str
    evidence: str
    logged_at: str
    prompt_commitment: str
    completion_commitment: str
    size_bytes: _Size
    fact_class: str
    terms: Raw


@dataclass(frozen=True)
class Stamp:
    """What the entries of one capture say alike."""

    capture: str
    evidence: str
    logged_at: str


@dataclass(frozen=True)
class Binding:
    """What all samples with the same facts share: the digest of their class and, as canonical JSON, the terms they fall under."""

    facts: Mapping[str, Any]
    fact_class: str
    terms: Raw


def facts_key(sample: Sample, evidence: str) -> FactsKey:
    """Equal for two samples only if their facts are (`attestation.facts.sample_facts`)."""
    account, origin, source = sample.account, sample.prompt_origin, sample.source_dataset
    human = sample.human_contribution
    return (
        evidence,
        sample.role,
        sample.generated_at[:10],
        sample.generated_in,
        astuple(sample.teacher),
        account and (account.holder,),
        origin and (origin.kind, origin.license),
        source and astuple(source),
        None if human is None else (human.get("kind"),),
    )


def write_entry(sample: Sample, stamp: Stamp, binding: Binding, salts: tuple[bytes, bytes]) -> tuple[bytes, bytes, int]:
    """The entry of `sample`, the erasable words that it commits to, and the bytes of its completion.

    Raises:
        MalformedError: a word that JSON has no bytes for.
        StatementError: a fact that canonical JSON has no bytes for.
    """
    prompt, completion = _write_messages(sample.prompt), _write_messages(sample.completion)
    opens = commit(PROMPT_DOMAIN, salts[0], prompt), commit(COMPLETION_DOMAIN, salts[1], completion)
    try:
        predicate = _encode(_predicate_of(sample, stamp, binding, opens, _Size(len(prompt), len(completion))))
    except (MalformedError, UnicodeError) as exc:
        detail = exc.detail if isinstance(exc, MalformedError) else f"not canonical JSON: {exc}"
        raise StatementError(f"the sample statement cannot be written: {detail}") from exc
    entry = b"".join((_HEAD, predicate, _MIDDLE, opens[1][_DIGEST:].encode(), _TAIL))
    return entry, _WORDS % (prompt, completion, salts[0].hex().encode(), salts[1].hex().encode()), len(completion)


def write_sample(sample: Sample) -> bytes:
    """The canonical bytes of a sample with all its words, as it was handed in.

    Raises:
        MalformedError: it holds what JSON has no bytes for.
    """
    plain = is_plain(sample.parameters) and is_plain(sample.human_contribution)
    if plain and not _calls_tools(sample.prompt) and not _calls_tools(sample.completion):
        return _encode_words(sample)
    return canonical_bytes(msgspec.to_builtins(sample))


def _write_messages(messages: Sequence[Message] | str) -> bytes:
    return canonical_bytes(msgspec.to_builtins(messages)) if _calls_tools(messages) else _encode_words(messages)


def _calls_tools(messages: Sequence[Message] | str) -> bool:
    return not isinstance(messages, str) and any(message.tool_calls for message in messages)


def _encode_words(value: Sample | Sequence[Message] | str) -> bytes:
    try:
        return _encode(value)
    except UnicodeError as exc:  # a lone surrogate
        raise MalformedError(f"not canonical JSON: {exc}") from exc


def _predicate_of(
    sample: Sample, stamp: Stamp, binding: Binding, commitments: tuple[str, str], size: _Size
) -> _Predicate:
    return _Predicate(
        dataset=sample.dataset,
        teacher=sample.teacher,
        role=sample.role,
        generated_at=sample.generated_at,
        generated_in=sample.generated_in,
        account=sample.account,
        parameters=_free_form(sample.parameters),
        usage=sample.usage,
        request_id=sample.request_id,
        finish_reason=sample.finish_reason,
        prompt_origin=sample.prompt_origin,
        source_dataset=sample.source_dataset,
        parents=sample.parents,
        human_contribution=_free_form(sample.human_contribution),
        external_id=sample.external_id,
        capture=stamp.capture,
        evidence=stamp.evidence,
        logged_at=stamp.logged_at,
        prompt_commitment=commitments[0],
        completion_commitment=commitments[1],
        size_bytes=size,
        fact_class=binding.fact_class,
        terms=binding.terms,
    )


def _free_form(value: dict[str, Any] | None) -> Raw:
    return Raw(canonical_bytes(value) if value else b"null" if value is None else b"{}")
