"""The parts of `verify.js` in a real browser agree with the Python ones: what these accept or refuse, those do too."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from provenance.attestation.envelope import sign_envelope
from provenance.attestation.signature import PrivateKeySigner
from provenance.canonical import canonical_bytes
from provenance.ledger.merkle import MemoryTree, consistency_proof, inclusion_proof, leaf_hash, node_hash
from tests.browser.verify_page import flip, seeded, serve_verify_page
from tests.evidence_factory import encode, make_log, new_signer

pytestmark = pytest.mark.browser

LEAVES = [leaf_hash(str(number).encode()) for number in range(80)]
TREE = MemoryTree(LEAVES)


@pytest.fixture(scope="module")
def run(chromium_path: str) -> Iterator[Callable[..., list[Any]]]:
    yield from serve_verify_page(chromium_path)


def test_it_accepts_every_inclusion_proof_and_refuses_every_bent_one(run: Callable[..., list[Any]]) -> None:
    rng = seeded(6962)
    good, bad = [], []
    for size in range(1, 40):
        root = encode(MemoryTree(LEAVES[:size]).root())
        for index in range(size):
            path = [encode(item) for item in inclusion_proof(index, size, TREE.read)]
            case: dict[str, Any] = {
                "index": index,
                "size": size,
                "leaf": encode(LEAVES[index]),
                "path": path,
                "root": root,
            }
            good.append(case)
            bad.append(case | {"root": flip(root, rng)})
            bad.append(case | {"leaf": flip(case["leaf"], rng)})
            bad.append(case | {"path": [*path, root]})
            bad.append(case | {"index": size})
            if path:
                at = rng.randrange(len(path))
                bad.append(case | {"path": [*path[:at], flip(path[at], rng), *path[at + 1 :]]})
                bad.append(case | {"path": path[:-1]})
                bad.append(case | {"index": index ^ 1})
    assert [answer for answer in run("inclusion", good) if "error" in answer] == []
    assert [answer for answer in run("inclusion", bad) if "error" not in answer] == []


def test_it_accepts_every_consistency_proof_and_refuses_every_bent_one(run: Callable[..., list[Any]]) -> None:
    rng = seeded(9162)
    roots = [encode(MemoryTree(LEAVES[:size]).root()) for size in range(34)]
    good, bad = [], []
    for size in range(34):
        for old in range(size + 1):
            path = [encode(item) for item in consistency_proof(old, size, TREE.read)]
            case = {"old": old, "size": size, "path": path, "oldRoot": roots[old], "root": roots[size]}
            good.append(case)
            bad.append(case | {"oldRoot": flip(roots[old], rng)})
            bad.append(case | {"path": [*path, roots[0]]})
            bad.append(case | {"size": old - 1})
            if path:
                at = rng.randrange(len(path))
                bad.append(case | {"root": flip(roots[size], rng)})
                bad.append(case | {"path": [*path[:at], flip(path[at], rng), *path[at + 1 :]]})
                bad.append(case | {"path": path[:-1]})
    assert [answer for answer in run("consistency", good) if "error" in answer] == []
    assert [answer for answer in run("consistency", bad) if "error" not in answer] == []


def test_proofs_in_trees_beyond_32_bits_work(run: Callable[..., list[Any]]) -> None:
    """A tree of 2^40 leaves, all alike: one hash a level."""
    rows = [LEAVES[0]]
    for _ in range(40):
        rows.append(node_hash(rows[-1], rows[-1]))
    size, index = 2**40, 2**39 + 12345
    case = {
        "index": index,
        "size": size,
        "leaf": encode(rows[0]),
        "path": [encode(row) for row in rows[:40]],
        "root": encode(rows[40]),
    }
    grown = {
        "old": 2**39,
        "size": size,
        "path": [encode(rows[39])],
        "oldRoot": encode(rows[39]),
        "root": encode(rows[40]),
    }
    assert "error" not in run("inclusion", [case])[0]
    assert "error" not in run("consistency", [grown])[0]


def test_its_canonical_json_is_ours(run: Callable[..., list[Any]]) -> None:
    values: list[Any] = [
        None, True, "", "\u20ac\u007f\n\"\\/\u2028", {"\ufb33": 1, "\U0001f600": 2, "a": [], "B": {}}, [1.5, -0.0, 1e-7, 1e-6, 123456.789],
        [0.1 * number for number in range(20)], 1e21, 5e-324, 1.7976931348623157e308, 2**53 - 1, [[{"z": [0]}]],
    ]  # fmt: skip
    answers = run("canonical", [{"text": json.dumps(value)} for value in values])
    assert [answer["value"].encode() for answer in answers] == [canonical_bytes(value) for value in values]
    refused = run(
        "canonical", [{"text": text} for text in ("9007199254740993", "1e16", "1e999", '"\\ud800"', '{"\\udc00":1}')]
    )
    assert [answer for answer in refused if "error" not in answer] == []


def test_envelopes_of_both_kinds_of_key_verify(run: Callable[..., list[Any]]) -> None:
    cases: list[dict[str, Any]] = []
    keys = []
    for number in range(40):  # r and s of many lengths: DER drops leading zeroes
        signer = new_signer(curve=number % 2 == 0)
        key = signer.public_key
        known = {"keyid": key.keyid, "algorithm": key.algorithm, "public_key": encode(key.spki)}
        data = sign_envelope(b"payload %d" % number, [signer])
        cases.append({"data": encode(data), "keys": [known]})
        keys.append([key.keyid])
    assert [answer["value"] for answer in run("envelope", cases)] == keys
    rng = seeded(3)
    bent = [case | {"data": flip(case["data"], rng)} for case in cases]
    crossed = [case | {"keys": other["keys"]} for case, other in itertools.pairwise(cases)]
    assert [answer for answer in run("envelope", bent + crossed) if "error" not in answer] == []


def test_short_integers_of_an_ecdsa_signature_are_padded(run: Callable[..., list[Any]]) -> None:
    signer = PrivateKeySigner(ec.derive_private_key(11, ec.SECP256R1()))
    key = signer.public_key
    known = {"keyid": key.keyid, "algorithm": key.algorithm, "public_key": encode(key.spki)}
    datas = (sign_envelope(b"x", [signer]) for _ in range(4000))
    short = [data for data in datas if len(base64.b64decode(json.loads(data)["signatures"][0]["sig"])) < 70]
    assert short
    answers = run("envelope", [{"data": encode(data), "keys": [known]} for data in short])
    assert [answer for answer in answers if "error" in answer] == []


def test_loose_notes_and_proofs_are_refused(run: Callable[..., list[Any]]) -> None:
    log = make_log()
    note, proof = log.checkpoint(), log.evidence(0)["proof"]
    assert [answer.get("value") for answer in run("note", [{"text": note}])] == [12]
    assert [answer.get("value") for answer in run("proof", [{"text": proof}])] == [3]
    notes = [
        "", note[:-1], note + "x\n", note + "\n", note.replace("\n12\n", "\n012\n"), note.replace("\n12\n", "\n-1\n"),
        note.replace("\u2014 ", "- "), note.replace("\n", "\r\n"), note.split("\n\n")[0] + "\n\n", "\n" + note,
    ]  # fmt: skip
    proofs = [
        "", proof.replace("@v1", "@v2"), proof.replace("index 3", "index 03"), proof.replace("index 3\n", ""),
        proof.replace("index 3\n", "index 3\nAAAA\n"), proof.split("\n\n")[0], proof.replace("index 3", "extra !\nindex 3"),
    ]  # fmt: skip
    refused = run("note", [{"text": text} for text in notes]) + run("proof", [{"text": text} for text in proofs])
    assert [answer for answer in refused if "error" not in answer] == []
