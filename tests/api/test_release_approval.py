"""Releases that wait for a second person: what is held back until then, who may agree, what counts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provenance.attestation.envelope import parse_entry
from provenance.client.approval import check_approval
from provenance.client.check import Manifest
from provenance.errors import DeniedError
from provenance.ledger.append import format_time
from provenance.release.bundle import parse_bundle
from provenance.release.manifest import parse_manifest
from provenance.verify import verify
from tests.second_person import house_rules, person, put_in_force
from tests.service import LLAMA, STUDENT, LocalService, make_sample, open_service

URL = "/api/v1/releases"
RUN = {"student": "acme-tutor", "config": {"student": "scratch"}}
People = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def held(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalService]:
    """A service whose pack wants a second person for releases with conditions."""
    data_dir = tmp_path_factory.mktemp("held") / "data"
    shutil.copytree(world, data_dir)
    with open_service(data_dir) as service:
        put_in_force(service, house_rules())
        yield service


@pytest.fixture(scope="module")
def people(held: LocalService) -> People:
    names = {"ada": "compliance", "bob": "counsel", "eve": "engineer", "terminal-7": "admin", "Ada ": "compliance"}
    return {name: person(held, name, role) for name, role in names.items()}


def build(service: LocalService, name: str, headers: dict[str, str], **selection: str) -> dict[str, Any]:
    body = {"dataset": "mixed", "student": "acme-tutor", "name": name, "selection": selection}
    return dict(service.wait(service.post(URL, body, headers=headers)["status_url"]))


def test_until_it_is_approved_nobody_is_given_its_data(held: LocalService, people: People) -> None:
    said = build(held, "waits", people["ada"])
    assert (said["state"], said["requested_by"]) == ("partial", "ada")
    approval = said["approval"]
    assert (approval["state"], approval["approved_by"], approval["entry"]) == ("awaiting", None, None)
    assert [rule["id"] for rule in approval["rules"]] == ["second-person.conditions"]
    path = said["files"][0]["path"]
    refused = held.client.get(f"{URL}/waits@1/{path}")
    assert (refused.status_code, refused.json()["code"]) == (409, "release-awaits-approval")
    assert "second-person.conditions" in refused.json()["detail"]
    problem = held.post("/api/v1/runs", RUN | {"release": "waits@1"}, expect=409)
    assert (problem["code"], "second person" in problem["detail"]) == ("release-not-allowed", True)
    assert held.client.get(f"{URL}/waits@1/approval").status_code == 404
    for part in ("manifest", "attestation", "card", "proof", "evidence"):
        assert held.client.get(f"{URL}/waits@1/{part}").status_code == 200, part
    page = held.client.get("/releases/waits@1").text
    assert "Awaiting approval" in page
    assert "provenance release approve waits@1" in page
    assert f"/{path}" not in page
    assert held.get("/releases.json")["rows"][0]["approval"] == "awaiting"
    assert "Release waits@1 awaits approval" in held.client.get("/").text


def test_a_second_person_lets_it_out(held: LocalService, people: People) -> None:
    before = build(held, "goes", people["ada"])
    said = held.post(f"{URL}/goes@1/approve", {"reason": "seen"}, expect=201, headers=people["bob"])
    after = held.get(f"{URL}/goes@1")
    assert said == {
        "id": before["id"],
        "state": "partial",
        "approval": after["approval"],
        "entry": after["approval"]["entry"],
    }
    assert (after["approval"]["state"], after["approval"]["approved_by"], after["approval"]["reason"]) == (
        "approved", "bob", "seen",
    )  # fmt: skip
    assert held.get(f"/api/v1/log/entries/{said['entry']}")["kind"] == "approval"
    assert held.client.get(f"{URL}/goes@1/{before['files'][0]['path']}").status_code == 200
    assert "bob approved it" in held.client.get("/releases/goes@1").text.replace("\n", " ")
    entry = held.client.get(f"{URL}/goes@1/approval").content
    assert parse_entry(entry).predicate["manifest_digest"] == after["manifest_digest"]
    problem = held.post("/api/v1/runs", RUN | {"release": "goes@1", "recipe": "alchemy"}, expect=422)
    assert problem["errors"][0]["field"] == "recipe"
    data = held.client.get(f"{URL}/goes@1/evidence").content
    assert said["entry"] in parse_bundle(data).contents.entries
    path = held.data_dir / "goes.zip"
    path.write_bytes(data)
    assert verify(path).ok


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("ada", 403, "forbidden"),
        ("Ada ", 403, "forbidden"),
        ("eve", 403, "forbidden"),
        ("terminal-7", 403, "forbidden"),
    ],
)
def test_neither_the_requester_nor_a_terminal_nor_an_engineer_approves(
    held: LocalService, people: People, name: str, status: int, code: str
) -> None:
    reference = f"refused-{name.strip().casefold()}-{len(name)}"
    build(held, reference, people["ada"])
    size = held.log_size()
    problem = held.post(f"{URL}/{reference}@1/approve", None, expect=status, headers=people[name])
    assert problem["code"] == code
    assert held.log_size() == size
    assert held.get(f"{URL}/{reference}@1")["approval"]["state"] == "awaiting"


def test_it_is_approved_once(held: LocalService, people: People) -> None:
    build(held, "once", people["ada"])
    headers = people["bob"] | {"Idempotency-Key": "approve-1"}
    said = held.post(f"{URL}/once@1/approve", None, expect=201, headers=headers)
    size = held.log_size()
    assert held.post(f"{URL}/once@1/approve", None, expect=201, headers=headers) == said
    problem = held.post(f"{URL}/once@1/approve", None, expect=409, headers=people["bob"])
    assert "approved release once@1 already" in problem["detail"]
    assert held.log_size() == size


def test_what_is_blocked_withdrawn_unknown_or_nobody_s_is_not_approved(held: LocalService, people: People) -> None:
    build(held, "back", people["ada"])
    held.post(f"{URL}/back@1/withdraw", {"reason": "a test"}, expect=201)
    build(held, "shut", people["ada"], teacher="openai/gpt-4o")
    build(held, "nobodys", people["terminal-7"])
    size = held.log_size()
    for reference, status, words in (
        ("back@1", 409, "is withdrawn"), ("shut@1", 409, "is blocked"), ("nobodys@1", 409, "nobody knows who asked"),
        ("none@1", 404, "no release"),
    ):  # fmt: skip
        problem = held.post(f"{URL}/{reference}/approve", None, expect=status, headers=people["bob"])
        assert words in problem["detail"]
        assert problem["errors"][0]["expected"]
    long = held.post(f"{URL}/back@1/approve", {"reason": "x" * 2001}, expect=422, headers=people["bob"])
    assert long["errors"][0]["field"] == "reason"
    assert held.log_size() == size


def test_a_logged_approval_that_was_not_allowed_counts_for_nothing(held: LocalService, people: People) -> None:
    release = build(held, "forged", people["ada"])
    said = {"id": release["id"], "release": "forged@1", "reason": None, "at": format_time(held.runtime.clock())}
    digest = release["manifest_digest"]
    for actor, manifest in (("ADA", digest), ("terminal-1", digest), ("bob", "sha256:" + "0" * 64)):
        held.runtime.append("approval", {**said, "actor": actor, "manifest_digest": manifest}, subjects=[("m", digest)])
    assert held.get(f"{URL}/forged@1")["approval"]["state"] == "awaiting"
    held.runtime.append("approval", {**said, "actor": "bob", "manifest_digest": digest}, subjects=[("m", digest)])
    assert held.get(f"{URL}/forged@1")["approval"]["approved_by"] == "bob"


def test_what_carries_no_conditions_goes_out_at_once(held: LocalService, people: People) -> None:
    teacher = "huggingface-smollm/smollm2-135m-instruct"
    said = build(held, "plain", people["ada"], teacher=teacher)
    assert (said["state"], said["approval"]) == ("allowed", None)
    assert held.client.get(f"{URL}/plain@1/{said['files'][0]['path']}").status_code == 200


def test_a_release_of_before_the_rules_is_held_when_a_student_is_to_be_trained(
    held: LocalService, people: People
) -> None:
    assert held.get(f"{URL}/tutor@1")["approval"] is None
    problem = held.post("/api/v1/runs", RUN | {"release": "tutor@1"}, expect=409)
    assert (problem["code"], "second-person.conditions" in problem["detail"]) == ("release-not-allowed", True)


def test_the_answer_to_a_what_if_says_that_a_second_person_is_asked_for(held: LocalService) -> None:
    facts = {name: value for name, value in make_sample(0, LLAMA).items() if name not in {"prompt", "completion"}}
    body = {"sample": facts, "student": STUDENT, "action": "release"}
    said = held.post("/api/v1/decisions", body, expect=200)
    assert said["verdict"] == "allow-with-conditions"
    assert [rule["id"] for rule in said["approval"]] == ["second-person.conditions"]
    assert "approval" not in held.post("/api/v1/decisions", {**body, "action": "publish"}, expect=200)


def test_a_copy_proves_its_approval_without_a_service(held: LocalService, people: People) -> None:
    build(held, "copied", people["ada"])
    held.post(f"{URL}/copied@1/approve", None, expect=201, headers=people["bob"])
    build(held, "other", people["ada"])
    held.post(f"{URL}/other@1/approve", None, expect=201, headers=people["bob"])
    keys = held.get("/api/v1/keys")
    data = held.client.get(f"{URL}/copied@1/manifest").content
    manifest = Manifest(data, parse_manifest(data))
    assert manifest.value["approval"]["requested_by"] == "ada"
    entry, foreign = (held.client.get(f"{URL}/{name}@1/approval").content for name in ("copied", "other"))
    check_approval(manifest, None, entry, keys)
    revoked = [{**key, "state": "revoked"} if key["purpose"] == "authority" else key for key in keys]
    for known, given, trusted, words in (
        (None, None, keys, "has no approval.json"),
        (None, foreign, keys, "about another release"),
        (None, entry[:-2], keys, "does not say so"),
        (None, entry, [], "no authority key"),
        (None, entry, revoked, "no authority key"),
        ({}, entry, keys, "awaits"),
        ({"approval": None}, entry, keys, "awaits"),
        ({"approval": {"state": "awaiting"}}, entry, keys, "awaits"),
    ):
        with pytest.raises(DeniedError, match=words) as refused:
            check_approval(manifest, known, given, trusted)
        assert refused.value.code == "release-awaits-approval"
    check_approval(manifest, {"approval": {"state": "approved"}}, None, keys)
