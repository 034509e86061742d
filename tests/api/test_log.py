from __future__ import annotations

import time
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from provenance.canonical import canonical_bytes
from provenance.errors import InclusionError
from provenance.ledger.checkpoint import open_signed_checkpoint, parse_checkpoint
from provenance.ledger.merkle import leaf_hash, tree_root, verify_consistency, verify_inclusion
from provenance.ledger.multiproof import open_multi_proof
from provenance.ledger.note import parse_note, parse_vkey
from provenance.ledger.proof import parse_proof
from provenance.ledger.tiles import TILE_WIDTH, parse_entry_bundle, parse_tile
from tests.service import LocalService, make_samples


def read(service: LocalService, path: str) -> bytes:
    answer = service.client.get(path)
    assert answer.status_code == 200, answer.text
    return bytes(answer.content)


def open_checkpoint(service: LocalService, note: str) -> Any:
    vkeys = [parse_vkey(line) for line in read(service, "/log/vkey").decode().splitlines()]
    return open_signed_checkpoint(note, vkeys).checkpoint


def test_the_checkpoint_is_signed_by_the_log_s_keys(service: LocalService) -> None:
    said = service.get("/api/v1/log")
    assert read(service, "/log/checkpoint").decode() == said["checkpoint"]
    tree = open_checkpoint(service, said["checkpoint"])
    assert (tree.origin, tree.size, tree.root) == (said["origin"], said["tree_size"], b64decode(said["root"]))


def test_tiles_full_and_partial_hash_to_the_checkpoint_s_root(service: LocalService) -> None:
    service.capture(make_samples(apache=400, openai=0, llama=0, dataset="tiles"))
    tree = open_checkpoint(service, read(service, "/log/checkpoint").decode())
    full, rest = divmod(tree.size, TILE_WIDTH)
    assert full >= 2
    assert rest
    names = [(f"{number:03}", TILE_WIDTH) for number in range(full)] + [(f"{full:03}.p/{rest}", rest)]
    entries = [
        e for name, width in names for e in parse_entry_bundle(read(service, f"/log/tile/entries/{name}"), width)
    ]
    leaves = [h for name, width in names for h in parse_tile(read(service, f"/log/tile/0/{name}"), width)]
    assert leaves == [leaf_hash(entry) for entry in entries]
    assert tree_root(leaves) == tree.root
    above = parse_tile(read(service, f"/log/tile/1/000.p/{full}"), full)
    assert above == [tree_root(leaves[start : start + TILE_WIDTH]) for start in range(0, full * TILE_WIDTH, TILE_WIDTH)]
    assert read(service, "/log/tile/0/000.p/9") == b"".join(leaves[:9])  # a narrower one stays there for who asks late


@pytest.mark.parametrize(
    "path",
    ["tile/0/999", "tile/0/000.p/256", "tile/0/000.p/0", "tile/0/0", "tile/9/000", "tile/64/000", "tile/entries/999", "tile/entries/000.p/x", "tile/0/x001/0000", "tile/-1/000", "tile/0/%2e%2e/%2e%2e/checkpoint"],
)  # fmt: skip
def test_a_tile_that_is_not_there_is_not_found(service: LocalService, path: str) -> None:
    assert service.client.get(f"/log/{path}").status_code == 404


def test_the_published_files_are_what_the_service_serves(service: LocalService) -> None:
    service.capture(make_samples(apache=300, openai=0, llama=0, dataset="published"))
    folder = service.data_dir / "log"
    deadline = time.monotonic() + 30
    while (folder / "checkpoint").read_text() != service.get("/api/v1/log")["checkpoint"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    assert len(files) >= 6
    for path in files:
        assert read(service, f"/log/{path.relative_to(folder).as_posix()}") == path.read_bytes(), path


def test_a_smaller_log_is_a_prefix_of_the_present_one(service: LocalService) -> None:
    old = service.get("/api/v1/log")
    service.capture(make_samples(apache=3, openai=0, llama=0, dataset="grown"))
    said = service.get("/api/v1/log/consistency", params={"old_size": old["tree_size"]})
    assert set(said) == {"old_size", "new_size", "proof", "checkpoint"}
    tree = open_checkpoint(service, said["checkpoint"])
    assert tree.size == said["new_size"] > old["tree_size"]
    proof = [b64decode(value) for value in said["proof"]]
    verify_consistency(old["tree_size"], tree.size, proof, b64decode(old["root"]), tree.root)


@pytest.mark.parametrize("size", ["0", "-1", "100000", "x", str(2**80)])
def test_a_size_that_the_log_never_had_has_no_proof(service: LocalService, size: str) -> None:
    answer = service.client.get("/api/v1/log/consistency", params={"old_size": size})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "old_size"


def lookups(service: LocalService) -> dict[str, list[str]]:
    release = service.get("/api/v1/releases/tutor@1")
    report = service.get("/api/v1/reports")["reports"][0]
    (sample, *_) = range(release["decision"]["entry"] - 102, release["decision"]["entry"])
    return {
        "sample": [str(sample)],
        "external-id": ["mixed-7"],
        "terms": ["meta-llama-3.1"],
        "policy": [f"pol_{service.runtime.pack.digest.removeprefix('sha256:')[:16]}"],
        "decision": [release["decision"]["id"]],
        "release": [release["id"], "tutor@1"],
        "student": [release["student"]],
        "report": [report["id"]],
        "digest": [release["manifest_digest"], service.runtime.pack.digest],
    }


def test_a_lookup_finds_the_entry_with_a_proof_that_verifies(service: LocalService) -> None:
    for kind, keys in lookups(service).items():
        for key in keys:
            said = service.get(f"/api/v1/log/lookup/{kind}/{key}")
            assert set(said) >= {"entry", "index", "proof", "checkpoint"}
            assert canonical_bytes(said["entry"]) == b64decode(said["bytes"])
            proof = parse_proof(said["proof"])
            assert (proof.index, proof.checkpoint) == (said["index"], said["checkpoint"])
            tree = open_checkpoint(service, said["checkpoint"])
            verify_inclusion(leaf_hash(b64decode(said["bytes"])), said["index"], tree.size, proof.path, tree.root)
            expected = {"external-id": {"sample"}, "digest": {"release", "policy"}}.get(kind, {kind})
            assert said["kind"] in expected


@pytest.mark.parametrize(
    "path",
    ["sample/0", "sample/999999", "external-id/none", "terms/none", "release/none", "release/tutor@9", "release/tutor@99999999999999999999", "run/none", "model/none", "digest/sha256:00"],
)  # fmt: skip
def test_a_lookup_of_what_is_not_there_is_not_found(service: LocalService, path: str) -> None:
    answer = service.client.get(f"/api/v1/log/lookup/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


@pytest.mark.parametrize(("path", "field"), [("sample/x", "key"), (f"sample/{'9' * 5000}", "key"), ("token/x", "kind")])
def test_a_lookup_that_cannot_be_is_refused(service: LocalService, path: str, field: str) -> None:
    answer = service.client.get(f"/api/v1/log/lookup/{path}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


@pytest.mark.parametrize("index", ["-1", "999999", str(2**80)])
def test_an_entry_that_is_not_there_is_not_found(service: LocalService, index: str) -> None:
    assert service.client.get(f"/api/v1/log/entries/{index}").status_code == 404


def test_the_keys_are_listed_by_purpose_with_their_public_half(service: LocalService) -> None:
    keys = service.get("/api/v1/keys")
    assert {key["purpose"] for key in keys} >= {"authority", "log", "collector", "release"}
    for key in keys:
        assert {"purpose", "name", "algorithm", "state", "valid_from", "valid_to"} <= set(key)
        assert key.get("vkey") or key.get("public_key")
    assert not any("PRIVATE" in str(key) or "secret" in key for key in keys)
    introduced = service.get("/api/v1/log/entries/0")
    assert (introduced["kind"], introduced["predicate"]["purpose"]) == ("key", "authority")


def test_a_folder_outside_the_log_is_never_served(service: LocalService) -> None:
    assert Path(service.data_dir / "keys" / "passphrase").exists()
    for path in ("..%2fkeys%2fpassphrase", "tile/..%2f..%2fkeys%2fpassphrase", "%2e%2e/keys/passphrase"):
        assert service.client.get(f"/log/{path}").status_code == 404
    assert parse_checkpoint(parse_note(read(service, "/log/checkpoint").decode()).text).size


def test_one_proof_covers_a_set_of_entries(service: LocalService) -> None:
    text = read(service, "/api/v1/log/proof?indices=0-2,5").decode()
    entries = [b64decode(service.get(f"/api/v1/log/entries/{index}")["bytes"]) for index in (0, 1, 2, 5)]
    vkeys = [parse_vkey(line) for line in read(service, "/log/vkey").decode().splitlines()]
    leaves = [leaf_hash(entry) for entry in entries]
    assert open_multi_proof(text, leaves, vkeys)[0] == (range(3), range(5, 6))
    with pytest.raises(InclusionError):
        open_multi_proof(text, [leaf_hash(b"another"), *leaves[1:]], vkeys)


@pytest.mark.parametrize("indices", ["", "5,1", "0-999999"])
def test_a_set_of_entries_has_one_spelling_and_lies_in_the_log(service: LocalService, indices: str) -> None:
    refused = service.client.get("/api/v1/log/proof", params={"indices": indices})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "indices"
