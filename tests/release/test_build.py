from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from provenance.attestation.envelope import open_envelope, parse_entry
from provenance.canonical import (
    COMPLETION_DOMAIN,
    PROMPT_DOMAIN,
    canonical_bytes,
    parse_digest,
    sha256_digest,
    verify_commitment,
)
from provenance.errors import ConflictError, MalformedError, NotFoundError
from provenance.ledger.merkle import leaf_hash, tree_root
from provenance.release.build import decide_dataset
from provenance.release.manifest import parse_manifest
from tests.service import LocalService


@pytest.fixture
def folder(service: LocalService) -> Path:
    return service.data_dir / "releases" / "tutor" / "1"


def read_rows(folder: Path) -> list[dict[str, Any]]:
    rows = [row for path in sorted((folder / "data").iterdir()) for row in pq.read_table(path).to_pylist()]
    return sorted(rows, key=lambda row: row["entry_index"])


def test_the_released_samples_are_exactly_those_of_the_permitted_classes(service: LocalService, folder: Path) -> None:
    decision = service.get(f"/api/v1/decisions/{service.get('/api/v1/releases/tutor@1')['decision']['id']}")
    verdicts = {item["fact_class"]: item["answer"]["verdict"] for item in decision["classes"]}
    rows = read_rows(folder)
    released = {row["entry_index"] for row in rows}
    everything = {
        index: service.get(f"/api/v1/samples/{index}")["fact_class"]
        for index in range(min(released), min(released) + 100)
    }
    permitted = {index for index, digest in everything.items() if verdicts[digest].startswith("allow")}
    assert released == permitted
    assert len(rows) == len(released) == 80
    for row in rows:
        assert row["verdict"] == verdicts[row["fact_class"]]


def test_the_commitments_of_the_manifest_follow_from_the_parquet_files(folder: Path) -> None:
    manifest = parse_manifest((folder / "manifest.json").read_bytes())
    rows = read_rows(folder)
    leaves = [leaf_hash(row["entry"]) for row in rows]
    assert manifest["leaves_root"] == f"sha256:{tree_root(leaves).hex()}"
    assert manifest["index_set_digest"] == sha256_digest(canonical_bytes([row["entry_index"] for row in rows]))
    assert manifest["splits"] == {
        split: sum(pq.read_metadata(path).num_rows for path in (folder / "data").glob(f"{split}-*"))
        for split in ("train", "test")
    }
    assert [file["path"] for file in manifest["files"]] == ["data/train-00000.parquet", "data/test-00000.parquet"]
    for file in manifest["files"]:
        data = (folder / file["path"]).read_bytes()
        assert (sha256_digest(data), len(data)) == (file["digest"], file["size_bytes"])


def test_every_row_opens_the_commitments_of_its_entry_and_the_entry_is_in_the_log(
    service: LocalService, folder: Path
) -> None:
    for row in read_rows(folder)[::9]:
        said = parse_entry(row["entry"]).predicate
        for name, domain in (("prompt", PROMPT_DOMAIN), ("completion", COMPLETION_DOMAIN)):
            verify_commitment(said[f"{name}_commitment"], domain, row[f"{name}_salt"], canonical_bytes(row[name]))
        shown = service.get(f"/api/v1/samples/{row['entry_index']}")
        assert shown["leaf_hash"] == f"sha256:{leaf_hash(row['entry']).hex()}"
        assert (row["teacher"], row["evidence"]) == (
            f"{said['teacher']['provider']}/{said['teacher']['model']}", said["evidence"],
        )  # fmt: skip


def test_no_prompt_stands_on_both_sides_of_the_split(folder: Path) -> None:
    sides = {
        split: {
            json.dumps(row["prompt"])
            for path in (folder / "data").glob(f"{split}-*")
            for row in pq.read_table(path).to_pylist()
        }
        for split in ("train", "test")
    }
    assert sides["train"]
    assert sides["test"]
    assert not sides["train"] & sides["test"]


def test_the_attestation_is_signed_by_the_release_key_over_manifest_and_shards(
    service: LocalService, folder: Path
) -> None:
    key = service.runtime.ring.signer("release").public_key
    statement = open_envelope((folder / "attestation.json").read_bytes(), {key.keyid: key})
    named = {subject.name: subject.digest["sha256"] for subject in statement.subjects}
    manifest = parse_manifest((folder / "manifest.json").read_bytes())
    expected = {file["path"]: parse_digest(file["digest"]).hex() for file in manifest["files"]}
    digest = sha256_digest((folder / "manifest.json").read_bytes())
    assert named == expected | {"manifest.json": parse_digest(digest).hex()}
    assert statement.predicate == {"id": manifest["id"], "name": "tutor", "version": 1}
    logged = service.get(f"/api/v1/log/lookup/release/{manifest['id']}")["predicate"]
    assert logged["manifest_digest"] == digest
    for name in ("counts", "conditions", "splits", "leaves_root", "index_set_digest", "files"):
        assert logged[name] == manifest[name]


def test_a_decision_s_id_answers_one_question_only(service: LocalService) -> None:
    ask: dict[str, Any] = {"dataset": "mixed", "selection": {}, "student": "acme-tutor", "action": "train"}
    first = decide_dataset(service.runtime, "dec_one", **ask)
    size = service.log_size()
    assert decide_dataset(service.runtime, "dec_one", **ask) == first
    for other in ({"action": "publish"}, {"selection": {"route": "api"}}):
        with pytest.raises(ConflictError):
            decide_dataset(service.runtime, "dec_one", **(ask | other))
    assert service.log_size() == size


def test_nothing_is_decided_about_no_sample(service: LocalService) -> None:
    ask: dict[str, Any] = {"student": "acme-tutor", "action": "train"}
    size = service.log_size()
    with pytest.raises(NotFoundError):
        decide_dataset(service.runtime, "dec_2", dataset="nothing", selection={}, **ask)
    with pytest.raises(MalformedError):
        decide_dataset(service.runtime, "dec_2", dataset="mixed", selection={"teacher": "nobody/none"}, **ask)
    assert service.log_size() == size
