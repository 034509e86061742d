from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provenance.attestation.predicates import check_predicate
from provenance.canonical import canonical_bytes, parse_canonical, sha256_digest
from provenance.capture.collection.names import load_names
from provenance.errors import DigestMismatchError, MalformedError, NotFoundError
from provenance.policy.collection.examine import Examined, examine
from provenance.policy.collection.files import read_files, write_files
from provenance.policy.pack import load_pack
from provenance.terms.catalogue import load_catalogue
from tests.capture.collection.summaries import ANNOTATOR, one_file
from tests.policy.collection.requests import make_request


def examined(request: Any) -> Examined:
    return examine(request, names=load_names(), catalogue=load_catalogue(), pack=load_pack())


@pytest.fixture(scope="module")
def found() -> Examined:
    return examined(make_request())


def test_the_same_request_gives_the_same_bytes_and_another_another_id(found: Examined) -> None:
    again = examined(json.loads(json.dumps(make_request())))
    assert (again.id, again.files) == (found.id, found.files)
    assert examined(make_request(origin="another place")).id != found.id


def test_the_statement_carries_digests_and_counts_but_no_data_set(found: Examined) -> None:
    predicate = found.predicate()
    check_predicate("curation", predicate)
    canonical_bytes(predicate)
    for item in predicate["files"]:
        assert item["digest"] == sha256_digest(found.files[item["path"]])
        assert item["size_bytes"] == len(found.files[item["path"]])
    assert predicate["counts"]["datasets"] == 18
    assert "human-tagged-nc" not in json.dumps(predicate)
    assert predicate["days"] == {"same-on-every-day": 11, "days-differ": 0, "no-bound": 0}
    assert predicate["verdicts"]["commercial"] == {"review": 8, "deny": 2, "allow": 1}


def test_no_annotator_is_named_in_what_is_kept(found: Examined) -> None:
    assert all(ANNOTATOR.encode() not in data for data in found.files.values())


def test_the_files_are_read_back_by_their_digests(found: Examined, tmp_path: Path) -> None:
    write_files(found, tmp_path)
    write_files(found, tmp_path)
    facts, comparison = read_files(tmp_path, found.predicate())
    assert facts == parse_canonical(found.files["facts.json"])
    assert {item["id"] for item in facts["datasets"]} == {item["id"] for item in comparison["datasets"]}


def test_a_file_that_was_changed_or_is_gone_is_not_shown(tmp_path: Path) -> None:
    other = examined(make_request(origin="read by nobody yet"))
    write_files(other, tmp_path)
    path = tmp_path / other.id / "facts.json"
    path.write_bytes(path.read_bytes().replace(b"human-mit", b"human-gpl"))
    with pytest.raises(DigestMismatchError, match=r"facts\.json"):
        read_files(tmp_path, other.predicate())
    path.unlink()
    with pytest.raises(NotFoundError, match=r"facts\.json"):
        read_files(tmp_path, other.predicate())


BAD: list[tuple[str, Any]] = [
    ("origin", ""), ("origin", 3), ("origin", "a\u202eb"), ("files", {}), ("files", []), ("files", {"../x.json": {}}),
    ("files", {"_x.json": {}}), ("files", {"x.txt": {}}), ("files", {"a/b.json": {}}), ("constants", None),
    ("constants", {"x": {}}), ("sources", {}), ("sources", [{"path": "x"}]), ("sources", [{"path": "x", "digest": "md5:1"}]),
    ("extra", 1),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), BAD, ids=[f"{field}={value!r:.30}" for field, value in BAD])
def test_a_request_of_another_form_is_refused(field: str, value: Any) -> None:
    with pytest.raises(MalformedError):
        examined(make_request(**{field: value}))


@pytest.mark.parametrize("request_body", [None, [], "text", {}])
def test_a_request_is_an_object_of_four_fields(request_body: Any) -> None:
    with pytest.raises(MalformedError, match="body"):
        examined(request_body)


def test_names_of_others_stay_text() -> None:
    name = "<script>alert(1)</script>"
    files = one_file(
        {"<b>x": {"licenses": [name], "generators": [name], "parents": [name], "Dataset Name": f"{name}!"}}
    )
    counts = examined(make_request(files=files)).summary["counts"]
    assert counts["unknown_licenses"] == counts["unknown_generators"] == counts["unknown_parents"] == {name: 1}
