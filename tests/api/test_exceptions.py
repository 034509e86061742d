from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from provenance.attestation.predicates import check_predicate
from provenance.errors import DeniedError
from provenance.store.log import read_statement
from provenance.store.session import read_session, write_session
from provenance.store.tokens import TERMINAL_PREFIX, create_token
from provenance.training.launch import check_launch
from tests.service import OPENAI, STUDENT, LocalService, make_sample

URL = "/api/v1/exceptions"
DECISIONS = "/api/v1/decisions"
BAR = "competition.competing-model"
TODAY = datetime.now(UTC).date()
LAST = (TODAY + timedelta(days=30)).isoformat()


def person(service: LocalService, name: str, role: str = "counsel") -> dict[str, str]:
    with write_session(service.runtime.engine) as session:
        made = create_token(session, name=name, role=role, now="2026-01-01T00:00:00Z", expires_at=None)
    return {"Authorization": f"Bearer {made[1]}"}


@pytest.fixture(scope="module")
def people(service: LocalService) -> dict[str, dict[str, str]]:
    roles = {"erin": "compliance", "carla": "counsel", "luis": "compliance", "zoe": "admin"}
    return {name: person(service, name, role) for name, role in roles.items()}


def body(to_train: str, **changes: Any) -> dict[str, Any]:
    return {
        "reason": "a study for the regulator",
        "student": to_train,
        "actions": ["train"],
        "rules": [BAR],
        "teacher": "openai/gpt-4o",
        "expires_on": LAST,
    } | changes


def ask_for(service: LocalService, people: dict[str, dict[str, str]], student: str, **changes: Any) -> str:
    said = service.post(URL, body(student, **changes), expect=201, headers=people["erin"])
    assert set(said) == {"id", "entry"}
    return str(said["id"])


def approve(service: LocalService, people: dict[str, dict[str, str]], identifier: str) -> None:
    for name, state in (("carla", "requested"), ("luis", "active")):
        said = service.post(f"{URL}/{identifier}/approve", {}, expect=201, headers=people[name])
        assert (said["id"], said["state"]) == (identifier, state)


def fresh_student(service: LocalService) -> tuple[str, dict[str, Any]]:
    name = f"acme-{secrets.token_hex(4)}"
    service.declare(name=name)
    return name, STUDENT | {"name": name}


def question(facts: dict[str, Any], **more: Any) -> dict[str, Any]:
    sample = make_sample(0, OPENAI, account={"holder": "acme"}, **more)
    return {
        "sample": {name: value for name, value in sample.items() if name not in {"prompt", "completion"}},
        "student": facts,
    }


def test_from_request_to_revocation_each_step_is_an_entry_and_every_answer_shows_it(
    service: LocalService, people: dict[str, dict[str, str]]
) -> None:
    name, facts = fresh_student(service)
    before = service.post(DECISIONS, question(facts), expect=200)
    identifier = ask_for(service, people, name)
    assert {**service.post(DECISIONS, question(facts), expect=200), "log_size": 0} == {**before, "log_size": 0}
    first = service.post(f"{URL}/{identifier}/approve", {"reason": "for a month"}, expect=201, headers=people["carla"])
    assert first["state"] == "requested"
    assert service.post(DECISIONS, question(facts), expect=200)["verdict"] == "deny"
    assert service.client.post(f"{URL}/{identifier}/approve", headers=people["luis"]).json()["state"] == "active"
    answer = service.post(DECISIONS, question(facts), expect=200)
    assert (answer["verdict"], answer["exceptions"]) == ("allow-with-conditions", [identifier])
    assert {reason["rule"]: reason.get("lifted_by") for reason in answer["reasons"]} == {BAR: identifier}
    condition = next(item for item in answer["conditions"] if item["type"] == "exception")
    assert (condition["status"], condition["document"]) == ("met", identifier)
    assert LAST in condition["requirement"]
    service.post(f"{URL}/{identifier}/revoke", {"reason": "over"}, expect=201, headers=people["zoe"])
    assert service.post(DECISIONS, question(facts), expect=200)["verdict"] == "deny"
    shown = service.get(f"{URL}/{identifier}")
    assert (shown["state"], shown["requested_by"], shown["approved_by"]) == ("revoked", "erin", ["carla", "luis"])
    assert [(step["step"], step["actor"]) for step in shown["steps"]] == [
        ("request", "erin"), ("approve", "carla"), ("approve", "luis"), ("revoke", "zoe"),
    ]  # fmt: skip
    with read_session(service.runtime.engine) as session:
        for step in shown["steps"]:
            check_predicate("exception", read_statement(session, step["entry"]).predicate)
    assert identifier in [item["id"] for item in service.get(URL)["exceptions"]]


def test_who_may_not_approve_is_told_why_and_changes_nothing(
    service: LocalService, people: dict[str, dict[str, str]]
) -> None:
    name, _ = fresh_student(service)
    identifier = ask_for(service, people, name)
    url = f"{URL}/{identifier}/approve"
    size = service.log_size()
    assert service.post(url, {}, expect=403, headers=people["erin"])["code"] == "forbidden"
    assert service.log_size() == size
    service.post(url, {}, expect=201, headers=people["carla"])
    twice = service.post(url, {}, expect=409, headers=people["carla"])
    assert (twice["code"], twice["errors"][0]["field"]) == ("conflict", "approver")
    terminal = person(service, f"{TERMINAL_PREFIX}{secrets.token_hex(4)}", "admin")
    refused = service.post(url, {}, expect=403, headers=terminal)
    assert "PROVENANCE_TOKEN" in refused["detail"]
    assert service.post(URL, body(name), expect=403, headers=terminal)["code"] == "forbidden"
    assert service.log_size() == size + 1
    assert service.get(f"{URL}/{identifier}")["state"] == "requested"


def test_one_person_who_approves_twice_at_the_same_moment_has_approved_once(
    service: LocalService, people: dict[str, dict[str, str]]
) -> None:
    name, facts = fresh_student(service)
    identifier = ask_for(service, people, name)

    def press(_: int) -> int:
        answer = service.client.post(f"{URL}/{identifier}/approve", json={}, headers=people["carla"])
        return int(answer.status_code)

    with ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(press, range(4)))
    assert 201 in codes
    assert set(codes) <= {201, 409}
    shown = service.get(f"{URL}/{identifier}")  # two entries may say so; they count as one approval
    assert (shown["state"], shown["approved_by"]) == ("requested", ["carla"])
    assert service.post(DECISIONS, question(facts), expect=200)["verdict"] == "deny"


def test_what_was_refused_or_is_active_takes_no_other_step(
    service: LocalService, people: dict[str, dict[str, str]]
) -> None:
    name, _ = fresh_student(service)
    refused, live = ask_for(service, people, name), ask_for(service, people, name)
    service.post(f"{URL}/{refused}/refuse", {"reason": "no need"}, expect=201, headers=people["carla"])
    approve(service, people, live)
    size = service.log_size()
    for identifier, step in (
        (refused, "approve"),
        (refused, "refuse"),
        (refused, "revoke"),
        (live, "approve"),
        (live, "refuse"),
    ):
        problem = service.post(f"{URL}/{identifier}/{step}", {"reason": "x"}, expect=409, headers=people["zoe"])
        assert (problem["code"], problem["errors"][0]["field"]) == ("conflict", "state")
    for step in ("refuse", "revoke"):
        service.post(f"{URL}/{live}/{step}", {}, expect=422, headers=people["zoe"])
    assert service.log_size() == size


def test_after_its_last_day_it_can_neither_be_approved_nor_lifts_anything(
    service: LocalService, people: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, facts = fresh_student(service)
    half, live = ask_for(service, people, name), ask_for(service, people, name)
    service.post(f"{URL}/{half}/approve", {}, expect=201, headers=people["carla"])
    approve(service, people, live)
    later = datetime.now(UTC) + timedelta(days=31)
    monkeypatch.setattr(service.runtime, "clock", lambda: later)
    problem = service.post(f"{URL}/{half}/approve", {}, expect=409, headers=people["luis"])
    assert "expired" in problem["detail"]
    assert service.get(f"{URL}/{live}")["state"] == "expired"
    assert service.post(DECISIONS, question(facts), expect=200)["verdict"] == "deny"


def test_a_key_takes_a_step_once(service: LocalService, people: dict[str, dict[str, str]]) -> None:
    name, _ = fresh_student(service)
    headers = {"Idempotency-Key": f"exc-{name}"}
    first = service.post(URL, body(name), expect=201, headers=people["erin"] | headers)
    assert service.post(URL, body(name), expect=201, headers=people["erin"] | headers) == first
    url = f"{URL}/{first['id']}/approve"
    once = service.post(url, {}, expect=201, headers=people["carla"] | headers)
    assert service.post(url, {}, expect=201, headers=people["carla"] | headers) == once
    assert service.post(url, {}, expect=409, headers=people["luis"] | headers)["code"] == "conflict"
    assert service.get(f"{URL}/{first['id']}")["approved_by"] == ["carla"]


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("reason", {"reason": "  "}),
        ("reason", {"reason": None}),
        ("student", {"student": None}),
        ("student", {"student": "*"}),
        ("actions", {"actions": []}),
        ("actions", {"actions": ["*"]}),
        ("rules", {"rules": []}),
        ("rules", {"rules": ["*"]}),
        ("rules", {"rules": ["competition.*"]}),
        ("rules", {"rules": ["competition"]}),
        ("rules", {"rules": ["export-control.listed-party"]}),
        ("rules", {"rules": [BAR, "privacy.personal-data"]}),
        ("rules", {"rules": ["terms.stated-permission"]}),
        ("rules", {"rules": ["default.evaluation-error"]}),
        ("rules", {"rules": ["terms.candidates-differ"]}),
        ("dataset", {"teacher": None}),
        ("dataset", {"dataset": "*"}),
        ("teacher", {"teacher": "openai/*"}),
        ("teacher", {"teacher": "gpt-4o"}),
        ("teacher", {"teacher": "openai/unknown"}),
        ("fact_classes", {"fact_classes": []}),
        ("fact_classes", {"fact_classes": ["sha256:abc"]}),
        ("expires_on", {"expires_on": None}),
        ("expires_on", {"expires_on": (TODAY - timedelta(days=1)).isoformat()}),
        ("expires_on", {"expires_on": (TODAY + timedelta(days=91)).isoformat()}),
        ("expires_on", {"expires_on": "2026-12-24T10:00:00Z"}),
        ("approvers", {"approvers": ["carla", "luis"]}),
    ],
)
def test_what_is_missing_or_too_wide_is_named_and_changes_nothing(
    service: LocalService, people: dict[str, dict[str, str]], field: str, change: dict[str, Any]
) -> None:
    size = service.log_size()
    problem = service.post(URL, body("acme-tutor", **change), expect=422, headers=people["erin"])
    assert problem["errors"][0]["field"] == f"exception.{field}"
    assert service.log_size() == size


def test_what_is_not_there_is_not_found(service: LocalService, people: dict[str, dict[str, str]]) -> None:
    assert service.client.get(f"{URL}/exc_none").status_code == 404
    assert service.client.post(f"{URL}/exc_none/approve", headers=people["carla"]).status_code == 404
    service.post(URL, body("nobody"), expect=404, headers=people["erin"])


def test_a_stored_decision_a_release_and_the_launch_gate_use_name_and_follow_it(
    service: LocalService, people: dict[str, dict[str, str]]
) -> None:
    name, _ = fresh_student(service)
    assert service.release(name, f"r-{name}", teacher="openai/gpt-4o")["state"] == "blocked"
    identifier = ask_for(service, people, name, dataset="mixed", actions=["release", "train"])
    approve(service, people, identifier)
    decided = service.post(
        DECISIONS, {"dataset": "mixed", "selection": {"teacher": "openai/gpt-4o"}, "student": name}, expect=201
    )
    assert decided["statement"]["exceptions"] == [identifier]
    assert decided["exceptions"] == [identifier]
    assert service.get(f"{URL}/{identifier}")["decisions"][0] == decided["id"]
    release = service.release(name, f"r-{name}", teacher="openai/gpt-4o")
    assert release["state"] == "allowed"
    assert [item["document"] for item in release["conditions"] if item["type"] == "exception"] == [identifier]

    pytest.importorskip("trl")
    launch = {
        "release": f"r-{name}@{release['version']}", "student": name, "recipe": "sft",
        "config": {"student": "scratch", "layers": 1, "hidden": 64, "max_steps": 2},
    }  # fmt: skip
    assert check_launch(service.runtime, launch)["id"] == release["id"]
    service.post(f"{URL}/{identifier}/revoke", {"reason": "over"}, expect=201, headers=people["zoe"])
    with pytest.raises(DeniedError, match=identifier) as caught:
        check_launch(service.runtime, launch)
    assert caught.value.code == "release-not-allowed"
