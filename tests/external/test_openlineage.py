"""The official OpenLineage client takes our events into its own classes and gives the same events back.

Source: openlineage-python, the client of the OpenLineage project.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from openlineage.client import OpenLineageClient, event_v2, facet_v2
from openlineage.client.serde import Serde
from openlineage.client.transport.http import ApiKeyTokenProvider, HttpConfig, HttpTransport

from provenance.export.events import format_openlineage
from provenance.export.facets import OUR_SCHEMAS
from provenance.recall.deliver import Post, deliver_event
from provenance.terms.catalogue import Catalogue
from tests.export.endpoint import open_endpoint
from tests.export.openlineage import errors_in
from tests.export.telling import HOSTILE, scope_of, tell_generations, withdraw
from tests.lineage.conftest import story
from tests.lineage.story import Story
from tests.store.logs import catalogue, log, sqlite_log

__all__ = ["catalogue", "log", "sqlite_log", "story"]
pytestmark = pytest.mark.external
FACETS: dict[tuple[str, str], Any] = {
    ("dataset", "dataSource"): facet_v2.datasource_dataset.DatasourceDatasetFacet,
    ("dataset", "documentation"): facet_v2.documentation_dataset.DocumentationDatasetFacet,
    ("dataset", "lifecycleStateChange"): facet_v2.lifecycle_state_change_dataset.LifecycleStateChangeDatasetFacet,
    ("dataset", "schema"): facet_v2.schema_dataset.SchemaDatasetFacet,
    ("dataset", "version"): facet_v2.dataset_version_dataset.DatasetVersionDatasetFacet,
    ("input", "inputStatistics"): facet_v2.input_statistics_input_dataset.InputStatisticsInputDatasetFacet,
    ("job", "documentation"): facet_v2.documentation_job.DocumentationJobFacet,
    ("job", "jobType"): facet_v2.job_type_job.JobTypeJobFacet,
    ("output", "outputStatistics"): facet_v2.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet,
    ("run", "errorMessage"): facet_v2.error_message_run.ErrorMessageRunFacet,
    ("run", "processing_engine"): facet_v2.processing_engine_run.ProcessingEngineRunFacet,
}
OURS = {"dataset": facet_v2.DatasetFacet, "run": facet_v2.RunFacet}


def take_facets(kind: str, facets: dict[str, Any]) -> dict[str, Any]:
    """Facets as the client's own objects; ours as its base facets with further properties."""
    taken = {}
    for name, facet in facets.items():
        values = {key: value for key, value in facet.items() if not key.startswith("_")}
        if name.startswith("provenance_"):
            taken[name] = OURS[kind](producer=facet["_producer"]).with_additional_properties(**values)
        else:
            taken[name] = FACETS[kind, name](producer=facet["_producer"], **values)
            assert taken[name]._get_schema() == facet["_schemaURL"], name
    return taken


def take_dataset(kind: Any, value: dict[str, Any]) -> Any:
    more = {
        key: take_facets(key.removesuffix("Facets"), value[key])
        for key in ("inputFacets", "outputFacets")
        if key in value
    }
    return kind(value["namespace"], value["name"], facets=take_facets("dataset", value["facets"]), **more)


def take(event: dict[str, Any]) -> Any:
    """An event as the client's own object."""
    shared = {"eventTime": event["eventTime"], "producer": event["producer"]}
    if "dataset" in event:
        return event_v2.DatasetEvent(**shared, dataset=take_dataset(event_v2.StaticDataset, event["dataset"]))
    job = event["job"]
    shared |= {
        "job": event_v2.Job(job["namespace"], job["name"], facets=take_facets("job", job["facets"])),
        "inputs": [take_dataset(event_v2.InputDataset, item) for item in event["inputs"]],
        "outputs": [take_dataset(event_v2.OutputDataset, item) for item in event["outputs"]],
    }
    if "run" not in event:
        return event_v2.JobEvent(**shared)
    run = event_v2.Run(event["run"]["runId"], facets=take_facets("run", event["run"]["facets"]))
    return event_v2.RunEvent(**shared, run=run, eventType=event_v2.RunState(event["eventType"]))


def without_schemas(value: Any) -> Any:
    """Without the schema of our facets, which the client does not know, and without what is empty there."""
    if isinstance(value, dict):
        url = str(value.get("_schemaURL"))
        ours = url.startswith(OUR_SCHEMAS) or url.endswith(("/DatasetFacet", "/RunFacet"))
        kept = {key: without_schemas(item) for key, item in value.items() if item not in ({}, None)}
        return {key: item for key, item in kept.items() if not (ours and key == "_schemaURL")}
    return [without_schemas(item) for item in value] if isinstance(value, list) else value


def test_the_client_takes_every_event_and_gives_the_same_back(story: Story, catalogue: Catalogue) -> None:
    models = tell_generations(story)
    withdraw(story, "rel_2")
    story.train(f"acme/{HOSTILE[0]}", story.release("one"), student=story.student(HOSTILE[3]))
    for root, direction in ((models[2], "ancestors"), ("mistral/mistral-7b", "descendants")):
        lines = format_openlineage(scope_of(story, root, catalogue, direction, widen=True)).splitlines()
        assert len(lines) > 10
        for line in lines:
            event = json.loads(line)
            again = json.loads(Serde.to_json(take(event)))
            assert without_schemas(again) == without_schemas(event)
            assert errors_in(again) == []


def test_the_clients_own_transport_and_ours_bring_an_endpoint_the_same(story: Story, catalogue: Catalogue) -> None:
    models = tell_generations(story)
    events = [
        json.loads(line) for line in format_openlineage(scope_of(story, models[2], catalogue, widen=True)).splitlines()
    ]
    with open_endpoint(key="a key") as endpoint:
        config = HttpConfig(
            url=endpoint.url.removesuffix("api/v1/lineage"), auth=ApiKeyTokenProvider({"api_key": "a key"})
        )
        client = OpenLineageClient(transport=HttpTransport(config))
        for event in events:
            client.emit(take(event))
        client.close()
        theirs = list(endpoint.events)
        for event in theirs:  # the client signs its name below each
            event.get("run", {}).get("facets", {}).pop("tags", None)
        for event in events:
            assert deliver_event(Post(openlineage_key="a key"), endpoint.url, event) == "answered 201"
        ours = endpoint.events[len(theirs) :]
    assert (endpoint.refused, ours) == ([], events)
    assert without_schemas(theirs) == without_schemas(events)
