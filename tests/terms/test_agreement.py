from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from provenance.terms.agreement import agreement_covers, parse_agreement

DAY = dt.date(2026, 3, 1)
WRITTEN = {
    "provider": "openai",
    "parties": ["acme"],
    "models": ["gpt-4o*"],
    "routes": ["api"],
    "actions": ["train"],
    "students": ["acme-*"],
    "document_digest": "sha256:" + "1" * 64,
    "valid_from": "2026-01-01",
    "valid_to": "2026-12-31",
}
USE: dict[str, Any] = {
    "providers": frozenset({"openai"}),
    "model": "gpt-4o-2024-08-06",
    "route": "api",
    "action": "train",
    "developer": "Acme",
    "student": "acme-tutor",
    "days": (DAY,),
}


def test_a_use_that_is_named_is_covered() -> None:
    assert agreement_covers(parse_agreement(WRITTEN), **USE)


@pytest.mark.parametrize(
    "other",
    [
        {"providers": frozenset({"google"})},
        {"model": "gpt-5"},
        {"model": None},
        {"route": "consumer"},
        {"action": "publish"},
        {"developer": "other"},
        {"developer": None},
        {"student": "tutor"},
        {"student": None},
        {"days": (dt.date(2025, 12, 31),)},
        {"days": (dt.date(2027, 1, 1),)},
        {"days": (DAY, dt.date(2027, 1, 1))},
        {"days": (None,)},
    ],
)
def test_any_other_use_is_not(other: dict[str, Any]) -> None:
    assert not agreement_covers(parse_agreement(WRITTEN), **{**USE, **other})


@pytest.mark.parametrize("field", [name for name in WRITTEN if name != "valid_to"])
def test_a_field_that_is_left_out_names_nothing(field: str) -> None:
    written = {name: value for name, value in WRITTEN.items() if name != field}
    assert not agreement_covers(parse_agreement(written), **USE)


@pytest.mark.parametrize("field", list(WRITTEN))
def test_a_field_that_is_said_to_be_unknown_names_nothing(field: str) -> None:
    assert not agreement_covers(parse_agreement({**WRITTEN, field: "unknown"}), **USE)


def test_without_an_end_it_goes_on() -> None:
    open_ended = {**WRITTEN, "valid_to": None}
    assert agreement_covers(parse_agreement(open_ended), **{**USE, "days": (dt.date(2030, 1, 1),)})
