"""What a decision may be asked with: checks of sample facts, student facts and agreements, field by field.

- A missing fact and `"unknown"` are the same: not known. A misspelt, mistyped or future one is an error, so that it
  is never taken for unknown by accident.
- An unknown provider or model is not an error: the catalogue may have a gap, and the decision says so.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from provenance.errors import FieldError, MalformedError
from provenance.terms.days import parse_day
from provenance.terms.places import COUNTRIES
from provenance.terms.route import ACCESS_ROUTES, ROLES

DISTILL = "distill"  # the teacher's own weights or logits are used in training
ACTIONS = ("train", "release", "publish", "serve", DISTILL)
USES = ("internal", "research", "commercial")
DISTRIBUTIONS = ("none", "api", "product", "public-weights")
PURPOSES = (
    "general-assistant",
    "reasoning",
    "code-assistant",
    "agent",
    "summarisation",
    "translation",
    "classification",
    "embedding",
    "reward-model",
    "image-generation",
    "evaluation",
    "other",
)
PROMPT_KINDS = ("human", "dataset", "synthetic", "retrieved", "mixed", "unknown")
EVIDENCE_GRADES = ("claimed", "declared", "recorded", "replayed")
SCAN_RESULTS = ("clear", "found")
MAXIMUM_TEXT = 4096
MAXIMUM_ITEMS = 512
_DIGEST_LENGTH = len("sha256:") + 64

Check = Callable[[Any], str | None]


def _text(value: Any) -> str | None:
    good = isinstance(value, str) and 0 < len(value) <= MAXIMUM_TEXT and not _UNSTORABLE.search(value)
    return None if good else f"text of 1 to {MAXIMUM_TEXT} characters, without NUL and lone surrogates"


_UNSTORABLE = re.compile("[\\x00\\ud800-\\udfff]")
_PROVIDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")


def _matches(pattern: re.Pattern[str], expected: str) -> Check:
    return lambda value: None if isinstance(value, str) and pattern.fullmatch(value) else expected


def _one_of(values: Sequence[str]) -> Check:
    return lambda value: None if isinstance(value, str) and value in values else "one of " + ", ".join(values)


def _texts(value: Any) -> str | None:
    good = isinstance(value, list) and len(value) <= MAXIMUM_ITEMS and all(_text(item) is None for item in value)
    return None if good else "a list of texts"


def _country(value: Any) -> str | None:
    good = isinstance(value, str) and value in COUNTRIES
    return None if good else "an ISO 3166-1 alpha-2 country, two capital letters"


def _places(value: Any) -> str | None:
    groups = ("EEA", "WORLD")
    good = isinstance(value, list) and all(_country(item) is None or item in groups for item in value)
    return None if good else "a list of ISO 3166-1 alpha-2 countries (or EU, EEA, WORLD)"


def _amount(value: Any) -> str | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
    return None if good else "a number, zero or more"


def _digest(value: Any) -> str | None:
    good = isinstance(value, str) and len(value) == _DIGEST_LENGTH and value.startswith("sha256:")
    hexadecimal = good and all(letter in "0123456789abcdef" for letter in value.removeprefix("sha256:"))
    return None if hexadecimal else "sha256: and 64 hexadecimal digits"


def _anything(_: Any) -> str | None:
    return None


def _object(value: Any) -> str | None:
    return None if isinstance(value, Mapping) else "an object"


def _day_check(today: dt.date | None) -> Check:
    def check(value: Any) -> str | None:
        if not isinstance(value, str):
            return "a date (YYYY-MM-DD) or an RFC 3339 time with its zone"
        try:
            day = parse_day(value)
        except MalformedError:
            return "a date (YYYY-MM-DD) or an RFC 3339 time with its zone"
        return "a day that is not in the future" if today is not None and day > today else None

    return check


def _date(value: Any) -> str | None:
    return _day_check(None)(value)


Fields = Mapping[str, "Check | Fields"]

STUDENT_FIELDS: Fields = {
    "name": _text,
    "developer": {"name": _text, "country": _country, "ultimate_parent_country": _country},
    "base_model": _text,
    "base_license": _text,
    "release_license": _text,
    "use": _one_of(USES),
    "distribution": _one_of(DISTRIBUTIONS),
    "purpose": _one_of(PURPOSES),
    "competes_with": _texts,
    "territories": _places,
    "monthly_active_users": _amount,
    "annual_revenue_usd": _amount,
    "notices": _texts,
    "training": {"location": _country, "hardware": _text},
}
AGREEMENT_FIELDS: Fields = {
    "id": _text,
    "provider": _text,
    "parties": _texts,
    "models": _texts,
    "routes": _texts,
    "actions": _texts,
    "students": _texts,
    "document_digest": _digest,
    "valid_from": _date,
    "valid_to": _date,
}
SCAN_FIELDS: Fields = {
    "personal_data": _one_of(SCAN_RESULTS),
    "memorisation": _one_of(SCAN_RESULTS),
    "bulk_us_sensitive": _one_of(SCAN_RESULTS),
    "quality": _one_of(SCAN_RESULTS),
    "dropped_ai_label": _one_of(SCAN_RESULTS),
    "listed_party": _one_of(SCAN_RESULTS),
}


def _sample_fields(today: dt.date | None) -> Fields:
    day = _day_check(today)
    return {
        "dataset": _text,
        "teacher": {
            "provider": _matches(_PROVIDER, "a provider's name such as openai: letters, digits, . _ -"),
            "model": _matches(_MODEL, "a model's name such as gpt-4o-2024-08-06"),
            "served_model": _matches(_MODEL, "a model's name"),
            "revision": _text,
            "weights_digest": _text,
            "obtained_at": day,
            "route": _one_of(ACCESS_ROUTES),
            "host": _text,
        },
        "role": _one_of(ROLES),
        "generated_at": day,
        "generated_in": _country,
        "account": {"holder": _text, "plan": _text},
        "parameters": _object,
        "usage": _object,
        "request_id": _text,
        "finish_reason": _text,
        "prompt_origin": {"kind": _one_of(PROMPT_KINDS), "ref": _text, "license": _text},
        "source_dataset": {"ref": _text, "license": _text},
        "parents": _anything,
        "human_contribution": _anything,
        "external_id": _text,
        "prompt": _anything,  # a whole sample may be asked about: its text is let through, and never read
        "completion": _anything,
        "evidence": _one_of(EVIDENCE_GRADES),
        "scans": SCAN_FIELDS,
    }


def validate_sample_facts(facts: Any, *, today: dt.date | None = None) -> None:
    """Refuse sample facts that are misspelt, mistyped or in the future; text is let through and never read."""
    errors = check_fields(facts, _sample_fields(today), "sample")
    teacher = facts.get("teacher") if isinstance(facts, Mapping) else None
    if isinstance(facts, Mapping):
        if teacher is None or teacher == "unknown":
            errors.append(FieldError("sample.teacher", teacher, "an object with provider and model"))
        elif isinstance(teacher, Mapping):
            errors.extend(
                FieldError(f"sample.teacher.{name}", None, 'a name, or "unknown"')
                for name in ("provider", "model")
                if teacher.get(name) is None
            )
    refuse("sample facts", errors)


def validate_student(facts: Any) -> None:
    """Refuse student facts that are misspelt or mistyped."""
    refuse("student facts", check_fields(facts, STUDENT_FIELDS, "student"))


def validate_agreement(facts: Any) -> None:
    """Refuse an agreement that is misspelt, mistyped, names no provider, or ends before it begins."""
    errors = check_fields(facts, AGREEMENT_FIELDS, "agreement")
    if not errors:
        if not facts.get("provider"):
            errors.append(FieldError("agreement.provider", facts.get("provider"), "the provider that agreed"))
        begins, ends = facts.get("valid_from"), facts.get("valid_to")
        if begins and ends and "unknown" not in (begins, ends) and parse_day(begins) > parse_day(ends):
            errors.append(FieldError("agreement.valid_to", ends, f"a day not before valid_from ({begins})"))
    refuse("agreement", errors)


def validate_action(action: Any) -> None:
    """Refuse an action that no rule knows."""
    if action not in ACTIONS:
        refuse("action", [FieldError("action", action, "one of " + ", ".join(ACTIONS))])


def check_fields(value: Any, fields: Fields, place: str) -> list[FieldError]:
    """What is misspelt or mistyped in an object; a fact that is missing or "unknown" is neither."""
    if not isinstance(value, Mapping):
        return [FieldError(place, value, "an object")]
    errors: list[FieldError] = []
    for name, item in value.items():
        check = fields.get(name)
        where = f"{place}.{name}"
        if check is None:
            errors.append(FieldError(where, item, "a field of " + ", ".join(fields)))
        elif item is None or item == "unknown":
            continue
        elif isinstance(check, Mapping):
            errors.extend(check_fields(item, check, where))
        elif (expected := check(item)) is not None:
            errors.append(FieldError(where, item, f'{expected}, or "unknown"'))
    return errors


def refuse(what: str, errors: list[FieldError]) -> None:
    """Raise what was found, if anything was; the message names the first."""
    if errors:
        first = errors[0]
        shown = first.to_json()["value"]
        raise MalformedError(f"{what}: {first.field} is {shown!r}, expected {first.expected}", *errors)
