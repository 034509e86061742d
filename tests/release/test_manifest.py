from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from provenance.canonical import canonical_bytes
from provenance.errors import ManifestError
from provenance.release.manifest import FIELDS, FORMAT, format_card, format_manifest, parse_manifest

DIGEST = "sha256:" + "a" * 64
MANIFEST: dict[str, Any] = {
    "format": FORMAT, "id": "rel_1", "name": "tutor", "version": 3, "dataset": "math",
    "student": {"id": "stu_1", "name": "acme-1b"}, "decision": {"id": "dec_1", "answer_digest": DIGEST},
    "log_size": 1200, "counts": {"selected": 1001, "released": 999, "quarantined": 2}, "conditions": [],
    "splits": {"train": 1000, "test": 0}, "leaves_root": DIGEST, "index_set_digest": DIGEST,
    "files": [{"path": "data/train-00000.parquet", "digest": DIGEST, "size_bytes": 9, "rows": 1000}],
}  # fmt: skip
CONDITION = {"type": "name-prefix", "status": "unmet", "requirement": "Begin with Llama", "document": "meta-llama-3.1", "clause": "1.b.i"}  # fmt: skip
TEACHERS = [{"teacher": "meta/llama-3.1-8b-instruct", "route": "weights", "samples": 1000, "terms": ["meta-llama-3.1"]}]


def test_a_manifest_reads_back_as_it_was_written() -> None:
    assert parse_manifest(format_manifest(MANIFEST)) == MANIFEST


@pytest.mark.parametrize("field", FIELDS)
def test_a_manifest_that_lacks_a_field_is_neither_written_nor_read(field: str) -> None:
    body = {name: value for name, value in MANIFEST.items() if name != field}
    with pytest.raises(ManifestError) as caught:
        format_manifest(body)
    assert caught.value.errors[0].field == field
    with pytest.raises(ManifestError):
        parse_manifest(canonical_bytes(body))


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"null", b"{}", b"\xff", json.dumps(MANIFEST).encode(), format_manifest(MANIFEST) + b"\n",
     format_manifest(MANIFEST | {"format": "provenance-release/2"})],
)  # fmt: skip
def test_what_is_no_manifest_in_its_one_spelling_is_refused(data: bytes) -> None:
    with pytest.raises(ManifestError):
        parse_manifest(data)


def test_the_card_names_the_splits_that_hold_something() -> None:
    _, front, body = format_card(MANIFEST, TEACHERS).split("---\n", 2)
    (config,) = yaml.safe_load(front)["configs"]
    assert config["data_files"] == [{"split": "train", "path": "data/train-*"}]
    assert body.startswith("# tutor, version 3\n")


def test_the_card_carries_teachers_terms_conditions_and_what_was_held_back() -> None:
    card = format_card(MANIFEST | {"conditions": [CONDITION]}, TEACHERS)
    assert "| meta/llama-3.1-8b-instruct | weights | 1,000 | meta-llama-3.1 |" in card
    assert "**name-prefix** (unmet): Begin with Llama (meta-llama-3.1, 1.b.i)" in card
    assert "2 samples were held back" in card
    assert "not legal advice" in card
    assert "None on record." in format_card(MANIFEST, TEACHERS)
