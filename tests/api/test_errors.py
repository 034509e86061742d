from __future__ import annotations

import logging
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from provenance.api import errors
from provenance.errors import (
    DeniedError,
    FieldError,
    LedgerForkError,
    MalformedError,
    NotFoundError,
    ProvenanceError,
    UnavailableError,
)
from provenance.store import samples
from tests.service import LocalService

MEMBERS = {"type", "title", "status", "detail", "code", "errors"}


def test_a_problem_has_the_members_that_the_contract_names(service: LocalService) -> None:
    answer = service.client.get("/api/v1/releases/nothing")
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert set(body) == MEMBERS
    assert (body["status"], body["code"], body["type"]) == (404, "not-found", errors.PROBLEM_TYPE + "not-found")
    assert set(body["errors"][0]) == {"field", "value", "expected"}


@pytest.mark.parametrize(
    ("method", "url", "status", "code"),
    [
        ("GET", "/api/v1/nothing", 404, "not-found"),
        ("DELETE", "/api/v1/releases", 405, "method-not-allowed"),
        ("PUT", "/api/v1/samples/1", 405, "method-not-allowed"),
        ("GET", "/log/nothing", 404, "not-found"),
    ],
)
def test_what_is_no_route_is_a_problem_too(
    service: LocalService, method: str, url: str, status: int, code: str
) -> None:
    answer = service.client.request(method, url)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()) == MEMBERS


@pytest.mark.parametrize("url", ["releases", "runs", "reports", "decisions", "models"])
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"text"', b"\xff", b'{"name": NaN}', b'{"name": "\\ud800"}', b'{"name": 9007199254740993}',
     b'{"name": "a\\u0000b"}', b"[" * 100_000],
    ids=["empty", "torn", "list", "text", "bytes", "nan", "surrogate", "large", "null", "deep"],
)  # fmt: skip
def test_a_body_that_cannot_be_read_is_refused_and_changes_nothing(
    service: LocalService, url: str, body: bytes
) -> None:
    size = service.log_size()
    answer = service.client.post(f"/api/v1/{url}", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()) == MEMBERS
    assert service.log_size() == size


@pytest.mark.parametrize("url", ["samples", "students", "releases", "runs", "reports", "decisions", "models"])
def test_no_route_reads_a_body_without_end(service: LocalService, url: str) -> None:
    sent = 0

    def endless() -> Any:
        nonlocal sent
        for _ in range(100):
            sent += 1_000_000
            yield b" " * 1_000_000

    answer = service.client.post(f"/api/v1/{url}", content=endless(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "body-too-large")
    assert answer.json()["errors"][0]["field"] == "body"


def test_every_error_of_ours_has_its_status_and_code() -> None:
    def all_kinds(kind: type[ProvenanceError]) -> list[type[ProvenanceError]]:
        return [kind, *(each for sub in kind.__subclasses__() for each in all_kinds(sub))]

    for kind in all_kinds(ProvenanceError):
        body = errors.problem_body(
            kind("said", FieldError("f", "v", "e", 3)) if kind is not DeniedError else kind("said")
        )
        assert (body["status"], body["code"], body["detail"]) == (kind.status, kind.code, "said")


def test_a_refusal_carries_its_decision_and_may_narrow_its_code() -> None:
    body = errors.problem_body(DeniedError("no", {"verdict": "deny"}, code="release-not-allowed"))
    assert (body["code"], body["status"], body["decision"]) == ("release-not-allowed", 409, {"verdict": "deny"})


@pytest.mark.parametrize(
    ("exc", "status", "code"),
    [
        (OperationalError("select", {}, Exception("the disk is on fire")), 503, "unavailable"),
        (UnavailableError("later"), 503, "unavailable"),
        (LedgerForkError("two roots"), 500, "ledger-fork"),
        (MalformedError("x"), 422, "malformed"),
        (NotFoundError("x"), 404, "not-found"),
    ],
)
def test_what_breaks_below_a_route_becomes_its_problem(
    service: LocalService, monkeypatch: pytest.MonkeyPatch, exc: Exception, status: int, code: str
) -> None:
    def fail(*_: object) -> None:
        raise exc

    monkeypatch.setattr("provenance.api.routes.datasets.list_datasets", fail)
    answer = service.client.get("/api/v1/datasets")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "on fire" not in answer.text
    assert callable(samples.list_datasets)


def test_a_fault_of_ours_is_logged_with_an_id_and_says_nothing_else(
    service: LocalService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a secret path")

    monkeypatch.setattr("provenance.api.routes.datasets.list_datasets", fail)
    client = service.client.__class__(
        service.client.app, base_url="http://127.0.0.1", client=("127.0.0.1", 1), raise_server_exceptions=False
    )
    with caplog.at_level(logging.ERROR):
        answer = client.get("/api/v1/datasets")
    assert (answer.status_code, answer.json()["code"]) == (500, "provenance-error")
    assert "secret" not in answer.text
    request_id = answer.json()["detail"].rpartition(" ")[2]
    assert request_id in caplog.text


def test_a_long_value_is_shortened_and_never_dropped() -> None:
    shown = FieldError("f", "x" * 500, "less").to_json()["value"]
    assert len(shown) < 200
    assert shown.endswith("…")
