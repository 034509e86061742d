"""The gate judges a teacher that was trained here by what lineage says that it carries: exactly that, and no more."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from provenance.errors import PolicyDocumentError
from provenance.lineage.inherit import inherit_classes, inherit_teacher
from provenance.lineage.inherited import NOTHING, Inheritance, parse_inheritance
from provenance.policy.decide import decide
from provenance.policy.gate import GateAnswer, Question, ask_gate
from provenance.policy.pack import Pack
from provenance.policy.taint import find_taint
from provenance.store.session import read_session
from provenance.terms.catalogue import Catalogue
from tests.lineage.story import Story
from tests.policy.conftest import make_student
from tests.store.logs import digest_of

NOW = dt.datetime(2026, 11, 24, 10, tzinfo=dt.UTC)
ACME = {k: v for k, v in make_student().items() if k != "name"}
ACME |= {"competes_with": ["openai"], "base_model": "none", "base_license": None}
OTHER = {**ACME, "developer": {"name": "Other", "country": "US", "ultimate_parent_country": "US"}}
BOUGHT: dict[str, Any] = {"route": "api", "account": {"holder": "acme", "plan": None}}


def teach(story: Story, teacher: str, **sample: Any) -> str:
    """Train acme/tutor on outputs of `teacher`, and capture its own outputs as data set `two`; the tutor's id."""
    story.sample("one", teacher, **sample)
    student = story.student("tutor", **ACME)
    tutor = story.train("acme/tutor", story.release("one", student=student), student=student)
    story.sample("two", "acme/tutor")
    return tutor


def ask(
    story: Story,
    catalogue: Catalogue,
    pack: Pack,
    student: dict[str, Any] | None = None,
    *,
    action: str = "train",
    dataset: str = "two",
) -> GateAnswer:
    facts = {"name": "pupil", **(student or ACME)}
    question = Question(dataset, {}, "stu", facts, digest_of("stu"), action, story.size())
    with read_session(story.log.engine) as session:
        return ask_gate(session, question, catalogue=catalogue, pack=pack, now=NOW)


def documents(gate: GateAnswer) -> set[str]:
    return {document["id"] for document in gate.answer["documents"]}


DERIVED = {
    "google/gemma-2-9b": "google-gemma-terms-2025-03-24",
    "google/gemma-3-4b": "google-gemma-terms-2025-03-24",
    "google/gemma-3n-e4b": "google-gemma-terms-2025-03-24",
    "deepseek/deepseek-v2-chat": "deepseek-model-license-1.0",
    "tencent/hunyuan-large": "tencent-hunyuan-large-2024-11-05",
}


@pytest.mark.parametrize("teacher", DERIVED)
def test_a_derivative_clause_is_judged_as_it_was_for_the_first_student(
    story: Story, catalogue: Catalogue, pack: Pack, teacher: str
) -> None:
    at = {"generated_at": "2025-09-01T00:00:00Z"}
    teach(story, teacher, **at)
    first, second = ask(story, catalogue, pack, dataset="one"), ask(story, catalogue, pack)
    assert documents(second) == documents(first) == {DERIVED[teacher]}
    assert second.verdict == first.verdict
    met = {(item["type"], item["status"]) for item in second.answer["conditions"]}
    assert met == {(item["type"], item["status"]) for item in first.answer["conditions"]}
    [reason] = [item for item in second.answer["reasons"] if item["document"]][:1]
    assert reason["facts"]["carried_by"] == f"acme/tutor@1 <- {teacher}"
    assert f"carried by acme/tutor@1 <- {teacher}" in reason["text"]
    assert all(item["carried_by"] for item in second.answer["conditions"])


@pytest.mark.parametrize(
    "teacher",
    ["meta/llama-3.1-8b-instruct", "alibaba/qwen2.5-72b-instruct", "huggingface-smollm/smollm2-135m-instruct"],
)
def test_what_the_outputs_ask_ends_with_the_first_student(
    story: Story, catalogue: Catalogue, pack: Pack, teacher: str
) -> None:
    teach(story, teacher)
    first, second = ask(story, catalogue, pack, dataset="one"), ask(story, catalogue, pack)
    assert documents(first)
    assert documents(second) == set()
    assert second.answer["conditions"] == []
    assert second.verdict == "allow"
    assert {item["rule"] for item in second.answer["reasons"]} == {"ownership.own-model"}


def test_a_licence_goes_with_the_weights_and_from_there_to_one_student(
    story: Story, catalogue: Catalogue, pack: Pack
) -> None:
    tutor = teach(story, "meta/llama-3.1-8b-instruct")
    student = story.student("built", **{**ACME, "base_model": "acme/tutor"})
    story.sample("plain", "huggingface-smollm/smollm2-135m-instruct")
    story.train("acme/built", story.release("plain", student=student), base=tutor, student=student)
    story.sample("three", "acme/built")
    assert documents(ask(story, catalogue, pack, dataset="three")) == set()  # of outputs: built on the first student
    llama = story.student("tuned", **{**ACME, "base_model": "meta/llama-3.1-8b"})
    story.train("acme/tuned", story.release("plain", student=llama), base="meta/llama-3.1-8b", student=llama)
    story.sample("four", "acme/tuned")
    gate = ask(story, catalogue, pack, dataset="four")
    assert documents(gate) == {"meta-llama-3.1"}
    assert gate.verdict == "allow-with-conditions"


def test_a_contract_stays_with_the_party(story: Story, catalogue: Catalogue, pack: Pack) -> None:
    teach(story, "openai/gpt-4o", **BOUGHT, generated_at="2026-03-01T00:00:00Z")
    own, other = ask(story, catalogue, pack), ask(story, catalogue, pack, OTHER)
    assert own.verdict == "deny"
    [bar] = [item for item in own.answer["reasons"] if item["effect"] == "deny"]
    assert (bar["document"], bar["clause"]) == ("openai-services-agreement-2026-01-01", "3.3(e)")
    assert bar["facts"]["carried_by"] == "acme/tutor@1 <- openai/gpt-4o"
    assert documents(other) == set()
    assert other.verdict == "review"  # nothing of OpenAI's reaches Other, and Acme gave no permission
    assert {item["rule"] for item in other.answer["reasons"]} == {"terms.nothing-on-record"}


def test_a_third_generation_is_reached_by_what_reaches_all(story: Story, catalogue: Catalogue, pack: Pack) -> None:
    teach(story, "google/gemma-2-9b", generated_at="2025-09-01T00:00:00Z")
    story.sample("two", "meta/llama-3.1-8b-instruct")
    student = story.student("pupil", **ACME)
    story.train("acme/pupil", story.release("two", student=student), student=student)
    story.sample("three", "acme/pupil")
    gate = ask(story, catalogue, pack, dataset="three")
    assert documents(gate) == {"google-gemma-terms-2025-03-24"}
    ways = {item["carried_by"] for item in gate.answer["conditions"]}
    assert ways == {"acme/pupil@1 <- acme/tutor@1 <- google/gemma-2-9b"}


def test_an_unknown_teacher_stays_unknown(story: Story, catalogue: Catalogue, pack: Pack) -> None:
    teach(story, "nobody/unheard-of")
    gate = ask(story, catalogue, pack)
    assert gate.verdict == "review"
    [reason] = (
        gate.answer["reasons"]
        if len(gate.answer["reasons"]) == 1
        else [item for item in gate.answer["reasons"] if item["effect"] == "review"]
    )
    assert "acme/tutor@1 <- nobody/unheard-of" in reason["text"]


def test_a_model_that_was_only_registered_is_no_permission(story: Story, catalogue: Catalogue, pack: Pack) -> None:
    story.model("acme/found", license="apache-2.0")
    story.sample("two", "acme/found")
    assert ask(story, catalogue, pack).verdict == "review"


@pytest.mark.parametrize(
    "case",
    [
        ("openai/gpt-4o", BOUGHT, "allow"),
        ("huggingface-smollm/smollm2-135m-instruct", {}, "allow"),
        ("google/gemma-2-9b", {}, "review"),
    ],
    ids=lambda case: case[0],
)
def test_that_a_teacher_is_registered_as_well_changes_nothing(
    story: Story, catalogue: Catalogue, pack: Pack, case: tuple[str, dict[str, Any], str]
) -> None:
    teacher, sample, verdict = case
    student = ACME | {"competes_with": [], "purpose": "classification", "use": "research", "distribution": "none"}
    story.sample("two", teacher, **sample)
    before = ask(story, catalogue, pack, student).answer
    assert before["verdict"] == verdict
    story.model(teacher, kind="hosted" if sample else "open-weights")
    after = ask(story, catalogue, pack, student).answer
    assert {**after, "log_size": 0} == {**before, "log_size": 0}
    story.train("acme/built-on-it", story.release("two"), base=teacher)  # nor that somebody builds on it
    again = ask(story, catalogue, pack, student).answer
    assert {**again, "log_size": 0} == {**before, "log_size": 0}


def test_a_registered_model_carries_what_it_says_that_it_was_made_of(
    story: Story, catalogue: Catalogue, pack: Pack
) -> None:
    story.sample("two", "acme/tuned")
    story.model("acme/tuned", "google/gemma-2-9b")
    assert "google-gemma-terms-2025-03-24" in documents(ask(story, catalogue, pack))


def test_a_rewriter_does_not_wash_its_source(story: Story, catalogue: Catalogue, pack: Pack) -> None:
    source = story.sample("one", "openai/gpt-4o", samples=1, generated_at="2026-03-01T00:00:00Z", **BOUGHT)
    story.sample("two", "huggingface-smollm/smollm2-135m-instruct", samples=1, parents=[str(source)])
    gate = ask(story, catalogue, pack)
    assert gate.verdict == "deny"
    assert documents(gate) == {"smollm-apache", "openai-services-agreement-2026-01-01"}


@pytest.mark.parametrize("teacher", [*DERIVED, "meta/llama-3.1-8b-instruct", "openai/gpt-4o", "nobody/unheard-of"])
def test_the_gate_and_the_taint_of_the_student_agree(
    story: Story, catalogue: Catalogue, pack: Pack, teacher: str
) -> None:
    teach(story, teacher, **(BOUGHT if teacher.startswith("openai") else {}), generated_at="2026-02-01T00:00:00Z")
    gate = ask(story, catalogue, pack)
    student = story.student("pupil", **ACME)
    pupil = story.train("acme/pupil", story.release("two", student=student), student=student)
    with read_session(story.log.engine) as session:
        taint = find_taint(session, pupil, catalogue, today=NOW.date())
    assert {item["document"] for item in taint["items"]} - {None} == documents(gate)
    assert any(item["kind"] == "unknown" for item in taint["items"]) == (teacher == "nobody/unheard-of")


def test_a_decision_is_fixed_by_its_log_size(story: Story, catalogue: Catalogue, pack: Pack) -> None:
    teach(story, "openai/gpt-4o", **BOUGHT)
    size, digests = story.size(), [item.digest for item in ask(story, catalogue, pack).counts]

    def inherited() -> dict[str, Inheritance]:
        with read_session(story.log.engine) as session:
            return inherit_classes(session, "two", digests, size, catalogue)

    before = inherited()
    assert before[digests[0]].items
    assert before == inherited()
    story.sample("one", "google/gemma-2-9b")
    student = story.student("tutor", **OTHER)
    story.train("acme/tutor", story.release("one", student=student), student=student)
    story.sample("two", "acme/tutor")
    assert inherited() == before
    with read_session(story.log.engine) as session:
        later = inherit_classes(session, "two", digests, story.size(), catalogue)
    assert later != before


def test_a_what_if_answers_alike(story: Story, catalogue: Catalogue, pack: Pack) -> None:
    teach(story, "google/gemma-2-9b", generated_at="2025-09-01T00:00:00Z")
    stored = ask(story, catalogue, pack).classes[0]
    sample = {**stored.facts, "account": None}
    with read_session(story.log.engine) as session:
        carried = inherit_teacher(session, sample, story.size(), catalogue)
        assert inherit_teacher(session, sample, 1, catalogue) == NOTHING
        unheard = {"teacher": {"provider": "acme", "model": "unheard"}}
        assert inherit_teacher(session, unheard, story.size(), catalogue) == NOTHING
    answer = decide(
        sample, {"name": "pupil", **ACME}, inheritance=carried, catalogue=catalogue, pack=pack,
        log_size=story.size(),
    )  # fmt: skip
    for name in ("verdict", "conditions", "reasons", "documents", "inherited"):
        assert answer[name] == stored.answer[name]


def test_what_is_written_down_must_name_mode_document_and_path(catalogue: Catalogue) -> None:
    good = {"mode": "derivative", "document": "meta-llama-3.1", "path": ["a/b"]}
    assert parse_inheritance({"items": [good]}, catalogue).items[0].document is not None
    changes: list[dict[str, object]] = [{"mode": "x"}, {"document": "no-such"}, {"path": []}]
    for bad in changes:
        with pytest.raises(PolicyDocumentError):
            parse_inheritance({"items": [{**good, **bad}]}, catalogue)
