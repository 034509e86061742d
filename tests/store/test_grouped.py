"""Requests that wait together are indexed together: their rows are those that one after the other would make."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provenance.ledger.append import Draft, Receipt, append_entries, make_draft
from provenance.ledger.edge import TileEdge
from provenance.ledger.sign import sign_entry
from provenance.store import reindex as module
from provenance.store.reindex import reindex
from provenance.store.session import read_session, write_session
from provenance.terms.catalogue import Catalogue
from tests.store.logs import NOW, Log, check_log, digest_of, make_samples, raw_sample, read_index

NAMES = ("gpt-4o-2024-08-06", "o1")
samples = st.fixed_dictionaries(
    {},
    optional={
        "dataset": st.sampled_from(["math", "code"]),
        "teacher__model": st.sampled_from(NAMES),
        "teacher__weights_digest": st.sampled_from([digest_of("a"), digest_of("b")]),
        "teacher__revision": st.sampled_from(["r1", "r2"]),
        "generated_at": st.sampled_from(["2026-11-20T10:00:00Z", "2026-11-21T10:00:00Z"]),
        "external_id": st.sampled_from(["s1", "s2"]),
        "parents": st.lists(st.sampled_from(["s1", "s2", "nobody", "0", "40"]), max_size=2),
    },
)
models = st.fixed_dictionaries(
    {
        "name": st.sampled_from(NAMES),
        "revision": st.sampled_from([None, "r1"]),
        "weights_digest": st.sampled_from([None, digest_of("a")]),
        "parents": st.lists(st.sampled_from(["openai/o1", "meta/llama"]), max_size=1),
    }
)
requests = st.lists(st.lists(samples, min_size=1, max_size=3) | models, min_size=1, max_size=8)


def draft_all(log: Log, catalogue: Catalogue, asked: list[Any]) -> list[Draft]:
    """The drafts of all requests, in order, before any of them is appended."""
    drafts: list[Draft] = []
    recorder = log.recorder(catalogue)

    def keep(draft: Draft) -> Receipt:
        drafts.append(draft)
        return Receipt(0, len(draft.entries), 0, "")

    recorder.append = keep
    for number, request in enumerate(asked):
        if isinstance(request, list):
            recorder.record(make_samples(*(raw_sample(**changes) for changes in request)), source="api")
        else:
            model = {"id": f"mod_{number}", "provider": "openai", "kind": "teacher", "license": None, "run": None}
            drafts.append(make_draft([sign_entry(log.ring, "model", {**model, "conditions": [], **request})]))
    return drafts


def append_together(log: Log, drafts: list[Draft]) -> None:
    edge = TileEdge()
    with write_session(log.engine) as session:
        append_entries(session, edge, drafts, ring=log.ring, sign_once=log.sign_once, now=NOW)
    log.sign_once.record(edge.size, edge.root())


@given(asked=requests, more=requests)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_group_makes_the_rows_of_its_requests_one_by_one(
    sqlite_log: Log, catalogue: Catalogue, asked: list[Any], more: list[Any]
) -> None:
    same_rows(sqlite_log, catalogue, asked, more)


def test_so_it_does_on_either_database(log: Log, catalogue: Catalogue) -> None:
    parents = [{"external_id": "s1"}, {"dataset": "code", "parents": ["s1", "nobody"]}]
    model = {"name": NAMES[0], "revision": "r1", "weights_digest": None, "parents": ["openai/o1"]}
    asked = [
        [{}],
        [{}, {"dataset": "code"}],
        parents,
        [{}],
        model,
        [{"teacher__revision": "r1"}],
        [{}, {"external_id": "s2"}],
    ]
    same_rows(log, catalogue, asked, asked)


def same_rows(log: Log, catalogue: Catalogue, asked: list[Any], more: list[Any]) -> None:
    for group in (asked, more):
        append_together(log, draft_all(log, catalogue, group))
    check_log(log.engine, log.ring)
    with read_session(log.engine) as session:
        live = read_index(session)
    with pytest.MonkeyPatch.context() as patch, write_session(log.engine) as session:
        patch.setattr(module, "MIN_GROUP", 1)  # each batch and each statement by itself
        reindex(session)
        assert read_index(session) == live
