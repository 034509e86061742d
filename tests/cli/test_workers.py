"""`provenance serve --workers 2` as a whole, in real processes: what a request on one worker does binds on the other,
and whichever process is killed under load, nothing acknowledged is lost and nothing is there twice."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from provenance.ledger.checkpoint import parse_checkpoint
from provenance.ledger.handover import SOCKET_NAME
from provenance.ledger.publish import read_checkpoint
from provenance.policy.proposal import read_folder
from provenance.resources import find_resource
from tests.conftest import ENGINES
from tests.service import APACHE, STUDENT, Service, ServiceProcess, make_sample, make_samples
from tests.workers import (
    JOBS,
    SEQUENCER,
    Pipelines,
    audit,
    connect,
    is_running,
    kill,
    kill_and_see_again,
    only,
    processes,
    wait_until,
)

pytestmark = pytest.mark.slow


@pytest.fixture(params=ENGINES)
def service(request: pytest.FixtureRequest, start_service: Callable[..., ServiceProcess]) -> ServiceProcess:
    """One on each database."""
    if request.param == "sqlite":
        return start_service(PROVENANCE_WORKERS="2")
    return start_service(PROVENANCE_WORKERS="2", PROVENANCE_DATABASE_URL=request.getfixturevalue("postgres_url"))


@pytest.fixture
def sqlite_service(start_service: Callable[..., ServiceProcess]) -> ServiceProcess:
    """One on SQLite."""
    return start_service(PROVENANCE_WORKERS="2")


def test_many_pipelines_at_two_workers_get_receipts_that_are_true(service: ServiceProcess) -> None:
    with Pipelines(service, 12) as load:
        load.wait_for(60)
    assert (load.refusals, load.broken) == ([], 0)
    load.check(service)
    captures = [row for row in audit(service) if row.kind == "capture"]
    assert len(captures) == 1  # one stay at the door, whichever worker opened it


def test_a_killed_sequencer_is_not_even_seen_by_pipelines_with_keys(service: ServiceProcess) -> None:
    with Pipelines(service) as load:
        for _ in range(2):
            load.wait_for(15)
            kill_and_see_again(service, SEQUENCER)
        load.wait_for(15)
    assert (load.refusals, load.broken) == ([], 0)
    load.check(service)
    audit(service)


def test_without_a_key_a_lost_answer_says_to_look(sqlite_service: ServiceProcess) -> None:
    with Pipelines(sqlite_service, 12, with_keys=False) as load:
        for _ in range(3):
            load.wait_for(20)
            kill_and_see_again(sqlite_service, SEQUENCER)
        load.wait_for(10)
    assert {status for status, _ in load.refusals} <= {503}
    assert all(
        "look whether the entries are there" in said or "nothing was appended" in said for _, said in load.refusals
    )
    assert load.refusals
    load.check(sqlite_service)
    audit(sqlite_service)


def test_a_killed_worker_comes_back_and_what_it_took_is_answered_again(service: ServiceProcess) -> None:
    with Pipelines(service) as load:
        load.wait_for(15)
        kill_and_see_again(service, "worker 1")
        load.wait_for(30)
    assert load.refusals == []
    load.check(service)
    audit(service)


def test_the_children_of_a_killed_parent_end_and_the_next_service_goes_on(service: ServiceProcess) -> None:
    with Pipelines(service) as load:
        load.wait_for(15)
        children = processes(service).values()
        service.kill()
        wait_until(lambda: not any(is_running(pid) for pid in children), 5)
    acknowledged = list(load.receipts)
    service.start()
    size = service.log_size()
    assert all(receipt["batch_index"] < size for receipt in acknowledged)
    with Pipelines(service) as again:  # the same keys: what was answered is answered alike, the rest is done
        wait_until(lambda: {r["first_index"] for r in acknowledged} <= {r["first_index"] for r in again.receipts}, 20)
    again.check(service)
    audit(service)


def test_the_next_service_may_start_at_once_after_a_killed_parent(sqlite_service: ServiceProcess) -> None:
    sqlite_service.kill()
    sqlite_service.start()
    assert sqlite_service.capture(make_samples(apache=1, openai=0, llama=0))["count"] == 1


def test_a_service_that_is_asked_to_stop_answers_what_it_has_and_publishes_all(service: ServiceProcess) -> None:
    with Pipelines(service) as load:
        load.wait_for(15)
    children = processes(service).values()
    size = service.log_size()
    service.stop()
    assert service.process is not None
    assert service.process.returncode == 0
    assert "Traceback" not in service.log.read_text()
    assert not any(is_running(pid) for pid in children)
    assert not (service.data_dir / SOCKET_NAME).exists()
    note = read_checkpoint(service.data_dir / "log")
    assert note is not None
    assert parse_checkpoint(note.partition("\n\n")[0] + "\n").size == size
    audit(service)


def test_a_stop_under_load_loses_nothing_that_was_acknowledged(sqlite_service: ServiceProcess) -> None:
    with Pipelines(sqlite_service) as load:
        load.wait_for(15)
        sqlite_service.stop()
    acknowledged = len(load.receipts)
    assert "Traceback" not in sqlite_service.log.read_text()
    sqlite_service.start()
    assert sqlite_service.get("/api/v1/datasets/load")["samples"] >= 5 * acknowledged
    audit(sqlite_service)


def ask(service: Service) -> Any:
    facts = {name: value for name, value in make_sample(0, APACHE).items() if name not in {"prompt", "completion"}}
    return service.post("/api/v1/decisions", {"sample": facts, "student": STUDENT}, expect=200)


def barred(service: Service, clause: str) -> dict[str, Any]:
    value = {name: each for name, each in service.get("/api/v1/terms/smollm-apache").items() if name != "digest"}
    value["facts"]["train_on_outputs"] |= {
        "value": "prohibited-any-other-model",
        "scope": "any-model",
        "clause": clause,
    }
    return value


def test_terms_that_one_worker_recorded_bind_on_the_other(service: ServiceProcess) -> None:
    with only(service, "worker 2") as second:
        assert ask(second)["verdict"] == "allow"
    with only(service, "worker 1") as first:
        made = first.post("/api/v1/terms", barred(first, "9"), expect=201)
    with only(service, "worker 2") as second:
        asked = ask(second)
        assert (asked["verdict"], asked["terms_digest"]) == ("deny", made["catalogue_digest"])
        entry = second.capture([make_sample(0, APACHE, dataset="after")])["first_index"]
        named = {
            each["id"]: each["digest"]
            for each in second.get(f"/api/v1/samples/{entry}")["statement"]["predicate"]["terms"]
        }
        assert named["smollm-apache"] == second.get("/api/v1/terms/smollm-apache")["digest"]
        again = second.post("/api/v1/terms", barred(second, "10"), expect=201)  # it stands on what the first recorded
    with only(service, "worker 1") as first:
        assert ask(first)["terms_digest"] == again["catalogue_digest"]
    audit(service)


def test_terms_that_both_workers_record_at_once_stand_one_on_the_other(service: ServiceProcess) -> None:
    def record(clause: int) -> int:
        with connect(service) as one:
            return int(one.client.post("/api/v1/terms", json=barred(one, str(clause))).status_code)

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(record, range(6))) == {201}
    digests = set()
    for name in ("worker 1", "worker 2"):
        with only(service, name) as one:
            digests.add(one.get("/api/v1/terms")["catalogue_digest"])
    assert len(digests) == 1
    assert len([row for row in audit(service) if (row.kind, row.key) == ("terms", "smollm-apache")]) == 7


def test_a_pack_that_is_approved_on_one_worker_judges_on_the_other(sqlite_service: ServiceProcess) -> None:
    service = sqlite_service
    other = {"Authorization": f"Bearer {service.make_token('second')}"}
    value = read_folder(find_resource("policies"))
    value["rules"]["quality"] = value["rules"]["quality"].replace("A quality check failed", "A check of quality failed")
    with only(service, "worker 1") as first:
        proposal = first.post("/api/v1/policies", value, expect=201)
    with only(service, "worker 2") as second:
        body = {"digest": proposal["digest"], "replay_digest": proposal["replay"]["digest"]}
        second.post(f"/api/v1/policies/{proposal['id']}/approve", body, expect=201, headers=other)
    with only(service, "worker 1") as first:
        assert ask(first)["policy"]["digest"] == proposal["digest"]
        assert first.get("/api/v1/policies")["in_force"]["digest"] == proposal["digest"]
    audit(service)


def test_a_key_that_was_used_at_one_worker_is_answered_alike_at_the_other(service: ServiceProcess) -> None:
    samples = make_samples(apache=4, openai=0, llama=0)
    with only(service, "worker 1") as first:
        before = first.capture(samples, key="once")
    with only(service, "worker 2") as second:
        assert second.capture(samples, key="once") == before | {"replayed": True}
        answer = second.client.post("/api/v1/samples", json=samples[:1], headers={"Idempotency-Key": "once"})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (409, "Idempotency-Key")


def test_a_key_that_comes_to_both_workers_at_once_is_done_once(service: ServiceProcess) -> None:
    samples = make_samples(apache=4, openai=0, llama=0, dataset="twins")

    def send(_: int) -> int:
        with connect(service) as one:
            return int(one.capture(samples, key="twins")["first_index"])

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(send, range(16)))) == 1
    assert service.get("/api/v1/datasets/twins")["samples"] == 4


def test_a_release_is_built_once_by_the_jobs_process_also_when_that_is_killed(service: ServiceProcess) -> None:
    service.capture(make_samples(apache=1500, openai=100, llama=400))
    student = service.declare()
    url = service.post("/api/v1/releases", {"dataset": "mixed", "student": student, "name": "big"})["status_url"]
    wait_until(lambda: bool(service.get(url)["progress"]))
    kill(service, JOBS)
    release = service.wait(url)
    assert (release["state"], release["counts"]["released"]) == ("partial", 1900)
    statements = audit(service)
    for kind, key in (("decision", release["decision"]["id"]), ("release", release["id"])):
        assert len([row for row in statements if (row.kind, row.key) == (kind, key)]) == 1


def test_a_service_that_cannot_start_says_why(sqlite_service: ServiceProcess) -> None:
    sqlite_service.stop()
    (sqlite_service.data_dir / SOCKET_NAME).write_text("not a socket")
    sqlite_service.spawn()
    assert sqlite_service.process is not None
    assert sqlite_service.process.wait(30) == 2
    assert "is not ours" in sqlite_service.log.read_text()


def test_a_second_signal_does_not_wait_for_who_hangs(sqlite_service: ServiceProcess) -> None:
    os.kill(processes(sqlite_service)["worker 1"], signal.SIGSTOP)
    process = sqlite_service.process
    assert process is not None
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert not any(is_running(pid) for pid in processes(sqlite_service).values())
