from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from provenance.api.app import create_app
from provenance.store.session import write_session
from provenance.store.tokens import find_token, revoke_token
from tests.service import LOOPBACK, STUDENT, LocalService, make_sample

WRITES = [
    ("/api/v1/samples", [make_sample()], {"collector", "engineer", "admin"}),
    ("/api/v1/students", STUDENT, {"engineer", "compliance", "admin"}),
    ("/api/v1/agreements", {}, {"compliance", "counsel", "admin"}),
    ("/api/v1/agreements/agr_none/revoke", {"reason": "x"}, {"compliance", "counsel", "admin"}),
    ("/api/v1/exceptions", {}, {"engineer", "compliance", "admin"}),
    ("/api/v1/exceptions/exc_none/approve", {}, {"compliance", "counsel", "admin"}),
    ("/api/v1/exceptions/exc_none/refuse", {"reason": "x"}, {"compliance", "counsel", "admin"}),
    ("/api/v1/exceptions/exc_none/revoke", {"reason": "x"}, {"compliance", "counsel", "admin"}),
    ("/api/v1/captures", {"dataset": "math", "teacher": {"provider": "openai", "model": "gpt-4o"}, "route": "api"}, {"collector", "engineer", "admin"}),
    ("/api/v1/captures/cap_none/close", {"made": 1, "kept": 1}, {"collector", "engineer", "admin"}),
    ("/api/v1/models", {"provider": "acme", "name": "m", "kind": "hosted"}, {"engineer", "compliance", "admin"}),
    ("/api/v1/releases", {"dataset": "mixed", "student": "acme-tutor", "name": "Bad Name"}, {"engineer", "compliance", "admin"}),
    ("/api/v1/decisions", {"dataset": "mixed", "student": "nobody"}, {"engineer", "compliance", "admin"}),
    ("/api/v1/runs", {"release": "closed@1", "student": "acme-tutor"}, {"engineer", "admin"}),
    ("/api/v1/runs/run_none/cancel", {}, {"engineer", "admin"}),
    ("/api/v1/reports", {"kind": "none", "subject": "tutor@1"}, {"engineer", "compliance", "counsel", "admin"}),
]  # fmt: skip
ROLES = ("viewer", "auditor", "collector", "engineer", "compliance", "counsel", "admin")


@pytest.mark.parametrize(("url", "body", "able"), WRITES, ids=[url for url, _, _ in WRITES])
def test_a_write_needs_a_token_whose_role_may_do_it(
    service: LocalService, url: str, body: object, able: set[str]
) -> None:
    size = service.log_size()
    anonymous = service.client.post(url, json=body, headers={"Authorization": ""})
    assert (anonymous.status_code, anonymous.json()["code"]) == (401, "not-authenticated")
    assert anonymous.headers["WWW-Authenticate"] == "Bearer"
    answers = {role: service.client.post(url, json=body, headers=service.as_role(role)) for role in set(ROLES) - able}
    assert {role: answer.json()["code"] for role, answer in answers.items()} == dict.fromkeys(answers, "forbidden")
    assert service.log_size() == size
    for role in able:
        assert service.client.post(url, json=body, headers=service.as_role(role)).status_code not in {401, 403}


@pytest.mark.parametrize("header", ["Basic abc", "Bearer", "Bearer ", "Bearer prv_nobody", "prv_x", "Bearer *"])
def test_a_header_that_is_no_valid_token_is_refused_even_for_reading(service: LocalService, header: str) -> None:
    answer = service.client.get("/api/v1/log", headers={"Authorization": header})
    assert (answer.status_code, answer.json()["code"]) == (401, "not-authenticated")


def test_an_expired_or_revoked_token_opens_nothing(service: LocalService) -> None:
    expired = service.token("admin", expires_at="2026-01-02T00:00:00Z")
    revoked = service.token("admin")
    headers = {"Authorization": f"Bearer {revoked}"}
    assert service.client.get("/api/v1/log", headers=headers).status_code == 200
    with write_session(service.runtime.engine) as session:
        row = find_token(session, revoked, "2026-01-01T00:00:00Z")
        assert row is not None
        revoke_token(session, row.id, "2026-01-01T00:00:00Z")
    for token in (expired, revoked):
        answer = service.client.get("/api/v1/log", headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()["code"]) == (401, "not-authenticated")


@pytest.mark.parametrize("url", ["/api/v1/log", "/api/v1/samples/190", "/api/v1/releases", "/log/tile/0/000.p/1"])
def test_reading_is_open_on_loopback_under_a_loopback_name_only(service: LocalService, url: str) -> None:
    def read(host: str, peer: str = "127.0.0.1") -> int:
        client = TestClient(service.client.app, base_url="http://127.0.0.1", client=(peer, 1))
        return client.get(url, headers={"Host": host}).status_code

    for host in ("127.0.0.1", "127.0.0.1:8000", "localhost:8000", "[::1]:8000", "[::1]", "LOCALHOST"):
        assert read(host) == 200, host
    for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "testserver", "[::1", "0.0.0.0", ""):
        assert read(host) == 401, host
    assert read("localhost", peer="192.0.2.1") == 401
    assert read("localhost", peer="testclient") == 401


def test_a_service_for_many_users_lets_nobody_read_without_a_token(service: LocalService) -> None:
    settings = service.runtime.settings.model_copy(update={"single_user": False})
    runtime = service.runtime.__class__(**{**vars(service.runtime), "settings": settings})
    client = TestClient(
        create_app(runtime), base_url="http://127.0.0.1", client=LOOPBACK
    )  # not started: the jobs are one's
    assert client.get("/api/v1/log").status_code == 401
    assert client.get("/api/v1/log", headers=service.as_role("viewer")).status_code == 200


def test_the_log_s_keys_and_checkpoint_are_public(service: LocalService) -> None:
    stranger = TestClient(service.client.app, base_url="http://evil.example", client=("192.0.2.1", 1))
    for url in ("/log/checkpoint", "/log/vkey", "/api/v1/keys", "/healthz"):
        assert stranger.get(url).status_code == 200, url


def test_an_administrative_act_is_logged_with_its_actor(service: LocalService) -> None:
    receipt = service.runtime.append_access("ada", "cancel-run", "run_1", "a test")
    said = service.get(f"/api/v1/log/entries/{receipt.first_index}")
    assert said["kind"] == "access"
    assert {name: said["predicate"][name] for name in ("actor", "act", "target", "reason")} == {
        "actor": "ada", "act": "cancel-run", "target": "run_1", "reason": "a test",
    }  # fmt: skip
