"""A pack from proposal to force: what is refused, what is replayed, who may approve."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from provenance.policy.cases import parse_cases, run_case
from provenance.policy.pack import load_pack
from provenance.policy.proposal import parse_pack, read_folder
from provenance.resources import find_resource
from provenance.store.session import read_session, write_session
from provenance.store.tokens import create_token
from provenance.terms.catalogue import load_catalogue
from provenance.terms.yaml_file import parse_yaml
from tests.service import APACHE, STUDENT, LocalService, make_sample, open_service

URL = "/api/v1/policies"


@pytest.fixture
def own(world: Path, tmp_path: Path) -> Iterator[LocalService]:
    """A service on a copy of the world: what is in force changes."""
    shutil.copytree(world, tmp_path / "data")
    with open_service(tmp_path / "data") as opened:
        yield opened


def person(service: LocalService, name: str, role: str = "counsel") -> dict[str, str]:
    with write_session(service.runtime.engine) as session:
        _, secret = create_token(session, name=name, role=role, now="2026-01-01T00:00:00Z", expires_at=None)
    return {"Authorization": f"Bearer {secret}"}


def sources() -> dict[str, Any]:
    return read_folder(find_resource("policies"))


def reworded() -> dict[str, Any]:
    """The shipped pack with one title in other words: another digest, the same verdicts."""
    value = sources()
    value["rules"]["quality"] = value["rules"]["quality"].replace("A quality check failed", "A check of quality failed")
    assert value != sources()
    return value


def looser() -> dict[str, Any]:
    """A pack that no longer knows competition, with cases that say so."""
    value = sources()
    del value["rules"]["competition"]
    return value


def approve(
    service: LocalService, proposal: dict[str, Any], headers: dict[str, str], *, expect: int, **more: Any
) -> Any:
    body = {"digest": proposal["digest"], "replay_digest": proposal["replay"]["digest"], **more}
    return service.post(f"{URL}/{proposal['id']}/approve", body, expect=expect, headers=headers)


def test_the_shipped_pack_replayed_flips_nothing(service: LocalService) -> None:
    said = service.post(f"{URL}/replay", {k: v for k, v in sources().items() if k != "cases"}, expect=200)
    assert (said["totals"], said["flips"], said["not_replayed"]) == ({}, [], [])
    assert said["decisions"] == len(service.get("/api/v1/decisions")["decisions"]) >= 2


def test_a_pack_without_its_bars_flips_what_they_held(service: LocalService) -> None:
    size = service.log_size()
    said = service.post(f"{URL}/replay", looser(), expect=200)
    assert service.log_size() == size
    flips = [item for item in said["flips"] if item["before"] == "deny"]
    assert {item["teacher"] for item in flips} == {"openai/gpt-4o"}
    assert all(item["samples"] == 20 and item["after"] != "deny" for item in flips)
    assert {name for item in flips for name in item["releases"]} == {"tutor@1", "closed@1"}
    held = said["totals"][f"deny -> {flips[0]['after']}"]
    assert (held["classes"], held["samples"]) == (len(flips), 20 * len(flips))


def test_two_people_put_a_pack_in_force_and_it_stays_so_after_a_restart(own: LocalService) -> None:
    ada, bob = person(own, "ada"), person(own, "bob")
    before = own.runtime.pack.digest
    made = own.post(URL, reworded(), expect=201, headers=ada)
    assert (made["state"], made["author"], made["approver"]) == ("proposed", "ada", None)
    assert (made["replay"]["totals"], made["cases"]["count"] > 200) == ({}, True)
    assert own.runtime.pack.digest == before
    done = approve(own, made, bob, expect=201)
    assert (done["state"], done["author"], done["approver"], done["proposal"]) == (
        "approved",
        "ada",
        "bob",
        made["entry"],
    )
    assert own.runtime.pack.digest == made["digest"] != before
    facts = {k: v for k, v in make_sample(0, APACHE).items() if k not in {"prompt", "completion"}}
    answer = own.post("/api/v1/decisions", {"sample": facts, "student": STUDENT}, expect=200)
    assert answer["policy"]["digest"] == made["digest"]
    data_dir = own.data_dir
    said = own.get(URL)
    assert (said["in_force"]["digest"], said["shipped"]["differs"]) == (made["digest"], True)
    assert [item["state"] for item in said["history"]] == ["approved", "proposed", "shipped"]
    assert approve(own, made, bob, expect=409)["code"] == "conflict"
    own.runtime.close()
    with open_service(data_dir) as again:
        assert again.runtime.pack.digest == made["digest"]
        assert again.get(URL)["shipped"]["digest"] == load_pack().digest


@pytest.mark.parametrize("name", ["ada", "ADA ", "grace"])
def test_author_and_proposer_may_not_approve(own: LocalService, name: str) -> None:
    ada = person(own, "ada")
    made = own.post(URL, reworded() | {"author": "Grace"}, expect=201, headers=ada)
    headers = ada if name == "ada" else person(own, name)
    size, digest = own.log_size(), own.runtime.pack.digest
    said = approve(own, made, headers, expect=403)
    assert (said["code"], said["errors"][0]["field"]) == ("forbidden", "approver")
    assert (own.log_size(), own.runtime.pack.digest) == (size, digest)


def test_whoever_sits_at_the_terminal_is_one_person(own: LocalService) -> None:
    made = own.post(URL, reworded(), expect=201, headers=person(own, "terminal-1-aa", "admin"))
    assert approve(own, made, person(own, "terminal-2-bb", "admin"), expect=403)["code"] == "forbidden"


def test_an_approval_names_the_pack_and_the_replay_that_were_seen(own: LocalService) -> None:
    bob = person(own, "bob")
    made = own.post(URL, reworded(), expect=201, headers=person(own, "ada"))
    wrong = "sha256:" + "0" * 64
    assert approve(own, made, bob, expect=409, digest=wrong)["errors"][0]["field"] == "digest"
    assert approve(own, made, bob, expect=409, replay_digest=wrong)["code"] == "replay-changed"
    assert approve(own, made, person(own, "eve", "engineer"), expect=403)["code"] == "forbidden"
    assert own.client.post(f"{URL}/pol_none/approve", json={"digest": wrong, "replay_digest": wrong}).status_code == 404
    assert own.get(URL)["in_force"]["digest"] != made["digest"]


def test_decisions_made_since_are_replayed_before_the_approval(own: LocalService) -> None:
    ada, bob = person(own, "ada"), person(own, "bob")
    value = reworded()
    value["rules"]["competition"] = value["rules"]["competition"].replace('@verdict("deny")', '@verdict("review")')
    value["cases"] = keep_cases(value)
    made = own.post(URL, value, expect=201, headers=ada)
    assert made["replay"]["totals"]["deny -> review"]["samples"] == 40
    student = own.declare(name="late")
    own.post("/api/v1/decisions", {"dataset": "mixed", "student": student}, expect=201)
    said = approve(own, made, bob, expect=409)
    assert said["code"] == "replay-changed"
    now = own.get(f"{URL}/{made['id']}/replay")
    assert now["totals"]["deny -> review"]["samples"] == 60
    assert said["errors"][0]["expected"] == now["digest"]
    done = approve(own, made, bob, expect=201, replay_digest=now["digest"])
    assert done["replay"]["digest"] == now["digest"]


def test_the_pages_show_a_proposal_and_who_agreed(own: LocalService) -> None:
    value = reworded()
    value["rules"]["competition"] = value["rules"]["competition"].replace('@verdict("deny")', '@verdict("review")')
    value["cases"] = keep_cases(value)
    made = own.post(URL, value, expect=201, headers=person(own, "ada"))
    html = own.client.get(f"/policies/{made['id']}").text
    assert f"provenance policy approve {made['id']}" in html
    page = own.get(f"/policies/{made['id']}.json")
    assert (page["state"], page["in_force"], page["author"]) == ("proposed", False, "ada")
    assert [(item["before"], item["after"], item["samples"]) for item in page["totals"]] == [("deny", "review", 40)]
    assert {item["teacher"] for item in page["flips"]} == {"openai/gpt-4o"}
    assert {item["change"] for item in page["changes"]} == {"changed"}
    approve(own, made, person(own, "bob"), expect=201)
    assert own.get(f"/policies/{made['id']}.json")["in_force"]
    listed = own.get("/policies.json")
    assert [(item["state"], item["in_force"]) for item in listed["history"]] == [
        ("approved", True), ("proposed", False), ("shipped", False),
    ]  # fmt: skip
    assert listed["digest"] == made["digest"]
    texts = {rule["id"]: rule["source"] for pack in listed["packs"] for rule in pack["rules"]}
    assert '@verdict("review")' in texts["competition.any-other-model"]
    assert own.client.get("/policies/none").status_code == 404


def keep_cases(value: dict[str, Any]) -> dict[str, str]:
    """The shipped cases, rewritten to what this pack answers: whoever changes rules changes their cases."""
    pack, catalogue = parse_pack(value), load_catalogue()
    kept = {}
    for name, text in value["cases"].items():
        data = parse_yaml(text, name)
        if name != "students.yaml":
            for item in data["cases"]:
                files = {"students.yaml": parse_yaml(value["cases"]["students.yaml"], "s"), name: {"cases": [item]}}
                result = run_case(parse_cases(files)[0], catalogue, pack)
                item["expect"] = {"verdict": result.verdict}
        kept[name] = yaml.safe_dump(data, allow_unicode=True)
    return kept


def test_a_proposal_on_top_of_another_pack_has_to_be_made_again(own: LocalService) -> None:
    ada, bob = person(own, "ada"), person(own, "bob")
    first = own.post(URL, reworded(), expect=201, headers=ada)
    other = reworded()
    other["rules"]["quality"] = other["rules"]["quality"].replace("A check of quality", "One check of quality")
    second = own.post(URL, other, expect=201, headers=ada)
    approve(own, first, bob, expect=201)
    said = approve(own, second, bob, expect=409)
    assert (said["code"], said["errors"][0]["field"]) == ("conflict", "replaces")
    assert own.runtime.pack.digest == first["digest"]


def _without(name: str) -> dict[str, Any]:
    value = reworded()
    del value[name]
    return value


def _with_rule(old: str, new: str) -> dict[str, Any]:
    value = reworded()
    assert old in value["rules"]["quality"]
    value["rules"]["quality"] = value["rules"]["quality"].replace(old, new)
    return value


BAD: dict[str, Any] = {
    "nothing": {},
    "a list": [],
    "no rules": {**sources(), "rules": {}},
    "no schema": _without("schema"),
    "no cases": _without("cases"),
    "empty cases": {**reworded(), "cases": {}},
    "only students": {**reworded(), "cases": {"students.yaml": sources()["cases"]["students.yaml"]}},
    "a misspelt field": {**reworded(), "rule": {}},
    "a rule that does not type-check": _with_rule("resource.", "resource.no_such_"),
    "no annotation of its clause": _with_rule("@basis", "@bases"),
    "no Cedar": _with_rule("forbid", "forbids"),
    "cases that fail": looser(),
    "a path as a name": {**reworded(), "rules": {"../../etc/x": "permit(principal, action, resource);"}},
    "a text that is none": {**reworded(), "rules": {"quality": 7}},
    "hidden characters": _with_rule("A check", b"A \\u202echeck".decode("unicode_escape")),
    "YAML tricks": {**reworded(), "cases": {"a.yaml": "cases: &a [*a]"}},
    "a case that is no case": {
        **reworded(),
        "cases": {"a.yaml": "cases: [{name: x, sample: 3, expect: {verdict: deny}}]"},
    },
    "a bad author": {**reworded(), "author": b"\\x1b[31m".decode("unicode_escape")},
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_pack_is_refused_and_the_running_one_stays(service: LocalService, what: str) -> None:
    size, digest = service.log_size(), service.runtime.pack.digest
    said = service.post(URL, BAD[what], expect=422)
    assert said["code"] in {"malformed-policy", "malformed-terms", "malformed"}, said
    assert (service.log_size(), service.runtime.pack.digest) == (size, digest)


def test_the_pack_in_force_is_not_proposed_again(service: LocalService) -> None:
    assert service.post(URL, sources(), expect=409)["code"] == "conflict"


def test_a_key_proposes_once(own: LocalService) -> None:
    headers = {**person(own, "ada"), "Idempotency-Key": "once"}
    first = own.post(URL, reworded(), expect=201, headers=headers)
    assert own.post(URL, reworded(), expect=201, headers=headers) == first
    with read_session(own.runtime.engine):
        assert [item["state"] for item in own.get(URL)["history"]].count("proposed") == 1
    assert own.get(f"{URL}/{first['id']}")["sources"] == reworded()
