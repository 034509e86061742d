"""The user's price table, and what a run cost by it. What has no price is not stated, and never guessed.

    currency: EUR
    kwh: 0.25                     # of energy; leave it out where the hour's price holds it already
    device_hour:                  # of one device, by a part of its name; the longest part that fits counts
      H100: 2.80
      EPYC: 0.40

Source of the amounts: hours are those of the whole run on each GPU (on processors: of the machine), energy is what the run
recorded, measured or estimated.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from provenance.canonical import canonical_bytes, sha256_digest
from provenance.errors import FieldError, SettingsError

EXPECTED = "a YAML file with `currency`, and `kwh`, `device_hour` or both"
MAX_BYTES = 1 << 20
MILLION = 1_000_000


class Prices(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Prices in one currency: of a kWh, and of an hour of a device by a part of its name."""

    currency: str
    kwh: float | None = None
    device_hour: dict[str, float] = {}

    @property
    def digest(self) -> str:
        """The table's digest, by which a statement names it."""
        return sha256_digest(canonical_bytes(msgspec.to_builtins(self)))

    def of_hour(self, device: Any) -> float | None:
        """The price of an hour of a device, or None where the table has none."""
        named = device.lower() if isinstance(device, str) else ""
        found = [part for part in self.device_hour if part.lower() in named]
        return self.device_hour[max(found, key=len)] if found else None


def read_prices(path: Path) -> Prices:
    """Read and check a price table.

    Raises:
        SettingsError: it cannot be read, or a price is none; names the field.
    """
    try:
        data = path.read_bytes()
        prices = msgspec.convert(yaml.safe_load(data) if len(data) <= MAX_BYTES else None, Prices)
    except OSError as exc:
        raise _refused("PROVENANCE_PRICES", str(path), f"{EXPECTED}: {exc.strerror}") from exc
    except (yaml.YAMLError, msgspec.ValidationError, RecursionError) as exc:
        raise _refused("PROVENANCE_PRICES", str(path), f"{EXPECTED}: {exc}") from exc
    if not re.fullmatch(r"[A-Z]{3}", prices.currency):
        raise _refused("currency", prices.currency, "three capital letters (ISO 4217)")
    amounts = {f"device_hour.{name}": price for name, price in prices.device_hour.items()}
    if prices.kwh is not None:
        amounts["kwh"] = prices.kwh
    if not amounts:
        raise _refused("device_hour", {}, "at least one price")
    for field, price in amounts.items():
        if not math.isfinite(price) or price < 0 or field == "device_hour.":
            raise _refused(field, price, "a price, 0 or more, of something with a name")
    return prices


def _refused(field: str, value: Any, expected: str) -> SettingsError:
    return SettingsError(f"price table: {field}: expected {expected}", FieldError(field, value, expected))


def price_run(prices: Prices | None, result: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a run cost: `{value, currency, note, table_digest}`; None without a table, value None where a price is missing."""
    if prices is None:
        return None
    seconds = _amount(result.get("wall_seconds"))
    count = _amount(result.get("processes")) if result.get("gpu_peak_bytes") else 1.0
    hours = None if seconds is None or count is None else seconds * count / 3600
    return _add(prices, result.get("device"), hours, _energy(result.get("energy_kwh")))


def price_tokens(prices: Prices | None, speed: Mapping[str, Any], device: Any) -> dict[str, Any] | None:
    """What a million generated tokens cost at the measured speed of one request alone; as `price_run`."""
    rate = _amount(speed.get("tokens_per_second"))
    if prices is None or not rate:
        return None
    energy, tokens = _energy(speed.get("energy_kwh")), _amount(speed.get("n_tokens"))
    kwh = energy * MILLION / tokens if energy is not None and tokens else None
    return _add(prices, device, MILLION / rate / 3600, kwh)


def describe_cost(cost: Mapping[str, Any] | None) -> str | None:
    """A stated cost in words; None where none was."""
    if cost is None:
        return None
    amount = "not stated" if cost["value"] is None else f"{cost['value']:.4g} {cost['currency']}"
    return f"{amount} ({cost['note']})"


def _add(prices: Prices, device: Any, hours: float | None, kwh: float | None) -> dict[str, Any]:
    """The sum of what the table prices. Where it prices hours, but not of this device, or a use was not recorded, there is none:
    part of a cost would pass for the whole."""
    parts: list[tuple[float | None, float | None, str]] = []
    if prices.device_hour:
        parts.append((hours, prices.of_hour(device), "h"))
    if prices.kwh is not None:
        parts.append((kwh, prices.kwh, "kWh"))
    total: float | None = 0.0
    notes = []
    for amount, price, unit in parts:
        if price is None or amount is None:
            total = None
            notes.append(f"{unit} not recorded" if price is not None else f"no price of an hour of {_name(device)}")
        else:
            total = None if total is None else total + amount * price
            notes.append(f"{amount:.3g} {unit} at {price:g}")
    return {"value": total, "currency": prices.currency, "note": "; ".join(notes), "table_digest": prices.digest}


def _name(device: Any) -> str:
    return device if isinstance(device, str) and device else "a device that is not recorded"


def _energy(said: Any) -> float | None:
    return _amount(said.get("value")) if isinstance(said, Mapping) else None


def _amount(value: Any) -> float | None:
    """A number as the training process reports it: anything else is not known."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    return float(value) if good else None
