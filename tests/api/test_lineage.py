"""Lineage over HTTP: the answers of a real record, and questions that are none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.export.openlineage import errors_in, list_facets
from tests.service import LocalService, make_sample

URL = "/api/v1/lineage"


def ask(service: LocalService, path: str = "", **query: Any) -> Any:
    return service.get(URL + path, params=query)


def test_a_teacher_leads_to_what_was_released_and_reported(service: LocalService) -> None:
    found = ask(service, root="huggingface-smollm/smollm2-135m-instruct", direction="descendants")
    kinds = {node["kind"] for node in found["nodes"]}
    assert {"name", "samples", "release"} <= kinds
    assert (found["left_out"], found["log_size"]) == (0, service.log_size())
    release = next(node for node in found["nodes"] if node["kind"] == "release")
    back = ask(service, root=release["ref"], direction="ancestors", depth=1)
    assert {node["distance"] for node in back["nodes"]} == {0, 1}
    way = ask(service, "/path", **{"from": "huggingface-smollm/smollm2-135m-instruct", "to": release["ref"]})
    assert [step["relation"] for step in way["steps"]] == ["generated", "released"]
    shares = ask(service, "/shares", root=release["ref"])
    assert sum(item["share"] for item in shares["teachers"]) == pytest.approx(1)
    assert "openai/gpt-4o" not in {item["name"] for item in shares["teachers"]}
    taint = ask(service, "/taint", root=release["ref"])
    assert {item["document"] for item in taint["items"]} == {"meta-llama-3.1"}
    reach = ask(service, "/reach", root="sample:" + str(_first_sample(service)))
    assert release["ref"].removeprefix("release:") in reach["releases"]


def _first_sample(service: LocalService) -> int:
    found = ask(service, root="huggingface-smollm/smollm2-135m-instruct")
    return int(min(node["entry"] for node in found["nodes"] if node["kind"] == "samples"))


@pytest.mark.parametrize(
    ("path", "query", "status", "field"),
    [
        ("", {"root": "nobody/nothing"}, 404, "root"),
        ("", {"root": "meta/x", "direction": "sideways"}, 422, "direction"),
        ("", {"root": "openai/gpt-4o", "depth": -1}, 422, "depth"),
        ("", {"root": "openai/gpt-4o", "limit": 0}, 422, "limit"),
        ("", {"root": "\x00"}, 422, "root"),
        ("/reach", {"root": "openai/gpt-4o", "log_size": 10**12}, 422, "log_size"),
        ("/taint", {"root": "dataset:mixed"}, 422, "root"),
        ("/export", {"root": "tutor@1"}, 422, "format"),
        ("/export", {"root": "tutor@1", "format": "prov-xml"}, 422, "format"),
        ("/export", {"root": "tutor@1", "format": "prov-json", "direction": "up"}, 422, "direction"),
        ("/export", {"root": "tutor@1", "format": "prov-json", "depth": -1}, 422, "depth"),
        ("/export", {"root": "nobody/none", "format": "prov-json"}, 404, "root"),
    ],
)
def test_a_question_that_is_none_names_its_field(
    service: LocalService, path: str, query: dict[str, Any], status: int, field: str
) -> None:
    answer = service.client.get(URL + path, params=query)
    assert answer.status_code == status, answer.text
    assert answer.json()["errors"][0]["field"] == field


def test_an_export_is_a_file_with_a_harmless_name(service: LocalService) -> None:
    answer = service.client.get(f"{URL}/export", params={"root": "tutor@1", "format": "prov-json"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["content-disposition"] == 'attachment; filename="tutor-1.prov.json"'
    told = answer.json()
    assert {"entity", "activity", "agent", "wasDerivedFrom", "wasGeneratedBy"} <= set(told)
    verdicts = {thing.get("provenance:verdict") for thing in told["entity"].values()}
    assert "allow-with-conditions" in verdicts | {item.get("provenance:verdict") for item in told["used"].values()}
    page = service.client.get("/lineage", params={"root": 'tutor@1"><b>'}, headers={"accept": "text/html"})
    assert page.status_code == 404
    page = service.client.get("/lineage", params={"root": "tutor@1", "dir": "ancestors"})
    link = "/api/v1/lineage/export?root=tutor%401&amp;direction=ancestors&amp;depth=4&amp;format=prov-json"
    assert link in page.text


def test_events_of_openlineage_are_lines_and_their_schemas_are_served(service: LocalService) -> None:
    answer = service.client.get(f"{URL}/export", params={"root": "tutor@1", "format": "openlineage"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    assert answer.headers["content-disposition"] == 'attachment; filename="tutor-1.openlineage.ndjson"'
    events = [json.loads(line) for line in answer.content.splitlines()]
    assert [event.get("eventType") for event in events] == [None, "START", "COMPLETE"]
    assert [error for event in events for error in errors_in(event)] == []
    facets = dict(list_facets(events[-1]["outputs"]))
    assert facets["provenance_verdict"]["state"] == "partial"
    assert facets["outputStatistics"]["rowCount"] == 80
    for name in ("provenance_teacher", "provenance_terms", "provenance_verdict"):
        served = service.client.get(facets[name]["_schemaURL"].removeprefix("https://provenance-ledger.dev"))
        assert served.json()["$id"] in facets[name]["_schemaURL"]


def test_a_model_that_names_itself_as_parent_is_refused_and_nothing_is_logged(service: LocalService) -> None:
    size = service.log_size()
    body = {"provider": "acme", "name": "ring", "kind": "open-weights", "parents": ["Acme/Ring"]}
    answer = service.post("/api/v1/models", body, expect=409)
    assert answer["errors"][0]["field"] == "parents"
    assert service.log_size() == size


def test_a_repeated_registration_is_answered_as_the_first(service: LocalService) -> None:
    headers = {"Idempotency-Key": "lineage-1"}
    body = {"provider": "acme", "name": "twice", "kind": "open-weights", "parents": ["openai/gpt-4o"]}
    first = service.post("/api/v1/models", body, expect=201, headers=headers)
    assert service.post("/api/v1/models", body, expect=201, headers=headers) == first


def test_classes_with_one_name_and_the_same_neighbours_are_drawn_as_one_box(service: LocalService) -> None:
    teacher = {"provider": "acme-lab", "model": "foldable", "route": "weights"}
    days = [
        make_sample(day, teacher, dataset="folds") | {"generated_at": f"2026-11-{day:02d}T10:00:00Z"}
        for day in (3, 4, 5)
    ]
    service.capture(days)
    page = service.client.get("/lineage", params={"root": "acme-lab/foldable"}).text
    drawing = page[page.index("<svg") : page.index("</svg>")]
    assert drawing.count('<g class="node') == 2
    assert "samples, 3 classes" in drawing
    assert page.count("<tr data-row>") == 4  # the table below says each
