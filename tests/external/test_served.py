"""Other implementations check what a service hands out: its bytes as they come over HTTP, nothing made for the test."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import pymerkle
import pytest
import rfc8785
from cryptography.hazmat.primitives.serialization import load_der_public_key
from google.protobuf import json_format  # type: ignore[import-untyped]  # it has no stubs
from in_toto_attestation.v1 import statement as in_toto
from in_toto_attestation.v1 import statement_pb2
from proofbundle import tlogproof
from securesystemslib import dsse
from securesystemslib.signer import SSlibKey

from provenance.ledger.checkpoint import parse_checkpoint
from provenance.ledger.merkle import verify_consistency
from provenance.ledger.note import parse_note
from provenance.ledger.tiles import parse_entry_bundle
from tests.service import LocalService, make_samples

pytestmark = pytest.mark.external


@dataclass(frozen=True)
class Served:
    """What a stranger gets: checkpoint, verifier keys, and the entries out of their bundles, full and partial."""

    checkpoint: str
    vkeys: list[str]
    entries: list[bytes]

    @property
    def size(self) -> int:
        return len(self.entries)

    @property
    def root(self) -> bytes:
        return b64decode(self.checkpoint.split("\n")[2])


@pytest.fixture(scope="module")
def served(service: LocalService) -> Served:
    service.capture(make_samples(apache=200, openai=1, llama=0, dataset="external"))
    note = service.client.get("/log/checkpoint").text
    size = parse_checkpoint(parse_note(note).text).size
    assert size > 256
    assert size % 256, "both kinds of tiles, full and partial"
    entries: list[bytes] = []
    for number in range(0, size, 256):
        width = min(256, size - number)
        path = f"{number // 256:03d}" + ("" if width == 256 else f".p/{width}")
        answer = service.client.get(f"/log/tile/entries/{path}")
        assert answer.status_code == 200, path
        entries += parse_entry_bundle(answer.content, width)
    return Served(note, service.client.get("/log/vkey").text.split(), entries)


@pytest.fixture(scope="module")
def foreign_tree(served: Served) -> Any:
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    for entry in served.entries:
        tree.append_entry(entry)
    return tree


def test_pymerkle_grows_the_root_of_the_served_checkpoint_from_the_served_entries(
    served: Served, foreign_tree: Any
) -> None:
    assert foreign_tree.get_root() == served.root


def test_pymerkle_s_proofs_are_made_of_the_hashes_that_the_service_proves_with(
    service: LocalService, served: Served, foreign_tree: Any
) -> None:
    for index in range(0, served.size, 17):
        text = service.get(f"/api/v1/log/entries/{index}")["proof"]
        path = [b64decode(line) for line in text.split("\n\n")[0].split("\n")[2:]]
        theirs = foreign_tree.prove_inclusion(index + 1)
        leaf = foreign_tree.get_leaf(index + 1)
        assert sorted(theirs.path) == sorted([leaf, *path])
        pymerkle.verify_inclusion(leaf, served.root, theirs)
    for old in (1, 2, 100, 256, served.size - 1):
        answer = service.get("/api/v1/log/consistency", params={"old_size": old})
        theirs = foreign_tree.prove_consistency(old, served.size)
        pymerkle.verify_consistency(foreign_tree.get_root(old), served.root, theirs)
        # Of other hashes than RFC 9162's, so that ours is held against the roots that pymerkle knows.
        proof = [b64decode(item) for item in answer["proof"]]
        verify_consistency(old, served.size, proof, foreign_tree.get_root(old), foreign_tree.get_root())


def test_the_served_level_0_tiles_are_the_leaves_that_pymerkle_hashes(
    service: LocalService, served: Served, foreign_tree: Any
) -> None:
    tail = served.size % 256
    leaves = [foreign_tree.get_leaf(index + 1) for index in range(served.size)]
    full = service.client.get("/log/tile/0/000").content
    partial = service.client.get(f"/log/tile/0/{served.size // 256:03d}.p/{tail}").content
    assert full == b"".join(leaves[:256])
    assert partial == b"".join(leaves[-tail:])


def envelopes(served: Served) -> Iterator[dict[str, Any]]:
    for entry in served.entries:
        value = json.loads(entry)
        if "payload" in value:
            yield value


def test_securesystemslib_verifies_every_envelope_under_the_served_keys(service: LocalService, served: Served) -> None:
    known = {}
    for item in service.get("/api/v1/keys"):
        if item.get("public_key"):
            public = load_der_public_key(b64decode(item["public_key"]))
            known[item["keyid"]] = SSlibKey.from_crypto(public, keyid=item["keyid"])
    count = 0
    for value in envelopes(served):
        named = {item["keyid"] for item in value["signatures"]}
        envelope = dsse.Envelope.from_dict(value)
        assert set(envelope.verify(list(known.values()), 1)) == named
        envelope.payload += b" "
        with pytest.raises(Exception, match="threshold"):
            envelope.verify(list(known.values()), 1)
        count += 1
    assert count > 100


def test_in_toto_attestation_reads_every_statement(served: Served) -> None:
    kinds = set()
    for entry in served.entries:
        value = json.loads(entry)
        text = b64decode(value["payload"]) if "payload" in value else entry
        message = json_format.Parse(text, statement_pb2.Statement())
        statement = in_toto.Statement.copy_from_pb(message)
        statement.validate()
        kinds.add(statement.pb.predicate_type.split("/")[-2])
    assert kinds >= {"key", "terms", "policy", "capture", "sample", "batch", "student", "decision", "release", "report"}


def test_rfc8785_writes_the_same_bytes_for_every_entry_and_payload(served: Served) -> None:
    for entry in served.entries:
        value = orjson.loads(entry)
        assert rfc8785.dumps(value) == entry
        if "payload" in value:
            payload = b64decode(value["payload"])
            assert rfc8785.dumps(orjson.loads(payload)) == payload


def test_proofbundle_opens_the_served_proofs(service: LocalService, served: Served) -> None:
    vkey = served.vkeys[0]
    origin = served.checkpoint.split("\n")[0]
    samples = [index for index, entry in enumerate(served.entries) if b"/sample/v1" in entry[-200:]]
    for index in samples[::40]:
        text = service.client.get(f"/api/v1/samples/{index}/proof").text
        found = tlogproof.verify_tlog_proof(text, served.entries[index], vkey, [], threshold=0, expected_origin=origin)
        assert found["ok"] is True, found
        assert (found["index"], found["tree_size"]) == (index, served.size)
        bent = served.entries[index] + b" "
        assert tlogproof.verify_tlog_proof(text, bent, vkey, [], threshold=0, expected_origin=origin)["ok"] is False
