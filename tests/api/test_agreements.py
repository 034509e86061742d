from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from provenance.attestation.predicates import check_predicate
from provenance.errors import DeniedError
from provenance.training.launch import check_launch
from tests.service import OPENAI, STUDENT, LocalService, make_sample

URL = "/api/v1/agreements"
DECISIONS = "/api/v1/decisions"
DIGEST = "sha256:" + "7" * 64
AGREEMENT: dict[str, Any] = {
    "provider": "OpenAI",
    "parties": ["acme", "OpenAI"],
    "models": ["gpt-4o*"],
    "routes": ["api"],
    "actions": ["train"],
    "students": ["acme-*"],
    "document_digest": DIGEST,
    "valid_from": "2026-01-01T09:00:00Z",
    "valid_to": "2031-12-31",
}


def facts(**more: Any) -> dict[str, Any]:
    sample = make_sample(0, OPENAI, account={"holder": "acme"}, **more)
    return {name: value for name, value in sample.items() if name not in {"prompt", "completion"}}


def test_an_agreement_is_a_signed_entry_that_every_what_if_uses_and_names(service: LocalService) -> None:
    question = {"sample": facts(), "student": STUDENT | {"name": "acme-what-if"}}
    narrow = AGREEMENT | {"students": ["acme-what-if"]}
    assert service.post(DECISIONS, question, expect=200)["verdict"] == "deny"
    said = service.post(URL, narrow, expect=201)
    assert set(said) == {"id", "entry"}
    predicate = service.get(f"/api/v1/log/lookup/agreement/{said['id']}")["predicate"]
    check_predicate("agreement", predicate)
    assert (predicate["provider"], predicate["valid_from"], predicate["step"]) == ("openai", "2026-01-01", "made")
    answer = service.post(DECISIONS, question, expect=200)
    assert (answer["verdict"], answer["agreements"]) == ("allow", [said["id"]])
    assert next(r for r in answer["reasons"] if r["rule"] == "terms.agreement")["facts"]["agreement"] == said["id"]
    assert service.post(DECISIONS, question | {"at": "2032-01-01"}, expect=200)["verdict"] == "deny"
    shown = service.get(f"{URL}/{said['id']}")
    assert (shown["state"], shown["students"], shown["decisions"]) == ("active", ["acme-what-if"], [])
    assert said["id"] in [item["id"] for item in service.get(URL)["agreements"]]
    ended = service.post(f"{URL}/{said['id']}/revoke", {"reason": "the provider withdrew it"}, expect=201)
    assert service.post(DECISIONS, question, expect=200)["verdict"] == "deny"
    shown = service.get(f"{URL}/{said['id']}")
    assert (shown["state"], shown["entry"]) == ("revoked", ended["entry"])
    assert [(step["step"], step["reason"]) for step in shown["steps"]] == [
        ("made", None),
        ("revoked", "the provider withdrew it"),
    ]
    problem = service.post(f"{URL}/{said['id']}/revoke", {"reason": "again"}, expect=409)
    assert (problem["code"], problem["errors"][0]["field"]) == ("conflict", "id")


def test_a_what_if_may_carry_more(service: LocalService) -> None:
    more = {**AGREEMENT, "id": "order-form-9", "students": ["acme-carried"]}
    question = {"sample": facts(), "student": STUDENT | {"name": "acme-carried"}, "agreements": [more]}
    answer = service.post(DECISIONS, question, expect=200)
    assert (answer["verdict"], answer["agreements"]) == ("allow", ["order-form-9"])


def test_a_key_makes_and_revokes_once(service: LocalService) -> None:
    headers = {"Idempotency-Key": "agreement-1"}
    body = AGREEMENT | {"students": ["acme-once"]}
    first = service.post(URL, body, expect=201, headers=headers)
    size = service.log_size()
    assert service.post(URL, body, expect=201, headers=headers) == first
    assert service.post(URL, body | {"models": ["*"]}, expect=409, headers=headers)["code"] == "conflict"
    assert service.log_size() == size
    end = f"{URL}/{first['id']}/revoke"
    ended = service.post(end, {"reason": "over"}, expect=201, headers=headers)
    assert service.post(end, {"reason": "over"}, expect=201, headers=headers) == ended
    assert service.post(end, {"reason": "other"}, expect=409, headers=headers)["code"] == "conflict"
    assert service.log_size() == size + 1


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("provider", {"provider": "nobody-knows"}),
        ("provider", {"provider": "unknown"}),
        ("provider", {"provider": None}),
        ("parties", {"parties": []}),
        ("models", {"models": []}),
        ("models", {"models": "gpt-4o"}),
        ("models", {"models": ["unknown"]}),
        ("routes", {"routes": ["carrier-pigeon"]}),
        ("routes", {"routes": []}),
        ("actions", {"actions": ["train", "resell"]}),
        ("students", {"students": [" acme"]}),
        ("students", {"students": "unknown"}),
        ("document_digest", {"document_digest": None}),
        ("document_digest", {"document_digest": "sha256:77"}),
        ("document_digest", {"document_digest": "sha256:" + "Z" * 64}),
        ("document_digest", {"document_digest": "sha256:" + "0" * 64}),
        ("valid_from", {"valid_from": None}),
        ("valid_from", {"valid_from": "2026-02-30"}),
        ("valid_from", {"valid_from": "2026"}),
        ("valid_to", {"valid_to": "2025-12-31"}),
        ("valid_to", {"valid_to": "unknown"}),
        ("id", {"id": "agr_mine"}),
        ("scope", {"scope": "*"}),
    ],
)
def test_what_is_open_empty_or_wrong_is_named_and_changes_nothing(
    service: LocalService, field: str, change: dict[str, Any]
) -> None:
    size = service.log_size()
    problem = service.post(URL, AGREEMENT | change, expect=422)
    assert problem["errors"][0]["field"] == f"agreement.{field}"
    assert problem["errors"][0]["expected"]
    assert service.log_size() == size


@pytest.mark.parametrize("body", [b"", b"[]", b'"x"', b'{"provider": "openai", "provider": "google"}'])
def test_a_body_that_is_no_plain_object_is_refused(service: LocalService, body: bytes) -> None:
    assert service.client.post(URL, content=body).status_code == 422


def test_a_null_character_reaches_no_database(service: LocalService) -> None:
    size = service.log_size()
    assert service.client.post(URL, json=AGREEMENT | {"parties": ["ac\x00me"]}).status_code == 422
    made = service.post(URL, AGREEMENT | {"students": ["acme-null"]}, expect=201)
    assert service.client.post(f"{URL}/{made['id']}/revoke", json={"reason": "\x00"}).status_code == 422
    assert service.client.post(f"{URL}/{made['id']}/revoke", json={"reason": "  "}).status_code == 422
    assert service.log_size() == size + 1


def test_what_is_not_there_is_not_found(service: LocalService) -> None:
    assert service.client.get(f"{URL}/agr_none").status_code == 404
    assert service.client.post(f"{URL}/agr_none/revoke", json={"reason": "x"}).status_code == 404


def test_an_agreement_that_has_not_begun_or_has_ended_is_shown_as_such(service: LocalService) -> None:
    states = {}
    for name, begins, ends in (("pending", "2031-01-01", None), ("expired", "2020-01-01", "2020-02-01")):
        made = service.post(URL, AGREEMENT | {"valid_from": begins, "valid_to": ends}, expect=201)
        states[name] = service.get(f"{URL}/{made['id']}")["state"]
    assert states == {"pending": "pending", "expired": "expired"}
    question = {"sample": facts(), "student": STUDENT}
    assert "agreements" not in service.post(DECISIONS, question, expect=200)


def test_a_release_and_its_launch_use_name_and_follow_it(service: LocalService) -> None:
    student = service.declare(name="acme-agreed")
    assert service.release(student, "agreed", teacher="openai/gpt-4o")["state"] == "blocked"
    body = AGREEMENT | {"students": ["acme-agreed"], "actions": ["train", "release"]}
    identifier = service.post(URL, body, expect=201)["id"]
    release = service.release(student, "agreed", teacher="openai/gpt-4o")
    assert release["state"] == "allowed"
    decision = service.get(f"{DECISIONS}/{release['decision']['id']}")
    assert decision["agreements"] == decision["statement"]["agreements"] == [identifier]
    assert decision["statement"]["exceptions"] == []
    assert service.get(f"{URL}/{identifier}")["decisions"] == [decision["id"]]

    pytest.importorskip("trl")
    launch = {
        "release": f"agreed@{release['version']}", "student": student, "recipe": "sft",
        "config": {"student": "scratch", "layers": 1, "hidden": 64, "max_steps": 2},
    }  # fmt: skip
    assert check_launch(service.runtime, launch)["id"] == release["id"]
    service.post(f"{URL}/{identifier}/revoke", {"reason": "withdrawn"}, expect=201)
    service.post(URL, body, expect=201)  # another one that names the same use: the decision was not made with it
    problem = service.post("/api/v1/runs", launch, expect=409)
    assert (problem["code"], identifier in problem["detail"]) == ("release-not-allowed", True)
    with pytest.raises(DeniedError, match="revoked or has expired"):
        check_launch(service.runtime, launch)


def test_a_launch_after_the_agreement_s_last_day_is_refused(
    service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("trl")
    student = service.declare(name="acme-short")
    last = datetime.now(UTC).date() + timedelta(days=2)
    body = AGREEMENT | {"students": ["acme-short"], "actions": ["train", "release"], "valid_to": last.isoformat()}
    service.post(URL, body, expect=201)
    assert service.release(student, "short", teacher="openai/gpt-4o")["state"] == "allowed"
    launch = {
        "release": "short@1", "student": student, "recipe": "sft",
        "config": {"student": "scratch", "layers": 1, "hidden": 64, "max_steps": 2},
    }  # fmt: skip
    check_launch(service.runtime, launch)
    later = datetime.now(UTC) + timedelta(days=3)
    monkeypatch.setattr(service.runtime, "clock", lambda: later)
    with pytest.raises(DeniedError, match="expired"):
        check_launch(service.runtime, launch)
