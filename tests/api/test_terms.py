from __future__ import annotations

from tests.service import LocalService


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
