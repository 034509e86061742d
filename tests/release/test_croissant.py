from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from provenance.release.croissant import format_croissant
from provenance.release.notice import format_notice
from tests.release.test_manifest import CONDITION, MANIFEST, TEACHERS

DAY = "2026-11-24"
DOCUMENT = {
    "id": "meta-llama-3.1",
    "title": "Llama 3.1",
    "version": None,
    "provider": "meta",
    "digest": "sha256:" + "b" * 64,
}


def read(manifest: dict[str, Any]) -> Any:
    return json.loads(format_croissant(manifest, TEACHERS, day=DAY))


def test_each_file_stands_there_with_its_digest_and_each_split_with_rows_has_records() -> None:
    said = read(MANIFEST)
    (file,) = (item for item in said["distribution"] if item["@type"] == "cr:FileObject")
    assert (file["contentUrl"], file["sha256"], file["contentSize"]) == ("data/train-00000.parquet", "a" * 64, "9 B")
    assert [item["@id"] for item in said["recordSet"]] == ["train"]
    both = {**MANIFEST, "splits": {"train": 1, "test": 1}}
    assert [item["@id"] for item in read(both)["recordSet"]] == ["train", "test"]


def test_the_same_release_gives_the_same_bytes() -> None:
    assert format_croissant(MANIFEST, TEACHERS, day=DAY) == format_croissant(dict(MANIFEST), list(TEACHERS), day=DAY)
    assert format_notice(MANIFEST, [DOCUMENT]) == format_notice(dict(MANIFEST), [DOCUMENT])


@given(st.text(max_size=60))
def test_no_name_breaks_out_of_the_description(text: str) -> None:
    said = read({**MANIFEST, "student": {"id": "stu_1", "name": text}, "dataset": text})
    assert text in said["description"]


def test_the_notice_names_documents_and_conditions_or_says_that_there_are_none() -> None:
    text = format_notice({**MANIFEST, "conditions": [CONDITION]}, [DOCUMENT])
    for part in ("Llama 3.1", "version unknown", "`meta-llama-3.1`", "Begin with Llama", "1.b.i"):
        assert part in text
    assert "None on record." not in text
    bare = format_notice(MANIFEST, [])
    assert "None on record." in bare
    assert "Nothing on record." in bare
