from __future__ import annotations

from typing import Any

import pytest

from provenance.attestation.predicates import check_predicate
from provenance.store.log import read_statement
from provenance.store.session import read_session
from tests.service import OPENAI, LocalService, make_sample

URL = "/api/v1/captures"
RUN: dict[str, Any] = {
    "dataset": "run",
    "teacher": {"provider": "openai", "model": "gpt-4o"},
    "route": "api",
    "host": "openai",
    "role": "generator",
    "account": {"holder": "acme", "plan": "api"},
    "parameters": {"temperature": 1.0},
    "code": {"name": "our-pipeline", "version": "3", "digest": "sha256:" + "5" * 64},
}


def samples(count: int, **facts: Any) -> list[dict[str, Any]]:
    return [make_sample(number, OPENAI, **{"dataset": "run", **facts}) for number in range(count)]


def test_a_run_is_opened_named_by_its_batches_and_closed_with_its_totals(service: LocalService) -> None:
    opened = service.post(URL, RUN, expect=201)
    assert set(opened) == {"id", "entry"}
    url = f"{URL}/{opened['id']}"
    shown = service.get(url)
    assert (shown["state"], shown["recorded"], shown["totals"], shown["parameters"]) == (
        "open",
        0,
        None,
        {"temperature": 1},
    )
    batch = service.post("/api/v1/samples", samples(3), expect=201, params={"capture": opened["id"]})
    sample = service.get(f"/api/v1/samples/{batch['first_index']}")["statement"]["predicate"]
    assert sample["capture"] == opened["id"]
    with read_session(service.runtime.engine) as session:
        assert read_statement(session, batch["batch_index"]).predicate["capture"] == opened["id"]
        entry = read_statement(session, opened["entry"])
        check_predicate("capture", entry.predicate)
        assert (entry.kind, entry.predicate["collector"][:5]) == ("capture", "admin")
    totals = {"made": 5, "kept": 3, "input_tokens": 40, "output_tokens": 90, "flops": None}
    closed = service.post(f"{url}/close", totals, expect=201)
    shown = service.get(url)
    assert (shown["state"], shown["totals"], shown["recorded"]) == ("closed", totals, 3)
    assert (shown["entry"], shown["dataset"]) == (closed["entry"], "run")
    assert service.get(URL)["captures"][0]["id"] == opened["id"]
    size = service.log_size()
    problem = service.post("/api/v1/samples", samples(1), expect=409, params={"capture": opened["id"]})
    assert problem["errors"][0]["field"] == "capture"
    service.post(f"{url}/close", totals, expect=409)
    assert service.log_size() == size


def test_a_key_does_everything_once_also_after_the_end(service: LocalService) -> None:
    headers = {"Idempotency-Key": "capture-1"}
    opened = service.post(URL, RUN, expect=201, headers=headers)
    assert service.post(URL, RUN, expect=201, headers=headers) == opened
    service.post(URL, RUN | {"host": "azure"}, expect=409, headers=headers)
    options: dict[str, Any] = {"params": {"capture": opened["id"]}, "headers": {"Idempotency-Key": "capture-batch"}}
    first = service.post("/api/v1/samples", samples(2), expect=201, **options)
    closed = service.post(f"{URL}/{opened['id']}/close", {"made": 2, "kept": 2}, expect=201, headers=headers)
    assert service.post(f"{URL}/{opened['id']}/close", {"made": 2, "kept": 2}, expect=201, headers=headers) == closed
    again = service.post("/api/v1/samples", samples(2), expect=201, **options)
    assert (again["first_index"], again["replayed"]) == (first["first_index"], True)
    options.pop("params")
    service.post("/api/v1/samples", samples(2), expect=409, **options)  # the same key, but no capture


@pytest.mark.parametrize(
    ("field", "facts"),
    [
        ("dataset", {"dataset": "another"}),
        ("teacher.model", {"teacher": OPENAI | {"model": "gpt-4o-mini"}}),
        ("teacher.provider", {"teacher": OPENAI | {"provider": "mistral"}}),
        ("teacher.route", {"teacher": OPENAI | {"route": "consumer"}}),
        ("role", {"role": "judge"}),
    ],
)
def test_what_does_not_belong_to_the_run_is_refused_whole(
    service: LocalService, field: str, facts: dict[str, Any]
) -> None:
    opened = service.post(URL, RUN, expect=201)
    size = service.log_size()
    batch = [*samples(1), make_sample(1, **{"teacher": OPENAI, "dataset": "run", **facts})]
    problem = service.post("/api/v1/samples", batch, expect=422, params={"capture": opened["id"]})
    assert problem["errors"][0]["field"] == f"samples[1].{field}"
    assert service.log_size() == size


def test_captures_that_the_service_opened_are_listed_and_take_no_batch(service: LocalService) -> None:
    service.capture(samples(1))
    made = next(item for item in service.get(URL)["captures"] if "teacher" not in item)
    assert service.get(f"{URL}/{made['id']}")["state"] == "open"
    service.post("/api/v1/samples", samples(1), expect=409, params={"capture": made["id"]})
    service.post(f"{URL}/{made['id']}/close", {"made": 1, "kept": 1}, expect=409)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("dataset", {"dataset": ""}),
        ("dataset", {"dataset": "a\u202eb"}),
        ("teacher.provider", {"teacher": {"provider": "", "model": "x"}}),
        ("teacher", {"teacher": "openai/gpt-4o"}),
        ("route", {"route": "pigeon"}),
        ("role", {"role": "poet"}),
        ("account.owner", {"account": {"owner": "acme"}}),
        ("code.digest", {"code": {"name": "x", "digest": "5"}}),
        ("code.name", {"code": {"name": "x\n"}}),
        ("parameters", {"parameters": {"stop": ["x" * 9000]}}),
        ("collector", {"collector": "somebody-else"}),
    ],
)
def test_a_bad_field_is_named_and_nothing_is_logged(service: LocalService, field: str, change: dict[str, Any]) -> None:
    size = service.log_size()
    assert service.post(URL, RUN | change, expect=422)["errors"][0]["field"] == field
    assert service.log_size() == size


@pytest.mark.parametrize(
    "totals", [{}, {"made": 1}, {"made": 1, "kept": 2}, {"made": -1, "kept": -1}, {"made": 1, "kept": 1, "x": 1}]
)
def test_totals_that_cannot_be_are_refused(service: LocalService, totals: dict[str, Any]) -> None:
    opened = service.post(URL, RUN, expect=201)
    assert service.client.post(f"{URL}/{opened['id']}/close", json=totals).status_code == 422
    assert service.get(f"{URL}/{opened['id']}")["state"] == "open"


def test_what_is_not_there_is_not_found(service: LocalService) -> None:
    assert service.client.get(f"{URL}/cap_none").status_code == 404
    assert service.client.post(f"{URL}/cap_none/close", json={"made": 1, "kept": 1}).status_code == 404
    service.post("/api/v1/samples", samples(1), expect=404, params={"capture": "cap_none"})
