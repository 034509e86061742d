"""Negotiated agreements: an order form or written authorisation that lifts what it names, inside its scope and dates.

- An agreement lifts nothing that it does not name: an empty or missing list names nothing, `*` names all.
- Without the digest of its document it is a claim, and lifts nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from provenance.terms.days import parse_day
from provenance.terms.match import matches


@dataclass(frozen=True)
class Agreement:
    """One agreement with one provider; `id` is the entry or digest by which a decision names it."""

    id: str
    provider: str
    parties: tuple[str, ...]
    models: tuple[str, ...]
    routes: tuple[str, ...]
    actions: tuple[str, ...]
    students: tuple[str, ...]
    document_digest: str | None
    valid_from: dt.date | None
    valid_to: dt.date | None


def parse_agreement(data: Mapping[str, Any]) -> Agreement:
    """An agreement from its JSON form, which `validate_agreement` has passed."""
    # What is said to be unknown names nothing, proves nothing, and ends before it begins.
    told = {name: value for name, value in data.items() if value != "unknown"}
    if data.get("valid_to") == "unknown":
        told.pop("valid_from", None)
    return _from_known(told)


def _from_known(data: Mapping[str, Any]) -> Agreement:
    digest = data.get("document_digest")
    return Agreement(
        id=str(data.get("id") or digest or "agreement"),
        provider=str(data.get("provider") or "").lower(),
        parties=_names(data, "parties"),
        models=_names(data, "models"),
        routes=_names(data, "routes"),
        actions=_names(data, "actions"),
        students=_names(data, "students"),
        document_digest=digest,
        valid_from=_day(data, "valid_from"),
        valid_to=_day(data, "valid_to"),
    )


def _names(data: Mapping[str, Any], field: str) -> tuple[str, ...]:
    return tuple(data.get(field) or ())


def _day(data: Mapping[str, Any], field: str) -> dt.date | None:
    value = data.get(field)
    return parse_day(value) if isinstance(value, str) else None


def agreement_covers(
    agreement: Agreement,
    *,
    providers: frozenset[str],
    model: str | None,
    route: str,
    action: str,
    developer: str | None,
    student: str | None,
    days: tuple[dt.date | None, ...],
) -> bool:
    """Whether the agreement names this use; a fact that is not known is not named.

    `days` are all the days that must lie inside its dates: the sample's, and the decision's where one is given.
    """
    if agreement.document_digest is None or agreement.provider not in providers:
        return False
    if model is None or not matches(agreement.models, model):
        return False
    named = (
        (agreement.routes, route),
        (agreement.actions, action),
        (agreement.parties, developer),
        (agreement.students, student),
    )
    return all(_names_it(patterns, value) for patterns, value in named) and all(_inside(agreement, day) for day in days)


def _names_it(patterns: tuple[str, ...], value: str | None) -> bool:
    if value is None:
        return False
    return any(fnmatchcase(value.lower(), pattern.lower()) for pattern in patterns)


def _inside(agreement: Agreement, day: dt.date | None) -> bool:
    if day is None or agreement.valid_from is None or day < agreement.valid_from:
        return False
    return agreement.valid_to is None or day <= agreement.valid_to
