from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from provenance.canonical import sha256_digest
from tests.service import LocalService, make_samples, open_service

URL = "/api/v1/releases"
SHOWN = {"id", "name", "version", "state", "counts", "decision", "conditions", "manifest_digest", "entry"}


def test_an_answer_comes_at_once_and_says_where_to_look(service: LocalService) -> None:
    body = {"dataset": "mixed", "student": "acme-tutor", "name": "asked"}
    answer = service.client.post(URL, json=body)
    said = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (202, said["status_url"])
    assert (said["name"], said["version"]) == ("asked", 1)
    assert service.get(said["status_url"])["state"] in {"building", "partial"}
    assert service.wait(said["status_url"])["id"] == said["id"]


def test_a_partial_release_says_what_went_out_what_stayed_and_on_which_conditions(service: LocalService) -> None:
    said = service.get(f"{URL}/tutor@1")
    assert set(said) >= SHOWN
    assert (said["name"], said["version"], said["state"]) == ("tutor", 1, "partial")
    assert said["counts"] == {"selected": 100, "released": 80, "quarantined": 20}
    assert [(item["type"], item["status"], item["document"]) for item in said["conditions"]] == [
        ("name-prefix", "unmet", "meta-llama-3.1")
    ]
    assert said["decision"]["verdict"] == "deny"
    assert said == service.get(f"{URL}/{said['id']}")
    assert service.get(f"/api/v1/log/entries/{said['entry']}")["kind"] == "release"
    assert said in service.get(URL)["releases"]


def test_what_was_quarantined_is_counted_with_its_reasons(service: LocalService) -> None:
    decision = service.get(f"/api/v1/decisions/{service.get(f'{URL}/tutor@1')['decision']['id']}")
    (denied,) = [item for item in decision["classes"] if item["answer"]["verdict"] == "deny"]
    assert denied["samples"] == 20
    reason = next(item for item in denied["answer"]["reasons"] if item["effect"] == "deny")
    assert reason["document"].startswith("openai-")
    assert reason["clause"]
    assert reason["text"]


def test_a_blocked_release_has_no_files_and_says_why(service: LocalService) -> None:
    said = service.get(f"{URL}/closed@1")
    assert (said["state"], said["manifest_digest"], said["files"]) == ("blocked", None, [])
    assert said["counts"] == {"selected": 20, "released": 0, "quarantined": 20}
    for part in ("manifest", "attestation", "card", "data/train-00000.parquet"):
        assert service.client.get(f"{URL}/closed@1/{part}").status_code == 404


def test_every_file_is_served_as_it_was_signed_and_no_other(service: LocalService) -> None:
    said = service.get(f"{URL}/tutor@1")
    manifest = service.client.get(f"{URL}/tutor@1/manifest")
    assert sha256_digest(manifest.content) == said["manifest_digest"]
    for file in said["files"]:
        data = service.client.get(f"{URL}/tutor@1/{file['path']}")
        assert (sha256_digest(data.content), len(data.content)) == (file["digest"], file["size_bytes"])
        assert service.client.get(f"{URL}/tutor@1/data/{file['path']}").content == data.content
    assert json.loads(service.client.get(f"{URL}/tutor@1/attestation").content)["payloadType"]
    assert service.client.get(f"{URL}/tutor@1/card").text.startswith("---\n")
    for path in (
        "data/../manifest.json",
        "data/%2e%2e/manifest.json",
        "data/%2Fetc%2Fpasswd",
        "data/train-00009.parquet",
    ):
        assert service.client.get(f"{URL}/tutor@1/{path}").status_code == 404, path


def test_two_releases_of_one_name_get_the_next_version(service: LocalService) -> None:
    body = {"dataset": "mixed", "student": "acme-tutor", "name": "series"}
    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(lambda _: service.post(URL, body), range(4)))
    assert sorted(item["version"] for item in said) == [1, 2, 3, 4]
    for item in said:
        assert service.wait(item["status_url"])["version"] == item["version"]


def test_a_key_builds_once(service: LocalService) -> None:
    body = {"dataset": "mixed", "student": "acme-tutor", "name": "keyed"}
    headers = {"Idempotency-Key": "release-1"}
    with ThreadPoolExecutor(3) as pool:
        said = list(pool.map(lambda _: service.post(URL, body, headers=headers), range(3)))
    assert all(item == said[0] for item in said)
    service.wait(said[0]["status_url"])
    size = service.log_size()
    assert service.post(URL, body, headers=headers) == said[0]
    problem = service.post(URL, body | {"name": "other"}, expect=409, headers=headers)
    assert (problem["code"], problem["errors"][0]["field"]) == ("conflict", "Idempotency-Key")
    assert service.log_size() == size
    assert [item["id"] for item in service.get(URL)["releases"] if item["name"] in {"keyed", "other"}] == [
        said[0]["id"]
    ]


REASON = "the filter let test questions through"


def build(service: LocalService, name: str) -> dict[str, Any]:
    said = service.post(URL, {"dataset": "mixed", "student": "acme-tutor", "name": name})
    return dict(service.wait(said["status_url"]))


def test_a_withdrawn_release_keeps_its_evidence_and_gives_out_no_data(service: LocalService) -> None:
    before = build(service, "back")
    path = before["files"][0]["path"]
    said = service.post(f"{URL}/back@1/withdraw", {"reason": REASON}, expect=201)
    after = service.get(f"{URL}/back@1")
    assert said == {"id": before["id"], "state": "withdrawn", "entry": after["withdrawn"]["entry"]}
    assert (after["state"], after["entry"], after["withdrawn"]["reason"]) == ("withdrawn", before["entry"], REASON)
    assert service.get(f"/api/v1/log/entries/{said['entry']}")["kind"] == "withdrawal"
    gone = service.client.get(f"{URL}/back@1/{path}")
    assert (gone.status_code, gone.json()["code"]) == (410, "gone")
    assert REASON in gone.json()["detail"]
    for part in ("manifest", "attestation", "card", "proof", "evidence"):
        assert service.client.get(f"{URL}/back@1/{part}").status_code == 200, part
    page = service.client.get("/releases/back@1").text
    assert REASON in page
    assert f'href="/api/v1/releases/{before["id"]}/{path}"' not in page


def test_nothing_is_trained_on_a_withdrawn_release(service: LocalService) -> None:
    build(service, "untrained")
    service.post(f"{URL}/untrained@1/withdraw", {"reason": REASON}, expect=201)
    problem = service.post(
        "/api/v1/runs", {"release": "untrained@1", "student": "acme-tutor", "recipe": "sft"}, expect=409
    )
    assert (problem["code"], "withdrawn" in problem["detail"]) == ("release-not-allowed", True)


def test_a_key_withdraws_once_and_what_is_withdrawn_cannot_be_again(service: LocalService) -> None:
    build(service, "twice")
    headers = {"Idempotency-Key": "withdraw-1"}
    said = service.post(f"{URL}/twice@1/withdraw", {"reason": REASON}, expect=201, headers=headers)
    size = service.log_size()
    assert service.post(f"{URL}/twice@1/withdraw", {"reason": REASON}, expect=201, headers=headers) == said
    problem = service.post(f"{URL}/twice@1/withdraw", {"reason": REASON}, expect=409)
    assert problem["errors"][0]["field"] == "release"
    for reference, reason, status in (("closed@1", REASON, 409), ("none@1", REASON, 404), ("tutor@1", " ", 422)):
        service.post(f"{URL}/{reference}/withdraw", {"reason": reason}, expect=status)
    assert service.log_size() == size


GOOD = {"dataset": "mixed", "student": "acme-tutor", "name": "bad"}
BAD = [
    (422, "name", GOOD | {"name": "Upper Case"}),
    (422, "name", GOOD | {"name": "../up"}),
    (422, "name", GOOD | {"name": ""}),
    (422, "name", {"dataset": "mixed", "student": "acme-tutor"}),
    (404, "dataset", GOOD | {"dataset": "nothing"}),
    (404, "student", GOOD | {"student": "nobody"}),
    (422, "selection", GOOD | {"selection": {"teacher": "nobody/none"}}),
    (422, "selection.colour", GOOD | {"selection": {"colour": "red"}}),
    (422, "selection.route", GOOD | {"selection": {"route": ["api"]}}),
    (422, "force", GOOD | {"force": True}),
    (422, "body", GOOD | {"student": "nul\x00"}),
]


@pytest.mark.parametrize(("status", "field", "body"), BAD, ids=[f"{field}-{n}" for n, (_, field, _) in enumerate(BAD)])
def test_a_bad_request_names_its_field_and_starts_nothing(
    service: LocalService, status: int, field: str, body: dict[str, Any]
) -> None:
    size, releases = service.log_size(), service.get(URL)["releases"]
    problem = service.post(URL, body, expect=status)
    assert problem["errors"][0]["field"] == field
    assert problem["errors"][0]["expected"]
    assert (service.log_size(), service.get(URL)["releases"]) == (size, releases)


@pytest.mark.parametrize("reference", ["none", "tutor@0", "tutor@2", "tutor@x", "@1", "tutor@99999999999999999999"])
def test_an_unknown_release_is_not_found(service: LocalService, reference: str) -> None:
    answer = service.client.get(f"{URL}/{reference}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
    assert answer.json()["errors"][0]["value"] == reference


def test_the_whole_way_works_on_each_database(database_url: str, tmp_path: Any) -> None:
    with open_service(tmp_path / "data", database_url=database_url) as service:
        first = service.capture(make_samples(apache=12, openai=4, llama=4), key="k")
        assert service.capture(make_samples(apache=12, openai=4, llama=4), key="k") == first | {"replayed": True}
        student = service.declare()
        release = service.release(student, "tutor")
        assert (release["state"], release["counts"]["released"]) == ("partial", 16)
        assert service.release(student, "tutor", teacher="openai/gpt-4o")["state"] == "blocked"
        report = service.report("tutor@1", formats=("json",))
        assert report["state"] == "done", report
        size = service.log_size()
    with open_service(
        tmp_path / "data", database_url=database_url
    ) as service:  # nothing is lost, nothing is logged again
        assert service.log_size() == size
        assert service.get(f"{URL}/tutor@2")["state"] == "blocked"
        assert service.client.get("/api/v1/students/nul%00").status_code in {404, 422}
        assert service.client.get("/api/v1/log/lookup/external-id/nul%00").status_code in {404, 422}
