"""The words of rules: what an annotation may say, and which values a fact may be compared with.

Cedar checks types, so a misspelt word inside a string would load and never match: a bar that never bars.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from provenance.errors import PolicyDocumentError
from provenance.policy.conditions import JUDGED
from provenance.policy.facts import DOCUMENT_FACTS, OWN_FACTS, WEIGHTS_FACTS
from provenance.policy.inputs import DISTRIBUTIONS, EVIDENCE_GRADES, USES
from provenance.policy.record import SCAN_TEXTS
from provenance.policy.verdict import PERMITTING
from provenance.terms.resolve import UNMATCHED_KINDS
from provenance.terms.route import ACCESS_ROUTES

if TYPE_CHECKING:
    from provenance.policy.pack import Pack
    from provenance.terms.catalogue import Catalogue

ANNOTATIONS = frozenset({"id", "title", "clause", "basis", "route", "verdict", "about", "condition", "remedy", "given"})
REMEDIES = frozenset(
    {"agreement", "drop", "licence", "notice", "rename", "screening", "state-fact", "territories", "use"}
)
ABOUT = frozenset(
    {*DOCUMENT_FACTS, *WEIGHTS_FACTS, *OWN_FACTS, "unclear", "evidence", "export", "source_licence", "prompt_licence"}
    | {f"scans.{name}" for name in SCAN_TEXTS}
)
_UNKNOWN = frozenset({"unknown"})
_VALUES: Mapping[str, frozenset[str]] = {
    "use": frozenset(USES) | _UNKNOWN,
    "distribution": frozenset(DISTRIBUTIONS) | _UNKNOWN,
    "route": frozenset(ACCESS_ROUTES) | _UNKNOWN,
    "source_licence": frozenset({"open", "restricted", "none"}) | _UNKNOWN,
    "prompt_licence": frozenset({"open", "restricted", "not-recorded"}),
    "evidence": frozenset({*EVIDENCE_GRADES, "not-recorded"}),
    "scans": frozenset(SCAN_TEXTS),
    "unmet": JUDGED,
    "unclear": JUDGED,
    "unmatched": UNMATCHED_KINDS,
}
_COMPARED = ("==", "!=", "contains", "containsAny", "containsAll")


def check_words(place: str, notes: Mapping[str, str], policy: Mapping[str, Any]) -> tuple[str, ...]:
    """Refuse a word that no fact can have; gives the documents that the rule names, which `check_pack` looks up."""
    for name in notes:
        _refuse(place, f"@{name}", name, ANNOTATIONS)
    for name, allowed in (("about", ABOUT), ("remedy", REMEDIES), ("given", PERMITTING)):
        if name in notes:
            _refuse(place, f"@{name}", notes[name], allowed)
    for kind in notes.get("condition", "").split(","):
        if kind.strip():
            _refuse(place, "@condition", kind.strip(), JUDGED)
    named = []
    for attribute, value in _comparisons(policy.get("conditions", [])):
        if attribute in _VALUES:
            _refuse(place, attribute, value, _VALUES[attribute])
        else:
            named.append(value)
    return tuple(named)


def check_pack(pack: Pack, catalogue: Catalogue) -> None:
    """Refuse a pack with a rule that names a document which is not on record."""
    for rule in (*pack.rules.values(), *pack.approvals.values()):
        for name in rule.documents:
            if catalogue.find(name) is None:
                raise PolicyDocumentError(f"{rule.pack}.cedar: rule {rule.id} names {name!r}, which is not on record")


def _refuse(place: str, what: str, word: str, allowed: frozenset[str]) -> None:
    if word not in allowed:
        raise PolicyDocumentError(f"{place}: {what} is {word!r}, expected one of {', '.join(sorted(allowed))}")


def _comparisons(node: Any) -> Iterator[tuple[str, str]]:
    """Every (attribute, text) that a rule compares, anywhere in its conditions."""
    if isinstance(node, list):
        for item in node:
            yield from _comparisons(item)
    elif isinstance(node, Mapping):
        for operator, inner in node.items():
            if operator in _COMPARED:
                sides = (inner["left"], inner["right"])
                attributes = [side["."]["attr"] for side in sides if "." in side]
                yield from ((name, text) for name in attributes for side in sides for text in _texts(side))
            yield from _comparisons(inner)


def _texts(node: Any) -> Iterator[str]:
    values = node.get("Set", [node]) if isinstance(node, Mapping) else []
    yield from (item["Value"] for item in values if isinstance(item.get("Value"), str))
