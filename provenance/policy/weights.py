"""What action `distill` asks beside the permission for outputs: may the teacher's own weights or logits be used in training?

- Only whoever holds a copy of the weights can be permitted; a teacher that was reached as a service has none to use.
- A licence permits it only by `use_weights_in_training`, read in the text itself; without that fact it is not known.
"""

from __future__ import annotations

from collections.abc import Sequence

from provenance.policy.facts import WEIGHTS_FACTS, Case, Facts, find_agreement
from provenance.policy.inputs import DISTILL
from provenance.policy.verdict import Finding
from provenance.terms.catalogue import Catalogue
from provenance.terms.document import PERMITTING, Document
from provenance.terms.resolve import Binding, Bound

PERMISSION = "use_weights_in_training"
SERVED_ROUTES = frozenset({"api", "consumer", "reseller", "dataset"})


def add_weights(
    facts: Facts, case: Case, binding: Binding, chosen: Sequence[tuple[Bound, Document]], catalogue: Catalogue
) -> None:
    """Add the facts of the weights' use; any other action does not ask for them, and a pack of before them stands."""
    if case.action != DISTILL:
        return
    for name in WEIGHTS_FACTS:
        facts.findings.setdefault(name, [])
    provider = (binding.provider or "").lower()
    if binding.route in SERVED_ROUTES and find_agreement(case, binding, provider, catalogue) is None:
        text = f"{binding.provider}/{binding.model} was reached by route {binding.route}, and no copy of its weights is on record"
        facts.add("weights_not_held", Finding(None, None, "policy", text, {"kind": "not-held", "route": binding.route}))
    for _, document in chosen:
        agreed = find_agreement(case, binding, document.provider, catalogue) is not None
        if "weights" in document.access and not agreed:
            _add_licence(facts, document)


def _add_licence(facts: Facts, document: Document) -> None:
    said = document.facts.get(PERMISSION)
    if said is not None and said.verified and said.value in PERMITTING:
        return
    value = said.value if said else "unknown"
    text = (
        said.paraphrase if said else "whether the weights or logits may be used to train another model is not on record"
    )
    shown = {PERMISSION: value, "verified": bool(said and said.verified)}
    facts.add("weights_no_permission", Finding(document.id, said.clause if said else None, document.route, text, shown))
