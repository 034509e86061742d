"""What recorded collections say of the data sets that samples came from, by the `source_dataset.ref` that they carry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlmodel import Session

from provenance.api.rendering import quote_segment
from provenance.capture.collection.names import fold
from provenance.errors import DigestMismatchError, NotFoundError
from provenance.policy.collection.examine import KIND
from provenance.policy.collection.files import FOLDER, read_files
from provenance.runtime import Runtime
from provenance.store.collections import list_curations


def describe_sources(session: Session, runtime: Runtime, classes: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each data set that the fact classes name, with what each recorded collection claims of it, the newest first.

    A collection is asked by data set id and by hub id. Names are not asked: many data sets share one.
    """
    sources = [facts.get("source_dataset") or {} for facts in classes]
    refs = sorted({str(source["ref"]) for source in sources if source.get("ref")})
    if not refs:
        return []
    rows = list_curations(session, KIND)
    found: dict[str, list[dict[str, Any]]] = {ref: [] for ref in refs}
    for row in rows:
        try:
            facts, comparison = read_files(runtime.settings.data_dir / FOLDER, row.predicate)
        except (NotFoundError, DigestMismatchError) as exc:
            for claims in found.values():
                claims.append({"collection": row.key, "entry": row.index, "unreadable": exc.detail})
            continue
        compared = {item["id"]: item for item in comparison["datasets"]}
        for ref, claims in found.items():
            known = (item for item in facts["datasets"] if _is_named(item, ref))
            claims += [_describe(item, compared[item["id"]], row.key, row.index) for item in known]
    return [{"ref": ref, "collections": claims} for ref, claims in found.items()]


def _is_named(item: Mapping[str, Any], ref: str) -> bool:
    return fold(ref) in {fold(item["id"]), fold(item["hub_id"] or item["id"])}


def _describe(item: Mapping[str, Any], compared: Mapping[str, Any], collection: str, entry: int) -> dict[str, Any]:
    return {
        "collection": collection,
        "entry": entry,
        "dataset": item["id"],
        "url": f"/sources/collections/{collection}/{quote_segment(item['id'])}",
        "license_state": item["license_state"],
        "licenses": [{name: one[name] for name in ("source", "name", "spdx")} for one in item["licenses"]],
        "provider_terms": item["provider_terms"],
        "generators": item["generators"],
        "parents": [{name: one[name] for name in ("name", "state", "ref")} for one in item["parents"]],
        "ours": compared["ours"],
        "upstream": compared["upstream"],
        "kinds": compared["kinds"],
    }
