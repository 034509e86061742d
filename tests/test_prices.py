"""A cost is stated by the user's prices or not at all."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.errors import SettingsError
from provenance.prices import Prices, describe_cost, price_run, price_tokens, read_prices

TABLE = Prices(currency="EUR", kwh=0.25, device_hour={"H100": 2.5, "H100 NVL": 4.0, "EPYC": 0.5})
HOURS = Prices(currency="EUR", device_hour={"EPYC": 0.5})
RUN: dict[str, Any] = {
    "device": "NVIDIA H100 80GB", "wall_seconds": 7200.0, "processes": 2, "gpu_peak_bytes": 9, "energy_kwh": {"value": 1.6},
}  # fmt: skip


def test_hours_of_each_gpu_and_energy_add_up() -> None:
    cost = price_run(TABLE, RUN)
    assert cost == {
        "value": 10.4,
        "currency": "EUR",
        "note": "4 h at 2.5; 1.6 kWh at 0.25",
        "table_digest": TABLE.digest,
    }
    assert describe_cost(cost) == "10.4 EUR (4 h at 2.5; 1.6 kWh at 0.25)"


def test_a_machine_is_paid_once_whatever_its_processes() -> None:
    cost = price_run(HOURS, RUN | {"device": "AMD EPYC 9454", "gpu_peak_bytes": 0, "energy_kwh": None})
    assert cost is not None
    assert (cost["value"], cost["note"]) == (1.0, "2 h at 0.5")


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"energy_kwh": None}, "4 h at 2.5; kWh not recorded"),
        ({"wall_seconds": None}, "h not recorded; 1.6 kWh at 0.25"),
        ({"device": "TPU"}, "no price of an hour of TPU; 1.6 kWh at 0.25"),
        ({"device": None}, "no price of an hour of a device that is not recorded; 1.6 kWh at 0.25"),
    ],
)
def test_part_of_a_cost_does_not_pass_for_the_whole(change: dict[str, Any], note: str) -> None:
    cost = price_run(TABLE, RUN | change)
    assert cost is not None
    assert (cost["value"], cost["note"]) == (None, note)


def test_the_longest_part_of_a_name_counts() -> None:
    assert TABLE.of_hour("nvidia h100 nvl") == 4.0
    assert TABLE.of_hour("NVIDIA A100") is None
    assert TABLE.of_hour(None) is None


def test_what_has_no_price_is_not_guessed() -> None:
    assert price_run(None, RUN) is None
    assert price_tokens(None, {"tokens_per_second": 10.0}, "H100") is None
    bare = Prices(currency="USD", device_hour={"TPU": 1.0})
    cost = price_run(bare, RUN)
    assert cost is not None
    assert (cost["value"], cost["note"]) == (None, "no price of an hour of NVIDIA H100 80GB")
    assert describe_cost(cost) == "not stated (no price of an hour of NVIDIA H100 80GB)"
    assert describe_cost(None) is None


def test_a_million_tokens_cost_their_hours_and_their_energy() -> None:
    speed = {"tokens_per_second": 100.0, "n_tokens": 20, "energy_kwh": {"value": 0.0001}}
    cost = price_tokens(TABLE, speed, "EPYC")
    assert cost is not None
    assert math.isclose(cost["value"], 1e6 / 100 / 3600 * 0.5 + 5.0 * 0.25)
    assert price_tokens(TABLE, {"tokens_per_second": 0}, "EPYC") is None


@given(
    st.dictionaries(
        st.sampled_from(sorted(RUN)), st.none() | st.text() | st.floats() | st.booleans() | st.lists(st.integers())
    )
)
def test_whatever_a_run_reports_the_cost_is_a_number_or_not_stated(odd: dict[str, Any]) -> None:
    cost = price_run(TABLE, RUN | odd)
    assert cost is not None
    assert cost["value"] is None or (math.isfinite(cost["value"]) and cost["value"] >= 0)


def test_a_table_is_read(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("currency: EUR\nkwh: 0.25\ndevice_hour: {H100: 2.5, H100 NVL: 4, EPYC: 0.5}\n")
    assert read_prices(path) == TABLE


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "PROVENANCE_PRICES"),
        ("[]", "PROVENANCE_PRICES"),
        ("currency: EUR\nkwh: cheap", "PROVENANCE_PRICES"),
        ("currency: EUR\nkWh: 1", "PROVENANCE_PRICES"),
        ("currency: EUR\ndevice_hour: [1]", "PROVENANCE_PRICES"),
        ("{", "PROVENANCE_PRICES"),
        ("currency: euro\nkwh: 1", "currency"),
        ("currency: EUR", "device_hour"),
        ("currency: EUR\nkwh: -1", "kwh"),
        ("currency: EUR\nkwh: .inf", "kwh"),
        ("currency: EUR\nkwh: .nan", "kwh"),
        ("currency: EUR\ndevice_hour: {H100: -2}", "device_hour.H100"),
        ('currency: EUR\ndevice_hour: {"": 2}', "device_hour."),
    ],
)
def test_a_table_that_cannot_be_is_refused_by_its_field(tmp_path: Path, text: str, field: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_prices(path)
    assert caught.value.errors[0].field == field


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        read_prices(tmp_path / "none.yaml")
