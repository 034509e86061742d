"""Write the lineage around a thing in one of the formats of others."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from sqlmodel import Session

from provenance.errors import FieldError, MalformedError
from provenance.export import events, prov
from provenance.export.gather import gather
from provenance.export.scope import Scope
from provenance.lineage.graph import Direction
from provenance.terms.catalogue import Catalogue

MAX_NAME = 80


class Format(NamedTuple):
    """A format: how its documents are written, their media type, how their files end, and whether jobs are told whole."""

    write: Callable[[Scope], bytes]
    media_type: str
    extension: str
    widen: bool = False


class Document(NamedTuple):
    """An export, and the name that its file has."""

    data: bytes
    media_type: str
    filename: str


FORMATS: Mapping[str, Format] = {
    "prov-json": Format(prov.format_prov, prov.MEDIA_TYPE, "prov.json"),
    "openlineage": Format(events.format_openlineage, events.MEDIA_TYPE, "openlineage.ndjson", widen=True),
}


def write_export(
    session: Session,
    root: str,
    direction: Direction,
    format_name: str,
    catalogue: Catalogue,
    *,
    depth: int | None = None,
) -> Document:
    """The lineage around `root` as a document.

    Raises:
        MalformedError: an unknown format, no reference, a depth out of range, or too many things for one document.
        NotFoundError: nothing of that name.
    """
    chosen = FORMATS.get(format_name)
    if chosen is None:
        expected = " or ".join(FORMATS)
        raise MalformedError(f"format: expected {expected}", FieldError("format", format_name[:80], expected))
    scope = gather(session, root, direction, catalogue, depth=depth, widen=chosen.widen)
    plain = re.sub(r"[^A-Za-z0-9]+", "-", root).strip("-")[:MAX_NAME] or "lineage"
    return Document(chosen.write(scope), chosen.media_type, f"{plain}.{chosen.extension}")
