"""The facts of a sample that policies can see: what its entry says, without what is its own alone.

Two samples with the same facts are judged alike, so a decision over a billion samples judges a few hundred classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provenance.canonical import canonical_bytes, sha256_digest

_KEPT = ("role", "generated_in", "source_dataset", "evidence")
_TEACHER = ("provider", "model", "served_model", "revision", "obtained_at", "route", "host")


def sample_facts(predicate: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of the sample whose entry carries `predicate`; times are cut to the day, which is what terms bind by."""
    facts: dict[str, Any] = {name: predicate.get(name) for name in _KEPT}
    facts["generated_at"] = f"{predicate['generated_at'][:10]}T00:00:00Z"
    facts["teacher"] = {name: predicate["teacher"].get(name) for name in _TEACHER}
    facts["account"] = _only(predicate.get("account"), "holder")
    facts["human_contribution"] = _only(predicate.get("human_contribution"), "kind")
    facts["prompt_origin"] = _only(predicate.get("prompt_origin"), "kind", "license")
    return facts


def _only(value: Mapping[str, Any] | None, *names: str) -> dict[str, Any] | None:
    return None if value is None else {name: value.get(name) for name in names}


def fact_class_digest(facts: Mapping[str, Any]) -> str:
    """The name of a fact class: the digest of its canonical facts."""
    return sha256_digest(canonical_bytes(facts))


def teacher_name(facts: Mapping[str, Any]) -> str:
    """`provider/model` of the teacher, as pages and filters write it."""
    teacher = facts["teacher"]
    return f"{teacher['provider']}/{teacher['model']}"
