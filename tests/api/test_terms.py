from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provenance.ledger.append import format_time
from tests.service import APACHE, STUDENT, LocalService, make_sample, open_service

URL = "/api/v1/terms"


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[LocalService]:
    """A service of its own: what is in force changes."""
    with open_service(tmp_path / "data") as opened:
        yield opened


def test_documents_are_listed_and_can_be_narrowed_to_a_provider(service: LocalService) -> None:
    said = service.get("/api/v1/terms")
    assert said["catalogue_digest"] == service.runtime.catalogue.digest
    assert len(said["documents"]) == len(service.runtime.catalogue.documents)
    meta = service.get("/api/v1/terms", params={"provider": "meta"})["documents"]
    assert {item["provider"] for item in meta} == {"meta"}
    assert "meta-llama-3.1" in {item["id"] for item in meta}
    assert service.get("/api/v1/terms", params={"provider": "nobody"})["documents"] == []


def test_a_document_says_the_clauses_that_were_read_in_it(service: LocalService) -> None:
    said = service.get("/api/v1/terms/openai-services-agreement-2026-01-01")
    assert said["provider"] == "openai"
    assert {"facts", "conditions", "verified", "effective_from"} <= set(said)
    logged = service.get(f"/api/v1/log/lookup/terms/{said['id']}")["predicate"]
    assert logged["document_digest"] == said["digest"]


def test_an_unknown_document_is_not_found(service: LocalService) -> None:
    assert service.client.get("/api/v1/terms/none").json()["code"] == "not-found"


def smollm(service: LocalService, **changes: Any) -> dict[str, Any]:
    said = service.get(f"{URL}/smollm-apache")
    return {name: value for name, value in {**said, **changes}.items() if name != "digest"}


def ask(service: LocalService, **question: Any) -> Any:
    facts = {k: v for k, v in make_sample(0, APACHE).items() if k not in {"prompt", "completion"}}
    return service.post("/api/v1/decisions", {"sample": facts, "student": STUDENT, **question}, expect=200)


def barred(service: LocalService) -> dict[str, Any]:
    value = smollm(service)
    value["facts"]["train_on_outputs"] |= {"value": "prohibited-any-other-model", "scope": "any-model", "clause": "9"}
    return value


def test_a_recorded_document_is_in_force_at_once_and_the_past_is_not_forgotten(fresh: LocalService) -> None:
    before = ask(fresh)
    moment = format_time(fresh.runtime.clock())
    time.sleep(1.1)  # times are kept to the second
    size = fresh.log_size()
    dry = fresh.post(f"{URL}?dry_run=true", barred(fresh), expect=200)
    assert [change["subject"] for change in dry["changes"]] == ["train_on_outputs"]
    assert fresh.log_size() == size
    assert ask(fresh)["terms_digest"] == before["terms_digest"]

    made = fresh.post(URL, barred(fresh), expect=201)
    assert (made["id"], made["entry"]) == ("smollm-apache", size)
    assert made["catalogue_digest"] == dry["catalogue_digest"]
    after = ask(fresh)
    assert (before["verdict"], after["verdict"]) == ("allow", "deny")
    assert after["terms_digest"] == made["catalogue_digest"]
    then = ask(fresh, known_at=moment)
    assert then == {**before, "log_size": then["log_size"]}
    assert then["log_size"] <= size
    assert ask(fresh, known_at=format_time(fresh.runtime.clock())[:10])["verdict"] == "deny"


def test_a_bad_document_changes_nothing(fresh: LocalService) -> None:
    size, digest = fresh.log_size(), fresh.runtime.catalogue.digest
    bad: tuple[Any, ...] = (smollm(fresh, effective_from="2099-01-01"), smollm(fresh, provider="nobody"), {}, [], "x")
    for value in bad:
        said = fresh.post(URL, value, expect=422)
        assert said["code"] == "malformed-terms"
        assert said["errors"]
    assert fresh.post(URL, smollm(fresh), expect=409)["code"] == "conflict"
    assert (fresh.log_size(), fresh.runtime.catalogue.digest) == (size, digest)


def test_only_who_governs_records_terms(fresh: LocalService) -> None:
    value = smollm(fresh, notes="read again")
    for role in ("viewer", "engineer", "collector", "auditor"):
        assert fresh.client.post(URL, json=value, headers=fresh.as_role(role)).status_code == 403
    assert fresh.client.post(URL, json=value, headers={"Authorization": ""}).status_code == 401
    headers = {**fresh.as_role("counsel"), "Idempotency-Key": "k-1"}
    first = fresh.post(URL, value, expect=201, headers=headers)
    assert fresh.post(URL, value, expect=201, headers=headers) == first
    assert first["recorded_by"].startswith("counsel-")


def test_samples_from_then_on_are_bound_to_the_new_version(fresh: LocalService) -> None:
    fresh.capture([make_sample(1, dataset="early")])
    made = fresh.post(URL, smollm(fresh, notes="read again"), expect=201)
    receipt = fresh.capture([make_sample(2, dataset="late")])
    index = next(i for i in range(receipt["first_index"], receipt["first_index"] + 3) if _is_sample(fresh, i))
    sample = fresh.get(f"/api/v1/samples/{index}")
    assert sample["statement"]["predicate"]["terms"] == [{"id": "smollm-apache", "digest": made["document_digest"]}]


def _is_sample(service: LocalService, index: int) -> bool:
    return bool(service.client.get(f"/api/v1/samples/{index}").status_code == 200)


@pytest.mark.parametrize(
    ("question", "field"),
    [
        ({"known_at": "2020-01-01"}, "known_at"),
        ({"known_at": "2999-01-01"}, "known_at"),
        ({"known_at": "soon"}, "known_at"),
        ({"known_at": "2026-11-24T10:00:00"}, "known_at"),
        ({"terms_of": "2999-01-01"}, "terms_of"),
        ({"terms_of": "tomorrow"}, "terms_of"),
    ],
)
def test_a_day_that_cannot_be_asked_for_is_named(service: LocalService, question: dict[str, Any], field: str) -> None:
    facts = {k: v for k, v in make_sample(0, APACHE).items() if k not in {"prompt", "completion"}}
    said = service.post("/api/v1/decisions", {"sample": facts, "student": STUDENT, **question}, expect=422)
    assert said["errors"][0]["field"] == field


def test_the_terms_of_another_day_may_lead_elsewhere(service: LocalService) -> None:
    facts = {
        "teacher": {"provider": "deepseek", "model": "deepseek-v3", "route": "weights"},
        "generated_at": "2025-01-10",
    }
    body = {"sample": facts, "student": STUDENT}
    own = service.post("/api/v1/decisions", body, expect=200)
    same = service.post("/api/v1/decisions", body | {"terms_of": "2025-01-10"}, expect=200)
    today = service.post("/api/v1/decisions", body | {"terms_of": "today"}, expect=200)
    assert own == same
    assert own["terms_digest"] == today["terms_digest"]
    assert service.post(
        "/api/v1/decisions", {"dataset": "mixed", "student": "acme-tutor", "terms_of": "today"}, expect=422
    )
