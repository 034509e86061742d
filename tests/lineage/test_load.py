"""A kept graph is carried on by what was appended since, and is always the one that is read anew."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import Session

from provenance.lineage import load
from provenance.lineage.graph import Graph
from provenance.store import lineage as store
from provenance.store.session import read_session, write_session
from tests.lineage.story import Story


def read_anew(story: Story, size: int | None = None) -> Graph:
    load._kept.clear()
    with read_session(story.log.engine) as session:
        return load.load_graph(session, size)


def carry_on(story: Story, size: int | None = None) -> Graph:
    with read_session(story.log.engine) as session:
        return load.load_graph(session, size)


def test_each_entry_more_gives_the_graph_that_is_read_anew(story: Story) -> None:
    kept: list[load._Kept] = []
    steps = (
        lambda: story.sample("one", "meta/llama-3.1-8b"),
        lambda: story.sample("two", "acme/later", parents=["0"]),
        lambda: story.sample("two", "acme/later", parents=["1"]),
        lambda: story.train("acme/tutor", story.release("one")),
        lambda: story.model("acme/later", "acme/tutor"),
        lambda: story.sample("one", "acme/tutor"),
        lambda: story.report("release", "rel_1"),
    )
    for step in steps:
        load._kept[:] = kept
        step()
        before, graph = list(load._kept), carry_on(story)
        kept = list(load._kept)
        assert graph == read_anew(story)
        assert len(before) < len(kept) or before != kept


def test_an_older_log_size_is_answered_beside_the_newest(story: Story) -> None:
    story.sample("one", "meta/llama-3.1-8b")
    size = story.size()
    story.train("acme/tutor", story.release("one"))
    assert carry_on(story) == read_anew(story)
    older = carry_on(story, size)
    assert {node.kind for node in older.nodes.values()} == {"name", "samples"}
    assert older == read_anew(story, size)
    assert carry_on(story) == read_anew(story)


def test_only_what_was_added_is_read(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    story.sample("one", "meta/llama-3.1-8b")
    carry_on(story)
    size, asked = story.size(), []
    story.sample("one", "meta/llama-3.1-8b")

    def load_edges(session: Session, log_size: int, first: int = 0) -> list[Any]:
        asked.append(first)
        return real(session, log_size, first)

    real = store.load_edges
    monkeypatch.setattr(store, "load_edges", load_edges)
    carry_on(story)
    assert asked == [size]


def test_a_graph_whose_rows_were_made_again_otherwise_is_not_carried_on(story: Story) -> None:
    story.sample("one", "meta/llama-3.1-8b")
    story.sample("one", "openai/gpt-4o")
    carry_on(story)
    with write_session(story.log.engine) as session:
        session.connection().execute(text("UPDATE lineage_edge SET parent = parent + 2 WHERE parent = 1"))
    assert carry_on(story) == read_anew(story)
