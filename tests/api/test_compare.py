"""Decisions in time over HTTP: what was known then, what is known now, by the terms of today; and whom a change hits."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from provenance.attestation.envelope import parse_entry
from provenance.ledger.append import format_time
from provenance.release.bundle import parse_bundle
from tests.service import APACHE, STUDENT, LocalService, make_sample, open_service

URL = "/api/v1/decisions"


@pytest.fixture(scope="module")
def changed(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalService]:
    """A world in which a licence was read again, and bars now what it allowed."""
    data_dir = tmp_path_factory.mktemp("changed") / "data"
    shutil.copytree(world, data_dir)
    time.sleep(1.1)  # times are kept to the second
    with open_service(data_dir) as opened:
        opened.post("/api/v1/terms", barred(opened), expect=201)
        yield opened


def barred(service: LocalService) -> dict[str, Any]:
    said = service.get("/api/v1/terms/smollm-apache")
    said["facts"]["train_on_outputs"] |= {"value": "prohibited-any-other-model", "scope": "any-model", "clause": "9"}
    return {name: value for name, value in said.items() if name != "digest"}


def before_the_change(service: LocalService) -> str:
    entry = service.get("/api/v1/log/lookup/terms/smollm-apache")["predicate"]["recorded_at"]
    return format_time(datetime.fromisoformat(entry) - timedelta(seconds=1))


def question() -> dict[str, Any]:
    sample = {name: value for name, value in make_sample(0, APACHE).items() if name not in {"prompt", "completion"}}
    return {"sample": sample, "student": STUDENT}


def test_a_what_if_in_three_lights(changed: LocalService) -> None:
    known_at = before_the_change(changed)
    said = changed.post(f"{URL}/compare", question() | {"known_at": known_at}, expect=200)
    assert [said[name]["verdict"] for name in ("as_known_then", "as_known_today", "by_todays_terms")] == [
        "allow", "deny", "deny",
    ]  # fmt: skip
    first, second = said["differences"]
    assert first["verdict"] == {"before": "allow", "after": "deny"}
    assert [item["id"] for item in first["documents"]["changed"]] == ["smollm-apache"]
    assert first["reasons"]["new"][0]["document"] == "smollm-apache"
    assert second["same"]
    assert said["as_known_then"] == changed.post(URL, question() | {"known_at": known_at}, expect=200)
    assert said["as_known_today"]["verdict"] == changed.post(URL, question(), expect=200)["verdict"]


def test_a_stored_decision_in_three_lights(changed: LocalService) -> None:
    release = changed.get("/api/v1/releases/tutor@1")
    stored = changed.get(f"{URL}/{release['decision']['id']}")
    said = changed.get(f"{URL}/{release['decision']['id']}/compare")
    assert said["as_known_then"]["reasons"] == stored["reasons"]
    assert said["as_known_then"]["terms_digest"] == stored["terms_digest"] != said["as_known_today"]["terms_digest"]
    flips = said["differences"][0]["flips"]
    assert flips == {"allow -> deny": {"classes": 1, "samples": 60, "tokens": flips["allow -> deny"]["tokens"]}}
    assert any("smollm-apache" in line for line in said["differences"][0]["text"])


def test_known_now_is_now(service: LocalService) -> None:
    release = service.get("/api/v1/releases/tutor@1")
    said = service.get(f"{URL}/{release['decision']['id']}/compare")
    assert said["differences"][0]["same"]
    assert said["differences"][0]["flips"] == {}


@pytest.mark.parametrize(
    ("change", "field"),
    [({"known_at": None}, "known_at"), ({"sample": None}, "sample"), ({"student": "acme"}, "student"), ({"known_at": "2999-01-01"}, "known_at")],
)  # fmt: skip
def test_what_a_comparison_lacks_is_named(service: LocalService, change: dict[str, Any], field: str) -> None:
    said = service.post(f"{URL}/compare", question() | {"known_at": "2026-01-01"} | change, expect=422)
    assert said["errors"][0]["field"] == field


def test_a_change_of_terms_names_whom_it_hits(changed: LocalService) -> None:
    said = changed.get("/api/v1/terms/smollm-apache/impact")
    assert (said["exposure"]["samples"], said["exposure"]["releases"]) == (60, ["tutor@1"])
    assert said["exposure"]["students"] == ["acme-tutor"]
    assert said["changed"] == ["smollm-apache"]
    assert [change["subject"] for change in said["changes"]] == ["train_on_outputs"]
    impact = said["impact"]
    assert {name: held["samples"] for name, held in impact["totals"].items()} == {"allow -> deny": 60}
    assert (impact["samples"], impact["releases"], len(impact["students"])) == (60, ["tutor@1"], 1)
    assert impact["flips"][0]["teacher"] == "huggingface-smollm/smollm2-135m-instruct"


def test_the_pages_show_what_the_answers_say(changed: LocalService) -> None:
    identifier = changed.get("/api/v1/releases/tutor@1")["decision"]["id"]
    html = changed.client.get(f"/decisions/{identifier}/compare", headers={"Accept": "text/html"}).text
    said = changed.get(f"/api/v1/decisions/{identifier}/compare")
    assert "smollm-apache is another version of the record." in html
    page = changed.get(f"/decisions/{identifier}/compare.json")
    assert [item["verdict"] for item in page["standpoints"]] == [
        said[name]["verdict"] for name in ("as_known_then", "as_known_today", "by_todays_terms")
    ]
    assert f'href="/decisions/{identifier}/compare"' in changed.client.get(f"/decisions/{identifier}").text
    impact = changed.get("/terms/smollm-apache/impact.json")
    assert (impact["samples"], impact["totals"][0]["samples"], impact["flips"][0]["student"]) == (60, 60, "acme-tutor")
    source = changed.get("/sources/huggingface-smollm.json")["documents"][0]
    assert (source["samples"], source["releases"], source["students"]) == (60, ["tutor@1"], ["acme-tutor"])
    assert 'href="/terms/smollm-apache/impact"' in changed.client.get("/sources/huggingface-smollm").text
    assert changed.client.get("/decisions/none/compare").status_code == 404
    assert changed.client.get("/terms/none/impact").status_code == 404


def test_a_dry_run_names_whom_it_would_hit(service: LocalService) -> None:
    size = service.log_size()
    said = service.post("/api/v1/terms?dry_run=true", barred(service), expect=200)
    assert {name: held["samples"] for name, held in said["impact"]["totals"].items()} == {"allow -> deny": 60}
    assert service.log_size() == size
    first = service.get("/api/v1/terms/smollm-apache/impact")
    assert (first["impact"], first["exposure"]["samples"]) == (None, 60)
    assert service.client.get("/api/v1/terms/nothing/impact").status_code == 404


def test_the_evidence_of_an_old_sample_carries_the_terms_that_bound_it(changed: LocalService) -> None:
    index = first_apache(changed)
    bundle = parse_bundle(changed.client.get(f"/api/v1/samples/{index}/evidence").content)
    statements = [parse_entry(entry) for entry in bundle.contents.entries.values()]
    carried = [said.predicate["document_digest"] for said in statements if said.kind == "terms"]
    named = changed.get(f"/api/v1/samples/{index}")["statement"]["predicate"]["terms"]
    assert carried == [item["digest"] for item in named]
    assert carried != [changed.get("/api/v1/terms/smollm-apache")["digest"]]


def first_apache(service: LocalService) -> int:
    rows = service.get("/samples.json")["rows"]
    return int(next(row["index"] for row in rows if "smollm" in row["teacher"]))
