from __future__ import annotations

import pytest

from provenance.training.energy import add_energy


@pytest.mark.parametrize(
    ("now", "before", "method"),
    [
        ("measured", "measured", "measured"),
        ("measured", "estimated", "estimated"),
        ("estimated", "measured", "estimated"),
        ("estimated", "estimated", "estimated"),
    ],
)
def test_the_energy_of_several_processes_is_measured_only_where_each_is(now: str, before: str, method: str) -> None:
    whole = add_energy(
        {"method": now, "value": 0.25, "note": "driver's counter"},
        {"method": before, "value": 0.5, "note": "of before"},
    )
    assert (whole["method"], whole["value"]) == (method, 0.75)
    assert whole["note"] == "driver's counter; 0.5 kWh of earlier processes until their last checkpoint included"
