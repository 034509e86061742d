"""What a run and its model cost, by the user's prices: added to what the training process reports, which knows no prices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provenance.prices import Prices, price_run, price_tokens


def state_cost(prices: Prices | None, result: Mapping[str, Any]) -> dict[str, Any]:
    """The result with `cost`, and with the costs of its scorecard; as it is where there is no table."""
    kept = {name: value for name, value in result.items() if name != "cost"}
    cost = price_run(prices, kept)
    if cost is None:
        return kept
    metrics = kept.get("metrics")
    if not isinstance(metrics, Mapping) or not metrics:
        return kept | {"cost": cost}
    speed = metrics.get("speed") or {}
    sides = {
        side: price_tokens(prices, speed[side], kept.get("device")) for side in ("student", "teacher") if side in speed
    }
    said = {"training": cost, "per_million_tokens": {side: item for side, item in sides.items() if item is not None}}
    return kept | {"cost": cost, "metrics": {**metrics, "cost": said}}
