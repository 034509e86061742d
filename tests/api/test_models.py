from __future__ import annotations

from typing import Any

import pytest

from tests.service import LocalService

URL = "/api/v1/models"
MODEL = {
    "provider": "acme",
    "name": "base-1b",
    "kind": "open-weights",
    "weights_digest": "sha256:" + "a" * 64,
    "license": "MIT",
}


def test_a_registered_model_is_found_by_id_and_name(service: LocalService) -> None:
    said = service.post(URL, MODEL, expect=201)
    assert set(said) == {"id", "entry"}
    found = service.get(f"{URL}/{said['id']}")
    assert service.get(f"{URL}/acme/base-1b") == found
    assert found | MODEL | {"entry": said["entry"]} == found
    assert found in service.get(URL)["models"]
    assert service.get(f"/api/v1/log/lookup/digest/{MODEL['weights_digest']}")["index"] == said["entry"]


def test_a_key_registers_once(service: LocalService) -> None:
    headers = {"Idempotency-Key": "model-1"}
    first = service.post(URL, MODEL, expect=201, headers=headers)
    size = service.log_size()
    assert service.post(URL, MODEL, expect=201, headers=headers) == first
    assert service.post(URL, MODEL | {"name": "other"}, expect=409, headers=headers)["code"] == "conflict"
    assert service.log_size() == size


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("provider", "Acme Inc"),
        ("name", ""),
        ("name", "a b"),
        ("kind", "trained"),  # models trained here register themselves
        ("weights_digest", "sha256:abc"),
        ("parameters_count", 0),
        ("license", 7),
        ("run", "run_1"),
    ],
)
def test_a_bad_value_is_named(service: LocalService, field: str, value: Any) -> None:
    size = service.log_size()
    problem = service.post(URL, MODEL | {field: value}, expect=422)
    assert problem["errors"][0]["field"] == field
    assert problem["errors"][0]["value"] == value
    assert service.log_size() == size


def test_an_unknown_model_is_not_found(service: LocalService) -> None:
    answer = service.client.get(f"{URL}/acme/none")
    assert (answer.status_code, answer.json()["errors"][0]["value"]) == (404, "acme/none")
