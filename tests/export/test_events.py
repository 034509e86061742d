"""The lineage as OpenLineage events, checked by the official schemas: states, inputs, outputs, facets, stable ids."""

from __future__ import annotations

import copy
import datetime as dt
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.export.datasets import plain
from provenance.export.events import format_openlineage, list_events, run_uuid
from provenance.terms.catalogue import Catalogue
from tests.export.openlineage import errors_in, list_facets, our_schemas
from tests.export.telling import HOSTILE, scope_of, tell_generations, withdraw
from tests.lineage.story import Story
from tests.store.statements import AT, say

Body = dict[str, Any]


def tell(story: Story, root: str, catalogue: Catalogue, direction: Any = "ancestors", **more: Any) -> list[Body]:
    scope = scope_of(story, root, catalogue, direction, widen=True, **more)
    lines = format_openlineage(scope).splitlines()
    assert len(lines) == len(list_events(scope))
    return [json.loads(line) for line in lines]


def runs_of(events: list[Body]) -> list[tuple[str, str]]:
    return [(event["job"]["name"], event["eventType"]) for event in events if "run" in event]


def test_every_event_and_facet_is_what_its_schema_says(story: Story, catalogue: Catalogue) -> None:
    models = tell_generations(story)
    withdraw(story, "rel_2")
    events = tell(story, models[2], catalogue)
    assert [error for event in events for error in errors_in(event)] == []
    assert {"RunEvent", "JobEvent", "DatasetEvent"} == {event["schemaURL"].rpartition("/")[2] for event in events}
    names = {name for event in events for name, _ in list_facets(event)}
    ours = {"provenance_teacher", "provenance_terms", "provenance_verdict"}
    assert ours | {"version", "schema", "dataSource", "documentation", "jobType", "inputStatistics"} <= names
    for event in events:
        assert dt.datetime.fromisoformat(event["eventTime"]).tzinfo is not None


def test_the_schemas_refuse_what_is_wrong(story: Story, catalogue: Catalogue) -> None:
    models = tell_generations(story)
    event = next(item for item in tell(story, models[0], catalogue) if item.get("eventType") == "COMPLETE")
    spoils: tuple[Callable[[Body], Any], ...] = (
        lambda e: e.pop("eventTime"),
        lambda e: e.update(eventType="DONE"),
        lambda e: e["run"].update(runId="run_1"),
        lambda e: e["job"].pop("namespace"),
        lambda e: e["outputs"][0]["facets"]["provenance_verdict"].pop("verdict"),
        lambda e: e["outputs"][0]["facets"]["provenance_teacher"]["teachers"][0].update(verdict="maybe"),
        lambda e: e["outputs"][0]["facets"]["provenance_terms"].update(documents=[{"id": "x"}]),
        lambda e: e["outputs"][0]["facets"]["version"].pop("_schemaURL"),
    )
    for spoil in spoils:
        spoilt = copy.deepcopy(event)
        spoil(spoilt)
        assert errors_in(spoilt), spoil


def test_jobs_are_joined_by_what_one_makes_and_another_reads(story: Story, catalogue: Catalogue) -> None:
    models = tell_generations(story)
    events = tell(story, models[2], catalogue)
    made = {item["name"] for event in events for item in event.get("outputs", [])}
    read = {item["name"] for event in events for item in event.get("inputs", [])}
    assert read - made == {"models/openai/gpt-4o", "models/mistral/mistral-7b"}
    assert made - read == {f"models/acme/c@{models[2]}"}
    ended = [pair for pair in runs_of(events) if pair[1] != "START"]
    assert {state for _, state in ended} == {"COMPLETE"}
    assert len(ended) == 6
    assert sum(state == "START" for _, state in runs_of(events)) == 6


def test_what_a_depth_cuts_keeps_its_inputs_and_outputs(story: Story, catalogue: Catalogue) -> None:
    models = tell_generations(story)
    whole = tell(story, models[0], catalogue)
    [run] = [node.key for node in scope_of(story, models[0], catalogue).nodes if node.kind == "run"]
    alone = tell(story, run, catalogue, depth=0)
    assert [event for event in whole if event in alone] == alone
    assert runs_of(alone) == [("train/tutor", "START"), ("train/tutor", "COMPLETE")]


def test_how_a_run_ended_is_said_as_it_was(story: Story, catalogue: Catalogue) -> None:
    story.sample("d", "mistral/mistral-7b")
    release, student = story.release("d"), story.student("s")
    said = {"release": release, "student": student, "recipe": "sft", "at": AT}
    error = {"state": "failed", "detail": 'out of "memory"\x07'}
    for run, *phases in (
        ("going", "start"),
        ("failed", "start", "fail"),
        ("never", "fail"),
        ("stopped", "start", "cancel"),
    ):
        say(story.log, "run", id=run, phase="plan", base_model=None, **said)
        for phase in phases:
            say(story.log, "run", id=run, phase=phase, **said, **({"error": error} if phase == "fail" else {}))
    say(story.log, "run", id="planned", phase="plan", base_model=None, **said)
    states = {run: [state for _, state in runs_of(tell(story, f"run:{run}", catalogue, depth=0))] for run in (
        "going", "failed", "never", "stopped", "planned",
    )}  # fmt: skip
    assert states == {
        "going": ["START"], "failed": ["START", "FAIL"], "never": ["START", "FAIL"], "stopped": ["START", "ABORT"],
        "planned": [],
    }  # fmt: skip
    [_, failed] = tell(story, "run:failed", catalogue, depth=0)
    assert failed["run"]["facets"]["errorMessage"]["message"] == error["detail"]
    assert errors_in(failed) == []


def test_a_blocked_release_is_an_aborted_build_with_its_verdict(story: Story, catalogue: Catalogue) -> None:
    story.sample("d", "openai/gpt-4o", route="api")
    release = story.release("d", state="blocked", deny="openai/gpt-4o")
    events = tell(story, release, catalogue, depth=0)
    assert [state for _, state in runs_of(events)] == ["START", "ABORT"]
    assert events[-1]["outputs"] == []
    assert events[-1]["run"]["facets"]["provenance_verdict"]["state"] == "blocked"
    [teacher] = events[-1]["inputs"][0]["facets"]["provenance_teacher"]["teachers"]
    assert (teacher["name"], teacher["verdict"], teacher["samples"]) == ("openai/gpt-4o", "deny", 3)


def test_a_withdrawal_ends_the_life_of_that_version_alone(story: Story, catalogue: Catalogue) -> None:
    tell_generations(story)
    before = tell(story, "rel_2", catalogue, depth=0)
    withdraw(story, "rel_2")
    *same, event = tell(story, "rel_2", catalogue, depth=0)
    assert same == before
    assert same[-1]["outputs"][0]["facets"]["lifecycleStateChange"]["lifecycleStateChange"] == "CREATE"
    assert event["dataset"]["name"] == "releases/r2@1"
    assert event["dataset"]["facets"]["lifecycleStateChange"]["lifecycleStateChange"] == "DROP"
    assert event["dataset"]["facets"]["provenance_verdict"]["state"] == "withdrawn"


def test_samples_alone_are_told_as_a_job_without_a_run(story: Story, catalogue: Catalogue) -> None:
    story.sample("d", "mistral/mistral-7b")
    [event] = tell(story, "dataset:d", catalogue, "descendants")
    assert "run" not in event
    assert [item["name"] for item in event["inputs"]] == ["models/mistral/mistral-7b"]
    assert [item["name"] for item in event["outputs"]] == ["datasets/d"]


def test_hostile_names_are_plain_there(story: Story, catalogue: Catalogue) -> None:
    for number, name in enumerate(name for name in HOSTILE if name.isprintable()):
        story.sample(f"d{number} {name}", "openai/gpt-4o", samples=1)
        events = tell(story, f"dataset:d{number} {name}", catalogue, "descendants")
        assert [error for event in events for error in errors_in(event)] == []
        assert all(item["name"].isascii() and " " not in item["name"] for e in events for item in e["outputs"])
    story.train(f"acme/{HOSTILE[4]}", story.release("d0 " + HOSTILE[0]), student=story.student(HOSTILE[5]))
    events = tell(story, "openai/gpt-4o", catalogue, "descendants")
    assert [error for event in events for error in errors_in(event)] == []
    assert any(event["job"]["name"] == plain(f"train/{HOSTILE[5]}") for event in events)


TIMES = st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2200, 1, 1), timezones=st.just(dt.UTC))  # noqa: DTZ001 - bounds


@given(st.text(), st.text(), TIMES, TIMES)
def test_run_ids_are_version_seven_stable_and_in_order_of_time(
    origin: str, key: str, one: dt.datetime, other: dt.datetime
) -> None:
    early, late = sorted((one, other))
    first, second = (run_uuid(origin, key, at.isoformat()) for at in (early, late))
    assert (first.version, first.variant) == (7, uuid.RFC_4122)
    assert first == run_uuid(origin, key, early.isoformat())
    assert first <= second
    assert run_uuid(origin, f"{key}x", early.isoformat()) != first


@pytest.mark.parametrize("name", our_schemas())
def test_our_schemas_are_served_under_their_ids(name: str) -> None:
    schema = our_schemas()[name]
    assert schema["$id"] == f"https://provenance-ledger.dev/static/schemas/openlineage/1-0-0/{name}"
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
