from __future__ import annotations

from typing import Any

import pytest

from provenance.canonical import canonical_bytes, sha256_digest
from tests.service import STUDENT, LocalService

URL = "/api/v1/students"


def test_a_declaration_is_an_entry_and_is_found_by_id_and_name(service: LocalService) -> None:
    said = service.post(URL, STUDENT | {"name": "first"}, expect=201)
    assert set(said) == {"id", "entry"}
    found = {"id": said["id"], "facts": STUDENT | {"name": "first"}, "entry": said["entry"]}
    assert service.get(f"{URL}/{said['id']}") == service.get(f"{URL}/first") == found
    entry = service.get(f"/api/v1/log/lookup/student/{said['id']}")["predicate"]
    assert entry["digest"] == sha256_digest(canonical_bytes(entry["facts"]))
    assert {"id": said["id"], "name": "first", "entry": said["entry"]} in service.get(URL)["students"]


def test_a_name_declared_again_means_the_newest(service: LocalService) -> None:
    service.declare(name="twice", use="research")
    newest = service.declare(name="twice", use="internal")
    assert service.get(f"{URL}/twice")["id"] == newest


def test_a_key_declares_once(service: LocalService) -> None:
    headers = {"Idempotency-Key": "student-1"}
    first = service.post(URL, STUDENT, expect=201, headers=headers)
    size = service.log_size()
    assert service.post(URL, STUDENT, expect=201, headers=headers) == first
    problem = service.post(URL, STUDENT | {"use": "research"}, expect=409, headers=headers)
    assert (problem["code"], problem["errors"][0]["field"]) == ("conflict", "Idempotency-Key")
    assert service.log_size() == size


def test_every_fact_but_the_name_may_be_unknown(service: LocalService) -> None:
    facts = dict.fromkeys(STUDENT, "unknown") | {"name": "shy"}
    assert service.get(f"{URL}/{service.post(URL, facts, expect=201)['id']}")["facts"] == facts


@pytest.mark.parametrize(
    ("field", "facts"),
    [
        ("name", STUDENT | {"name": "unknown"}),
        ("name", {"use": "research"}),
        ("use", STUDENT | {"use": "world domination"}),
        ("distribution", STUDENT | {"distribution": "everywhere"}),
        ("territories", STUDENT | {"territories": ["France"]}),
        ("monthly_active_users", STUDENT | {"monthly_active_users": -1}),
        ("hobby", STUDENT | {"hobby": "chess"}),
        ("developer", STUDENT | {"developer": "acme"}),
    ],
)
def test_a_bad_fact_is_named(service: LocalService, field: str, facts: dict[str, Any]) -> None:
    size = service.log_size()
    problem = service.post(URL, facts, expect=422)
    assert field in problem["errors"][0]["field"]
    assert problem["errors"][0]["expected"]
    assert service.log_size() == size


@pytest.mark.parametrize("body", [b"", b"[]", b'"x"', b"{", b'{"name": "a", "name": "b"}', b'{"name": NaN}'])
def test_a_body_that_is_no_plain_object_is_refused(service: LocalService, body: bytes) -> None:
    size = service.log_size()
    answer = service.client.post(URL, content=body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert service.log_size() == size


def test_an_unknown_student_is_not_found(service: LocalService) -> None:
    answer = service.client.get(f"{URL}/nobody")
    assert answer.status_code == 404
    assert answer.json()["errors"][0]["value"] == "nobody"
