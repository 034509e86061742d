"""The `.tlog-proof` text."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from provenance.errors import InclusionError, MalformedError, ProvenanceError, SignatureError
from provenance.ledger.checkpoint import Checkpoint, sign_checkpoint
from provenance.ledger.merkle import MemoryTree, inclusion_proof, leaf_hash
from provenance.ledger.note import Ed25519NoteSigner
from provenance.ledger.proof import TlogProof, format_proof, parse_proof, verify_proof

LOG = Ed25519NoteSigner("example.com/log", Ed25519PrivateKey.from_private_bytes(b"l" * 32))
TREE = MemoryTree([leaf_hash(bytes([number])) for number in range(11)])
NOTE = sign_checkpoint(Checkpoint(LOG.name, 11, TREE.root()), [LOG])


def proof_of(index: int, extra: bytes | None = None) -> str:
    return format_proof(TlogProof(index, tuple(inclusion_proof(index, 11, TREE.read)), NOTE, extra))


@given(st.integers(0, 10), st.one_of(st.none(), st.binary(max_size=9)))
def test_a_proof_parses_back_and_verifies(index: int, extra: bytes | None) -> None:
    text = proof_of(index, extra)
    assert format_proof(parse_proof(text)) == text
    assert verify_proof(text, TREE.read(0, index), [LOG.vkey])[0] == index


@given(st.integers(0, len(proof_of(6)) - 1), st.integers(33, 126))
def test_one_changed_character_fails(at: int, code: int) -> None:
    text = proof_of(6)
    if text[at] != chr(code):
        with pytest.raises(ProvenanceError):
            verify_proof(text[:at] + chr(code) + text[at + 1 :], TREE.read(0, 6), [LOG.vkey])


def test_a_proof_for_another_leaf_or_by_another_log_fails() -> None:
    with pytest.raises(InclusionError):
        verify_proof(proof_of(6), TREE.read(0, 5), [LOG.vkey])
    with pytest.raises(InclusionError):
        verify_proof(proof_of(6).replace("index 6", "index 11"), TREE.read(0, 6), [LOG.vkey])
    with pytest.raises(SignatureError):
        verify_proof(proof_of(6), TREE.read(0, 6), [])


@pytest.mark.parametrize(
    "bent",
    [
        "",
        proof_of(6).replace("@v1", "@v2"),
        proof_of(6).replace("index 6", "index 06"),
        proof_of(6).replace("index 6", "index -1"),
        proof_of(6).replace("index 6\n", ""),
        proof_of(6).replace("index 6", "extra !\nindex 6"),
        proof_of(6).replace("index 6", "index 6\nAAAA"),
        proof_of(6).split("\n\n", maxsplit=1)[0],
        format_proof(TlogProof(6, (bytes(32),) * 64, NOTE)),
    ],
)
def test_another_form_is_refused(bent: str) -> None:
    with pytest.raises(MalformedError):
        parse_proof(bent)
