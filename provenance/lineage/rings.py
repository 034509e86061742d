"""Refuse a model that would be its own ancestor, before anything is recorded.

What others claim (imported samples, models of other logs) is recorded and shown as a ring; what this service records of its
own registrations and runs never makes one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlmodel import Session

from provenance.errors import ConflictError, FieldError
from provenance.lineage.load import load_graph
from provenance.store.lineage import find_by_key, find_model_node, normal_name
from provenance.store.students import get_student


def refuse_ring(session: Session, name: str, parents: Sequence[str], *, releases: Sequence[str] = ()) -> None:
    """Check that a model `provider/name` may be made of these models and releases.

    A name that is registered already stays another model: a second version may be made of the first.

    Raises:
        ConflictError: what it would be made of descends from it.
    """
    own = normal_name(name)
    known = find_model_node(session, name)
    if known is None or known.kind == "model":
        if known is None and own in {normal_name(parent) for parent in parents}:
            raise _refusal(name, [name])
        return
    nodes = [find_model_node(session, parent) for parent in parents]
    nodes += [find_by_key(session, "release", release) for release in releases]
    graph = load_graph(session)
    for node in nodes:
        path = None if node is None else graph.find_path(known.id, node.id)
        if path is not None:
            raise _refusal(name, [name, *(graph.nodes[edge.child].key for edge in path)])


def refuse_run_ring(session: Session, release: str, student: str) -> None:
    """Check that the model of a run may be made of its release and its base model.

    Raises:
        ConflictError: one of them descends from the student.
        NotFoundError: the student was not declared.
    """
    facts = get_student(session, student).predicate["facts"]
    developer, base = facts.get("developer"), facts.get("base_model")
    provider = developer.get("name") if isinstance(developer, Mapping) else None
    parents = [base] if isinstance(base, str) and base not in ("", "unknown", "none") else []
    refuse_ring(session, f"{provider or 'unknown'}/{facts['name']}", parents, releases=[release])


def _refusal(name: str, path: Sequence[str]) -> ConflictError:
    expected = "models and releases that do not come from it"
    return ConflictError(
        f"{name} would be its own ancestor: {' -> '.join(path)}", FieldError("parents", name, expected)
    )
