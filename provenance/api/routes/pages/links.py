"""Where the page of a recorded thing is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provenance.api.rendering import quote_segment

_PAGES = {"decision": "decisions", "run": "runs", "model": "models", "report": "reports", "terms": "terms",
          "policy": "policies", "agreement": "agreements", "exception": "exceptions", "erasure": "erasures",
          "recall": "recalls"}  # fmt: skip


def entry_url(kind: str, index: int, predicate: Mapping[str, Any]) -> str | None:
    """The page of what an entry records, or None where it has none but the entry's own."""
    if kind == "sample":
        return f"/samples/{index}"
    if kind == "release":
        return f"/releases/{quote_segment(predicate['name'])}@{predicate.get('version', 1)}"
    if kind == "curation" and predicate.get("kind") == "dataset-facts":
        return f"/sources/collections/{quote_segment(predicate['id'])}"
    if kind in _PAGES:
        return f"/{_PAGES[kind]}/{quote_segment(predicate['id'])}"
    return {"key": "/log#keys"}.get(kind)
