"""The policy pack: Cedar rules with their annotations, type-checked at load, parsed once, named by digest.

- A rule without `@id`, title, clause or basis, with an unknown verdict or action, or that does not type-check is
  refused with its file and name; a pack that was refused never replaces the one in force.
- Evaluation is always with the schema. An error or `NoDecision` is reported as such, and the caller makes it `review`.
- A forbid of `@verdict("approve")` bars nothing and is asked apart: a release of a class of which it speaks (with `@given`, only
  where the class came out with that verdict) waits for a second person. Where it cannot be evaluated, it speaks.
- A pack answers the same request always the same, so it keeps its newest answers: classes that differ in what no rule sees
  (the day, within one version of the terms) are one request.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cedarpy

from provenance.canonical import canonical_bytes, sha256_digest
from provenance.errors import PolicyDocumentError
from provenance.policy.words import check_words
from provenance.resources import find_resource

SCHEMA_FILE = "schema.cedarschema"
_ROUTES = frozenset({"document", "contract", "licence", "copyright", "statute", "policy"})
_REQUIRED = ("id", "title", "route")
APPROVE = "approve"
_EFFECTS = frozenset({"deny", "review", APPROVE})
KEPT_ANSWERS = 4096  # of about 1 KB each


@dataclass(frozen=True)
class Rule:
    """One rule's annotations; `about` names the fact whose documents it speaks of, `conditions` the types it enforces.

    `documents` are those that its text names; `check_pack` holds them to the catalogue.
    """

    id: str
    pack: str
    effect: str
    title: str
    clause: str
    route: str
    about: str | None
    conditions: tuple[str, ...]
    remedy: str | None
    documents: tuple[str, ...] = ()
    given: str | None = None


@dataclass(frozen=True)
class Evaluation:
    """What Cedar answered: the rules that determined it, or why there is no answer."""

    permitted: bool
    rules: tuple[Rule, ...]
    error: str | None = None


@dataclass(frozen=True)
class Pack:
    """All rules, ready to evaluate; `packs` maps the name of each file to its digest. `approvals` are the rules that ask for a
    second person; no other rule is among them, and they are not among `rules`."""

    rules: Mapping[str, Rule]
    approvals: Mapping[str, Rule]
    packs: Mapping[str, str]
    digest: str
    enforced: frozenset[str]
    texts: Mapping[str, str]
    schema_text: str
    _ask: Callable[[str, str], Evaluation]
    _ask_approval: Callable[[str, str], Evaluation]

    def evaluate(self, action: str, student: Mapping[str, Any], facts: Mapping[str, Any]) -> Evaluation:
        """Ask whether the student may take the action on a class with these facts."""
        return self._ask(action, _format_entities(student, facts))

    def ask_approval(
        self, action: str, student: Mapping[str, Any], facts: Mapping[str, Any], verdict: str
    ) -> tuple[Rule, ...]:
        """The rules that want a second person before the action, on a class that came out with `verdict`."""
        if not self.approvals:
            return ()
        evaluation = self._ask_approval(action, _format_entities(student, facts))
        spoke = self.approvals.values() if evaluation.error is not None else evaluation.rules
        return tuple(rule for rule in spoke if rule.given in (None, verdict))

    @property
    def id(self) -> str:
        """What the log calls it: `pol_` and the beginning of its digest."""
        return f"pol_{self.digest.removeprefix('sha256:')[:16]}"

    def content(self) -> dict[str, Any]:
        """All that it is made of; `build_pack` makes the same pack of it, with the same digest."""
        return {"rules": dict(self.texts), "schema": self.schema_text}

    def describe(self) -> dict[str, Any]:
        """The pack as a decision names it."""
        return {
            "digest": self.digest,
            "packs": [{"name": name, "digest": digest} for name, digest in self.packs.items()],
        }


def _format_entities(student: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    return json.dumps(
        [
            {"uid": {"type": "Student", "id": "student"}, "attrs": student, "parents": []},
            {"uid": {"type": "FactClass", "id": "class"}, "attrs": facts, "parents": []},
        ]
    )


def load_pack(folder: Path | None = None) -> Pack:
    """The rules of a folder; by default the ones that are shipped.

    Raises:
        PolicyDocumentError: names the file and the rule that is wrong.
    """
    root = folder if folder is not None else find_resource("policies", "rules")
    files = sorted(root.glob("*.cedar"))
    if not files or not (root / SCHEMA_FILE).is_file():
        raise PolicyDocumentError(f"{root} needs {SCHEMA_FILE} and at least one .cedar file")
    texts = {path.stem: _read_text(path) for path in files}
    return build_pack(texts, _read_text(root / SCHEMA_FILE))


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise PolicyDocumentError(f"{path.name}: not readable as UTF-8 text: {exc}") from exc


def build_pack(texts: Mapping[str, str], schema_text: str) -> Pack:
    """A pack from the texts of its files, by name."""
    schema = _parse_schema(schema_text)
    rules: dict[str, Rule] = {}
    for name, text in texts.items():
        for rule in _read_rules(name, text, schema):
            if rule.id in rules:
                raise PolicyDocumentError(f"{name}.cedar: rule {rule.id} already stands in {rules[rule.id].pack}.cedar")
            rules[rule.id] = rule
    whole = "\n".join(texts.values())
    parsed = json.loads(cedarpy.policies_to_json_str(whole))["staticPolicies"]
    named = {name: rules[policy["annotations"]["id"]] for name, policy in parsed.items()}
    sets: dict[bool, dict[str, Any]] = {True: {}, False: {}}
    for name, policy in parsed.items():
        sets[named[name].effect == APPROVE][name] = policy
    packs = _digest_texts(texts)
    digest = digest_sources(texts, schema_text)
    return Pack(
        rules={name: rule for name, rule in rules.items() if rule.effect != APPROVE},
        approvals={name: rule for name, rule in rules.items() if rule.effect == APPROVE},
        packs=packs,
        digest=digest,
        enforced=frozenset(kind for rule in rules.values() for kind in rule.conditions),
        texts=dict(texts),
        schema_text=schema_text,
        _ask=_make_ask(sets[False], schema, named),
        _ask_approval=_make_ask(sets[True], schema, named),
    )


def digest_sources(texts: Mapping[str, str], schema_text: str) -> str:
    """The digest of the pack that these sources make, whether or not they are good rules."""
    return sha256_digest(
        canonical_bytes({"packs": _digest_texts(texts), "schema": sha256_digest(schema_text.encode())})
    )


def _digest_texts(texts: Mapping[str, str]) -> dict[str, str]:
    return {name: sha256_digest(text.encode()) for name, text in texts.items()}


def _make_ask(parsed: Mapping[str, Any], schema: Any, rules: Mapping[str, Rule]) -> Callable[[str, str], Evaluation]:
    """Cedar with parsed policies; `rules` are ours by Cedar's names for them."""
    whole = {"templates": {}, "staticPolicies": dict(parsed), "templateLinks": []}
    policies = cedarpy.PolicySet.from_json_str(json.dumps(whole))

    @lru_cache(maxsize=KEPT_ANSWERS)
    def ask(action: str, entities: str) -> Evaluation:
        request = {"principal": 'Student::"student"', "action": f'Action::"{action}"', "resource": 'FactClass::"class"'}
        result = cedarpy.is_authorized(request, policies, entities, schema=schema)
        if result.diagnostics.errors or result.decision is cedarpy.Decision.NoDecision:
            return Evaluation(False, (), "; ".join(result.diagnostics.errors) or "no decision")
        determining = (rules[name] for name in result.diagnostics.reasons)
        return Evaluation(result.allowed, tuple(sorted(determining, key=lambda rule: rule.id)))

    return ask


def _parse_schema(text: str) -> Any:
    try:
        return cedarpy.Schema.from_str(text)
    except ValueError as exc:
        raise PolicyDocumentError(f"{SCHEMA_FILE}: {exc}") from exc


def _read_rules(name: str, text: str, schema: Any) -> list[Rule]:
    try:
        policies = json.loads(cedarpy.policies_to_json_str(text))
    except ValueError as exc:
        raise PolicyDocumentError(f"{name}.cedar: {exc}") from exc
    if policies.get("templates") or not policies["staticPolicies"]:
        raise PolicyDocumentError(f"{name}.cedar: expected rules and no templates")
    rules = {key: _read_rule(name, key, policy) for key, policy in policies["staticPolicies"].items()}
    checked = cedarpy.validate_policies(text, schema)
    if not checked.validation_passed:
        first = checked.errors[0]
        rule = rules.get(first.policy_id)
        raise PolicyDocumentError(f"{name}.cedar: rule {rule.id if rule else '?'} does not type-check: {first.error}")
    return list(rules.values())


def _read_rule(name: str, key: str, policy: Mapping[str, Any]) -> Rule:
    notes = policy.get("annotations") or {}
    label = notes.get("id") or f"number {int(key.removeprefix('policy')) + 1} of the file"
    notes = {key: (value or "").strip() for key, value in notes.items()}
    for required in _REQUIRED:
        if not notes.get(required):
            raise PolicyDocumentError(f"{name}.cedar: rule {label} has no @{required}")
    clause = notes.get("clause") or notes.get("basis")
    if not clause:
        raise PolicyDocumentError(f"{name}.cedar: rule {label} has neither @clause nor @basis")
    if notes["route"] not in _ROUTES:
        raise PolicyDocumentError(f"{name}.cedar: rule {label}: @route {notes['route']!r}, expected {sorted(_ROUTES)}")
    verdict = notes.get("verdict")
    if policy["effect"] == "forbid" and verdict not in _EFFECTS:
        raise PolicyDocumentError(
            f"{name}.cedar: rule {label}: @verdict is {verdict!r}, expected deny or review, or {APPROVE}"
        )
    if notes.get("given") and verdict != APPROVE:
        raise PolicyDocumentError(f'{name}.cedar: rule {label}: @given stands only beside @verdict("{APPROVE}")')
    if verdict != APPROVE and not notes.get("about") and not notes.get("condition"):
        raise PolicyDocumentError(f"{name}.cedar: rule {label} has neither @about nor @condition")
    if policy["effect"] == "permit" and verdict is not None:
        raise PolicyDocumentError(f"{name}.cedar: rule {label} is a permit and takes no @verdict")
    named = check_words(f"{name}.cedar: rule {label}", notes, policy)
    return Rule(
        id=notes["id"],
        pack=name,
        effect=verdict or "permit",
        title=notes["title"],
        clause=clause,
        route=notes["route"],
        about=notes.get("about"),
        conditions=tuple(kind.strip() for kind in notes.get("condition", "").split(",") if kind.strip()),
        remedy=notes.get("remedy"),
        documents=named,
        given=notes.get("given"),
    )
