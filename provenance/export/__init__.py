"""Export: the lineage around a thing, as documents of other people's standards.

- `gather` reads what there is to tell into a `Scope`; everything else here is pure, and the same log gives the same bytes.
- `events` tells it as OpenLineage events, of `datasets` and `facets`.
- `prov` tells it as W3C PROV-JSON, with the names of `names` and the records of `records`.
"""
