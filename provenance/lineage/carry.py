"""How a document travels from model to model: who is bound by it, in which way, and where it stops.

- `contract`: stays with the party that accepted it. It reaches a student of that party, in every generation, and nobody else.
- `base`: the student holds weights that the licence is about. It reaches every model that is built on those weights.
- `derivative`: the text itself calls a model that was trained on outputs a derivative. It reaches every generation.
- `outputs`: the text asks something of whoever trains on outputs, without calling the student a derivative. It reaches the
  student and what is built on its weights; the student's own outputs are not the licensed model's, so it stops there.
- `unknown`: nobody can say which text binds. It is never dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from provenance.lineage.graph import Edge, Graph
from provenance.lineage.order import order_ancestors
from provenance.lineage.shares import is_trained
from provenance.store.lineage import normal_name
from provenance.terms.catalogue import Catalogue
from provenance.terms.document import Document
from provenance.terms.resolve import resolve_terms

Mode = Literal["contract", "base", "derivative", "outputs", "unknown"]
NOT_DERIVATIVE = frozenset({"no", "silent", "not-stated"})

Facts = Callable[[int], Mapping[str, Any]]
"""The facts of the samples of a node."""

Party = Callable[[int], str | None]
"""Who trained the model of a node; None where nobody said."""


@dataclass(frozen=True)
class Carried:
    """A document on its way: `path` are the nodes from where it began to the one that it reached."""

    mode: Mode
    document: Document | None
    text: str
    party: str | None
    path: tuple[int, ...]

    @property
    def key(self) -> tuple[str, str, str | None]:
        """What it is, whichever way it took."""
        return self.mode, self.document.id if self.document else self.text, self.party


Held = dict[tuple[str, str, str | None], Carried]


class Carrier:
    """Carries documents down the ancestors of some nodes, parents first."""

    def __init__(self, graph: Graph, catalogue: Catalogue, facts: Facts, party: Party) -> None:
        self.graph, self.catalogue, self.facts, self.party = graph, catalogue, facts, party
        self.held: dict[int, Held] = {}

    def carry(self, starts: Iterable[int]) -> None:
        """Fill `held` for the starts and all their ancestors."""
        order = order_ancestors(self.graph, starts)
        for node in order.sorted:
            self.held[node] = self._collect(node)
        for node in order.ringed:
            text = "a ring of claims: what is inherited in it cannot be said"
            self.held[node] = {
                **self._collect(node),
                ("unknown", text, None): Carried("unknown", None, text, None, (node,)),
            }

    def _collect(self, node: int) -> Held:
        kind = self.graph.nodes[node].kind
        held: Held = {}
        for edge in self.graph.edges(node, "ancestors"):
            for carried in self.held.get(edge.parent, {}).values():
                if (step := self._pass(edge, carried)) is not None:
                    _keep(held, replace(step, path=(*step.path, node)))
        begun = self._begin_samples(node) if kind == "samples" else self._begin_model(node)
        for carried in begun:
            _keep(held, carried)
        return held

    def _pass(self, edge: Edge, carried: Carried) -> Carried | None:
        """What is left of a document when it goes along an edge; None where it stops."""
        if edge.relation == "generated":
            return self._pass_outputs(edge, carried)
        if edge.relation == "made" and carried.mode == "contract":
            return self._stay_with_party(edge.child, carried)
        return carried

    def _pass_outputs(self, edge: Edge, carried: Carried) -> Carried | None:
        if not self._is_known_by_lineage(edge.parent):
            return None  # its own terms are asked for the samples, by their day and route
        if carried.mode == "base":
            return _of_outputs(carried)
        return None if carried.mode == "outputs" else carried

    def _stay_with_party(self, model: int, carried: Carried) -> Carried | None:
        developer = self.party(model)
        if developer is None or carried.party is None:
            return carried
        return carried if normal_name(developer) == normal_name(carried.party) else None

    def _is_known_by_lineage(self, model: int) -> bool:
        """Whether what a model carries comes from how it was made, rather than from its provider's terms."""
        return any(edge.relation in ("made", "parent", "same") for edge in self.graph.edges(model, "ancestors"))

    def _begin_samples(self, node: int) -> Iterable[Carried]:
        facts = self.facts(node)
        binding = resolve_terms(facts, self.catalogue)
        holder = (facts.get("account") or {}).get("holder")
        teachers = [e.parent for e in self.graph.edges(node, "ancestors") if e.relation == "generated"]
        path = (teachers[0], node) if teachers else (node,)
        if not binding.documents and any(self._was_trained(teacher) for teacher in teachers):
            return  # a model of this log has no terms of a provider: what binds it is what it carries
        for miss in binding.unmatched:
            yield Carried("unknown", None, miss.text, None, path)
        for document in binding.documents:
            if document.route == "licence":
                yield _of_outputs(Carried("base", document, "", None, path))
            else:
                yield Carried("contract", document, "", holder, path)

    def _was_trained(self, model: int) -> bool:
        above = [edge.parent for edge in self.graph.edges(model, "ancestors") if edge.relation == "same"]
        return any(is_trained(self.graph, item) for item in (model, *above))

    def _begin_model(self, node: int) -> Iterable[Carried]:
        """The licence of a model whose weights somebody builds on."""
        said = self.graph.nodes[node]
        if said.kind not in ("model", "name") or said.name is None or self._was_trained(node):
            return
        if not any(edge.relation in ("base", "parent", "same") for edge in self.graph.edges(node, "descendants")):
            return
        provider, _, model = said.name.partition("/")
        binding = resolve_terms({"teacher": {"provider": provider, "model": model, "route": "weights"}}, self.catalogue)
        for document in binding.documents:
            yield Carried("base", document, "", None, (node,))
        if not binding.documents:
            yield Carried("unknown", None, f"no licence of {said.name} is on record", None, (node,))


def _of_outputs(carried: Carried) -> Carried:
    """What a licence of the weights is to a model that is trained on outputs."""
    document = carried.document
    if document is None:
        return replace(carried, mode="unknown")
    if document.makes_derivatives:
        return replace(carried, mode="derivative")
    if document.facts["distilled_model_is_derivative"].value in NOT_DERIVATIVE:
        return replace(carried, mode="outputs")
    return replace(carried, mode="unknown", text=f"whether {document.id} calls a student a derivative was not read")


def _keep(held: Held, carried: Carried) -> None:
    """The shortest way is kept; of ways of one length the first."""
    before = held.get(carried.key)
    if before is None or len(carried.path) < len(before.path):
        held[carried.key] = carried
