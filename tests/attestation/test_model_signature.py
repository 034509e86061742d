"""Model-signing bundles: what was signed opens, whatever was changed does not. Others read them in `tests/external`."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from provenance.attestation.model_signature import format_model_signature, open_model_signature
from provenance.attestation.signature import PrivateKeySigner
from provenance.errors import SignatureError, StatementError

KEY, OTHER = (PrivateKeySigner(ec.generate_private_key(ec.SECP256R1())) for _ in range(2))
FILES = {name: f"sha256:{number:064x}" for number, name in enumerate(["model.safetensors", "config.json", "a/b.json"])}
BUNDLE = format_model_signature("acme-1b", FILES, KEY)


@given(st.dictionaries(st.text(min_size=1), st.binary(min_size=32, max_size=32), min_size=1, max_size=5))
def test_what_was_signed_opens_as_it_was(files: dict[str, bytes]) -> None:
    said = {name: f"sha256:{digest.hex()}" for name, digest in files.items()}
    assert open_model_signature(format_model_signature("m", said, KEY), KEY.public_key).files == said


def test_the_order_of_the_files_does_not_matter() -> None:
    again = format_model_signature("acme-1b", dict(reversed(FILES.items())), KEY)
    assert open_model_signature(again, KEY.public_key) == open_model_signature(BUNDLE, KEY.public_key)


def test_another_key_does_not_open_it_whatever_the_bundle_names() -> None:
    with pytest.raises(SignatureError, match="another key"):
        open_model_signature(BUNDLE, OTHER.public_key)
    body, theirs = json.loads(BUNDLE), json.loads(format_model_signature("acme-1b", FILES, OTHER))
    body["verificationMaterial"] = theirs["verificationMaterial"]
    with pytest.raises(SignatureError):
        open_model_signature(json.dumps(body).encode(), OTHER.public_key)


def _resign(change: Any) -> bytes:
    """A bundle whose statement was changed and signed again by the right key."""
    body = json.loads(BUNDLE)
    statement = json.loads(b64decode(body["dsseEnvelope"]["payload"]))
    change(statement)
    payload = json.dumps(statement).encode()
    kind = body["dsseEnvelope"]["payloadType"].encode()
    signature = KEY.sign(b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload))
    body["dsseEnvelope"] |= {
        "payload": b64encode(payload).decode(),
        "signatures": [{"keyid": "", "sig": b64encode(signature).decode()}],
    }
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said["predicate"]["resources"].pop(),
        lambda said: said["predicate"]["resources"].append(said["predicate"]["resources"][0]),
        lambda said: said["predicate"]["resources"][0].update(digest="0" * 64),
        lambda said: said["predicate"]["resources"][0].update(algorithm="blake3"),
        lambda said: said["predicate"]["serialization"].update(ignore_paths=["model.safetensors"]),
        lambda said: said["subject"].append(said["subject"][0]),
        lambda said: said.update(predicateType="https://model_signing/Digests/v0.1"),
        lambda said: said.pop("predicate"),
    ],
)
def test_a_statement_that_does_not_add_up_is_refused_though_it_is_signed(change: Any) -> None:
    assert open_model_signature(_resign(lambda said: None), KEY.public_key).files == FILES
    with pytest.raises(StatementError):
        open_model_signature(_resign(change), KEY.public_key)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"mediaType": 1}', BUNDLE[:-2], BUNDLE.replace(b"v0.3", b"v0.9")]
)
def test_what_is_no_bundle_is_refused(data: bytes) -> None:
    with pytest.raises(StatementError):
        open_model_signature(data, KEY.public_key)


def test_nothing_is_signed_without_files_or_by_a_key_of_another_kind() -> None:
    with pytest.raises(StatementError, match="at least one file"):
        format_model_signature("m", {}, KEY)
    with pytest.raises(StatementError, match="P-256"):
        format_model_signature("m", FILES, PrivateKeySigner(ed25519.Ed25519PrivateKey.generate()))
