"""What an agreement or exception must say before it is logged: stricter than a what-if, in which facts may be open.

What is logged lifts rules for real, so here every field is known, every name exists, and nothing is named by accident.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from provenance.errors import FieldError
from provenance.policy.exception import is_liftable
from provenance.policy.inputs import (
    ACTIONS,
    AGREEMENT_FIELDS,
    MAXIMUM_ITEMS,
    MAXIMUM_TEXT,
    check_fields,
    refuse,
    validate_agreement,
)
from provenance.policy.pack import Pack
from provenance.policy.unblock import EXAMPLE_DIGEST
from provenance.terms.catalogue import Catalogue
from provenance.terms.days import parse_day
from provenance.terms.route import ACCESS_ROUTES

EVERYTHING = "*"
MAXIMUM_DAYS = 90
SCOPE_FIELDS = ("dataset", "fact_classes", "teacher")
EXCEPTION_FIELDS = frozenset({"reason", "actions", "student", "rules", "expires_on", *SCOPE_FIELDS})
_TEACHER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}/[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")
_FACT_CLASS = re.compile(r"sha256:[0-9a-f]{64}")


def check_agreement(body: Any, catalogue: Catalogue) -> dict[str, Any]:
    """The terms of an agreement as they are logged: the catalogue's name of the provider, days as days.

    Raises:
        MalformedError: a field is missing, open, empty or unknown; its `errors` name each.
    """
    fields = {name: check for name, check in AGREEMENT_FIELDS.items() if name != "id"}
    errors = check_fields(body, fields, "agreement")
    if not errors:
        errors = [*_missing(body, fields, optional={"valid_to"}), *_unnamed(body, catalogue)]
    refuse("agreement", errors)
    validate_agreement(body)
    provider = catalogue.find_provider(body["provider"])
    ends = body.get("valid_to")
    return {
        **{name: list(dict.fromkeys(body[name])) for name in ("parties", "models", "routes", "actions", "students")},
        "provider": provider.name if provider else body["provider"],
        "document_digest": body["document_digest"],
        "valid_from": parse_day(body["valid_from"]).isoformat(),
        "valid_to": parse_day(ends).isoformat() if ends else None,
    }


def _missing(body: Mapping[str, Any], fields: Mapping[str, Any], *, optional: Collection[str]) -> list[FieldError]:
    open_values: tuple[Any, ...] = (None, "unknown", [], "")
    return [
        FieldError(f"agreement.{name}", body.get(name), "a value; what is logged leaves nothing open")
        for name in fields
        if body.get(name) in open_values and not (name in optional and body.get(name) is None)
    ]


def _unnamed(body: Mapping[str, Any], catalogue: Catalogue) -> list[FieldError]:
    errors = []
    for name, known in (("routes", ACCESS_ROUTES), ("actions", ACTIONS)):
        bad = [value for value in body.get(name) or () if value not in known and value != EVERYTHING]
        errors += [FieldError(f"agreement.{name}", value, f"{', '.join(known)} or {EVERYTHING}") for value in bad]
    for name in ("parties", "models", "students"):
        bad = [value for value in body.get(name) or () if value.strip() != value or value == "unknown"]
        errors += [FieldError(f"agreement.{name}", value, "a name, or a pattern with *") for value in bad]
    provider = body.get("provider")
    if isinstance(provider, str) and catalogue.find_provider(provider) is None:
        errors.append(FieldError("agreement.provider", provider, f"one of {', '.join(sorted(catalogue.providers))}"))
    if body.get("document_digest") == EXAMPLE_DIGEST:
        errors.append(FieldError("agreement.document_digest", EXAMPLE_DIGEST, "the digest of the signed document"))
    return errors


def check_exception(body: Any, *, pack: Pack, today: dt.date) -> dict[str, Any]:
    """The scope, reason and last day of an exception as they are logged; `student` is still as it was named.

    Raises:
        MalformedError: names each field that is missing, unknown, too wide, or not to be lifted.
    """
    if not isinstance(body, Mapping):
        refuse("exception", [FieldError("exception", body, "an object")])
    errors = [
        FieldError(f"exception.{name}", body[name], f"a field of {', '.join(sorted(EXCEPTION_FIELDS))}")
        for name in sorted(body.keys() - EXCEPTION_FIELDS)
    ]
    checks: dict[str, Callable[[Any], str | None]] = {
        "reason": _words,
        "student": _words,
        "actions": lambda value: _each(value, lambda item: item in ACTIONS, f"some of {', '.join(ACTIONS)}"),
        "rules": lambda value: _each(value, lambda item: item in pack.rules, "ids of rules of the packs, each by name"),
        "expires_on": lambda value: _last_day(value, today),
    }
    found = {name: check(body.get(name)) for name, check in checks.items()}
    errors += [FieldError(f"exception.{name}", body.get(name), said) for name, said in found.items() if said]
    errors += _check_scope(body)
    if found["rules"] is None:
        errors += _check_liftable(body["rules"], pack)
    refuse("exception", errors)
    return {
        "reason": body["reason"].strip(),
        "student": body["student"],
        "actions": sorted(set(body["actions"])),
        "rules": sorted(set(body["rules"])),
        "expires_on": parse_day(body["expires_on"]).isoformat(),
        "dataset": body.get("dataset"),
        "fact_classes": sorted(set(body["fact_classes"])) if body.get("fact_classes") is not None else None,
        "teacher": body.get("teacher"),
    }


def _check_scope(body: Mapping[str, Any]) -> list[FieldError]:
    checks: dict[str, Callable[[Any], str | None]] = {
        "dataset": _words,
        "fact_classes": lambda value: _each(value, _is_class, "digests of fact classes, sha256:…"),
        "teacher": lambda value: (
            None if _is_teacher(value) else "provider/model, as samples name it, without a pattern"
        ),
    }
    given = [name for name in SCOPE_FIELDS if body.get(name) is not None]
    if not given:
        return [FieldError("exception.dataset", None, "a data set, fact classes or a teacher: what it is about")]
    found = {name: checks[name](body[name]) for name in given}
    return [FieldError(f"exception.{name}", body[name], said) for name, said in found.items() if said]


def _check_liftable(rules: Collection[str], pack: Pack) -> list[FieldError]:
    able = ", ".join(sorted(rule.id for rule in pack.rules.values() if is_liftable(rule)))
    return [
        FieldError("exception.rules", name, f"a rule that bars or holds back, and is no statute's: {able}")
        for name in rules
        if not is_liftable(pack.rules[name])
    ]


def _words(value: Any) -> str | None:
    good = isinstance(value, str) and value.strip() != "" and len(value) <= MAXIMUM_TEXT and value != EVERYTHING
    return None if good else f"text of 1 to {MAXIMUM_TEXT} characters"


def _each(value: Any, good: Callable[[Any], bool], expected: str) -> str | None:
    named = isinstance(value, list) and 0 < len(value) <= MAXIMUM_ITEMS
    return None if named and all(isinstance(item, str) and good(item) for item in value) else expected


def _is_class(value: Any) -> bool:
    return isinstance(value, str) and _FACT_CLASS.fullmatch(value) is not None


def _is_teacher(value: Any) -> bool:
    return isinstance(value, str) and _TEACHER.fullmatch(value) is not None and "unknown" not in value.split("/")


def _last_day(value: Any, today: dt.date) -> str | None:
    latest = today + dt.timedelta(days=MAXIMUM_DAYS)
    expected = f"its last day (YYYY-MM-DD), {today} to {latest}"
    try:
        day = dt.date.fromisoformat(value) if isinstance(value, str) and len(value) == len("2026-11-24") else None
    except ValueError:
        day = None
    return None if day is not None and today <= day <= latest else expected
