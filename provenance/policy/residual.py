"""What any student would have to be: the requirements that remain when the sample is known and the student is not.

It explains, it never decides: the sentences come from the same facts of the documents that the rules are asked with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provenance.policy.conditions import USE_LIMITS
from provenance.terms.catalogue import Catalogue
from provenance.terms.document import ASSIGNING, BARRING, PERMITTING, Document
from provenance.terms.resolve import resolve_terms

_SHOWN = frozenset({"outputs", "derivatives", "product", "use", "licensee", "unclear"})


def describe_residual(sample: Mapping[str, Any], catalogue: Catalogue) -> list[str]:
    """Sentences that name, document by document, under which conditions a student may learn from the sample."""
    binding = resolve_terms(sample, catalogue)
    sentences = [f"Not before this is settled: {miss.text}." for miss in binding.unmatched]
    for bound in binding.bound:
        if bound.choice.gap:
            names = ", ".join(document.id for document in bound.choice.candidates)
            sentences.append(f"Not before it is settled which text held on that day: {names}.")
        for document in bound.choice.candidates:
            if bound.of_another:
                sentences.append(f"{document.id}: if whoever generated it was allowed to pass it on for this.")
            else:
                sentences.extend(f"{document.id}: {sentence}" for sentence in _requirements(document))
    return list(dict.fromkeys(sentences))


def _requirements(document: Document) -> list[str]:
    training = document.training
    value = training.text_value
    if value in BARRING:
        found = [_barred(document)]
    elif value in PERMITTING and training.verified:
        found = [f"any student ({training.clause or 'grant'}: {training.paraphrase})."]
    elif value in PERMITTING:
        found = ["if the permission is verified in the text itself, or an agreement gives it."]
    else:
        found = ["if an agreement permits it; the text gives no permission."]
    if document.route == "contract" and (value in PERMITTING or document.ownership.value in ASSIGNING):
        found.append("if the account is the developer's own.")
    return [*found, *_conditions(document)]


def _barred(document: Document) -> str:
    training = document.training
    ways = [item.text for item in training.exceptions]
    assigns = document.ownership.value in ASSIGNING and document.ownership.verified and training.verified
    if training.scope == "competing" and assigns and not training.bars_distillation:
        ways.insert(0, f"it does not compete with {document.provider}")
    ways.append("an agreement with the provider names it")
    return f"if {'; or '.join(ways)} ({training.clause or 'no clause'})."


def _conditions(document: Document) -> list[str]:
    shown = (c for c in document.conditions if c.attaches_to in _SHOWN)
    return [
        f"if {'used within' if c.type in USE_LIMITS else 'with'} {c.type} ({c.clause or 'no clause'}: {c.paraphrase})."
        for c in shown
    ]
