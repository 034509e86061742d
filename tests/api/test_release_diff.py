"""Two versions of a release, compared: by the API, the page with its twins, and the command."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.service import APACHE, OPENAI, LocalService, make_sample, open_service

URL = "/api/v1/releases"
MISTRAL = {"provider": "nobody", "model": "nothing-7b", "route": "weights"}


@pytest.fixture(scope="module")
def grown(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalService]:
    """tutor@2 has 30 samples more, tutor@3 only the Apache ones: the conditions of Llama are gone."""
    data_dir = tmp_path_factory.mktemp("grown") / "data"
    shutil.copytree(world, data_dir)
    with open_service(data_dir) as service:
        more = [
            make_sample(number, teacher) for number, teacher in enumerate([APACHE] * 20 + [OPENAI] * 7 + [MISTRAL] * 3)
        ]
        service.capture(more)
        student = service.get("/api/v1/students/acme-tutor")["id"]
        assert service.release(student, "tutor")["state"] == "partial"
        assert (
            service.release(student, "tutor", teacher=f"{APACHE['provider']}/{APACHE['model']}")["state"] == "allowed"
        )
        yield service


def indices(service: LocalService, reference: str) -> set[int]:
    import pyarrow.parquet as pq

    name, _, version = reference.partition("@")
    folder = service.data_dir / "releases" / name / version / "data"
    return {index for path in folder.iterdir() for index in pq.read_table(path)["entry_index"].to_pylist()}


def all_rows(service: LocalService, url: str, limit: int = 7) -> list[dict[str, Any]]:
    said = service.get(url, params={"limit": limit})
    rows: list[dict[str, Any]] = said["rows"]
    while said["next_after"] is not None:
        said = service.get(url, params={"after": said["next_after"], "limit": limit})
        rows += said["rows"]
    return rows


def test_what_came_is_what_the_shards_say(grown: LocalService) -> None:
    before, after = indices(grown, "tutor@1"), indices(grown, "tutor@2")
    said = grown.get(f"{URL}/tutor@1/diff/tutor@2")
    assert said["counts"] == {"added": 20, "removed": 0, "same": 80}
    rows = all_rows(grown, f"{URL}/tutor@1/diff/tutor@2")
    assert [row["index"] for row in rows] == sorted(after - before)
    assert {(row["change"], row["before"], row["after"]) for row in rows} == {("added", "not-logged-yet", "released")}
    same = grown.get(f"{URL}/tutor@1/diff/tutor@2", params={"change": "same", "limit": 500})["rows"]
    assert [row["index"] for row in same] == sorted(before & after)


def test_what_went_says_where_it_is_now(grown: LocalService) -> None:
    said = grown.get(f"{URL}/tutor@2/diff/tutor@3")
    assert said["counts"] == {"added": 0, "removed": 20, "same": 80}
    assert {(row["before"], row["after"], row["teacher"]) for row in said["rows"]} == {
        ("released", "not-selected", "meta/llama-3.1-8b-instruct")
    }
    back = grown.get(f"{URL}/tutor@3/diff/tutor@2")
    assert back["counts"] == {"added": 20, "removed": 0, "same": 80}
    assert {row["before"] for row in back["rows"]} == {"not-selected"}


def test_classes_documents_conditions_and_selection_that_differ_are_named(grown: LocalService) -> None:
    said = grown.get(f"{URL}/tutor@2/diff/tutor@3")
    assert {(item["teacher"], item["change"]) for item in said["classes"]} == {
        ("meta/llama-3.1-8b-instruct", "went"), ("openai/gpt-4o", "went"), ("nobody/nothing-7b", "went"),
    }  # fmt: skip
    assert {item["teacher"] for item in said["quarantine"]} == {"openai/gpt-4o", "nobody/nothing-7b"}
    gone = next(item for item in said["classes"] if item["teacher"] == "openai/gpt-4o")
    assert (gone["before"]["state"], gone["before"]["samples"], gone["after"]) == ("quarantined", 27, None)
    assert gone["before"]["rule"]
    assert "meta-llama-3.1" in {item["id"] for item in said["documents"] if item["change"] == "removed"}
    assert [(item["type"], item["change"], item["after"]) for item in said["conditions"]] == [
        ("name-prefix", "removed", None)
    ]
    assert said["packs"] == []
    assert (said["before"]["decision"]["verdict"], said["after"]["decision"]["verdict"]) == ("deny", "allow")
    assert (said["before"]["selection"], said["after"]["selection"]) == (
        {},
        {"teacher": f"{APACHE['provider']}/{APACHE['model']}"},
    )


def test_a_blocked_release_holds_nothing_and_one_of_another_name_can_be_compared(grown: LocalService) -> None:
    said = grown.get(f"{URL}/closed@1/diff/tutor@1")
    assert said["counts"] == {"added": 80, "removed": 0, "same": 0}
    assert grown.get(f"{URL}/tutor@1/diff/tutor@1")["counts"] == {"added": 0, "removed": 0, "same": 80}


def test_the_page_and_its_twins_hold_the_same_rows(grown: LocalService) -> None:
    page = grown.get("/releases/tutor/2..3.json")
    rows = list(csv.DictReader(io.StringIO(grown.client.get("/releases/tutor/2..3.csv").text)))
    assert [int(row["index"]) for row in rows] == [row["index"] for row in page["rows"]]
    assert page["counts"] == {"added": 0, "removed": 20, "same": 80}
    html = grown.client.get("/releases/tutor/2..3", headers={"Accept": "text/html"}).text
    assert html.count("data-row") == 20
    assert 'href="/releases/tutor@2"' in html
    more = grown.client.get("/releases/tutor/1..2?change=same", headers={"Accept": "text/html"}).text
    assert more.count("data-row") == 80
    assert 'href="/releases/tutor/2..3"' in grown.client.get("/releases/tutor@3").text
    assert ".." not in grown.client.get("/releases/closed@1").text.partition("<main")[2].partition("</h1>")[2][:400]


@pytest.mark.parametrize("path", ["tutor/1..9", "tutor/x", "tutor/1", "tutor/1..", "none/1..2", "tutor/01..2"])
def test_a_page_of_no_two_versions_is_not_found(grown: LocalService, path: str) -> None:
    assert grown.client.get(f"/releases/{path}").status_code == 404


@pytest.mark.parametrize(("field", "value"), [("change", "moved"), ("after", "-2"), ("limit", "0"), ("limit", "501")])
def test_a_bad_question_names_its_field(grown: LocalService, field: str, value: str) -> None:
    answer = grown.client.get(f"{URL}/tutor@1/diff/tutor@2", params={field: value})
    assert answer.status_code == 422
    assert field in answer.json()["errors"][0]["field"]


def test_a_proof_that_was_swapped_is_found_out(grown: LocalService) -> None:
    folder = grown.data_dir / "releases" / "tutor"
    proof = folder / "3" / "log-proof.txt"
    kept = proof.read_bytes()
    proof.write_bytes((folder / "2" / "log-proof.txt").read_bytes())
    answer = grown.client.get(f"{URL}/tutor@2/diff/tutor@3")
    proof.write_bytes(kept)
    assert (answer.status_code, answer.json()["code"]) == (409, "digest-mismatch")


def test_a_withdrawn_release_can_still_be_compared(grown: LocalService) -> None:
    grown.release(grown.get("/api/v1/students/acme-tutor")["id"], "gone")
    grown.post(f"{URL}/gone@1/withdraw", {"reason": "a test"}, expect=201)
    assert grown.get(f"{URL}/gone@1/diff/tutor@2")["counts"]["same"] == 100
