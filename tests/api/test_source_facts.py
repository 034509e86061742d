"""What a dataset says of the data sets of others that its samples came from."""

from __future__ import annotations

from typing import Any

from tests.capture.collection.summaries import one_file
from tests.policy.collection.requests import make_request
from tests.service import LocalService, make_sample

HUB = {
    "licenses": ["OpenAI", "MIT License"],
    "generators": ["OpenAI GPT-4"],
    "metadata": {"HF Dataset": "somebody/chats"},
}


def capture_from(service: LocalService, dataset: str, ref: str) -> Any:
    teacher = {"provider": "openai", "model": "gpt-4", "route": "dataset"}
    sample = make_sample(1, teacher, dataset=dataset, source_dataset={"ref": ref, "license": "CC0-1.0"})
    service.capture([sample])
    return service.get(f"/api/v1/datasets/{dataset}")["sources"]


def test_a_source_is_shown_with_what_a_collection_claims_of_it(service: LocalService) -> None:
    files = one_file(chats=HUB)
    recorded = service.post("/api/v1/collections", make_request(files=files), expect=201)
    (source,) = capture_from(service, "from-hub", "Somebody/Chats")
    assert source["ref"] == "Somebody/Chats"
    (claim,) = source["collections"]
    assert (claim["collection"], claim["dataset"], claim["ours"]) == (recorded["id"], "chats", "review")
    assert claim["licenses"] == [{"source": "self-reported", "name": "MIT License", "spdx": "MIT"}]
    assert [terms["provider"] for terms in claim["provider_terms"]] == ["openai"]
    assert service.client.get(claim["url"]).status_code == 200
    assert capture_from(service, "from-nobody", "never/heard-of")[0]["collections"] == []


def test_a_collection_that_cannot_be_read_is_said_and_hides_nothing_else(service: LocalService) -> None:
    files = one_file(chats={**HUB, "Dataset Name": "again"})
    recorded = service.post("/api/v1/collections", make_request(files=files, origin="to be lost"), expect=201)
    (service.data_dir / "collections" / recorded["id"] / "facts.json").unlink()
    (source,) = capture_from(service, "after-loss", "chats")
    by_collection = {claim["collection"]: claim for claim in source["collections"]}
    assert "not here" in by_collection[recorded["id"]]["unreadable"]
    assert {claim.get("dataset") for claim in source["collections"]} == {None, "chats"}


def test_samples_without_a_source_name_none(service: LocalService) -> None:
    assert service.get("/api/v1/datasets/mixed")["sources"] == []
