"""A sample's entry and its words in the form that the recorder writes, read at a glance: for who reads a whole log.

Typed decoders say of most entries what `split_entry` and `check_predicate` would, for a quarter of the time. What they
pass is what those would pass; whatever they do not know (a further field, another spelling) is None, which says nothing:
ask those then.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from provenance.canonical import COMPLETION_DOMAIN, MAX_SAFE_INTEGER, PROMPT_DOMAIN, commit, is_plain
from provenance.errors import MalformedError

UNKNOWN = (msgspec.MsgspecError, UnicodeError, ValueError, RecursionError)

Text = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=-MAX_SAFE_INTEGER, le=MAX_SAFE_INTEGER)]


class _Form(Struct, forbid_unknown_fields=True, gc=False):
    """A map with these fields, no more and no fewer."""


class _Teacher(_Form):
    host: str | None
    model: str
    obtained_at: str | None
    provider: str
    revision: str | None
    route: str
    served_model: str | None
    weights_digest: str | None


class _Account(_Form):
    holder: str | None
    plan: str | None


class _Usage(_Form):
    input_tokens: Count | None
    output_tokens: Count | None


class _Origin(_Form):
    kind: str
    license: str | None
    ref: str | None


class _Source(_Form):
    license: str | None
    ref: str


class _Terms(_Form):
    digest: str | None
    id: str


class _Size(_Form):
    completion: Count
    prompt: Count


class _Predicate(_Form):
    """What `predicates.FORMS` asks of a sample, and what the recorder says further."""

    account: _Account | None
    capture: Text
    completion_commitment: str
    dataset: Text
    evidence: Literal["claimed", "declared", "recorded", "replayed"]
    external_id: Text | None
    fact_class: str
    finish_reason: str | None
    generated_at: str
    generated_in: str | None
    human_contribution: dict[str, Any] | None
    logged_at: str
    parameters: dict[str, Any] | None
    parents: list[str]
    prompt_commitment: str
    prompt_origin: _Origin | None
    request_id: Text | None
    role: Text
    size_bytes: _Size
    source_dataset: _Source | None
    teacher: _Teacher
    terms: list[_Terms]
    usage: _Usage | None


class _Digest(_Form):
    sha256: Text


class _Subject(_Form):
    digest: _Digest
    name: str


class _Sample(_Form):
    """The statement of a sample that has no field but those which the recorder writes."""

    type: Literal["https://in-toto.io/Statement/v1"] = msgspec.field(name="_type")
    predicate: _Predicate
    predicate_type: Literal["https://provenance-ledger.dev/sample/v1"] = msgspec.field(name="predicateType")
    subject: tuple[_Subject]


class _Message(_Form):
    role: str
    content: str | UnsetType | None = UNSET
    name: str | UnsetType = UNSET
    tool_call_id: str | UnsetType = UNSET


class _Words(Struct, gc=False):
    prompt: list[_Message]
    completion: list[_Message]
    prompt_salt: str
    completion_salt: str


_encode = msgspec.json.Encoder(order="sorted").encode
_decode_sample = msgspec.json.Decoder(_Sample).decode
_decode_words = msgspec.json.Decoder(_Words).decode
_NESTED = {dict, list}
# In one look: five of them would take as long as decoding does.
_DIGESTS_AND_TIMES = re.compile(
    r"(?:sha256:[0-9a-f]{64} ){3}(?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3})?Z ){2}\Z", re.ASCII
)


def read_commitments(entry: bytes) -> tuple[str, str] | None:
    """The commitments, to prompt and completion, of a sample that is well-formed and canonical; None where that is not sure."""
    try:
        sample = _decode_sample(entry)
        is_same = _encode(sample) == entry  # so there is no other spelling in it, nor a field twice
    except UNKNOWN:
        return None
    said = sample.predicate
    digests = f"{said.prompt_commitment} {said.completion_commitment} {said.fact_class}"
    is_well_formed = (
        is_same
        and _DIGESTS_AND_TIMES.match(f"{digests} {said.generated_at} {said.logged_at} ")
        and _is_flat(said.parameters)
        and _is_flat(said.human_contribution)
    )
    return (said.prompt_commitment, said.completion_commitment) if is_well_formed else None


def opens(commitments: tuple[str, str], item: bytes) -> bool:
    """Whether the words that lie beside a sample open its commitments; False where that is not sure."""
    try:
        words = _decode_words(item)
        return commitments == (
            commit(PROMPT_DOMAIN, bytes.fromhex(words.prompt_salt), _encode(words.prompt)),
            commit(COMPLETION_DOMAIN, bytes.fromhex(words.completion_salt), _encode(words.completion)),
        )
    except (MalformedError, *UNKNOWN):
        return False


def _is_flat(value: dict[str, Any] | None) -> bool:
    """Whether JSON of free form is a map of single values, which msgspec and RFC 8785 write alike."""
    return not value or (is_plain(value) and _NESTED.isdisjoint(map(type, value.values())))
