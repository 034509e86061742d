"""What a student inherits from its teacher and from its teacher's teacher: exactly what it must, and no more.

Each case is one text of the catalogue: a first student is trained on outputs, a second on outputs of the first.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from provenance.canonical import canonical_bytes
from provenance.errors import MalformedError
from provenance.ledger.append import make_draft
from provenance.ledger.sign import sign_entry
from provenance.lineage.load import find_start
from provenance.lineage.trace import Labels
from provenance.policy.exception import student_digest
from provenance.policy.gate import Question, ask_gate, decision_predicate
from provenance.policy.pack import load_pack
from provenance.policy.taint import find_taint, mark_tainted
from provenance.store.session import read_session
from provenance.terms.catalogue import Catalogue
from tests.lineage.story import Story
from tests.store.logs import digest_of
from tests.store.statements import AT, say

ACME = {"developer": {"name": "Acme"}, "distribution": "public-weights", "use": "commercial", "notices": []}
ACME |= {"competes_with": ["openai"], "purpose": "general-assistant", "release_license": "MIT", "base_model": "none"}
OTHER = {**ACME, "developer": {"name": "Other"}}
TODAY = dt.date(2026, 11, 24)


def taint(story: Story, catalogue: Catalogue, root: str) -> dict[str, Any]:
    with read_session(story.log.engine) as session:
        return find_taint(session, root, catalogue, today=TODAY)


def kinds(found: dict[str, Any], provider: str) -> set[tuple[str, str]]:
    return {(item["kind"], item["type"]) for item in found["items"] if (item["document"] or "").startswith(provider)}


def generations(story: Story, teacher: str, *, then: dict[str, Any] | None = None, **sample: Any) -> tuple[str, str]:
    """A student of `teacher`, and a student of that student whose developer `then` declares."""
    story.sample("one", teacher, **sample)
    first = story.student("tutor", **ACME)
    one = story.train("acme/tutor", story.release("one", student=first), student=first)
    story.sample("two", "acme/tutor")
    second = story.student("pupil", **(then or ACME))
    return one, story.train("acme/pupil", story.release("two", student=second), student=second)


NOTICES = {("notice", "licence-copy"), ("notice", "notice-file")}
DERIVED = {
    "google/gemma-2-9b": ("google-gemma", {("derivative", "use-restriction-pass-through"), *NOTICES}),
    "google/gemma-3-4b": ("google-gemma", {("derivative", "use-restriction-pass-through"), *NOTICES}),
    "deepseek/deepseek-v2-chat": (
        "deepseek-model-license",
        {("derivative", "use-restriction-pass-through"), ("notice", "licence-copy")},
    ),
    "tencent/hunyuan-large": ("tencent-hunyuan", {("derivative", "use-restriction-pass-through"), *NOTICES}),
}


@pytest.mark.parametrize("teacher", DERIVED)
def test_a_derivative_clause_reaches_every_generation(story: Story, catalogue: Catalogue, teacher: str) -> None:
    document, expected = DERIVED[teacher]
    one, two = generations(story, teacher, then=OTHER)
    first, second = taint(story, catalogue, one), taint(story, catalogue, two)
    assert expected | {("licence", "derivative")} <= kinds(first, document)
    assert kinds(second, document) == kinds(first, document)
    assert {item["direct"] for item in first["items"]} == {True}
    assert {item["direct"] for item in second["items"]} == {False}
    assert {item["mode"] for item in second["items"]} == {"derivative"}


@pytest.mark.parametrize(
    ("teacher", "document", "duty"),
    [
        ("meta/llama-3.1-8b-instruct", "meta-llama-3.1", ("name", "name-prefix")),
        ("alibaba/qwen2.5-72b-instruct", "alibaba-qwen-license-2024", ("notice", "display-notice")),
    ],
)
def test_a_duty_of_outputs_reaches_the_student_and_stops_there(
    story: Story,
    catalogue: Catalogue,
    teacher: str,
    document: str,
    duty: tuple[str, str],
) -> None:
    one, two = generations(story, teacher)
    first = taint(story, catalogue, one)
    assert duty in kinds(first, document)
    assert ("licence", "derivative") not in kinds(first, document)
    assert taint(story, catalogue, two)["items"] == []


def test_a_duty_of_outputs_goes_with_the_weights(story: Story, catalogue: Catalogue) -> None:
    one, _ = generations(story, "meta/llama-3.1-8b-instruct")
    story.sample("three", "mistral/mistral-7b-v0.1")
    built = story.train("acme/built", story.release("three"), base=one)
    found = taint(story, catalogue, built)
    assert ("name", "name-prefix") in kinds(found, "meta-llama-3.1")
    [item] = [item for item in found["items"] if item["kind"] == "name"]
    assert not item["direct"]
    assert item["path"][0] == "model:meta/llama-3.1-8b-instruct"
    assert f"model:{one}" in item["path"]
    assert item["path"][-1] == f"model:{built}"


def test_a_fine_tune_of_a_licensed_model_is_that_model_to_its_students(story: Story, catalogue: Catalogue) -> None:
    story.model("acme/llama-tuned", "meta/llama-3.1-8b-instruct")
    one, _ = generations(story, "acme/llama-tuned")
    found = taint(story, catalogue, one)
    assert ("name", "name-prefix") in kinds(found, "meta-llama-3.1")
    assert "unknown" in {item["kind"] for item in found["items"]}  # nobody knows the fine-tune's own licence


def test_a_contract_stays_with_the_party_that_accepted_it(story: Story, catalogue: Catalogue) -> None:
    bought: dict[str, Any] = {"route": "api", "account": {"holder": "ACME", "plan": None}}
    one, two = generations(story, "openai/gpt-4o", **bought)
    bar = ("restriction", "bars-competing")
    assert bar in kinds(taint(story, catalogue, one), "openai")
    inherited = taint(story, catalogue, two)
    assert bar in kinds(inherited, "openai")
    assert inherited["tainted"]
    [item] = inherited["items"]
    assert (item["mode"], item["direct"], item["party"], item["route"]) == ("contract", False, "ACME", "contract")


def test_a_contract_reaches_no_other_developer(story: Story, catalogue: Catalogue) -> None:
    bought: dict[str, Any] = {"route": "api", "account": {"holder": "acme", "plan": None}}
    one, two = generations(story, "openai/gpt-4o", then=OTHER, **bought)
    assert taint(story, catalogue, one)["tainted"]
    assert taint(story, catalogue, two)["items"] == []


def test_a_contract_of_an_unknown_party_is_never_dropped(story: Story, catalogue: Catalogue) -> None:
    _, two = generations(story, "openai/gpt-4o", then=OTHER, route="api")
    assert taint(story, catalogue, two)["tainted"]


def set_aside(story: Story, catalogue: Catalogue, expires_on: str) -> str:
    """Train acme/tutor on outputs that a contract bars, by an exception that two people approved; the model."""
    pack = load_pack()
    story.sample("one", "openai/gpt-4o", route="api", account={"holder": "acme", "plan": None})
    facts = {"name": "tutor", **ACME}
    student = story.student("tutor", **ACME)
    scope = {
        "actions": ["train"], "rules": ["competition.competing-model"], "dataset": "one", "fact_classes": None,
        "teacher": None, "student": {"id": student, "name": "tutor", "digest": student_digest(facts)},
    }  # fmt: skip
    shared = {
        "id": "exc_1",
        "request_digest": digest_of("exc_1"),
        "expires_on": None,
        "scope": None,
        "reason": None,
        "at": "2026-11-23T10:00:00Z",
    }
    asked = {"reason": "a study", "scope": scope, "expires_on": expires_on, "actor": "erin"}
    say(story.log, "exception", **{**shared, "step": "request", **asked})
    for person in ("carla", "luis"):
        say(story.log, "exception", **{**shared, "step": "approve", "actor": person})
    question = Question("one", {}, student, facts, digest_of(student), "train", story.size())
    with read_session(story.log.engine) as session:
        gate = ask_gate(session, question, catalogue=catalogue, pack=pack, now=dt.datetime(2026, 11, 24, tzinfo=dt.UTC))
    assert gate.answer["exceptions"] == ["exc_1"]
    decision = decision_predicate("dec_1", gate, pack=pack, catalogue=catalogue, decided_at=AT)
    entry = sign_entry(story.log.ring, "decision", decision)
    story.log.sequencer.append(make_draft([entry], [canonical_bytes(gate.content())]))
    say(
        story.log, "release", id="rel_1", name="r", version=1, dataset="one", student=student, state="allowed",
        decision={"id": "dec_1", "index": story.size() - 1}, log_size=question.log_size, counts={}, files=[],
        manifest_digest=None, conditions=[],
    )  # fmt: skip
    return story.train("acme/tutor", "rel_1", student=student)


def test_the_switch_that_lets_a_bar_pass_names_reason_approvers_and_its_last_day(
    story: Story, catalogue: Catalogue
) -> None:
    found = taint(story, catalogue, set_aside(story, catalogue, "2026-12-24"))
    [bar] = [item for item in found["items"] if item["kind"] == "restriction"]
    assert (found["tainted"], found["blocked"], bar["lifted_by"]) == (True, False, "exc_1")
    [lift] = found["lifted_by"]
    assert lift["clauses"] == [{"document": bar["document"], "clause": bar["clause"]}]
    assert (lift["reason"], lift["approvers"], lift["expires_on"]) == ("a study", ["carla", "luis"], "2026-12-24")


def test_an_exception_that_has_ended_sets_nothing_aside(story: Story, catalogue: Catalogue) -> None:
    model = set_aside(story, catalogue, "2026-11-24")
    assert not taint(story, catalogue, model)["blocked"]
    with read_session(story.log.engine) as session:
        found = find_taint(session, model, catalogue, today=TODAY + dt.timedelta(days=1))
    [bar] = [item for item in found["items"] if item["kind"] == "restriction"]
    assert (found["blocked"], bar["lifted_by"], found["lifted_by"][0]["in_force"]) == (True, None, False)


def test_marks_tell_bars_from_clauses_that_only_ask(story: Story, catalogue: Catalogue) -> None:
    one, two = generations(story, "google/gemma-3-4b")
    graph = story.graph()
    with read_session(story.log.engine) as session:
        nodes = [*find_start(session, one, graph), *find_start(session, two, graph)]
        marks = mark_tainted(session, graph, Labels(session), [*nodes, *graph.nodes], catalogue)
    assert {marks[node].taint for node in nodes} == {None}
    assert {marks[node].clauses for node in nodes} == {len(taint(story, catalogue, one)["items"])}
    assert {graph.nodes[node].kind for node in marks} == {"model", "run", "release"}


def test_apache_outputs_bind_nobody(story: Story, catalogue: Catalogue) -> None:
    for model in generations(story, "huggingface-smollm/smollm2-135m-instruct"):
        found = taint(story, catalogue, model)
        assert (found["tainted"], found["items"]) == (False, [])


def test_a_teacher_that_nobody_knows_taints_every_generation(story: Story, catalogue: Catalogue) -> None:
    for model in generations(story, "nobody/unheard-of"):
        found = taint(story, catalogue, model)
        assert found["tainted"]
        assert {item["kind"] for item in found["items"]} == {"unknown"}


def test_a_claimed_ring_is_unknown(story: Story, catalogue: Catalogue) -> None:
    story.sample("d", "acme/self")
    found = taint(story, catalogue, story.train("acme/self", story.release("d")))
    assert any("ring" in item["text"] for item in found["items"])


def test_taint_is_asked_of_one_thing(story: Story, catalogue: Catalogue) -> None:
    story.sample("d", "mistral/mistral-7b")
    story.sample("d", "nobody/unheard-of")
    with pytest.raises(MalformedError):
        taint(story, catalogue, "dataset:d")
