"""The costs of a finished run stand in its statement and in its model's scorecard, by the table of the service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provenance.prices import Prices, read_prices
from provenance.training.comparisons import fill_comparisons
from provenance.training.cost import state_cost
from tests.finished import FACTS, METRICS, finish
from tests.service import LocalService, make_samples, open_service

PRICES = Prices(currency="EUR", kwh=0.2, device_hour={"cpu": 0.36})
SPEED: dict[str, Any] = {
    "n_tokens": 24,
    "tokens_per_second": 50.0,
    "energy_kwh": {"method": "estimated", "value": 0.00024},
}
RESULT = FACTS | {
    "metrics": METRICS | {"speed": {"student": SPEED, "teacher": SPEED | {"tokens_per_second": 10.0}, "note": "alone"}}
}


def test_without_a_table_nothing_is_added_and_nothing_that_a_run_claims_stays() -> None:
    assert state_cost(None, FACTS | {"cost": {"value": 0}}) == FACTS


def test_the_scorecard_says_what_tokens_and_training_cost() -> None:
    told = state_cost(PRICES, RESULT)
    rows = {row.task: row for row in fill_comparisons(told["metrics"], None)}
    tokens, training = rows["Cost of a million tokens"], rows["Training cost"]
    assert tokens.student is not None
    assert tokens.teacher is not None
    assert tokens.student.value == pytest.approx(1e6 / 50 / 3600 * 0.36 + 10 * 0.2)
    assert tokens.teacher.value > tokens.student.value
    assert training.student is not None
    assert training.student.value == pytest.approx(9.5 / 3600 * 0.36 + 0.0005 * 0.2)
    assert "EUR" in tokens.unit
    assert "Training cost" not in {row.task for row in fill_comparisons(METRICS, None)}


def test_a_service_with_a_table_logs_the_cost_and_one_without_says_it_is_not_stated(tmp_path: Path) -> None:
    pytest.importorskip("trl")
    table = tmp_path / "prices.yaml"
    table.write_text("currency: EUR\ndevice_hour: {cpu: 0.36}\n")
    with open_service(tmp_path / "data", prices=table) as service:
        run_one(service, "run_priced")
        said = service.get("/api/v1/runs/run_priced")["statement"]
        assert said["cost"]["value"] == pytest.approx(9.5 / 3600 * 0.36)
        assert said["cost"] | {"currency": "EUR", "table_digest": read_prices(table).digest} == said["cost"]
        assert "0.00095 EUR" in service.client.get("/runs/run_priced").text
        assert "0.00095 EUR" in service.client.get("/api/v1/models/mdl_priced/card").text
    with open_service(tmp_path / "data") as service:
        finish(service.runtime, "run_plain")
        assert "cost" not in service.get("/api/v1/runs/run_plain")["statement"]
        assert "no price table" in service.client.get("/runs/run_plain").text
        assert "| Cost | not stated |" in service.client.get("/api/v1/models/mdl_plain/card").text


def run_one(service: LocalService, run_id: str) -> None:
    service.capture(make_samples(apache=8, openai=0, llama=0))
    assert service.release(service.declare(), "tutor")["state"] == "allowed"
    finish(service.runtime, run_id)
