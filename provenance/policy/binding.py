"""All that binds a sample for one student: the documents of its own day, and what it inherits of its teacher's making."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from provenance.lineage.inherited import Inheritance, Inherited
from provenance.terms.catalogue import Catalogue
from provenance.terms.own import bind_outputs
from provenance.terms.resolve import Binding, Bound, Unmatched
from provenance.terms.series import Choice


def bind_sample(
    sample: Mapping[str, Any],
    inheritance: Inheritance,
    developer: str | None,
    catalogue: Catalogue,
    *,
    at: dt.date | None = None,
) -> Binding:
    """The binding of a sample; a contract of another party than the student's `developer` is left out of it."""
    own = bind_outputs(sample, catalogue, trained_here=bool(inheritance.trained_by), at=at)
    reaching = [item for item in inheritance.items if item.reaches(developer)]
    return replace(
        own,
        bound=(*own.bound, *(bound for item in reaching for bound in _bind(item))),
        unmatched=(*own.unmatched, *(miss for item in reaching for miss in _miss(item))),
        trained_by=inheritance.trained_by,
    )


def _bind(item: Inherited) -> tuple[Bound, ...]:
    document = item.document
    if document is None or item.mode == "unknown":
        return ()
    why = f"{item.mode} that the teacher carries: {item.way}"
    choice = Choice(document.series, (document,))
    return (Bound(choice, why, of_another=item.of_another, path=item.path, party=item.party),)


def _miss(item: Inherited) -> tuple[Unmatched, ...]:
    if item.mode != "unknown":
        return ()
    return (Unmatched("inherited", f"what {item.way} carries is not known: {item.text}"),)
