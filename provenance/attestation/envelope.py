"""The DSSE envelope: a payload, its type, and signatures over both.

- What is signed is the pre-authentication encoding, `PAE(payloadType, payload)`: the type cannot be swapped.
- One payload type is known, in-toto's; an unknown one fails. So does an empty list of signatures.
- A signature by a key that we know must verify. One by an unknown key is ignored, and never counts.

`open_envelope` verifies while it parses. `parse_envelope` and `parse_entry` do not: say so where you use them.

Source: DSSE, protocol.md and envelope.md (v1.0.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provenance.attestation.signature import PublicKey, Signer
from provenance.attestation.statement import Statement, parse_statement, statement_of
from provenance.canonical import canonical_bytes, format_base64, parse_base64, parse_canonical
from provenance.errors import FieldError, MalformedError, SignatureError, StatementError

PAYLOAD_TYPE = "application/vnd.in-toto+json"
MAX_SIGNATURES = 16

_ENVELOPE_FIELDS = {"payload", "payloadType", "signatures"}
_SIGNATURE_FIELDS = {"keyid", "sig"}


@dataclass(frozen=True)
class Signature:
    """One signature of an envelope, by the key that `keyid` names."""

    keyid: str
    signature: bytes


@dataclass(frozen=True)
class Envelope:
    """An envelope that was parsed, not verified."""

    payload: bytes
    signatures: tuple[Signature, ...]


def pae(payload_type: str, payload: bytes) -> bytes:
    """The bytes that are signed.

    Args:
        payload_type: the envelope's `payloadType`.
        payload: the payload, decoded.
    Source: DSSE protocol.md, "Signature Definition".
    """
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign_envelope(payload: bytes, signers: Sequence[Signer]) -> bytes:
    """The canonical bytes of an envelope of `payload`, signed by each of `signers`.

    Args:
        payload: canonical bytes of a statement.
        signers: one or more, of different keys.
    Raises:
        StatementError: there is no signer, or one key twice.
    """
    keyids = [signer.public_key.keyid for signer in signers]
    if not keyids or len(set(keyids)) != len(keyids):
        raise StatementError(
            "an envelope is signed by one or more different keys", FieldError("signatures", keyids, "different keys")
        )
    message = pae(PAYLOAD_TYPE, payload)
    body = {
        "payload": format_base64(payload),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [
            {"keyid": keyid, "sig": format_base64(signer.sign(message))}
            for keyid, signer in zip(keyids, signers, strict=True)
        ],
    }
    return canonical_bytes(body)


def open_envelope(data: bytes, keys: Mapping[str, PublicKey]) -> Statement:
    """Parse an envelope and verify it against the keys that are trusted for it.

    Args:
        data: the envelope's canonical JSON.
        keys: keyid -> key; all that may sign this envelope, and no others.
    Raises:
        StatementError: it is malformed.
        SignatureError: no signature is by one of `keys`, or one that is does not verify.
    """
    envelope = read_envelope(data)
    verify_envelope(envelope, keys)
    return parse_statement(envelope.payload)


def verify_envelope(envelope: Envelope, keys: Mapping[str, PublicKey]) -> tuple[str, ...]:
    """The keyids, out of `keys`, that signed the envelope; at least one.

    Raises:
        SignatureError: no signature is by one of `keys`, or one that is does not verify.
    Source: DSSE protocol.md, "Verification".
    """
    message = pae(PAYLOAD_TYPE, envelope.payload)
    known = [item for item in envelope.signatures if item.keyid in keys]
    if not known:
        named = ", ".join(item.keyid[:16] + "…" for item in envelope.signatures)
        raise SignatureError(f"no signature is by a known key; the envelope names {named}")
    for item in known:
        keys[item.keyid].verify(item.signature, message)
    return tuple(item.keyid for item in known)


def parse_envelope(data: bytes) -> tuple[Statement, tuple[Signature, ...]]:
    """The statement and signatures of an envelope, *not verified*.

    Raises:
        StatementError: it is malformed.
    """
    envelope = read_envelope(data)
    return parse_statement(envelope.payload), envelope.signatures


def parse_entry(data: bytes) -> Statement:
    """The statement of a log entry, bare (a sample) or in an envelope, *not verified*.

    Raises:
        StatementError: it is malformed; or a bare statement is of a kind that must be signed.
    """
    return split_entry(data)[0]


def split_entry(data: bytes) -> tuple[Statement, Envelope | None]:
    """What `parse_entry` gives, with the envelope that it stands in: parsed once for who needs both, *not verified*.

    Raises:
        StatementError: as `parse_entry`.
    """
    value = _canonical(data)
    if isinstance(value, dict) and "payload" in value:
        envelope = _envelope_of(value)
        return parse_statement(envelope.payload), envelope
    statement = statement_of(value)
    if statement.kind != "sample":
        raise StatementError(f"a {statement.kind} statement stands in a signed envelope; this one is bare")
    return statement, None


def read_envelope(data: bytes) -> Envelope:
    """The payload bytes and signatures of an envelope, *not verified*.

    Raises:
        StatementError: not canonical JSON, an unknown field or payload type, no signature, or loose base64.
    """
    return _envelope_of(_canonical(data))


def _canonical(data: bytes) -> Any:
    try:
        return parse_canonical(data)
    except MalformedError as exc:
        raise StatementError(f"not an entry: {exc.detail}") from exc


def _envelope_of(value: Any) -> Envelope:
    if not isinstance(value, dict) or value.keys() != _ENVELOPE_FIELDS:
        raise StatementError("not a DSSE envelope", FieldError("", value, "payload, payloadType, signatures"))
    if value["payloadType"] != PAYLOAD_TYPE:
        raise StatementError("unknown payload type", FieldError("payloadType", value["payloadType"], PAYLOAD_TYPE))
    listed = value["signatures"]
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_SIGNATURES:
        raise StatementError("an envelope has signatures", FieldError("signatures", listed, f"1 to {MAX_SIGNATURES}"))
    signatures = tuple(map(_signature_of, listed))
    if len({item.keyid for item in signatures}) != len(signatures):
        raise StatementError("one key signed twice", FieldError("signatures", listed, "different keyids"))
    return Envelope(_decode(value["payload"], "payload"), signatures)


def _signature_of(value: Any) -> Signature:
    if not isinstance(value, dict) or value.keys() != _SIGNATURE_FIELDS or not isinstance(value["keyid"], str):
        raise StatementError("not a signature", FieldError("signatures", value, "keyid and sig"))
    return Signature(value["keyid"], _decode(value["sig"], "signatures.sig"))


def _decode(text: Any, field: str) -> bytes:
    try:
        return parse_base64(text, field)
    except MalformedError as exc:
        raise StatementError(exc.detail, *exc.errors) from exc
