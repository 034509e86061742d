from __future__ import annotations

import gzip
import json
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from provenance.attestation.envelope import parse_entry
from provenance.canonical import COMPLETION_DOMAIN, PROMPT_DOMAIN, canonical_bytes, verify_commitment
from provenance.ledger.checkpoint import parse_checkpoint
from provenance.ledger.merkle import leaf_hash, verify_inclusion
from provenance.ledger.note import parse_note
from provenance.ledger.proof import parse_proof
from provenance.store.log import find_content
from provenance.store.session import read_session
from tests.service import APACHE, LocalService, make_sample, make_samples

URL = "/api/v1/samples"
NDJSON = {"Content-Type": "application/x-ndjson"}


def lines(samples: list[dict[str, Any]]) -> list[bytes]:
    return [json.dumps(sample).encode() for sample in samples]


def refuse(service: LocalService, status: int = 422, **request: Any) -> Any:
    """The problem that a request gets; nothing was changed by it."""
    size = service.log_size()
    answer = service.client.post(URL, **request)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert service.log_size() == size
    return answer.json()


def test_an_answer_says_where_the_samples_and_their_batch_stand(service: LocalService) -> None:
    size = service.log_size()
    said = service.capture(make_samples(dataset="answer"))
    assert set(said) == {"first_index", "count", "batch_index", "tree_size", "checkpoint", "replayed"}
    assert (said["first_index"], said["count"], said["batch_index"]) == (
        size + 1,
        100,
        size + 101,
    )  # behind its capture
    assert said["replayed"] is False
    assert said["tree_size"] == size + 102 == service.log_size()
    assert parse_checkpoint(parse_note(said["checkpoint"]).text).size == said["tree_size"]
    batch = service.get(f"/api/v1/log/entries/{said['batch_index']}")
    assert (batch["kind"], batch["predicate"]["count"]) == ("batch", 100)


def test_lines_and_an_array_are_taken_alike_packed_or_not(service: LocalService) -> None:
    samples = make_samples(apache=3, openai=0, llama=0, dataset="alike")
    body = b"\n".join(lines(samples)) + b"\n"
    packed = gzip.compress(body, mtime=0)
    for content, headers in ((body, NDJSON), (packed, NDJSON | {"Content-Encoding": "gzip"})):
        assert service.client.post(URL, content=content, headers=headers).json()["count"] == 3
    assert service.capture(samples)["count"] == 3
    assert service.get("/api/v1/datasets/alike")["samples"] == 9


def test_one_sample_is_shown_with_its_words_and_proves_itself(service: LocalService) -> None:
    index = service.capture([make_sample(7, dataset="one", parameters={"temperature": 0.5})])["first_index"]
    said = service.get(f"{URL}/{index}")
    assert set(said) == {"index", "statement", "leaf_hash", "content", "erased", "erasure", "fact_class", "batch_index"}
    assert (said["index"], said["erased"], said["batch_index"]) == (index, False, index + 1)
    assert said["content"]["completion"] == [{"role": "assistant", "content": "answer 7"}]
    predicate = said["statement"]["predicate"]
    assert predicate["teacher"]["model"] == APACHE["model"]
    assert [item["id"] for item in predicate["terms"]] == ["smollm-apache"]
    assert predicate["evidence"] == "declared"
    assert "answer 7" not in json.dumps(predicate)
    with read_session(service.runtime.engine) as session:
        kept = find_content(session, index)
    assert kept is not None
    for name, domain in (("prompt", PROMPT_DOMAIN), ("completion", COMPLETION_DOMAIN)):
        salt = bytes.fromhex(kept[f"{name}_salt"])
        verify_commitment(predicate[f"{name}_commitment"], domain, salt, canonical_bytes(said["content"][name]))
    entry = b64decode(service.get(f"/api/v1/log/entries/{index}")["bytes"])
    assert said["leaf_hash"] == f"sha256:{leaf_hash(entry).hex()}"
    assert parse_entry(entry).predicate == predicate
    proof = parse_proof(service.client.get(f"{URL}/{index}/proof").text)
    tree = parse_checkpoint(parse_note(proof.checkpoint).text)
    verify_inclusion(leaf_hash(entry), index, tree.size, proof.path, tree.root)


def test_the_same_key_gives_the_same_answer_and_another_request_under_it_is_refused(service: LocalService) -> None:
    samples = make_samples(apache=5, openai=0, llama=0, dataset="keyed")
    first = service.capture(samples, key="keyed-1")
    size = service.log_size()
    again = service.capture(samples, key="keyed-1")
    assert again == first | {"replayed": True}
    problem = refuse(service, 409, json=samples[:4], headers={"Idempotency-Key": "keyed-1"})
    assert (problem["code"], problem["errors"][0]["field"]) == ("conflict", "Idempotency-Key")
    assert service.log_size() == size
    assert service.get("/api/v1/datasets/keyed")["samples"] == 5


@pytest.mark.parametrize("key", ["", "a" * 201, "tab\tinside"])
def test_a_key_must_be_short_and_printable(service: LocalService, key: str) -> None:
    problem = refuse(service, json=[make_sample()], headers={"Idempotency-Key": key})
    assert problem["errors"][0]["field"] == "Idempotency-Key"


def test_a_bad_line_in_the_middle_refuses_the_whole_batch_and_is_named(service: LocalService) -> None:
    good = lines(make_samples(apache=10, openai=0, llama=0, dataset="torn"))
    for bad, field in ((b'{"dataset": "torn",', "line"), (b"[]", "sample"), (good[0][:-1] + b', "more": 1}', "more")):
        problem = refuse(service, content=b"\n".join([*good[:4], bad, *good[4:]]), headers=NDJSON)
        assert problem["code"] == "malformed"
        assert (problem["errors"][0]["line"], problem["errors"][0]["field"]) == (5, field)
    assert service.client.get("/api/v1/datasets/torn").status_code == 404


BAD_FACTS = [
    ("teacher.provider", {"teacher": APACHE | {"provider": "Open AI"}}),
    ("teacher.model", {"teacher": APACHE | {"model": ""}}),
    ("teacher.route", {"teacher": APACHE | {"route": "scraped"}}),
    ("generated_at", {"generated_at": "2026-13-01T00:00:00Z"}),
    ("generated_at", {"generated_at": "yesterday"}),
    ("generated_at", {"generated_at": "2026-03-01"}),
    ("generated_in", {"generated_in": "USA"}),
    ("prompt", {"prompt": " \n "}),
    ("prompt", {"prompt": []}),
    ("completion", {"completion": ""}),
    ("dataset", {"dataset": "right\u202eto left"}),
    ("external_id", {"external_id": "nul\x00"}),
    ("role", {"role": "student"}),
    ("prompt_origin.kind", {"prompt_origin": {"kind": "stolen"}}),
]


@pytest.mark.parametrize(("field", "facts"), BAD_FACTS, ids=[f"{field}-{n}" for n, (field, _) in enumerate(BAD_FACTS)])
def test_a_bad_value_is_named_with_its_field_and_what_was_expected(
    service: LocalService, field: str, facts: dict[str, Any]
) -> None:
    problem = refuse(service, json=[make_sample(1), make_sample(2) | facts])
    error = problem["errors"][0]
    assert (error["field"], error["line"]) == (field, 2)
    assert error["expected"]
    assert field in problem["detail"]


def test_what_the_catalogue_does_not_know_is_recorded_and_loses_nothing(service: LocalService) -> None:
    unknown = {"provider": "nobody", "model": "mystery-1", "route": "api"}
    index = service.capture([make_sample(0, unknown, dataset="gap"), make_sample(1, generated_at="1999-01-01T00:00:00Z", dataset="gap")])["first_index"]  # fmt: skip
    assert service.get(f"{URL}/{index}")["statement"]["predicate"]["terms"] == []


def test_ten_megabytes_of_prompt_are_refused_by_size(service: LocalService) -> None:
    problem = refuse(service, json=[make_sample(prompt="x" * 10_000_000)])
    assert problem["errors"][0]["field"] == "prompt"
    assert len(json.dumps(problem)) < 2000


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"", {}, 422),
        (b"[]", {}, 422),
        (b"{}", {}, 422),
        (b"\xff\xfe", {}, 422),
        (b"[" * 100_000, {}, 422),
        (b"\n\n", NDJSON, 422),
        (b"not gzip", {"Content-Encoding": "gzip"}, 422),
        (gzip.compress(b"[]", mtime=0)[:-4], {"Content-Encoding": "gzip"}, 422),
        (b"[]", {"Content-Encoding": "br"}, 422),
        (gzip.compress(b" " * 40_000_000, mtime=0), {"Content-Encoding": "gzip"}, 413),
    ],
)
def test_a_body_that_is_no_batch_of_samples_is_refused(
    service: LocalService, content: bytes, headers: dict[str, str], status: int
) -> None:
    assert refuse(service, status, content=content, headers=headers)["errors"][0]["expected"]


def test_a_source_that_is_no_door_is_refused(service: LocalService) -> None:
    assert refuse(service, json=[make_sample()], params={"source": "gateway"})["errors"][0]["field"] == "source"


def test_samples_that_somebody_claims_to_have_are_marked_as_claimed(service: LocalService) -> None:
    answer = service.client.post(URL, json=[make_sample(dataset="claimed")], params={"source": "import"}).json()
    assert service.get(f"{URL}/{answer['first_index']}")["statement"]["predicate"]["evidence"] == "claimed"


@pytest.mark.parametrize("index", ["0", "-1", "99999999", str(2**63), str(2**80)])
def test_what_is_no_sample_is_not_found(service: LocalService, index: str) -> None:
    for path in (index, f"{index}/proof", f"{index}/evidence.json"):
        assert service.client.get(f"{URL}/{path}").status_code == 404, path


def test_an_index_that_is_no_number_is_named(service: LocalService) -> None:
    answer = service.client.get(f"{URL}/first")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "index"


def test_more_pipelines_at_once_than_the_database_has_connections(service: LocalService) -> None:
    """Each waits for the writer, and the writer needs a connection too."""
    before = service.log_size()

    def send(number: int) -> int:
        answer = service.client.post("/api/v1/samples", json=[make_sample(number, dataset="crowd")])
        return int(answer.status_code)

    with ThreadPoolExecutor(80) as pool:
        assert set(pool.map(send, range(240))) == {201}
    assert service.log_size() >= before + 2 * 240  # each sample, and the entry of its batch
