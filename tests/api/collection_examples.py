"""The pages of a collection, filled as the service fills them, from a collection made here; hostile names included."""

from __future__ import annotations

import orjson

from provenance.api.routes.pages.collection_filters import CollectionFilters
from provenance.api.routes.pages.collections import fill_collection, fill_dataset
from provenance.api.views.collections import CollectionRow, CollectionsPage
from provenance.api.views.common import Page
from provenance.capture.collection.names import load_names
from provenance.policy.collection.examine import examine
from provenance.policy.pack import load_pack
from provenance.store.tables import StatementRow
from provenance.terms.catalogue import load_catalogue
from tests.capture.collection.summaries import one_file
from tests.policy.collection.requests import DATASETS, make_request

HOSTILE_NAME = "<script>alert(1)</script> javascript:alert(1)"
HOSTILE_DATASET = {
    "licenses": [HOSTILE_NAME, "OpenAI"], "generators": [HOSTILE_NAME, "OpenAI ChatGPT"], "parents": [HOSTILE_NAME, "human-nc"],
    "Dataset Name": HOSTILE_NAME + "!", "Creators": [HOSTILE_NAME + "\u202e\x1b[31m"], "Dataset URL": "javascript:alert(1)",
}  # fmt: skip


def _make() -> dict[str, tuple[str, Page]]:
    request = make_request(files=one_file({**DATASETS, "<img src=x>": HOSTILE_DATASET}), origin=HOSTILE_NAME)
    examined = examine(request, names=load_names(), catalogue=load_catalogue(), pack=load_pack())
    row = StatementRow(index=351, kind="curation", key=examined.id, predicate=examined.predicate())
    facts, comparison = (orjson.loads(data) for data in examined.files.values())
    base = f"/sources/collections/{examined.id}"

    def listed(query: str = "", **chosen: list[str]) -> Page:
        return fill_collection(row, CollectionFilters(base, chosen, query, facts, comparison), "")

    def shown(dataset: str) -> Page:
        said, compared = (
            next(item for item in items if item["id"] == dataset)
            for items in (facts["datasets"], comparison["datasets"])
        )
        return fill_dataset(row, said, compared)

    one = CollectionRow(examined.id, HOSTILE_NAME, 19, 27, 12, 15, 351)
    other = CollectionRow("col_1", "another", 3, 4, 0, None, 352)
    return {
        "collections": ("/sources/collections", CollectionsPage([one, other])),
        "collections-new": ("/sources/collections", CollectionsPage([])),
        "collection": (base, listed()),
        "collection-filtered": (f"{base}?kind=same&q=human", listed("human", kind=["same"])),
        "collection-nothing": (f"{base}?q=zzz", listed(HOSTILE_NAME + "zzz")),
        "collection-dataset": (f"{base}/gpt4-nc", shown("gpt4-nc")),
        "collection-dataset-human": (f"{base}/human-of-nc", shown("human-of-nc")),
        "collection-dataset-hostile": (f"{base}/%3Cimg%20src=x%3E", shown("<img src=x>")),
    }


COLLECTION_EXAMPLES = _make()
