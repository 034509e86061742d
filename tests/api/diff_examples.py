"""Examples of the page that compares two versions of a release."""

from __future__ import annotations

from dataclasses import replace

from provenance.api.views.common import Link
from provenance.api.views.release_diff import Change, ClassChange, DiffSide, ReleaseDiffPage, SampleChange
from tests.api.example_values import HOSTILE, digest

_URL = "/releases/demo/1..2"
_OLD = DiffSide(
    "demo@1", "/releases/demo@1", "partial", "acme-1b", "demo", "all of it", 341, 260, 60, "dec-81fe", "deny",
    "2026-11-24T10:00:00Z", digest("policy"), digest("terms"),
)  # fmt: skip
_NEW = replace(
    _OLD, name="demo@2", url="/releases/demo@2", log_size=402, released=230, quarantined=110, selection=f"teacher {HOSTILE}",
    decision_id="dec-9a01", terms_digest=None,
)  # fmt: skip
_MOVED = ClassChange(
    "meta/llama-3.1-8b-instruct", "weights", "changed", "released", "quarantined", 12, 60, 60, "no-terms",
    f"No document on record covers this teacher. {HOSTILE}",
)  # fmt: skip
_CAME = ClassChange("huggingface/smollm2-135m-instruct", "weights", "came", None, "released", 1, 0, 30, None, None)

_DIFF = ReleaseDiffPage(
    before=_OLD,
    after=_NEW,
    counts={"added": 30, "removed": 60, "same": 200},
    classes=[_CAME],
    quarantine=[_MOVED],
    documents=[Change("meta-llama-3.1", "removed", "Llama 3.1 Community License, version 3.1, from 2024-07-23, verified", None)],
    packs=[Change("weights", "changed", digest("w1"), digest("w2"))],
    conditions=[Change("name-prefix (meta-llama-3.1, 1.b.i)", "removed", "unmet: Put Llama first in the name.", None)],
    shown=None,
    rows=[
        SampleChange(1_201, "removed", "meta/llama-3.1-8b-instruct", digest("class"), "released", "quarantined"),
        SampleChange(1_350, "added", "huggingface/smollm2-135m-instruct", digest("b"), "not-logged-yet", "released"),
    ],
    next_url=f"{_URL}?after=1350",
    choices=[Link("added and removed", _URL), Link("same", f"{_URL}?change=same")],
)  # fmt: skip
_SAME = replace(
    _DIFF, counts={"added": 0, "removed": 0, "same": 260}, classes=[], quarantine=[], documents=[], packs=[], conditions=[],
    rows=[], next_url=None,
)  # fmt: skip

DIFF_EXAMPLES = {"release-diff": (_URL, _DIFF), "release-diff-same": (_URL, _SAME)}
