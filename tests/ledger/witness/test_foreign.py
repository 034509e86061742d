"""Our cosigned proofs in other hands: `proofbundle`, and a check by hand that uses nothing of ours."""

from __future__ import annotations

import hashlib
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

from provenance.ledger.checkpoint import open_signed_checkpoint
from provenance.ledger.merkle import MemoryTree, inclusion_proof, leaf_hash
from provenance.ledger.note import format_vkey, parse_note, parse_vkey
from provenance.ledger.policy import parse_policy
from provenance.ledger.proof import TlogProof, format_proof, verify_proof
from provenance.ledger.publish import read_checkpoint
from provenance.ledger.quorum import Quorum
from provenance.ledger.witness.serve import make_app
from tests.ledger.witness.witnesses import NOW, SmallLog, make_witness, serve_app, witness_keys

LOG = SmallLog().grow(40)
NAMES = ("witness.example/w1", "witness.example/w2", "witness.example/w3")
INDEX = 17
ENTRY = b"leaf 17"


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A `.tlog-proof` as the log gives it out: w1 and w2 have cosigned, w3 is down."""
    folder = tmp_path_factory.mktemp("foreign")
    lines = [f"log {format_vkey(LOG.vkeys[0])}"]
    witnesses = [make_witness(folder / name[-2:], LOG, name=name) for name in NAMES]
    with serve_app(make_app(witnesses[0])) as one, serve_app(make_app(witnesses[1])) as two:
        for number, url in enumerate((one, two, "http://127.0.0.1:1")):
            for kind, key in zip(("ed", "pq"), witness_keys(NAMES[number]).vkeys, strict=True):
                lines.append(f"witness w{number}-{kind} {format_vkey(key)} {url}")
            lines.append(f"group w{number} all w{number}-ed w{number}-pq")
        quorum = Quorum(
            parse_policy("\n".join([*lines, "group g 2 w0 w1 w2", "quorum g"])), LOG.proof, lambda: NOW, 600
        )
        quorum.publish(folder / "log", LOG.note(40))
        quorum.close()
    note = read_checkpoint(folder / "log")
    assert note is not None
    path = inclusion_proof(INDEX, 40, MemoryTree(LOG.leaves).read)
    return format_proof(TlogProof(INDEX, tuple(path), note))


def _vkeys(kind: int) -> list[str]:
    return [format_vkey(witness_keys(name).vkeys[kind]) for name in NAMES]


@pytest.fixture
def proofbundle() -> Any:
    return pytest.importorskip("proofbundle.tlogproof", reason="proofbundle is not installed: pip install '.[dev]'")


@pytest.mark.external
@pytest.mark.parametrize("kind", [0, 1], ids=["Ed25519", "ML-DSA-44"])
def test_proofbundle_opens_our_proof_and_counts_our_quorum(proofbundle: Any, proof: str, kind: int) -> None:
    def check(text: str = proof, entry: bytes = ENTRY, threshold: int = 2) -> dict[str, Any]:
        found: dict[str, Any] = proofbundle.verify_tlog_proof(
            text, entry, format_vkey(LOG.vkeys[0]), _vkeys(kind), threshold=threshold, expected_origin=LOG.origin
        )
        return found

    assert check()["ok"] is True
    assert (check()["tree_size"], check()["index"]) == (40, INDEX)
    assert check(threshold=3)["witnesses_ok"] is False, "the third was down"
    assert check(entry=b"leaf 18")["inclusion_ok"] is False
    assert check(text=proof.replace(f"index {INDEX}", "index 16"))["ok"] is False


@pytest.mark.external
def test_we_open_a_proof_that_proofbundle_cosigned(proofbundle: Any) -> None:
    checkpoint = pytest.importorskip("proofbundle.checkpoint")
    log_key, witness_key = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    note = checkpoint.sign_checkpoint("foreign.example/log", 40, LOG.root(40), log_key, "foreign.example/log")
    note = checkpoint.cosign_checkpoint(note, witness_key, "foreign.example/w", NOW)
    text = proofbundle.format_tlog_proof(INDEX, inclusion_proof(INDEX, 40, MemoryTree(LOG.leaves).read), note)
    publics = [key.public_key().public_bytes_raw() for key in (log_key, witness_key)]
    vkeys = [
        parse_vkey(checkpoint.vkey("foreign.example/log", publics[0])),
        parse_vkey(checkpoint.cosign_vkey("foreign.example/w", publics[1])),
    ]
    assert verify_proof(text, leaf_hash(ENTRY), vkeys)[0] == INDEX
    assert set(open_signed_checkpoint(note, vkeys).signed_by) == set(vkeys)


def test_a_check_by_hand_agrees(proof: str, tmp_path: Path) -> None:
    """The specifications in forty lines: RFC 6962 inclusion, signed notes, both kinds of cosignature."""
    head, note = proof.split("\n\n", 1)
    magic, index_line, *path = head.split("\n")
    assert (magic, index_line) == ("c2sp.org/tlog-proof@v1", f"index {INDEX}")
    body, block = note.split("\n\n")
    origin, size, root = body.split("\n")
    node, fn, sn = hashlib.sha256(b"\0" + ENTRY).digest(), INDEX, int(size) - 1
    for item in map(b64decode, path):
        if fn % 2 == 1 or fn == sn:
            node = hashlib.sha256(b"\1" + item + node).digest()
            while fn % 2 == 0 and fn:
                fn, sn = fn // 2, sn // 2
        else:
            node = hashlib.sha256(b"\1" + node + item).digest()
        fn, sn = fn // 2, sn // 2
    assert node == b64decode(root)
    good = set()
    for line in block.splitlines():
        _, name, encoded = line.split(" ")
        raw = b64decode(encoded)
        for vkey in (*map(format_vkey, LOG.vkeys), *_vkeys(0), *_vkeys(1)):
            key_name, key_id, material = vkey.split("+", 2)
            kind, public = b64decode(material)[0], b64decode(material)[1:]
            if name == key_name and raw[:4].hex() == key_id:
                _check_by_hand(kind, public, name, body + "\n", raw[4:])
                good.add((name, kind))
    assert good == {(origin, 1), (origin, 6), *((name, kind) for name in NAMES[:2] for kind in (4, 6))}
    assert len(parse_note(note).signatures) == len(good)


def _check_by_hand(kind: int, public: bytes, name: str, text: str, signature: bytes) -> None:
    if kind == 1:
        return Ed25519PublicKey.from_public_bytes(public).verify(signature, text.encode())
    time, signature = signature[:8], signature[8:]
    if kind == 4:
        message = b"cosignature/v1\ntime %d\n" % int.from_bytes(time, "big") + text.encode()
        return Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    origin, size, root = text.splitlines()
    names = bytes([len(name)]) + name.encode() + time + bytes([len(origin)]) + origin.encode()
    message = b"subtree/v1\n\0" + names + bytes(8) + int(size).to_bytes(8, "big") + b64decode(root)
    MLDSA44PublicKey.from_public_bytes(public).verify(signature, message)
    with pytest.raises(InvalidSignature):
        MLDSA44PublicKey.from_public_bytes(public).verify(signature, message + b"\0")
    return None
