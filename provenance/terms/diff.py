"""What differs between two terms documents, in words: facts, conditions, dates and models; layout does not count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from provenance.terms.document import Document

MATERIAL_FACTS = frozenset(
    {
        "train_on_outputs",
        "output_ownership",
        "competing_definition",
        "distilled_model_is_derivative",
        "use_weights_in_training",
    }
)
_PLAIN = (
    "title", "kind", "version", "effective_from", "effective_to", "governing_law", "served_by", "spdx", "verified",
    "evidence",
)  # fmt: skip
_LISTS = ("access", "models")


@dataclass(frozen=True)
class TermsChange:
    """One difference; `material` marks those on which a verdict can turn."""

    subject: str
    before: Any
    after: Any
    material: bool
    text: str


def diff_documents(first: Document, second: Document) -> list[TermsChange]:
    """The differences from `first` to `second`: what verdicts turn on first, then the rest."""
    changes = [*_facts(first, second), *_conditions(first, second), *_lists(first, second), *_plain(first, second)]
    return sorted(changes, key=lambda change: not change.material)


def _facts(first: Document, second: Document) -> Iterable[TermsChange]:
    ours, theirs = first.data["facts"], second.data["facts"]
    for name in dict.fromkeys((*ours, *theirs)):
        before, after = ours.get(name), theirs.get(name)
        if before == after:
            continue
        material = name in MATERIAL_FACTS and _essence(before) != _essence(after)
        yield TermsChange(name, before, after, material, f"{_words(name)}: {_fact(before)} -> {_fact(after)}")


def _essence(fact: Mapping[str, Any] | None) -> Any:
    """What a verdict reads of a fact: not its clause number, not our paraphrase."""
    return fact and {key: value for key, value in fact.items() if key not in ("clause", "paraphrase")}


def _fact(fact: Mapping[str, Any] | None) -> str:
    if fact is None:
        return "not on record"
    read = "" if fact["verified"] else ", not verified"
    return f"{fact['value']} ({fact['clause'] or 'no clause'}: {fact['paraphrase']}{read})"


def _conditions(first: Document, second: Document) -> Iterable[TermsChange]:
    ours, theirs = _by_type(first), _by_type(second)
    for kind in dict.fromkeys((*ours, *theirs)):
        before, after = ours.get(kind), theirs.get(kind)
        if before == after:
            continue
        if before is None:
            text = f"new condition {kind}: {_paraphrases(after)}"
        elif after is None:
            text = f"condition {kind} is gone: {_paraphrases(before)}"
        else:
            text = f"condition {kind}: {_paraphrases(before)} -> {_paraphrases(after)}"
        yield TermsChange(f"conditions.{kind}", before, after, material=True, text=text)


def _by_type(document: Document) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for condition in document.data["conditions"]:
        found.setdefault(condition["type"], []).append(condition)
    return found


def _paraphrases(items: list[Mapping[str, Any]] | None) -> str:
    return "; ".join(f"{item['clause'] or 'no clause'}: {item['paraphrase']}" for item in items or [])


def _lists(first: Document, second: Document) -> Iterable[TermsChange]:
    for name in _LISTS:
        before, after = first.data[name], second.data[name]
        if sorted(before) == sorted(after):
            continue
        gone = [item for item in before if item not in after]
        new = [item for item in after if item not in before]
        parts = [f"no longer {', '.join(gone)}"] * bool(gone) + [f"now also {', '.join(new)}"] * bool(new)
        yield TermsChange(name, before, after, material=True, text=f"{_words(name)}: {'; '.join(parts)}")


def _plain(first: Document, second: Document) -> Iterable[TermsChange]:
    for name in _PLAIN:
        before, after = first.data.get(name), second.data.get(name)
        if before != after:
            text = f"{_words(name)}: {_value(before)} -> {_value(after)}"
            yield TermsChange(name, before, after, material=False, text=text)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _value(value: Any) -> str:
    return "not on record" if value is None else str(value)
