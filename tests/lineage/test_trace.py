"""Questions in words: ancestors, descendants, paths, shares, and the model that would be its own ancestor."""

from __future__ import annotations

from typing import Any

import pytest

from provenance.errors import ConflictError, MalformedError
from provenance.lineage.rings import refuse_ring, refuse_run_ring
from provenance.lineage.shares import weigh_teachers
from provenance.lineage.trace import trace, trace_path
from provenance.store.session import read_session
from provenance.terms.catalogue import Catalogue
from tests.lineage.story import Story


def ask(story: Story, root: str, direction: Any = "descendants", **more: Any) -> dict[str, Any]:
    with read_session(story.log.engine) as session:
        return trace(session, root, direction, **more)


def three_generations(story: Story) -> list[str]:
    story.sample("one", "mistral/mistral-7b", samples=3)
    story.sample("one", "openai/gpt-4o", samples=1, route="api")
    models = [story.train("acme/a", story.release("one"))]
    story.sample("two", "acme/a", samples=1)
    story.sample("two", "mistral/mistral-7b", samples=3)
    models.append(story.train("acme/b", story.release("two")))
    story.sample("three", "acme/b", samples=2)
    models.append(story.train("acme/c", story.release("three")))
    return models


def test_an_answer_names_every_end_of_every_edge_and_what_it_left_out(story: Story) -> None:
    three_generations(story)
    whole = ask(story, "mistral/mistral-7b")
    assert whole["left_out"] == 0
    for limit in (1, 4, 9):
        found = ask(story, "mistral/mistral-7b", limit=limit)
        named = {node["id"] for node in found["nodes"]}
        assert len(found["nodes"]) == limit
        assert found["left_out"] + limit == found["total"] == whole["total"] == sum(found["kinds"].values())
        assert all({edge["parent"], edge["child"]} <= named for edge in found["edges"])
        assert all(node["via"] is None or node["via"]["parent"] in named for node in found["nodes"])
    near = ask(story, "mistral/mistral-7b", depth=2)
    assert {node["distance"] for node in near["nodes"]} == {0, 1, 2}


def test_which_runs_saw_a_sample_and_which_samples_made_a_model(story: Story) -> None:
    index = story.sample("one", "nobody/first", samples=1)
    models = three_generations(story)
    runs = {node["key"] if "key" in node else node["ref"] for node in ask(story, f"sample:{index}")["nodes"]}
    assert f"model:{models[0]}" in runs
    made = [node for node in ask(story, models[0], "ancestors")["nodes"] if node["kind"] == "samples"]
    assert {node["teacher"] for node in made} == {"mistral/mistral-7b", "openai/gpt-4o", "nobody/first"}


def test_a_path_is_a_numbered_way_in_either_direction_or_none(story: Story) -> None:
    models = three_generations(story)
    story.sample("apart", "qwen/qwen2-7b")
    with read_session(story.log.engine) as session:
        down = trace_path(session, "openai/gpt-4o", models[2])
        up = trace_path(session, models[2], "openai/gpt-4o")
        none = trace_path(session, "qwen/qwen2-7b", models[0])
    assert [node["kind"] for node in down["nodes"][:5]] == ["name", "samples", "release", "run", "model"]
    assert (down["direction"], up["direction"]) == ("descendants", "ancestors")
    assert up["nodes"] == down["nodes"]
    assert len(down["steps"]) == len(down["nodes"]) - 1
    assert none["steps"] is None


def test_shares_generations_and_what_was_self_made(story: Story, catalogue: Catalogue) -> None:
    models = three_generations(story)
    with read_session(story.log.engine) as session:
        found = [weigh_teachers(session, model, catalogue) for model in models]
    assert [item["generation"] for item in found] == [1, 2, 3]
    assert [item["self_made_share"] for item in found] == [0.0, 0.25, 1.0]
    assert [(item["name"], item["share"]) for item in found[0]["teachers"]] == [
        ("mistral/mistral-7b", 0.75),
        ("openai/gpt-4o", 0.25),
    ]
    assert {item["name"]: item["share"] for item in found[0]["access_routes"]} == {"weights": 0.75, "api": 0.25}
    assert {item["name"]: item["share"] for item in found[1]["legal_routes"]}["self-made"] == 0.25
    assert {item["name"]: item["share"] for item in found[0]["legal_routes"]}["contract"] == 0.25


def test_a_claimed_ring_has_no_generation_and_is_shown(story: Story, catalogue: Catalogue) -> None:
    story.sample("d", "acme/self")
    model = story.train("acme/self", story.release("d"))
    with read_session(story.log.engine) as session:
        assert weigh_teachers(session, model, catalogue)["generation"] is None
    [ring] = ask(story, model)["rings"]
    assert ring["claimed"]
    assert f"model:{model}" in ring["members"]


def test_a_model_that_would_be_its_own_ancestor_is_refused(story: Story) -> None:
    story.sample("d", "acme/next")
    release = story.release("d")
    child = story.model("acme/child", "acme/next")
    with read_session(story.log.engine) as session:
        for parents, releases in (([child], []), ([], [release]), (["acme/next"], [])):
            with pytest.raises(ConflictError, match="its own ancestor"):
                refuse_ring(session, "Acme/Next", parents, releases=releases)
        with pytest.raises(ConflictError, match="its own ancestor"):
            refuse_ring(session, "acme/new", ["acme/new"])
        refuse_ring(session, "acme/child", [child])  # a second version of it
        refuse_ring(session, "acme/next", ["mistral/mistral-7b"])


@pytest.mark.parametrize(("name", "value"), [("depth", -1), ("depth", 10**9), ("limit", 0), ("limit", 10**9)])
def test_what_is_out_of_range_names_its_field(story: Story, name: str, value: int) -> None:
    story.sample("d", "mistral/mistral-7b")
    with pytest.raises(MalformedError) as caught:
        ask(story, "mistral/mistral-7b", **{name: value})
    assert caught.value.errors[0].field == name


def test_a_run_whose_student_made_its_own_samples_is_refused(story: Story) -> None:
    story.sample("d", "acme/next")
    release = story.release("d")
    own = story.student("next", developer={"name": "Acme"}, base_model="none")
    other = story.student("other", developer={"name": "Acme"}, base_model="mistral/mistral-7b")
    with read_session(story.log.engine) as session:
        with pytest.raises(ConflictError, match="its own ancestor"):
            refuse_run_ring(session, release, own)
        refuse_run_ring(session, release, other)
