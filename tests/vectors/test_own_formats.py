"""One small log of our own in every format that we publish: fixed bytes that must pass, and bent ones that must fail.

`own.json` was made once by this package with keys of known seeds; other implementations check the same formats in
`tests/external`. A change of any format is seen here, also where the published vectors are absent.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from provenance.attestation.envelope import open_envelope, sign_envelope
from provenance.attestation.signature import PrivateKeySigner, PublicKey
from provenance.attestation.statement import format_statement, parse_in_toto, parse_statement
from provenance.canonical import canonical_bytes, parse_base64, parse_canonical, parse_json, sha256_digest
from provenance.errors import InclusionError, MalformedError, ProvenanceError, SignatureError
from provenance.ledger.checkpoint import (
    Ed25519Cosigner,
    cosigned_at,
    format_checkpoint,
    open_signed_checkpoint,
    parse_checkpoint,
)
from provenance.ledger.edge import TileEdge
from provenance.ledger.merkle import leaf_hash, tree_root, verify_consistency
from provenance.ledger.note import Ed25519NoteSigner, format_note, format_vkey, parse_note, parse_vkey
from provenance.ledger.policy import parse_policy
from provenance.ledger.proof import format_proof, parse_proof, verify_proof
from provenance.ledger.tiles import (
    Tile,
    format_entry_bundle,
    format_tile_path,
    list_tiles,
    parse_entry_bundle,
    parse_tile,
)
from provenance.ledger.witness.request import format_request, parse_request

OWN: dict[str, Any] = json.loads((Path(__file__).parent / "own.json").read_text(encoding="utf-8"))
ENTRIES = [b"entry %d" % number for number in range(300)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]
VKEYS = {name: parse_vkey(text) for name, text in OWN["vkeys"].items()}
NOTE, PROOF, REQUEST = OWN["checkpoint"], OWN["proof"], OWN["request"]
SEED, WITNESS_SEED = bytes(range(32)), bytes(range(32, 64))


def lines_of(note: str) -> list[str]:
    return [line for line in note.split("\n") if line.startswith("— ")]


def bend_line(number: int) -> str:
    """The note with one bit of its signature line `number` flipped."""
    line = lines_of(NOTE)[number]
    raw = bytearray(parse_base64(line.split(" ")[2]))
    raw[-1] ^= 1
    return str(NOTE.replace(line, " ".join([*line.split(" ")[:2], b64encode(raw).decode()])))


def test_the_checkpoint_is_signed_by_both_keys_of_the_log_and_both_of_the_witness() -> None:
    opened = open_signed_checkpoint(NOTE, list(VKEYS.values()))
    assert set(opened.signed_by) == set(VKEYS.values())
    assert (opened.checkpoint.size, opened.checkpoint.root) == (300, tree_root(LEAVES))
    times = {name: cosigned_at(opened, vkey) for name, vkey in VKEYS.items()}
    assert times["log"] is times["log_pq"] is None
    for name in ("witness", "witness_pq"):
        assert (when := times[name]) is not None
        assert when.timestamp() == OWN["timestamp"]
    assert format_note(parse_note(NOTE)) == NOTE
    assert format_checkpoint(opened.checkpoint) == opened.note.text
    assert {name: format_vkey(vkey) for name, vkey in VKEYS.items()} == OWN["vkeys"]


def test_the_ed25519_lines_are_made_again_to_the_byte() -> None:
    text, lines = parse_note(NOTE).text, lines_of(NOTE)
    log = Ed25519NoteSigner("log.example/own", Ed25519PrivateKey.from_private_bytes(SEED))
    witness = Ed25519Cosigner(
        "witness.example/own", Ed25519PrivateKey.from_private_bytes(WITNESS_SEED), OWN["timestamp"]
    )
    for signer, line in ((log, lines[0]), (witness, lines[2])):
        assert parse_base64(line.split(" ")[2]) == signer.vkey.key_id + signer.sign(text)


@pytest.mark.parametrize("number", range(4), ids=list(VKEYS))
def test_a_flipped_bit_in_any_line_fails(number: int) -> None:
    with pytest.raises(SignatureError):
        open_signed_checkpoint(bend_line(number), list(VKEYS.values()))


@pytest.mark.parametrize("number", range(4), ids=list(VKEYS))
def test_each_line_is_checked_by_itself(number: int) -> None:
    """Under the keys of the other three a bent line is one of a stranger: it neither counts nor hurts."""
    others = [vkey for at, vkey in enumerate(VKEYS.values()) if at != number]
    assert len(open_signed_checkpoint(bend_line(number), others).signed_by) == 3


@pytest.mark.parametrize(
    ("old", "new"),
    [("\n300\n", "\n301\n"), ("\n300\n", "\n0300\n"), ("log.example/own\n", "log.example/other\n"), ("— ", "- "), ("\n\n", "\n")],
)  # fmt: skip
def test_a_bent_checkpoint_fails(old: str, new: str) -> None:
    with pytest.raises(ProvenanceError):
        open_signed_checkpoint(NOTE.replace(old, new, 1), list(VKEYS.values()))


def test_a_witness_alone_is_not_enough() -> None:
    with pytest.raises(SignatureError):
        open_signed_checkpoint(NOTE, [VKEYS["witness"], VKEYS["witness_pq"]])


def test_the_tiles_have_these_bytes() -> None:
    tiles = TileEdge().extend(LEAVES)
    made = {}
    for tile in list_tiles(300):
        assert tile.level is not None
        data = tiles[tile.level, tile.index]
        assert b"".join(parse_tile(data, tile.width)) == data
        with pytest.raises(MalformedError):
            parse_tile(data[:-1], tile.width)
        made[format_tile_path(tile)] = sha256_digest(data)
        if tile.level == 0:
            entries = ENTRIES[tile.index * 256 :][: tile.width]
            bundle = format_entry_bundle(entries)
            assert parse_entry_bundle(bundle, tile.width) == entries
            for wrong in (bundle[:-1], bundle + b"\0"):
                with pytest.raises(MalformedError):
                    parse_entry_bundle(wrong, tile.width)
            made[format_tile_path(Tile(None, tile.index, tile.width))] = sha256_digest(bundle)
    assert made == OWN["tiles"]


def test_the_proof_opens_and_prints_back() -> None:
    index, checkpoint = verify_proof(PROOF, LEAVES[17], list(VKEYS.values()))
    assert (index, checkpoint.size) == (17, 300)
    assert format_proof(parse_proof(PROOF)) == PROOF


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda text: text.replace("index 17", "index 16"), InclusionError),
        (lambda text: text.replace("index 17", "index 300"), ProvenanceError),
        (lambda text: text.replace("index 17", "index 017"), MalformedError),
        (lambda text: text.replace("@v1", "@v2"), MalformedError),
        (lambda text: text.replace("\n\n", "\nAAAA\n\n", 1), MalformedError),
        (lambda text: "\n".join(text.split("\n")[:2] + text.split("\n")[3:]), InclusionError),
    ],
)
def test_a_bent_proof_fails(change: Callable[[str], str], error: type[Exception]) -> None:
    with pytest.raises(error):
        verify_proof(change(PROOF), LEAVES[17], list(VKEYS.values()))


def test_the_consistency_proof_holds_and_bent_fails() -> None:
    said = OWN["consistency"]
    old_root, path = parse_base64(said["old_root"]), [parse_base64(item) for item in said["path"]]
    verify_consistency(said["old_size"], 300, path, old_root, tree_root(LEAVES))
    for wrong in (path[:-1], [*path, path[0]], [bytes(32), *path[1:]]):
        with pytest.raises(ProvenanceError):
            verify_consistency(said["old_size"], 300, wrong, old_root, tree_root(LEAVES))
    with pytest.raises(ProvenanceError):
        verify_consistency(said["old_size"] - 1, 300, path, old_root, tree_root(LEAVES))


def test_the_witness_request_parses_back() -> None:
    request = parse_request(REQUEST.encode())
    assert (request.old_size, request.checkpoint.size) == (256, 300)
    assert format_request(request.old_size, request.proof, request.note).decode() == REQUEST
    verify_consistency(256, 300, request.proof, tree_root(LEAVES[:256]), request.checkpoint.root)
    for old, new in (
        ("old 256", "old 0256"),
        ("old 256", "size 256"),
        ("\n\n", "\n"),
        ("old 256\n", "old 256\nAAAA\n"),
    ):
        with pytest.raises(MalformedError):
            parse_request(REQUEST.replace(old, new, 1).encode())


def test_the_policy_is_met_by_the_checkpoint() -> None:
    policy = parse_policy(OWN["policy"])
    policy.check(open_signed_checkpoint(NOTE, policy.vkeys).signed_by)
    without = open_signed_checkpoint(NOTE, [VKEYS["log"], VKEYS["witness"]]).signed_by
    with pytest.raises(SignatureError):
        policy.check(without)
    for old, new in (("all own-ed", "3 own-ed"), ("quorum both", ""), ("log ", "logs ")):
        with pytest.raises(MalformedError):
            parse_policy(OWN["policy"].replace(old, new, 1))


def test_the_statement_and_its_envelope_have_these_bytes() -> None:
    statement = parse_statement(OWN["statement"].encode())
    assert format_statement(statement).decode() == OWN["statement"]
    assert parse_in_toto(OWN["statement"].encode()).predicate_type == "https://provenance-ledger.dev/batch/v1"
    signer = PrivateKeySigner(Ed25519PrivateKey.from_private_bytes(SEED))
    assert sign_envelope(OWN["statement"].encode(), [signer]).decode() == OWN["envelope"]
    keys = {OWN["keyid"]: PublicKey(parse_base64(OWN["spki"]))}
    assert open_envelope(OWN["envelope"].encode(), keys) == statement
    for old, new in (
        ("application/vnd.in-toto+json", "application/json"),
        ('"sig":"', '"sig":"A'),
        (OWN["keyid"], "0" * 64),
    ):
        with pytest.raises(ProvenanceError):
            open_envelope(OWN["envelope"].replace(old, new, 1).encode(), keys)


@pytest.mark.parametrize("case", OWN["canonical"], ids=["numbers", "keys", "strings"])
def test_canonical_json_has_these_bytes(case: list[str]) -> None:
    written, expected = case
    assert canonical_bytes(parse_json(written)).decode() == expected
    assert parse_canonical(expected.encode()) == parse_json(written)
    with pytest.raises(MalformedError):
        parse_canonical(written.encode())


def test_the_checkpoint_text_is_refused_with_a_size_that_does_not_print_back() -> None:
    for size in ("+300", "3e2", "300 ", "٣٠٠", str(2**63)):
        with pytest.raises(MalformedError):
            parse_checkpoint(parse_note(NOTE).text.replace("300", size))
