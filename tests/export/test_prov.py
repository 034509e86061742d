"""The lineage as PROV-JSON: who made what of what, by which activity, and what the log says of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provenance.errors import MalformedError, NotFoundError
from provenance.export.prov import format_prov
from provenance.terms.catalogue import Catalogue
from tests.export.telling import HOSTILE, scope_of, tell_generations, withdraw
from tests.lineage.story import Story

Told = dict[str, Any]


def tell(story: Story, root: str, catalogue: Catalogue, direction: Any = "ancestors", **more: Any) -> Told:
    told: Told = json.loads(format_prov(scope_of(story, root, catalogue, direction, **more)))
    return told


def ends(told: Told, relation: str, one: str, other: str) -> set[tuple[str, str]]:
    return {(item[f"prov:{one}"], item[f"prov:{other}"]) for item in told.get(relation, {}).values()}


def types(thing: Told) -> set[str]:
    return {item["$"] for item in thing["prov:type"]}


def test_a_model_is_told_down_to_the_first_teacher(story: Story, catalogue: Catalogue) -> None:
    models = tell_generations(story)
    told = tell(story, models[2], catalogue)
    made = ends(told, "wasGeneratedBy", "entity", "activity")
    runs = {thing: activity for thing, activity in made if activity.startswith("log:run-")}
    assert set(runs) == {f"log:model-{model}" for model in models}
    assert len(set(runs.values())) == len(models)
    derived = ends(told, "wasDerivedFrom", "generatedEntity", "usedEntity")
    reached: set[str] = set()
    waiting = [f"log:model-{models[2]}"]
    while waiting:
        thing = waiting.pop()
        generation = [activity for entity, activity in made if entity == thing]
        more = {used for new, used in derived if new == thing}
        more |= {used for activity, used in ends(told, "used", "activity", "entity") if activity in generation}
        waiting += sorted(more - reached)
        reached |= more
    assert {"log:name-openai.2Fgpt-4o", "log:name-mistral.2Fmistral-7b", f"log:model-{models[0]}"} <= reached


def test_everything_that_is_named_is_told_of(story: Story, catalogue: Catalogue) -> None:
    models = tell_generations(story)
    withdraw(story, "rel_2")
    story.report("model", models[1])
    told = tell(story, "dataset:one", catalogue, "descendants")
    known = {name for kind in ("entity", "activity", "agent") for name in told[kind]}
    named = {
        value
        for relation in set(told) - {"entity", "activity", "agent", "prefix"}
        for item in told[relation].values()
        for value in item.values()
        if isinstance(value, str) and value.startswith("log:")
    }
    assert named <= known
    assert not set(told["entity"]) & set(told["activity"])  # PROV-CONSTRAINTS, constraint 55


def test_terms_verdict_entry_and_digest_are_attributes(story: Story, catalogue: Catalogue) -> None:
    tell_generations(story)
    told = tell(story, "rel_2", catalogue)
    release = told["entity"]["log:release-rel_2"]
    assert (release["provenance:state"], release["provenance:verdict"]) == ("allowed", "allow")
    assert "provenance:Release" in types(release)
    samples = [thing for thing in told["entity"].values() if "provenance:Samples" in types(thing)]
    by_teacher = {thing["provenance:teacher"]: thing for thing in samples}
    api = by_teacher["openai/gpt-4o"]
    assert any(term.startswith("openai-") for term in api["provenance:terms"])
    assert api["provenance:digest"].startswith("sha256:")
    assert api["provenance:samples"] == {"$": "1", "type": "xsd:long"}
    used = [item for item in told["used"].values() if "provenance:verdict" in item]
    assert {item["provenance:verdict"] for item in used} == {"allow"}
    agents = {told["agent"][name]["prov:label"] for _, name in ends(told, "wasAssociatedWith", "activity", "agent")}
    assert {"openai/gpt-4o", "mistral/mistral-7b", "Acme"} <= agents
    log = next(thing for thing in told["entity"].values() if "provenance:Log" in types(thing))
    assert log["provenance:treeSize"]["$"] == str(story.size())


def test_a_withdrawal_is_told_with_who_did_it(story: Story, catalogue: Catalogue) -> None:
    tell_generations(story)
    withdraw(story, "rel_2", actor="Ann Ö")
    told = tell(story, "rel_2", catalogue, depth=0)
    release = told["entity"]["log:release-rel_2"]
    assert (release["provenance:state"], release["provenance:signedState"]) == ("withdrawn", "allowed")
    [(thing, act)] = ends(told, "wasInvalidatedBy", "entity", "activity")
    assert thing == "log:release-rel_2"
    [who] = [agent for activity, agent in ends(told, "wasAssociatedWith", "activity", "agent") if activity == act]
    assert told["agent"][who]["prov:label"] == "Ann Ö"
    assert types(told["agent"][who]) == {"prov:Person"}


def test_the_same_log_gives_the_same_bytes(story: Story, catalogue: Catalogue) -> None:
    models = tell_generations(story)
    once = format_prov(scope_of(story, models[2], catalogue))
    assert once == format_prov(scope_of(story, models[2], catalogue))
    assert once != format_prov(scope_of(story, models[1], catalogue))


def test_a_ring_of_claims_is_an_influence_without_an_order(story: Story, catalogue: Catalogue) -> None:
    first = story.model("acme/one", "acme/two")
    second = story.model("acme/two", first)
    told = tell(story, second, catalogue)
    assert ends(told, "wasInfluencedBy", "influencee", "influencer")
    assert not told.get("wasDerivedFrom")


def test_a_report_about_a_run_is_informed_by_it(story: Story, catalogue: Catalogue) -> None:
    models = tell_generations(story)
    [run] = [node.key for node in scope_of(story, models[0], catalogue).nodes if node.kind == "run"]
    report = story.report("run", run)
    told = tell(story, report, catalogue)
    assert ends(told, "wasInformedBy", "informed", "informant") == {(f"log:reporting-{report}", f"log:run-{run}")}


def test_hostile_names_stay_what_they_are(story: Story, catalogue: Catalogue) -> None:
    for number, name in enumerate(HOSTILE):
        if name.isprintable():  # the record takes no data set whose name holds control or bidirectional characters
            story.sample(f"d{number} {name}", "openai/gpt-4o", samples=1)
        story.model(f"acme/{name}", identifier=f"mdl_h{number}")
        told = tell(story, f"mdl_h{number}", catalogue)
        assert told["entity"][f"log:model-mdl_h{number}"]["prov:label"] == f"acme/{name}"
    told = tell(story, "openai/gpt-4o", catalogue, "descendants")
    labels = {thing.get("prov:label") for thing in told["entity"].values()}
    assert {f"d{number} {name}" for number, name in enumerate(HOSTILE) if name.isprintable()} <= labels


def test_what_is_too_much_or_nothing_is_refused(
    story: Story, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = tell_generations(story)
    with pytest.raises(NotFoundError):
        scope_of(story, "nobody/nothing", catalogue)
    with pytest.raises(MalformedError, match="depth"):
        scope_of(story, models[0], catalogue, depth=-1)
    monkeypatch.setattr("provenance.export.gather.MAX_SHOWN", 3)
    with pytest.raises(MalformedError) as caught:
        scope_of(story, models[0], catalogue)
    assert caught.value.errors[0].field == "depth"
    assert len(scope_of(story, models[0], catalogue, depth=1).nodes) == 2
