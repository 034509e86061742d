"""The lineage as W3C PROV: what was made is an entity, the making of it an activity, whoever answers for it an agent.

| of ours | in PROV |
|---|---|
| model, a name nobody registered, samples of a class, release, report, others' data set, decision | entity |
| data set of ours | entity and collection, of which the samples are members |
| generation, building of a release, training run, reporting, withdrawal | activity |
| provider, developer, account holder | agent, an organization |
| who withdraws; a teacher at work, the service | agent, a person; software |

- Every name is that of `names`, in a namespace of the log: ids hold within their log.
- Claims that go round in a ring have no order in time, which `wasDerivedFrom` would state: they are `wasInfluencedBy`.
"""

from __future__ import annotations

from provenance.export.names import VOCABULARY, log_namespace
from provenance.export.prov_edges import tell_edge
from provenance.export.prov_nodes import service_of, tell_node
from provenance.export.records import LOG, OURS, Records, ours, qualified
from provenance.export.scope import Scope

MEDIA_TYPE = "application/json"  # PROV-JSON has none of its own


def format_prov(scope: Scope) -> bytes:
    """A PROV-JSON document of everything in scope.

    Source: W3C Member Submission "The PROV-JSON Serialization", 24 April 2013.
    """
    records = Records({LOG: log_namespace(scope.origin), OURS: VOCABULARY})
    _tell_log(scope, records)
    for node in scope.nodes:
        tell_node(scope, records, node)
    for edge in scope.edges:
        tell_edge(scope, records, edge)
    return records.format()


def _tell_log(scope: Scope, records: Records) -> None:
    """Which log this was read from, and what was asked: whoever holds the log can make the same document."""
    log = records.add(
        "entity",
        f"tree-{scope.log_size}",
        prov_type=[qualified(ours("Log"))],
        prov_label=f"the log {scope.origin} at size {scope.log_size}",
        origin=scope.origin,
        treeSize=scope.log_size,
        rootHash=scope.tree_root,
        askedFor=scope.root,
        direction=scope.direction,
        depth=scope.depth,
    )
    records.relate("wasAttributedTo", {"entity": log, "agent": service_of(scope, records)})
