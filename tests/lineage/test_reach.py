"""From the entries of several generations to the graph, and to the reach that a recall freezes."""

from __future__ import annotations

import pytest

from provenance.errors import MalformedError, NotFoundError, UnavailableError
from provenance.lineage.load import find_start, load_graph
from provenance.lineage.reach import Reach, freeze_reach
from provenance.store.reindex import reindex
from provenance.store.session import read_session, write_session
from provenance.store.tables import LineageEdge, LineageNode
from tests.lineage.story import Story, keys


def two_generations(story: Story) -> dict[str, str]:
    """teacher -> samples -> release -> run -> student -> samples -> release -> run -> student; another line beside it."""
    said = {"teacher": story.model("meta/llama-3.1-8b-instruct")}
    story.sample("first", "meta/llama-3.1-8b-instruct", samples=4)
    story.sample("first", "mistral/mistral-7b", samples=6)
    said["release1"] = story.release("first")
    said["student1"] = story.train("acme/tutor", said["release1"])
    story.sample("second", "acme/tutor", samples=5)
    said["release2"] = story.release("second")
    said["student2"] = story.train("acme/pupil", said["release2"], base="mistral/mistral-7b")
    said["report"] = story.report("release", said["release2"])
    story.sample("apart", "qwen/qwen2-7b")
    said["apart"] = story.train("acme/apart", story.release("apart"))
    return said


def reach(story: Story, *roots: str, log_size: int | None = None) -> Reach:
    with read_session(story.log.engine) as session:
        return freeze_reach(session, roots, log_size=log_size)


def test_everything_that_descends_from_a_teacher_and_nothing_else(story: Story) -> None:
    said = two_generations(story)
    found = reach(story, said["teacher"])
    assert set(found.models) == {said["teacher"], said["student1"], said["student2"]}
    assert set(found.releases) == {said["release1"], said["release2"]}
    assert set(found.reports) == {said["report"]}
    assert len(found.runs) == 2
    assert [(item.dataset, item.teacher, item.samples) for item in found.classes] == [
        ("first", "meta/llama-3.1-8b-instruct", 4),
        ("second", "acme/tutor", 5),
    ]
    assert (found.samples, found.tokens) == (9, 90)
    assert found.token_share == pytest.approx(90 / 180)
    assert found.release_shares == {said["release1"]: pytest.approx(0.4), said["release2"]: 1.0}


@pytest.mark.parametrize("start", ["name", "release", "sample", "dataset", "class"])
def test_a_reach_starts_anywhere(story: Story, start: str) -> None:
    said = two_generations(story)
    index = story.sample("second", "acme/tutor", samples=1)
    whole = reach(story, "dataset:second")
    roots = {
        "name": "ACME/Tutor",
        "release": said["release2"],
        "sample": f"sample:{index}",
        "dataset": "dataset:second",
        "class": f"fact-class:{whole.classes[0].fact_class}",
    }
    found = reach(story, roots[start])
    assert said["student2"] in found.models
    assert said["apart"] not in found.models
    assert (said["student1"] in found.models) == (start == "name")


def test_the_reach_of_a_log_size_stays_what_it_was(story: Story) -> None:
    said = two_generations(story)
    size = story.size()
    before = reach(story, said["teacher"])
    story.sample("first", "meta/llama-3.1-8b-instruct", samples=2)
    story.train("acme/later", said["release1"])
    now = reach(story, said["teacher"])
    assert reach(story, said["teacher"], log_size=size) == before
    assert len(now.models) == len(before.models) + 1
    assert now.samples == before.samples + 2
    assert now.digest != before.digest == reach(story, said["teacher"], log_size=size).digest


def test_a_second_version_made_from_outputs_of_the_first_is_no_ring(story: Story) -> None:
    story.sample("d1", "mistral/mistral-7b")
    first = story.train("acme/tutor", story.release("d1"))
    story.sample("d2", "acme/tutor")
    release = story.release("d2")
    second = story.train("acme/tutor", release)
    story.sample("d2", "acme/tutor")  # the same class now holds outputs of both
    graph = story.graph()
    assert graph.find_rings() == []
    assert set(reach(story, first).models) == {first, second}
    assert set(reach(story, second).models) == {second}


def test_what_the_gate_kept_out_is_no_ancestor(story: Story) -> None:
    story.sample("d", "openai/gpt-4o", route="api")
    story.sample("d", "mistral/mistral-7b")
    partial = story.train("acme/a", story.release("d", deny="openai/gpt-4o"))
    blocked = story.release("d", state="blocked")
    found = reach(story, "openai/gpt-4o")
    assert not found.releases
    assert reach(story, "mistral/mistral-7b").models == (partial,)
    assert blocked not in reach(story, "mistral/mistral-7b").releases


def test_a_name_is_the_model_that_is_registered_later(story: Story) -> None:
    story.sample("d", "mistral/mistral-7b")
    release = story.release("d")
    model = story.model("mistral/mistral-7b", "mistral/base")
    assert release in reach(story, model).releases
    assert release in reach(story, "mistral/base").releases


def test_parents_of_samples_by_external_id_and_by_entry(story: Story) -> None:
    story.sample("seeds", "openai/gpt-4o", route="api", external_id="s-1", samples=1)
    index = story.sample("seeds", "qwen/qwen2-7b", samples=1)
    story.sample("made", "mistral/mistral-7b", parents=["s-1", str(index), "never-seen"], samples=2)
    release = story.release("made")
    for root in ("openai/gpt-4o", "qwen/qwen2-7b"):
        assert release in reach(story, root).releases
    graph = story.graph()
    with read_session(story.log.engine) as session:
        start = find_start(session, release)
    found = graph.walk(start, "ancestors")
    assert "outside" in {graph.nodes[node].kind for node in found}
    assert {"openai/gpt-4o", "qwen/qwen2-7b", "mistral/mistral-7b"} <= keys(graph, found)


def test_weights_tell_a_teacher_whatever_it_is_called(story: Story) -> None:
    digest = "sha256:" + "5" * 64
    model = story.model("acme/tutor", weights_digest=digest)
    story.sample("d", "other/alias", facts={"weights_digest": digest})
    assert len(reach(story, model).classes) == 1


def test_an_import_that_claims_a_ring_is_shown(story: Story) -> None:
    story.sample("d", "acme/self")
    model = story.train("acme/self", story.release("d"))
    graph = story.graph()
    [ring] = graph.find_rings()
    assert {"acme/self", model} <= keys(graph, ring)
    assert model in reach(story, model).models


def test_a_reindex_makes_the_same_graph(story: Story) -> None:
    two_generations(story)
    before = story.graph()
    with write_session(story.log.engine) as session:
        reindex(session)
    assert story.graph() == before


@pytest.mark.parametrize(
    ("roots", "log_size", "field"),
    [([], None, "roots"), (["mdl_x"], 10**9, "log_size"), (["mdl_x"], 0, "log_size"), (["a\x00b"], None, "root")],
)
def test_a_question_that_is_none_names_its_field(
    story: Story, roots: list[str], log_size: int | None, field: str
) -> None:
    story.sample("d", "mistral/mistral-7b")
    with pytest.raises(MalformedError) as caught:
        reach(story, *roots, log_size=log_size)
    assert caught.value.errors[0].field == field


def test_what_had_not_begun_is_not_found(story: Story) -> None:
    story.sample("d", "mistral/mistral-7b")
    size = story.size()
    model = story.model("acme/late")
    assert reach(story, model).models == (model,)
    for root, log_size in ((model, size), ("model:nobody/nothing", None), ("sample:999999", None)):
        with pytest.raises(NotFoundError):
            reach(story, root, log_size=log_size)


def test_an_index_of_before_the_graph_is_refused(story: Story) -> None:
    two_generations(story)
    with write_session(story.log.engine) as session:
        session.connection().execute(LineageEdge.__table__.delete())  # type: ignore[attr-defined]  # made by SQLModel
        session.connection().execute(LineageNode.__table__.delete())  # type: ignore[attr-defined]  # made by SQLModel
    with read_session(story.log.engine) as session, pytest.raises(UnavailableError, match="db reindex"):
        load_graph(session)
