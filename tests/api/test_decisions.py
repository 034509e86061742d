from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from provenance.canonical import canonical_bytes, sha256_digest
from provenance.store.log import find_content
from provenance.store.session import read_session
from tests.service import LLAMA, OPENAI, STUDENT, LocalService, make_sample

URL = "/api/v1/decisions"
ANSWER = {"verdict", "conditions", "reasons", "documents", "unknown", "remedies", "policy", "terms_digest", "log_size", "not_legal_advice"}  # fmt: skip


def facts(teacher: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        name: value for name, value in make_sample(0, teacher, **more).items() if name not in {"prompt", "completion"}
    }


def test_a_what_if_answers_in_the_contract_s_form_and_stores_nothing(service: LocalService) -> None:
    size = service.log_size()
    said = service.post(URL, {"sample": facts(OPENAI), "student": STUDENT}, expect=200, headers={"Authorization": ""})
    assert set(said) >= ANSWER
    assert (said["verdict"], said["not_legal_advice"], said["log_size"]) == ("deny", True, size)
    reason = next(item for item in said["reasons"] if item["effect"] == "deny")
    assert set(reason) >= {"rule", "effect", "document", "clause", "route", "text", "facts"}
    assert reason["document"].startswith("openai-")
    assert set(said["policy"]) == {"digest", "packs"}
    assert service.log_size() == size


def test_a_what_if_names_the_conditions_of_the_teacher_s_licence(service: LocalService) -> None:
    said = service.post(URL, {"sample": facts(LLAMA), "student": STUDENT}, expect=200)
    assert said["verdict"] == "allow-with-conditions"
    condition = next(item for item in said["conditions"] if item["type"] == "name-prefix")
    assert set(condition) == {"type", "requirement", "status", "document", "clause"}
    assert condition["status"] == "unmet"


def test_a_stored_decision_is_an_entry_that_commits_to_its_whole_answer(service: LocalService) -> None:
    service.declare(name="judged")
    said = service.post(URL, {"dataset": "mixed", "student": "judged", "action": "train"}, expect=201)
    assert set(said) >= ANSWER | {"id", "entry", "statement", "classes"}
    assert said["verdict"] == "deny"  # the strictest of its classes
    verdicts = {item["facts"]["teacher"]["model"]: item["answer"]["verdict"] for item in said["classes"]}
    assert verdicts == {
        "smollm2-135m-instruct": "allow", "gpt-4o": "deny", "llama-3.1-8b-instruct": "allow-with-conditions",
    }  # fmt: skip
    with read_session(service.runtime.engine) as session:
        content = find_content(session, said["entry"])
    assert said["statement"]["answer_digest"] == sha256_digest(canonical_bytes(content))
    assert service.get(f"{URL}/{said['id']}") == said
    assert service.get(URL)["decisions"][0]["id"] == said["id"]
    assert service.get(URL, params={"before": said["entry"]})["decisions"][0]["id"] != said["id"]


def test_a_decision_may_be_about_a_selection_or_about_what_a_release_was_made_of(service: LocalService) -> None:
    service.declare(name="picky")
    ask = {"student": "picky", "action": "publish"}
    some = service.post(
        URL, ask | {"dataset": "mixed", "selection": {"teacher": "meta/llama-3.1-8b-instruct"}}, expect=201
    )
    assert some["statement"]["counts"]["samples"] == 20
    assert some["verdict"] == "deny"  # an unmet condition does not stop training, but publishing
    for release in ("closed@1", service.get("/api/v1/releases/closed@1")["id"]):
        about = service.post(URL, ask | {"release": release}, expect=201)
        assert about["statement"]["selection"] == {"dataset": "mixed", "filter": {"teacher": "openai/gpt-4o"}}


def test_a_key_decides_once_also_when_asked_twice_at_the_same_moment(service: LocalService) -> None:
    service.declare(name="hasty")
    body = {"dataset": "mixed", "student": "hasty"}
    headers = {"Idempotency-Key": "decision-1"}
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: service.post(URL, body, expect=201, headers=headers), range(4)))
    assert all(answer == answers[0] for answer in answers)
    size = service.log_size()
    assert service.post(URL, body, expect=201, headers=headers) == answers[0]
    for other in (body | {"action": "serve"}, body | {"selection": {"route": "api"}}):
        problem = service.post(URL, other, expect=409, headers=headers)
        assert (problem["code"], problem["errors"][0]["field"]) == ("conflict", "Idempotency-Key")
    assert service.log_size() == size
    said = [item for item in service.get(URL)["decisions"] if item["id"] == answers[0]["id"]]
    assert len(said) == 1


BAD = [
    (422, "dataset", {"student": "acme-tutor"}),
    (422, "student", {"dataset": "mixed", "student": STUDENT}),
    (422, "student", {"sample": facts(OPENAI), "student": "acme-tutor"}),
    (404, "dataset", {"dataset": "nothing", "student": "acme-tutor"}),
    (404, "student", {"dataset": "mixed", "student": "nobody"}),
    (404, "release", {"release": "nothing@1", "student": "acme-tutor"}),
    (422, "selection", {"dataset": "mixed", "student": "acme-tutor", "selection": {"teacher": "nobody/none"}}),
    (422, "selection.colour", {"dataset": "mixed", "student": "acme-tutor", "selection": {"colour": "red"}}),
    (422, "selection.teacher", {"dataset": "mixed", "student": "acme-tutor", "selection": {"teacher": 3}}),
    (422, "action", {"dataset": "mixed", "student": "acme-tutor", "action": "sell"}),
    (422, "when", {"dataset": "mixed", "student": "acme-tutor", "when": "now"}),
    (422, "at", {"sample": facts(OPENAI), "student": STUDENT, "at": "someday"}),
    (422, "body", {"dataset": "mi\x00xed", "student": "acme-tutor"}),
]


@pytest.mark.parametrize(("status", "field", "body"), BAD, ids=[f"{field}-{n}" for n, (_, field, _) in enumerate(BAD)])
def test_a_bad_question_names_its_field(service: LocalService, status: int, field: str, body: dict[str, Any]) -> None:
    size = service.log_size()
    problem = service.post(URL, body, expect=status)
    assert problem["errors"][0]["field"] == field
    assert problem["errors"][0]["expected"]
    assert service.log_size() == size


@pytest.mark.parametrize(
    ("teacher", "field"),
    [({"provider": 3, "model": "x", "route": "api"}, "teacher.provider"), ({"provider": "openai", "model": "x", "route": "by mail"}, "teacher.route")],
)  # fmt: skip
def test_a_what_if_about_a_malformed_teacher_names_it(
    service: LocalService, teacher: dict[str, str], field: str
) -> None:
    problem = service.post(URL, {"sample": facts(teacher), "student": STUDENT}, expect=422)
    assert problem["errors"][0]["field"].endswith(field)


@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=501", "before=-1", f"before={2**80}", "before=x"])
def test_a_page_that_cannot_be_is_refused(service: LocalService, query: str) -> None:
    answer = service.client.get(f"{URL}?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == query.partition("=")[0]


def test_an_unknown_decision_is_not_found(service: LocalService) -> None:
    assert service.client.get(f"{URL}/dec_none").json()["code"] == "not-found"


def test_a_stored_decision_holds_no_words_of_a_sample(service: LocalService) -> None:
    said = json.dumps(service.get(URL)["decisions"])
    assert "answer 1" not in said


@pytest.mark.parametrize(
    ("subject", "field", "value"),
    [
        ("dataset", "at", "2030-01-01"), ("dataset", "known_at", "2026-11-24"), ("dataset", "terms_of", "today"),
        ("dataset", "agreements", [{"provider": "openai"}]), ("sample", "dataset", "mixed"),
        ("sample", "release", "mixed@1"), ("sample", "selection", {"teacher": "openai/gpt-4o"}),
        ("release", "dataset", "mixed"), ("release", "selection", {"teacher": "openai/gpt-4o"}),
        ("release", "at", "2026-11-24"),
    ],
)  # fmt: skip
def test_a_field_that_would_be_passed_over_is_refused(
    service: LocalService, subject: str, field: str, value: Any
) -> None:
    size = service.log_size()
    subjects = {"sample": facts(OPENAI), "dataset": "mixed", "release": "mixed@1"}
    student = STUDENT if subject == "sample" else "judged"
    said = service.post(URL, {subject: subjects[subject], "student": student, field: value}, expect=422)
    assert said["errors"][0]["field"] == field
    assert service.log_size() == size
