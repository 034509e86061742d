"""How a document travels from model to model: who is bound by it, in which way, and where it stops.

- `contract`: stays with the party that accepted it. It reaches a student of that party, in every generation, and nobody else.
- `base`: the student holds weights that the licence is about. It reaches every model that is built on those weights.
- `derivative`: the text itself calls a model that was trained on outputs a derivative. It reaches every generation.
- `outputs`: the text asks something of whoever trains on outputs, without calling the student a derivative. It reaches the
  student and what is built on its weights; the student's own outputs are not the licensed model's, so it stops there.
- `unknown`: nobody can say which text binds. It is never dropped.

The gate (`lineage.inherit`) and the account of what binds a model (`policy.taint`) both ask here: there is no second rule.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from provenance.lineage.graph import Edge, Graph
from provenance.lineage.order import order_ancestors
from provenance.lineage.shares import is_trained
from provenance.store.lineage import normal_name
from provenance.terms.catalogue import Catalogue
from provenance.terms.document import Document
from provenance.terms.own import bind_outputs
from provenance.terms.resolve import known, resolve_terms

Mode = Literal["contract", "base", "derivative", "outputs", "unknown"]
NOT_DERIVATIVE = frozenset({"no", "silent", "not-stated"})

Facts = Callable[[int], Mapping[str, Any]]
"""The facts of the samples of a node."""

Party = Callable[[int], str | None]
"""Who trained the model of a node; None where nobody said."""


@dataclass(frozen=True)
class Carried:
    """A document on its way: `path` are the nodes from where it began to the one that it reached.

    `of_another` is a contract that came with a data set of others: whoever is known to have it did not accept it.
    """

    mode: Mode
    document: Document | None
    text: str
    party: str | None
    path: tuple[int, ...]
    of_another: bool = False

    @property
    def key(self) -> Key:
        """What it is, whichever way it took."""
        return self.mode, self.document.id if self.document else self.text, self.party, self.of_another


Key = tuple[str, str, str | None, bool]
Held = dict[Key, Carried]


def reaches_party(party: str | None, developer: str | None) -> bool:
    """Whether a contract that `party` accepted reaches what `developer` trains; unknown is never dropped."""
    return developer is None or party is None or normal_name(developer) == normal_name(party)


class Carrier:
    """Carries documents down the ancestors of some nodes, parents first."""

    def __init__(
        self, graph: Graph, catalogue: Catalogue, facts: Facts, party: Party, *, terms_of: dt.date | None = None
    ) -> None:
        """`terms_of` asks for the terms of another day instead of the samples' own."""
        self.graph, self.catalogue, self.facts, self.party, self.terms_of = graph, catalogue, facts, party, terms_of
        self.held: dict[int, Held] = {}
        self.made_with: dict[int, Held] = {}
        """The same without the licence of the node itself: what a model says carries how it was made. The terms of the
        model itself are asked for the samples, by their day and route."""

    def carry(self, starts: Iterable[int]) -> None:
        """Fill `held` and `made_with` for the starts and all their ancestors."""
        order = order_ancestors(self.graph, starts)
        for node in order.sorted:
            self._collect(node)
        for node in order.ringed:
            self._collect(node)
            text = "a ring of claims: what is inherited in it cannot be said"
            for held in (self.held[node], self.made_with[node]):
                _keep(held, Carried("unknown", None, text, None, (node,)))

    def receive(self, edges: Iterable[Edge], *, making: bool = False) -> Held:
        """What comes along these edges from parents that were carried; paths end at the child.

        With `making`, a model that is the same under another name hands on how it was made, and not its licence.
        """
        held: Held = {}
        for edge in edges:
            of_making = edge.relation == "generated" or (making and edge.relation == "same")
            for carried in (self.made_with if of_making else self.held).get(edge.parent, {}).values():
                if (step := self._pass(edge, carried)) is not None:
                    _keep(held, replace(step, path=(*step.path, edge.child)))
        return held

    def _collect(self, node: int) -> None:
        edges = self.graph.edges(node, "ancestors")
        self.held[node], self.made_with[node] = self.receive(edges), self.receive(edges, making=True)
        is_samples = self.graph.nodes[node].kind == "samples"
        for carried in self._begin_samples(node) if is_samples else self._begin_model(node):
            _keep(self.held[node], carried)

    def _pass(self, edge: Edge, carried: Carried) -> Carried | None:
        """What is left of a document when it goes along an edge; None where it stops."""
        if edge.relation == "generated":
            if carried.mode == "base":
                return _of_outputs(carried)
            return None if carried.mode == "outputs" else carried
        if edge.relation == "made" and carried.mode == "contract":
            return carried if reaches_party(carried.party, self.party(edge.child)) else None
        return carried

    def _begin_samples(self, node: int) -> Iterable[Carried]:
        facts = self.facts(node)
        holder = (facts.get("account") or {}).get("holder")
        teachers = [e.parent for e in self.graph.edges(node, "ancestors") if e.relation == "generated"]
        trained_here = any(is_trained_here(self.graph, teacher) for teacher in teachers)
        binding = bind_outputs(facts, self.catalogue, trained_here=trained_here, at=self.terms_of)
        path = (teachers[0], node) if teachers else (node,)
        for miss in binding.unmatched:
            yield Carried("unknown", None, miss.text, None, path)
        for bound in binding.bound:
            if bound.choice.gap:
                text = f"which text of {bound.choice.series} held on the day of these samples is not known"
                yield Carried("unknown", None, text, None, path)
            for document in bound.choice.candidates:
                if document.route == "licence":
                    yield _of_outputs(Carried("base", document, "", None, path))
                else:
                    yield Carried("contract", document, "", known(holder), path, of_another=bound.of_another)

    def _begin_model(self, node: int) -> Iterable[Carried]:
        """The licence of a model whose weights somebody builds on."""
        said = self.graph.nodes[node]
        if said.kind not in ("model", "name") or said.name is None or is_trained_here(self.graph, node):
            return
        if not any(edge.relation in ("base", "parent", "same") for edge in self.graph.edges(node, "descendants")):
            return
        provider, _, model = said.name.partition("/")
        binding = resolve_terms({"teacher": {"provider": provider, "model": model, "route": "weights"}}, self.catalogue)
        for document in binding.documents:
            yield Carried("base", document, "", None, (node,))
        if not binding.documents:
            yield Carried("unknown", None, f"no licence of {said.name} is on record", None, (node,))


def is_trained_here(graph: Graph, model: int) -> bool:
    """Whether a run of this log made the model, or the one that was registered later under its name."""
    above = [edge.parent for edge in graph.edges(model, "ancestors") if edge.relation == "same"]
    return any(is_trained(graph, item) for item in (model, *above))


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
