from __future__ import annotations

from tests.service import LocalService


def test_datasets_are_listed_with_their_counts(service: LocalService) -> None:
    (row,) = service.get("/api/v1/datasets")["datasets"]
    assert (row["name"], row["samples"]) == ("mixed", 100)
    assert row["tokens"] >= 100


def test_a_dataset_shows_the_fact_classes_of_its_samples(service: LocalService) -> None:
    said = service.get("/api/v1/datasets/mixed")
    by_model = {item["facts"]["teacher"]["model"]: item["samples"] for item in said["classes"]}
    assert by_model == {"smollm2-135m-instruct": 60, "gpt-4o": 20, "llama-3.1-8b-instruct": 20}
    assert sum(item["tokens"] for item in said["classes"]) == said["tokens"]


def test_an_unknown_dataset_is_not_found(service: LocalService) -> None:
    answer = service.client.get("/api/v1/datasets/nothing")
    assert answer.status_code == 404
    error = answer.json()["errors"][0]
    assert (error["field"], error["value"]) == ("dataset", "nothing")
    assert error["expected"]
