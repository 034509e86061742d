from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from provenance.errors import DigestMismatchError
from provenance.jobs.courier import empty_outbox
from provenance.recall.prove import prove_reach
from provenance.store.recalls import get_recall
from provenance.store.session import read_session, write_session
from tests.recall.conftest import House
from tests.service import APACHE as SMOLLM
from tests.service import LLAMA as LLAMA_SAMPLE
from tests.service import make_sample, make_samples, open_service

LLAMA = {"kind": "teacher", "id": "meta/llama-3.1-8b-instruct"}
URL = "/api/v1/recalls"


def ids(items: list[dict[str, Any]]) -> list[str]:
    return [item["id"] for item in items]


def test_a_plan_says_what_a_teacher_reached_over_generations_and_changes_nothing(house: House) -> None:
    size = house.service.log_size()
    reach = house.plan(LLAMA)["reach"]
    assert ids(reach["releases"]) == [house.release["id"]]
    assert (ids(reach["runs"]), ids(reach["models"])) == (["run_1"], [house.first])
    assert {(item["teacher"], item["how"], item["samples"]) for item in reach["classes"]} == {
        ("meta/llama-3.1-8b-instruct", "direct", 20),
        ("acme/tutor-1", "inherited", 30),
    }
    assert reach["counts"]["samples"] == 50
    share = float(reach["releases"][0]["tokens_share"])
    assert 0 < share < 1
    assert house.service.log_size() == size


def test_what_was_reached_is_held_back_from_the_opening_on(house: House) -> None:
    said = house.open(LLAMA)
    release = house.service.get("/api/v1/releases/tutor@1")
    assert (release["state"], release["recall"]) == ("recalled", said["id"])
    data = house.service.client.get(f"/api/v1/releases/tutor@1/{release['files'][0]['path']}")
    assert (data.status_code, said["id"] in data.json()["detail"]) == (410, True)
    run = {"release": "tutor@1", "student": "acme-tutor", "recipe": "sft"}
    assert house.service.post("/api/v1/runs", run, expect=409)["code"] == "release-not-allowed"
    again = house.service.release(house.student, "again")
    assert again["counts"] == {"selected": 100, "released": 60, "quarantined": 40}  # smollm alone is left
    second = house.service.release(house.student, "second", dataset="second")
    assert second["state"] == "blocked"
    decision = house.service.get(f"/api/v1/decisions/{second['decision']['id']}")
    reason = decision["classes"][0]["answer"]["reasons"][0]
    assert (reason["rule"], said["id"] in reason["text"]) == ("recall.held-back", True)


def test_single_samples_are_held_back_alone(house: House) -> None:
    house.open({"kind": "samples", "external_ids": ["mixed-0", "mixed-1"]})
    assert house.service.get("/api/v1/releases/tutor@1")["state"] == "recalled"
    again = house.service.release(house.student, "again")
    assert again["counts"] == {"selected": 100, "released": 78, "quarantined": 22}


def test_a_dataset_is_held_back_whole(house: House) -> None:
    reach = house.open({"kind": "dataset", "id": "second"})
    assert reach["counts"]["samples"] == 30
    assert house.service.release(house.student, "second", dataset="second")["state"] == "blocked"
    assert house.service.get("/api/v1/releases/tutor@1")["state"] == "partial"


def later(house: House, teacher: dict[str, Any], dataset: str) -> Any:
    """Samples of another day, which are a class of their own; what a release of their data set comes to."""
    facts = {"generated_at": "2026-04-02T00:00:00Z", "dataset": dataset}
    house.service.capture([make_sample(number, teacher, **facts) for number in range(4)])
    return house.service.release(house.student, dataset, dataset=dataset)


TUTOR = {"provider": "acme", "model": "tutor-1", "route": "weights"}


@pytest.mark.parametrize(
    ("source", "teacher"),
    [
        (LLAMA, LLAMA_SAMPLE),
        ({"kind": "provider", "id": "meta"}, LLAMA_SAMPLE),
        ({"kind": "terms", "id": "meta-llama-3.1"}, LLAMA_SAMPLE),
        (LLAMA, TUTOR),
        ({"kind": "model", "id": "mdl_run_1"}, TUTOR),
    ],
    ids=["teacher", "provider", "terms", "what was made of a teacher", "model"],
)
def test_samples_that_come_after_the_freezing_do_not_slip_through(
    house: House, source: dict[str, Any], teacher: dict[str, Any]
) -> None:
    said = house.open(source)
    release = later(house, teacher, "later")
    assert release["state"] == "blocked"
    decision = house.service.get(f"/api/v1/decisions/{release['decision']['id']}")
    reason = decision["classes"][0]["answer"]["reasons"][0]
    assert (reason["rule"], said["id"] in reason["text"]) == ("recall.held-back", True)
    assert "held" in house.service.get(f"{URL}/{said['id']}")["later"]


def test_what_the_source_yields_after_an_upheld_recall_is_judged_by_the_rules(house: House) -> None:
    said = house.open(LLAMA)
    assert later(house, LLAMA_SAMPLE, "between")["state"] == "blocked"
    url = f"{URL}/{said['id']}"
    for act in house.service.get(url)["acts"]:
        done = {"act": act["id"], "result": "done", "note": "retired"}
        house.service.post(f"{url}/acts", done, expect=201, headers=house.ann)
    house.service.post(f"{url}/close", {"outcome": "upheld", "reason": "done"}, expect=201, headers=house.ben)
    assert later(house, LLAMA_SAMPLE, "after")["state"] == "allowed"
    assert later(house, TUTOR, "of-the-model")["state"] == "blocked"
    assert house.service.release(house.student, "between", dataset="between")["state"] == "blocked"


def test_other_teachers_are_not_held(house: House) -> None:
    house.open(LLAMA)
    assert later(house, SMOLLM, "other")["state"] == "allowed"


def test_closing_takes_another_person_and_every_act_settled(house: House) -> None:
    said = house.open(LLAMA)
    url = f"{URL}/{said['id']}"
    upheld = {"outcome": "upheld", "reason": "all is done"}
    assert house.service.post(f"{url}/close", upheld, expect=403, headers=house.ann)["code"] == "forbidden"
    problem = house.service.post(f"{url}/close", upheld, expect=409, headers=house.ben)
    assert problem["errors"][0]["field"] == "acts"
    acts = house.service.get(url)["acts"]
    assert {item["kind"] for item in acts} == {"replace-release", "review-model"}
    waived = {"result": "waived", "note": "a copy of a test"}
    house.service.post(f"{url}/acts", {"act": acts[0]["id"], **waived}, expect=403, headers=house.ann)
    house.service.post(f"{url}/acts", {"act": acts[0]["id"], **waived}, expect=201, headers=house.ben)
    house.service.post(f"{url}/acts", {"act": acts[0]["id"], **waived}, expect=409, headers=house.ben)
    done = {"act": acts[1]["id"], "result": "done", "note": "retired"}
    house.service.post(f"{url}/acts", done, expect=201, headers=house.ann)
    house.service.post(f"{url}/close", upheld, expect=201, headers=house.ben)
    house.service.post(f"{url}/close", upheld, expect=409, headers=house.ben)
    shown = house.service.get(url)
    assert (shown["state"], shown["acts_settled"], shown["acts_total"]) == ("upheld", 2, 2)
    assert house.service.get("/api/v1/releases/tutor@1")["state"] == "recalled"


def test_a_false_alarm_is_lifted_by_another_person(house: House) -> None:
    said = house.open(LLAMA)
    lifted = {"outcome": "lifted", "reason": "the book was ours"}
    house.service.post(f"{URL}/{said['id']}/close", lifted, expect=403, headers=house.ann)
    house.service.post(f"{URL}/{said['id']}/close", lifted, expect=201, headers=house.ben)
    assert house.service.get("/api/v1/releases/tutor@1")["state"] == "partial"
    assert house.service.release(house.student, "again")["counts"]["released"] == 80


def test_the_same_source_is_not_recalled_twice_while_it_is_open(house: House) -> None:
    said = house.open(LLAMA)
    size = house.service.log_size()
    problem = house.open(LLAMA, expect=409)
    assert (problem["code"], said["id"] in problem["detail"]) == ("already-recalled", True)
    assert house.service.log_size() == size


def test_a_key_opens_once(house: House) -> None:
    body = {"source": LLAMA, "reason": "it copied a book"}
    headers = {**house.ann, "Idempotency-Key": "recall-1"}
    said = house.service.post(URL, body, expect=201, headers=headers)
    again = house.service.post(URL, body, expect=201, headers=headers)
    assert (again["id"], again["entry"]) == (said["id"], said["entry"])
    house.service.post(URL, {**body, "reason": "other"}, expect=409, headers=headers)
    assert len(house.service.get(URL)["recalls"]) == 1


BAD: list[tuple[int, str, dict[str, Any]]] = [
    (422, "source.kind", {"kind": "planet", "id": "x"}),
    (422, "source.kind", {}),
    (422, "source.id", {"kind": "teacher"}),
    (422, "source.colour", {"kind": "teacher", "id": "a/b", "colour": "red"}),
    (422, "source.since", {"kind": "collector-key", "id": "x", "since": -1}),
    (422, "indices", {"kind": "samples"}),
    (404, "source", {"kind": "teacher", "id": "nobody/none"}),
    (404, "dataset", {"kind": "dataset", "id": "none"}),
    (404, "release", {"kind": "release", "id": "none@1"}),
]


@pytest.mark.parametrize(("status", "field", "source"), BAD)
def test_a_bad_source_names_its_field_and_changes_nothing(
    house: House, status: int, field: str, source: dict[str, Any]
) -> None:
    size = house.service.log_size()
    problem = house.open(source, expect=status)
    assert problem["errors"][0]["field"] == field
    assert house.service.log_size() == size


@pytest.mark.parametrize(
    ("field", "more"),
    [
        ("running", {"running": "faster"}),
        ("notify[0]", {"notify": ["ftp://x.example"]}),
        ("notify[0]", {"notify": ["http://x.example/hook"]}),
        ("notify[0]", {"notify": ["https://user:secret@x.example/"]}),
        ("notify[1]", {"notify": ["mailto:a@b.example", "mailto:a@b.example\nBcc: c@d.example"]}),
        ("reason", {"reason": " "}),
    ],
)
def test_a_bad_opening_names_its_field(house: House, field: str, more: dict[str, Any]) -> None:
    assert house.open(LLAMA, expect=422, **more)["errors"][0]["field"] == field


def test_a_list_that_is_complete_can_be_made_again_from_the_entries(house: House) -> None:
    said = house.open(LLAMA)
    house.train("run_2", house.release["id"], "later")  # after the freezing: not in the list
    proof = house.service.post(f"{URL}/{said['id']}/prove", {}, expect=200)
    assert (proof["complete"], proof["reach_digest"], proof["log_size"]) == (
        True,
        said["reach_digest"],
        said["log_size"],
    )


def test_an_index_that_hid_a_run_is_found_out(house: House) -> None:
    with write_session(house.service.runtime.engine) as session:
        session.execute(text("DELETE FROM lineage_edge WHERE relation = 'trained-on'"))
    said = house.open(LLAMA)
    assert (said["counts"]["releases"], said["counts"]["runs"]) == (1, 0)
    with read_session(house.service.runtime.engine) as session, pytest.raises(DigestMismatchError, match="runs"):
        prove_reach(session, get_recall(session, said["id"]))


def test_a_model_reaches_what_was_made_from_it_as_a_base_and_rings_end(house: House) -> None:
    third = house.train("run_3", "rel_elsewhere", "tutor-3", "acme/tutor-1")
    house.train("run_4", "rel_elsewhere", "tutor-1", "acme/tutor-3")
    reach = house.plan({"kind": "model", "id": house.first})["reach"]
    assert {item["id"]: item["generation"] for item in reach["models"]} == {house.first: 0, third: 1, "mdl_run_4": 2}


@pytest.mark.parametrize("kind", ["collector-key", "terms"])
def test_keys_and_terms_are_sources(house: House, kind: str) -> None:
    named = {"terms": "meta-llama-3.1"}
    keys = house.service.get("/api/v1/keys")
    named["collector-key"] = next(key["keyid"] for key in keys if key["purpose"] == "collector")
    reach = house.plan({"kind": kind, "id": named[kind]})["reach"]
    assert "rel" in reach["releases"][0]["id"]
    proof = house.service.post(f"{URL}/{house.open({'kind': kind, 'id': named[kind]})['id']}/prove", {}, expect=200)
    assert proof["complete"]


def test_the_pages_show_what_was_reached_what_is_open_and_it_is_a_task(house: House) -> None:
    said = house.open(LLAMA, reason="it <b>copied</b> a book")
    client = house.service.client
    page = client.get(f"/recalls/{said['id']}").text
    for wanted in ("tutor@1", "acme/tutor-1", "inherited", f"provenance recall prove {said['id']}", "&lt;b&gt;copied"):
        assert wanted in page, wanted
    assert said["id"] in client.get("/recalls").text
    assert f"/recalls/{said['id']}" in client.get("/releases/tutor@1").text
    assert f"/recalls/{said['id']}" in [task["act"]["url"] for task in client.get("/index.json").json()["tasks"]]
    assert client.get(f"/recalls/{said['id']}.csv").text.count("\n") > 4
    assert client.get("/recalls/none").status_code == 404
    lineage = client.get("/lineage.json?root=meta%2Fllama-3.1-8b-instruct&depth=6").json()
    marked = {row["kind"] for row in lineage["rows"] if row["taint"] == f"recall {said['id']}"}
    assert {"samples", "release", "run", "model"} <= marked
    assert house.service.get(f"/api/v1/models/{house.first}")["recall"] == said["id"]
    assert f"/recalls/{said['id']}" in client.get(f"/models/{house.first}").text


def test_the_whole_way_works_on_each_database(database_url: str, tmp_path: Path) -> None:
    with open_service(tmp_path / "data", database_url=database_url) as service:
        service.capture(make_samples())
        student = service.declare()
        release = service.release(student, "tutor")
        ann, ben = service.as_role("counsel"), service.as_role("counsel")
        body = {"source": LLAMA, "reason": "a book", "notify": ["http://127.0.0.1:1/"]}
        said = service.post(URL, body, expect=201, headers=ann)
        assert service.get(f"/api/v1/releases/{release['id']}")["state"] == "recalled"
        assert service.post(f"{URL}/{said['id']}/prove", {}, expect=200)["complete"]
        empty_outbox(service.runtime)
        assert service.get(f"{URL}/{said['id']}")["notices"][0]["state"] == "waiting"
        lifted = {"outcome": "lifted", "reason": "a false alarm"}
        service.post(f"{URL}/{said['id']}/close", lifted, expect=201, headers=ben)
        assert service.get(f"/api/v1/releases/{release['id']}")["state"] == "partial"
