"""What samples carry beside the terms of their own day: documents that came with a teacher of our own, or with parents.

A value that a decision is asked with and that its answer keeps, so that the same question can be asked again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from provenance.errors import PolicyDocumentError
from provenance.lineage.carry import Carried, Mode, reaches_party
from provenance.lineage.graph import Graph
from provenance.terms.catalogue import Catalogue
from provenance.terms.document import Document

MODELS = ("model", "name")


@dataclass(frozen=True)
class Inherited:
    """One document with its way: `path` are models from the one that generated back to where it began."""

    mode: Mode
    document: Document | None
    text: str
    party: str | None
    path: tuple[str, ...]
    of_another: bool = False

    @property
    def way(self) -> str:
        """The path in words."""
        return " <- ".join(self.path)

    def reaches(self, developer: str | None) -> bool:
        """Whether it binds a student of this developer."""
        return self.mode != "contract" or self.of_another or reaches_party(self.party, developer)

    def to_json(self) -> dict[str, Any]:
        """As answers keep it."""
        document = None if self.document is None else {"id": self.document.id, "digest": self.document.digest}
        said = {"mode": self.mode, "document": document, "text": self.text, "party": self.party}
        return {**said, "of_another": self.of_another, "path": list(self.path)}


@dataclass(frozen=True)
class Inheritance:
    """All that a class of samples carries; `trained_by` are the developers of teachers that were trained here, of which
    None is one that nobody declared. It is empty where a teacher is somebody else's.
    """

    trained_by: tuple[str | None, ...] = ()
    items: tuple[Inherited, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As answers keep it."""
        return {"trained_by": list(self.trained_by), "items": [item.to_json() for item in self.items]}


NOTHING = Inheritance()


def parse_inheritance(said: Mapping[str, Any], catalogue: Catalogue) -> Inheritance:
    """What somebody writes down that samples carry: `{trained_by, items: [{mode, document?, text?, party?, path}]}`, documents
    by id.

    Raises:
        PolicyDocumentError: a mode or a document that is not known, or no path.
    """
    return Inheritance(
        tuple(said.get("trained_by") or ()), tuple(_parse_item(item, catalogue) for item in said.get("items") or ())
    )


def _parse_item(item: Mapping[str, Any], catalogue: Catalogue) -> Inherited:
    document, path = catalogue.find(str(item.get("document"))), tuple(item.get("path") or ())
    unknown = item.get("mode") == "unknown"
    if item.get("mode") not in get_args(Mode) or not path or (document is None and not unknown):
        expected = f"a mode of {', '.join(get_args(Mode))}, the document that it is about, and the path of models"
        raise PolicyDocumentError(f"inherited: {dict(item)!r:.200}, expected {expected}")
    return Inherited(
        item["mode"], document, str(item.get("text") or ""), item.get("party"), path, item.get("of_another") is True
    )


def describe_inherited(graph: Graph, carried: Iterable[Carried]) -> tuple[Inherited, ...]:
    """The documents with their ways in words, in an order that depends on nothing but them."""
    found = [
        Inherited(item.mode, item.document, item.text, item.party, _name_path(graph, item.path), item.of_another)
        for item in carried
    ]
    return tuple(sorted(found, key=lambda item: (item.mode, item.document.id if item.document else "", str(item))))


def _name_path(graph: Graph, path: Sequence[int]) -> tuple[str, ...]:
    models = [node for node in path if graph.nodes[node].kind in MODELS] or list(path[:1])
    return tuple(name_version(graph, node) for node in dict.fromkeys(reversed(models)))


def name_version(graph: Graph, node: int) -> str:
    """`provider/name`, of a model that was trained here with the number of its registration under this name."""
    said = graph.nodes[node]
    name = said.name or said.key
    if said.kind != "model" or not any(edge.relation == "made" for edge in graph.edges(node, "ancestors")):
        return name
    versions = sorted(other.id for other in graph.nodes.values() if other.kind == "model" and other.name == said.name)
    return f"{name}@{versions.index(node) + 1}"
