"""Erased text is gone from every byte of the data directory; nothing else is, and the log still verifies."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from provenance.canonical import canonical_bytes, parse_json, sha256_digest
from provenance.errors import DeniedError
from provenance.jobs.engine import engine
from provenance.jobs.workflows import WORKFLOWS
from provenance.ledger.prove import Prover
from provenance.release import erase
from provenance.store.content import erase_segment, list_segments
from provenance.store.erasures import load_indices
from provenance.store.jobs import create_job
from provenance.store.session import read_session, write_session
from provenance.verify import verify
from tests.erasure import Told, make_words, read_salts
from tests.remains import find_remains
from tests.service import LocalService, make_sample, open_service

GONE, KEPT = 7, 150  # positions; the first has frames before and behind it


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    with open_service(tmp_path / "data") as service:
        yield Told(service)


def test_erased_text_is_in_no_byte_of_the_data_directory_and_its_neighbours_are(told: Told, tmp_path: Path) -> None:
    service = told.service
    gone, neighbours = [GONE, KEPT], [GONE - 1, GONE + 1, KEPT - 1, KEPT + 1]
    indices = [told.index(position) for position in gone]
    before = {index: service.get(f"/api/v1/samples/{index}") for index in range(told.first, told.first + 200)}
    salts = [salt for index in indices for salt in read_salts(told, index)]
    assert set(find_remains(service.data_dir, told.needles(gone))) == set(told.needles(gone))  # the search does find it
    assert set(find_remains(service.data_dir, salts)) == set(salts)
    told_digest = service.get("/api/v1/releases/told@1")["manifest_digest"]

    said = told.erase(indices=[indices[0], f"{indices[1]}-{indices[1]}"])

    assert said["state"] == "done", said
    assert (said["count"], said["removed"]["samples"]) == (2, 2)
    assert find_remains(service.data_dir, [*told.needles(gone), *salts]) == {}
    assert set(find_remains(service.data_dir, told.needles(neighbours))) == set(told.needles(neighbours))
    for index, seen in before.items():
        now = service.get(f"/api/v1/samples/{index}")
        if index in indices:
            assert (now["content"], now["erased"], now["erasure"]) == (None, True, said["id"])
            assert (now["leaf_hash"], now["statement"]) == (seen["leaf_hash"], seen["statement"])
        else:
            assert now == seen
    outcome = told.audit()
    assert outcome.ok, outcome.to_json()
    assert (outcome.erased, outcome.words) == (2, 198)
    with read_session(service.runtime.engine) as session:
        assert Prover(session).proof_text(indices[0])
    bundle = tmp_path / "evidence.zip"
    bundle.write_bytes(service.client.get(f"/api/v1/samples/{indices[0]}/evidence").content)
    checked = verify(bundle)
    assert checked.ok
    assert [step.state for step in checked.steps if step.number == 6] == ["skipped"]
    assert service.get("/api/v1/releases/told@1")["manifest_digest"] == told_digest


def test_a_release_that_held_erased_text_is_withdrawn_and_says_why(told: Told) -> None:
    service = told.service
    other = service.release(
        told.student, "none-of-it", dataset="told", teacher="huggingface-smollm/smollm2-135m-instruct"
    )
    folder = service.data_dir / "releases" / "told" / "1"
    kept = {name: (folder / name).read_bytes() for name in ("manifest.json", "attestation.json", "README.md")}
    said = told.erase(indices=[told.index(GONE)])
    assert {(item["id"], item["samples"]) for item in said["releases"]} == {(told.release["id"], 1), (other["id"], 1)}
    release = service.get("/api/v1/releases/told@1")
    assert release["state"] == "withdrawn"
    assert release["erased"] == {"erasure": said["id"], "samples": 1}
    assert {item["state"] for item in service.get("/api/v1/releases")["releases"]} == {"withdrawn"}
    assert not (folder / "data").exists()
    assert {name: (folder / name).read_bytes() for name in kept} == kept
    assert service.client.get("/api/v1/releases/told@1/data/train-00000.parquet").status_code == 410
    refused = service.client.post("/api/v1/runs", json={"release": "told@1", "student": "told-student"})
    assert (refused.status_code, refused.json()["code"]) == (409, "release-not-allowed")
    again = service.release(told.student, "told", dataset="told")  # what is left can be released again
    assert (again["state"], again["version"], again["counts"]["released"]) == ("partial", 2, 199)


def test_loading_a_release_with_erased_samples_says_so(told: Told) -> None:
    from provenance.client.release import verify_release

    told.erase(indices=[told.index(GONE)])
    folder = told.service.data_dir / "releases" / "told" / "1"
    keys = told.service.get("/api/v1/keys")
    with pytest.raises(DeniedError, match="contains erased samples"):
        verify_release(folder, keys=keys)


def test_a_pipeline_that_sends_an_erased_request_again_does_not_bring_the_text_back(told: Told) -> None:
    told.erase(external_ids=["told-1"])
    answer = told.service.client.post("/api/v1/samples", json=told.samples, headers={"Idempotency-Key": "told"})
    assert answer.status_code == 409
    assert find_remains(told.service.data_dir, told.needles([1])) == {}


def test_reading_the_entries_again_gives_the_same_erasures(told: Told) -> None:
    from provenance.store.reindex import reindex

    said = told.erase(external_ids=["told-1"])
    with write_session(told.service.runtime.engine) as session:
        reindex(session)
    assert told.service.get(f"/api/v1/erasures/{said['id']}") == said
    assert told.service.get("/api/v1/releases/told@1")["state"] == "withdrawn"


def test_what_a_run_quoted_goes_with_the_release(told: Told) -> None:
    """The folder of a run as a cancelled training leaves it; the real one is trained in `test_kill`."""
    service = told.service
    run = service.data_dir / "runs" / "run_1"
    for name in ("out/checkpoint-3", "out/student-start", "out/.cache"):
        (run / name).mkdir(parents=True)
        (run / name / "text.json").write_text(told.words[GONE][0])
    quoted = {"state": "finished", "metrics": {"n": 1}, "generations": [{"prompt": told.words[GONE][0]}]}
    (run / "out" / "result.json").write_bytes(canonical_bytes(quoted))
    facts = {"release": told.release["id"], "student": told.student, "recipe": "sft", "at": "2026-11-24T10:00:00Z"}
    service.runtime.append("run", {"id": "run_1", "phase": "plan", **facts})
    said = told.erase(indices=[told.index(GONE)])
    assert said["runs"] == ["run_1"]
    assert find_remains(service.data_dir, told.needles([GONE])) == {}
    assert (run / "out" / "result.json").read_bytes() == canonical_bytes({**quoted, "generations": []})


@pytest.mark.postgres
def test_on_postgresql_rows_and_files_lose_the_text(postgres_url: str, tmp_path: Path) -> None:
    with open_service(tmp_path / "data", database_url=postgres_url) as service:
        told = Told(service)
        before = table_files(service)
        assert all(path.stat().st_size for path in before)
        said = told.erase(indices=[told.index(GONE)])
        assert said["state"] == "done", said
        assert find_remains(service.data_dir, told.needles([GONE])) == {}
        assert not set(before) & set(table_files(service))  # written anew
        assert not any(path.exists() and path.stat().st_size for path in before)
        assert told.audit().ok
        assert service.get(f"/api/v1/samples/{told.index(GONE)}")["erased"]
        assert not service.get(f"/api/v1/samples/{told.index(GONE + 1)}")["erased"]


def table_files(service: LocalService) -> list[Path]:
    """Where PostgreSQL keeps the content table and its long values."""
    query = (
        "SELECT current_setting('data_directory') || '/' || pg_relation_filepath(oid), "
        "current_setting('data_directory') || '/' || pg_relation_filepath(reltoastrelid) "
        "FROM pg_class WHERE relname = 'content_segment'"
    )
    with read_session(service.runtime.engine) as session:
        return [Path(name) for name in session.connection().execute(text(query)).one()]


def test_the_world_that_other_tests_stand_on_can_be_erased_too(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world, tmp_path / "data")
    with open_service(tmp_path / "data") as service:
        asked = service.post("/api/v1/erasures", {"dataset": "mixed", "reason": "all of it"}, expect=201)
        headers = service.as_role("counsel")
        url = service.post(f"/api/v1/erasures/{asked['id']}/approve", None, headers=headers)["status_url"]
        assert service.wait(url)["state"] == "done"
        assert find_remains(service.data_dir, ["the heron stands in grey water"]) == {}


@pytest.mark.parametrize("reached", ["job", "approval", "half of the words", "tombstone", "words and copies"])
def test_an_erasure_that_a_crash_cut_short_is_completed_at_the_next_start(tmp_path: Path, reached: str) -> None:
    """The states in which a crash can leave the data directory, each made by the steps themselves."""
    with open_service(tmp_path / "data") as service:
        told = Told(service, count=60)
        for _ in range(3):  # more segments
            words = make_words(2)
            service.capture([make_sample(dataset="told", prompt=p, completion=c) for p, c in words])
            told.words += words
        asked = told.ask(dataset="told")
        # The engine lets go first, so that nobody does the work behind the test's back.
        engine.close()
        job = {"erasure": asked["id"], "approver": "counsel-1", "attempt": 0}
        with write_session(service.runtime.engine) as session:
            create_job(session, identifier=asked["id"], kind="erasure", request=job, now="2026-11-24T10:00:00Z")
        leave_at(service, asked["id"], reached)
        engine.launch(service.runtime, WORKFLOWS)
        said = service.wait(f"/api/v1/erasures/{asked['id']}")
        assert (said["state"], said["count"], said["approver"]) == ("done", 66, "counsel-1")
        assert [item["phase"] for item in said["entries"]] == ["requested", "approved", "done"]
        assert [item["samples"] for item in said["releases"]] == [60]
        assert find_remains(service.data_dir, [text for pair in told.words for text in pair]) == {}
        outcome = told.audit()
        assert outcome.ok, outcome.to_json()
        assert outcome.erased == 66


def leave_at(service: LocalService, identifier: str, reached: str) -> None:
    runtime = service.runtime
    if reached == "job":
        return
    erase.log_approval(runtime, identifier, "counsel-1")
    with read_session(runtime.engine) as session:
        indices = load_indices(session, identifier)
        segments = list_segments(session, indices)
    assert len(segments) == 4
    if reached == "half of the words":
        for first_index in segments[:2]:
            with write_session(runtime.engine) as session:
                erase_segment(session, first_index, indices)
    if reached == "tombstone":  # written, and the first of two shards is gone
        folder = service.data_dir / "releases" / "told" / "1"
        manifest = parse_json((folder / "manifest.json").read_bytes())
        said = {"erasure": identifier, "at": "2026-11-24T10:00:00Z", "samples": 60, "files": manifest["files"]}
        (folder / "erased.json").write_bytes(canonical_bytes(said))
        (folder / "data" / "train-00000.parquet").unlink()
    if reached == "words and copies":
        erase.erase_words(runtime, identifier, lambda _: None)
        erase.erase_copies(runtime, identifier)


def test_a_failed_erasure_can_be_tried_again(told: Told) -> None:
    service = told.service
    shard = service.data_dir / "releases" / "told" / "1" / "data" / "test-00000.parquet"
    asked = told.ask(external_ids=["told-1"])
    whole = shard.read_bytes()
    shard.write_bytes(b"no parquet")
    failed = service.wait(told.approve(asked["id"])["status_url"])
    assert failed["state"] == "failed"
    assert "damaged" in failed["error"]["detail"]
    shard.write_bytes(whole)
    done = service.wait(told.approve(asked["id"])["status_url"])
    assert (done["state"], done["error"]) == ("done", None)
    assert find_remains(service.data_dir, told.needles([1])) == {}


@pytest.mark.training
def test_a_real_training_leaves_nothing_that_outlives_the_erasure(told: Told) -> None:
    service = told.service
    config = {
        "student": "scratch",
        "hidden": 64,
        "layers": 1,
        "max_steps": 2,
        "sample_generations": 2,
        "test_samples": 4,
    }
    body = {"release": "told@1", "student": "told-student", "config": config}
    run = service.wait(service.post("/api/v1/runs", body)["status_url"])
    assert run["state"] == "done", run
    said = told.erase(indices=[told.index(position) for position in range(200)])
    assert said["runs"] == [run["id"]]
    assert find_remains(service.data_dir, told.needles(list(range(200)))) == {}
    assert service.get(f"/api/v1/models/{run['model']}")["id"] == run["model"]
    assert told.audit().ok


def test_what_was_erased_is_not_erased_twice(told: Told) -> None:
    first = told.erase(external_ids=["told-1", "told-2"])
    size = told.service.log_size()
    problem = told.ask(expect=409, indices=[told.index(1)])
    assert first["id"] in problem["detail"]
    assert told.service.log_size() == size
    rest = told.ask(dataset="told")  # a query means what is left
    assert rest["count"] == 198
    told.service.wait(told.approve(rest["id"])["status_url"])
    told.ask(expect=409, dataset="told")


@pytest.mark.parametrize(
    ("by", "positions"),
    [
        ({"external_ids": ["told-3", "told-5"]}, [3, 5]),
        ({"dataset": "told"}, list(range(200))),
        ({"dataset": "told", "selection": {"route": "weights"}}, list(range(200))),
    ],
)
def test_samples_are_chosen_by_external_id_and_by_query(told: Told, by: dict[str, Any], positions: list[int]) -> None:
    asked = told.ask(**by)
    indices = [told.index(position) for position in positions]
    assert (asked["count"], asked["indices_digest"]) == (len(positions), sha256_digest(canonical_bytes(indices)))
    assert asked["datasets"][0]["tokens_share"] == pytest.approx(len(positions) / 200, abs=0.01)
    assert asked["releases"] == [{"id": told.release["id"], "name": "told", "version": 1, "samples": len(positions)}]
    assert find_remains(told.service.data_dir, told.needles(positions))  # asked for is not yet done
    done = told.service.wait(told.approve(asked["id"])["status_url"])
    assert done["state"] == "done"
    assert find_remains(told.service.data_dir, told.needles(positions)) == {}
    assert told.audit().ok
