"""Outputs of a model that was trained here: no provider has terms for it, so what binds them is what the model carries.

What the record leaves open of such outputs stays open: another model may have answered, or a host of its own served it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from provenance.terms.catalogue import Catalogue
from provenance.terms.match import matches, model_names, normal_host
from provenance.terms.resolve import UNKNOWN, Binding, Unmatched, known, resolve_terms

HOSTED = frozenset({"api", "consumer", "reseller"})


def bind_outputs(
    sample: Mapping[str, Any], catalogue: Catalogue, *, trained_here: bool, at: dt.date | None = None
) -> Binding:
    """The documents that bind a sample, without what its teacher carries.

    A name that the catalogue knows keeps the documents of its provider, whoever trained a model under it.
    """
    binding = resolve_terms(sample, catalogue, at=at)
    if not trained_here or binding.documents:
        return binding
    return replace(binding, bound=(), unmatched=tuple(_list_open(sample, binding)))


def _list_open(sample: Mapping[str, Any], binding: Binding) -> Iterator[Unmatched]:
    teacher = sample.get("teacher") or {}
    name, served, host = known(teacher.get("model")), teacher.get("served_model"), teacher.get("host")
    if served == UNKNOWN:
        yield Unmatched("unknown-model", "which model was served is not known", ("teacher.served_model",))
    elif served is not None and not _is_same(str(name), served):
        yield Unmatched("served-another", f"{name} was asked for, and {served} was served")
    if binding.route == UNKNOWN:
        yield Unmatched("unknown-route", "how the output was obtained is not known", ("teacher.route",))
    if binding.route not in HOSTED:
        return
    if host == UNKNOWN or (host is None and binding.route == "reseller"):
        yield Unmatched("no-host", "which host served it is not known", ("teacher.host",))
    elif host is not None and normal_host(host) != normal_host(str(teacher.get("provider"))):
        yield Unmatched("no-host", f"host {host!r} has no documents on record for this model")


def _is_same(name: str, served: str) -> bool:
    spellings = model_names(name)
    return matches([*spellings, *(f"{spelling}[-_.:@]*" for spelling in spellings)], served)
