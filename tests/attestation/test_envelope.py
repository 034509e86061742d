"""DSSE envelopes: what is signed opens, under the right key alone; every loose form is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from provenance.attestation.envelope import (
    PAYLOAD_TYPE,
    open_envelope,
    pae,
    parse_entry,
    parse_envelope,
    read_envelope,
    sign_envelope,
    verify_envelope,
)
from provenance.attestation.signature import PrivateKeySigner, PublicKey
from provenance.attestation.statement import Statement, Subject, format_statement
from provenance.canonical import canonical_bytes
from provenance.errors import MalformedError, ProvenanceError, SignatureError, StatementError

EDDSA = PrivateKeySigner(ed25519.Ed25519PrivateKey.from_private_bytes(b"e" * 32))
ECDSA = PrivateKeySigner(ec.derive_private_key(7, ec.SECP256R1()))
SAID = Statement((Subject("thing", {"sha256": "a" * 64}),), "report", {"id": "r", "n": 1})
PAYLOAD = format_statement(SAID)
SAMPLE = format_statement(Statement((Subject("sample", {"sha256": "a" * 64}),), "sample", {}))
ENVELOPE = sign_envelope(PAYLOAD, [EDDSA, ECDSA])
KEYS = {item.public_key.keyid: item.public_key for item in (EDDSA, ECDSA)}


def bent(**changes: Any) -> bytes:
    return canonical_bytes(json.loads(ENVELOPE) | changes)


def test_the_pre_authentication_encoding_counts_bytes() -> None:
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert pae("é", b"") == "DSSEv1 2 é 0 ".encode()


def test_an_envelope_opens_under_each_of_its_keys() -> None:
    for keyid, key in KEYS.items():
        assert open_envelope(ENVELOPE, {keyid: key}) == SAID
    assert verify_envelope(read_envelope(ENVELOPE), KEYS) == tuple(KEYS)
    statement, signatures = parse_envelope(ENVELOPE)
    assert (statement, [item.keyid for item in signatures]) == (SAID, list(KEYS))
    assert parse_entry(ENVELOPE) == SAID


def test_an_unknown_key_does_not_count() -> None:
    other = PrivateKeySigner(ed25519.Ed25519PrivateKey.generate()).public_key
    for keys in ({}, {other.keyid: other}):
        with pytest.raises(SignatureError):
            open_envelope(ENVELOPE, keys)


def test_a_key_under_another_s_id_does_not_verify() -> None:
    with pytest.raises(SignatureError):
        open_envelope(ENVELOPE, {EDDSA.public_key.keyid: ECDSA.public_key})


def test_one_bad_signature_by_a_known_key_refuses_the_envelope() -> None:
    other = json.loads(sign_envelope(SAMPLE, [ECDSA]))["signatures"]
    mixed = bent(signatures=[json.loads(ENVELOPE)["signatures"][0], *other])
    with pytest.raises(SignatureError):
        open_envelope(mixed, KEYS)


def open_by_both(data: bytes) -> None:
    """A changed keyid only makes that signature unknown, so both keys are asked for."""
    if len(verify_envelope(read_envelope(data), KEYS)) < len(KEYS):
        raise SignatureError("one signature is by nobody known")


@given(st.integers(0, len(ENVELOPE) - 1), st.integers(1, 255))
def test_one_changed_byte_fails(at: int, mask: int) -> None:
    raw = bytearray(ENVELOPE)
    raw[at] ^= mask
    with pytest.raises(ProvenanceError):
        open_by_both(bytes(raw))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        ENVELOPE + b"\n",
        bent(payloadType="text/plain"),
        bent(signatures=[]),
        bent(signatures=None),
        bent(signatures=json.loads(ENVELOPE)["signatures"] * 2),
        bent(signatures=[{"keyid": "k", "sig": "YQ"}]),
        bent(signatures=[{"sig": "YQ=="}]),
        bent(signatures=[{"keyid": "k", "sig": "YQ==", "cert": "x"}]),
        bent(signatures=[{"keyid": str(number), "sig": "YQ=="} for number in range(17)]),
        bent(payload=json.loads(ENVELOPE)["payload"] + "\n"),
        bent(payload=7),
        bent(extra=1),
        json.dumps(json.loads(ENVELOPE)).encode(),
    ],
)
def test_a_loose_envelope_is_refused(data: bytes) -> None:
    with pytest.raises(StatementError):
        read_envelope(data)


def test_a_payload_that_is_no_statement_of_ours_is_refused() -> None:
    for payload in (b"hello", b"{}", canonical_bytes({"_type": "https://in-toto.io/Statement/v0.1"})):
        envelope = sign_envelope(payload, [EDDSA])
        with pytest.raises(StatementError):
            open_envelope(envelope, KEYS)


def test_only_a_sample_stands_bare() -> None:
    assert parse_entry(SAMPLE).kind == "sample"
    with pytest.raises(StatementError, match="bare"):
        parse_entry(PAYLOAD)


def test_nobody_and_one_key_twice_do_not_sign() -> None:
    for signers in ([], [EDDSA, EDDSA]):
        with pytest.raises(StatementError):
            sign_envelope(PAYLOAD, signers)


def test_a_key_of_another_type_is_refused() -> None:
    keys: list[Any] = [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())]
    for key in keys:
        spki = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        with pytest.raises(MalformedError):
            PublicKey(spki)
    with pytest.raises(MalformedError):
        PublicKey(b"no key")


@pytest.mark.external
def test_securesystemslib_verifies_our_envelopes() -> None:
    dsse = pytest.importorskip("securesystemslib.dsse")
    foreign = pytest.importorskip("securesystemslib.signer")
    keys = [
        foreign.SSlibKey.from_crypto(item.private.public_key(), keyid=item.public_key.keyid) for item in (EDDSA, ECDSA)
    ]
    envelope = dsse.Envelope.from_dict(json.loads(ENVELOPE))
    assert envelope.payload_type == PAYLOAD_TYPE
    assert set(envelope.verify(keys, 2)) == set(KEYS)
    envelope.payload += b" "
    with pytest.raises(Exception, match="threshold"):
        envelope.verify(keys, 1)


@pytest.mark.external
def test_we_open_what_securesystemslib_signs() -> None:
    dsse = pytest.importorskip("securesystemslib.dsse")
    foreign = pytest.importorskip("securesystemslib.signer")
    envelope = dsse.Envelope(PAYLOAD, PAYLOAD_TYPE, {})
    for item in (EDDSA, ECDSA):
        key = foreign.SSlibKey.from_crypto(item.private.public_key(), keyid=item.public_key.keyid)
        envelope.sign(foreign.CryptoSigner(item.private, key))
    data = canonical_bytes(envelope.to_dict())
    assert open_envelope(data, KEYS) == SAID
