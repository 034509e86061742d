"""A few vectors of our own: fixed keys, fixed bytes, so that a changed format is seen even without the published ones."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from provenance.attestation.envelope import open_envelope, sign_envelope
from provenance.attestation.signature import PrivateKeySigner
from provenance.attestation.statement import Statement, Subject, format_statement
from provenance.canonical import COMPLETION_DOMAIN, PROMPT_DOMAIN, canonical_bytes, commit, sha256_digest
from provenance.errors import InclusionError
from provenance.ledger.checkpoint import Checkpoint, MLDSA44Signer, sign_checkpoint
from provenance.ledger.merkle import leaf_hash, tree_root, verify_inclusion
from provenance.ledger.note import Ed25519NoteSigner, format_vkey

SEED = bytes(range(32))
LOG = Ed25519NoteSigner("log.example/provenance", Ed25519PrivateKey.from_private_bytes(SEED))
LOG_PQ = MLDSA44Signer("log.example/provenance", MLDSA44PrivateKey.from_seed_bytes(SEED))


def test_roots_of_small_trees() -> None:
    leaves = [leaf_hash(bytes([number])) for number in range(3)]
    assert tree_root([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaves[0].hex() == "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
    assert tree_root(leaves[:1]) == leaves[0]


def test_a_proof_from_another_log_implementation_s_documentation() -> None:
    """transparency-dev/merkle, inclusion case 0: one empty entry is its own root."""
    root = bytes.fromhex("6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d")
    verify_inclusion(leaf_hash(b""), 0, 1, [], root)
    with pytest.raises(InclusionError):
        verify_inclusion(leaf_hash(b""), 0, 1, [root], root)


def test_a_signed_checkpoint_has_these_bytes() -> None:
    note = sign_checkpoint(Checkpoint(LOG.name, 3, tree_root([])), [LOG])
    assert note == NOTE
    assert format_vkey(LOG.vkey) == VKEY


def test_the_ml_dsa_key_is_named_by_these_bytes() -> None:
    assert LOG_PQ.vkey.key_id.hex() == PQ_KEY_ID
    assert sha256_digest(LOG_PQ.vkey.public_key) == PQ_DIGEST


def test_commitments_have_these_bytes() -> None:
    messages = canonical_bytes([{"role": "user", "content": "2+2?"}])
    assert messages == b'[{"content":"2+2?","role":"user"}]'
    assert commit(PROMPT_DOMAIN, SEED, messages) == PROMPT
    assert commit(COMPLETION_DOMAIN, SEED, messages) == COMPLETION


def test_an_envelope_has_these_bytes() -> None:
    signer = PrivateKeySigner(Ed25519PrivateKey.from_private_bytes(SEED))
    statement = Statement((Subject("batch", {"sha256": "0" * 64}),), "batch", {"count": 1})
    envelope = sign_envelope(format_statement(statement), [signer])
    assert sha256_digest(envelope) == ENVELOPE
    assert open_envelope(envelope, {signer.public_key.keyid: signer.public_key}) == statement


# Made by this package once, and checked by the other implementations in `tests/ledger` and `tests/attestation`.
NOTE = (
    "log.example/provenance\n"
    "3\n"
    "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
    "\n"
    "— log.example/provenance J1cdT7GK4dQkpWB8Q6PLXH90xQ925OGFE7DAe7vdLiz1bvqrZGOImhZXMtWeEc0abRf1Biq24UNQ3ztCRWQszyS+dQ0=\n"
)
VKEY = "log.example/provenance+27571d4f+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
PQ_KEY_ID = "e0681cce"
PQ_DIGEST = "sha256:9f107644c1084526af3bc8098680b05499a2325a644e388fb4f970e058d19d46"
PROMPT = "sha256:3961dfd4d5c70f0dab0e7a910ad9aaa752e412181d8b2665b2b4fc2543c8222f"
COMPLETION = "sha256:cfe04b9e7943ba6ebb654ae69a4e2ec37843772540a5a34a44afacb8009465ef"
ENVELOPE = "sha256:57ce6048f8aa1ef0f3d5abfaafbb7d185151b3cb064f89fc8d51d962450df083"
