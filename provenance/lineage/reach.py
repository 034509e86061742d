"""All that hangs on something, frozen at a log size: what a recall or a what-if has to deal with.

- The answer is complete: it is never cut, whatever its size. Samples are counted by class, not listed. A class that holds
  the outputs of two models of one name is counted whole as soon as one of them is reached: rather too many than too few.
- It depends on the entries below `log_size` alone, so that whoever holds those entries gets the same list; `digest` is
  over its canonical form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session

from provenance.canonical import canonical_bytes, sha256_digest
from provenance.errors import FieldError, MalformedError
from provenance.lineage.graph import Graph
from provenance.lineage.load import find_start, load_graph
from provenance.store.lineage import name_classes
from provenance.store.log import get_head
from provenance.store.samples import weigh_parts

KINDS = {"release": "releases", "run": "runs", "model": "models", "report": "reports"}


@dataclass(frozen=True)
class ClassReach:
    """The samples of one class of a dataset that are reached below the log size."""

    dataset: str
    fact_class: str
    teacher: str
    route: str
    samples: int
    tokens: int


@dataclass(frozen=True)
class Reach:
    """What is reached from `roots`; ids in the order in which the log first named them.

    `names` are models that samples or parents name and nobody registered. `token_share` is the reached samples' part of
    all tokens in the log at that size, 0 to 1; `release_shares` is the same for each release.
    """

    roots: tuple[str, ...]
    log_size: int
    classes: tuple[ClassReach, ...]
    releases: tuple[str, ...]
    runs: tuple[str, ...]
    models: tuple[str, ...]
    reports: tuple[str, ...]
    names: tuple[str, ...]
    samples: int
    tokens: int
    token_share: float
    release_shares: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """The reach as it is shown and signed, with its digest."""
        classes = [vars(item) for item in self.classes]
        said = {**vars(self), "roots": list(self.roots), "classes": classes}
        said |= {name: list(getattr(self, name)) for name in ("releases", "runs", "models", "reports", "names")}
        return {**said, "digest": self.digest}

    @property
    def digest(self) -> str:
        """The digest of what is reached: the same for everybody who holds the same entries."""
        said = {name: list(getattr(self, name)) for name in ("releases", "runs", "models", "reports", "names")}
        classes = [[item.dataset, item.fact_class, item.teacher, item.samples, item.tokens] for item in self.classes]
        whole = {"roots": sorted(self.roots), "log_size": self.log_size, "classes": classes, **said}
        return sha256_digest(canonical_bytes(whole))


def freeze_reach(session: Session, roots: Sequence[str], *, log_size: int | None = None) -> Reach:
    """Everything that descends from `roots`, the roots themselves among it.

    Args:
        roots: references as `load.find_start` takes them (model, release, run, sample, fact-class, dataset, source).
        log_size: entries below it count; the log's size by default.
    Raises:
        MalformedError: no root, or a log size that the log does not have.
        NotFoundError: a root is not in the lineage at that size.
        UnavailableError: the index is older than the graph's tables.
    """
    size = get_head(session).size
    if log_size is not None and not 0 < log_size <= size:
        expected = f"1 to {size}, the size of the log"
        raise MalformedError(f"log_size: expected {expected}", FieldError("log_size", log_size, expected))
    if not roots:
        raise MalformedError("roots: expected at least one", FieldError("roots", [], "at least one reference"))
    size = log_size or size
    graph = load_graph(session, size)
    starts = {node for root in roots for node in find_start(session, root, graph)}
    reached = sorted(graph.walk(sorted(starts), "descendants"))
    return _freeze(session, graph, tuple(roots), reached, size)


def _freeze(session: Session, graph: Graph, roots: tuple[str, ...], reached: Sequence[int], size: int) -> Reach:
    held: dict[str, list[str]] = {kind: [] for kind in (*KINDS, "name")}
    for node in reached:
        held.get(graph.nodes[node].kind, []).append(graph.nodes[node].key)
    slices = {node for node in reached if graph.nodes[node].kind == "samples"}
    weights = weigh_parts(session, size)
    total = sum(tokens for _, tokens in weights.values())
    classes = _classes(session, graph, slices, weights)
    tokens = sum(item.tokens for item in classes)
    return Reach(
        roots=roots,
        log_size=size,
        classes=classes,
        **{field: tuple(held[kind]) for kind, field in KINDS.items()},
        names=tuple(held["name"]),
        samples=sum(item.samples for item in classes),
        tokens=tokens,
        token_share=tokens / total if total else 0.0,
        release_shares=_release_shares(graph, slices, reached),
    )


def _classes(
    session: Session, graph: Graph, slices: set[int], weights: Mapping[tuple[int, int], tuple[int, int]]
) -> tuple[ClassReach, ...]:
    datasets, classes = name_classes(session)
    reached = {(graph.nodes[node].dataset_id or 0, graph.nodes[node].fact_class_id or 0) for node in slices}
    found = []
    for key in sorted(reached):
        digest, teacher, facts = classes[key[1]]
        samples, tokens = weights.get(key, (0, 0))
        found.append(ClassReach(datasets[key[0]], digest, teacher, facts["teacher"]["route"], samples, tokens))
    return tuple(found)


def _release_shares(graph: Graph, slices: set[int], reached: Sequence[int]) -> dict[str, float]:
    shares: dict[str, float] = {}
    for number in reached:
        node = graph.nodes[number]
        if node.kind == "release":
            parts = graph.edges(number, "ancestors")
            total = sum(edge.tokens for edge in parts)
            hit = sum(edge.tokens for edge in parts if edge.parent in slices)
            shares[node.key] = hit / total if total else 0.0
    return shares
