"""Who may go on and who may not; the run itself is trained in tests/jobs/test_resume.py."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from provenance.errors import ConflictError, DeniedError, DigestMismatchError, NotFoundError, ProvenanceError
from provenance.jobs.start import adopt_resumes
from provenance.recall.open import close_recall, open_recall
from provenance.store.jobs import find_job, update_job
from provenance.store.runs import job_of_attempt, list_unheard_resumes, run_of_job
from provenance.store.session import read_session, write_session
from provenance.training import resume
from provenance.training.attempt import find_begin, read_seconds_before
from provenance.training.checkpoint import seal_checkpoint
from provenance.training.launch import finish_run, plan_run, run_folder, start_phase
from provenance.training.local import CANCEL, RESULT
from provenance.training.resume import NotResumableError, check_resume, readmit_run, resume_run
from tests.service import LocalService

pytest.importorskip("trl")
CONFIG = {"student": "scratch", "layers": 1, "hidden": 64, "max_steps": 40}
LLAMA = {"kind": "teacher", "id": "meta/llama-3.1-8b-instruct"}
ASKED = {"release": "tutor@1", "student": "acme-tutor", "recipe": "sft", "config": CONFIG, "seed": 7}


def write_checkpoint(service: LocalService, run_id: str, step: int, seconds: float = 12.5) -> Path:
    folder = run_folder(service.runtime, run_id) / "out" / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    seal_checkpoint(folder, {"seconds": seconds})
    return folder


def end_early(service: LocalService, run_id: str, state: str = "cancelled", *, step: int | None = 20) -> None:
    """A run that ended as its statements say, with a checkpoint at `step`."""
    plan_run(service.runtime, run_id, ASKED)
    start_phase(service.runtime, run_id, ASKED)
    finish_run(service.runtime, run_id, ASKED, {"state": state, "result": {}, "detail": f"it was {state}"})
    if step is not None:
        write_checkpoint(service, run_id, step)


def resumes(service: LocalService, run_id: str) -> list[int]:
    entries = service.get(f"/api/v1/runs/{run_id}")["entries"]
    return [item["index"] for item in entries if item["phase"] == "resume"]


def refuse(service: LocalService, run_id: str, kind: type[ProvenanceError]) -> ProvenanceError:
    size = service.log_size()
    with pytest.raises(kind) as caught:
        resume_run(service.runtime, run_id, "ana")
    assert service.log_size() == size
    with read_session(service.runtime.engine) as session:
        assert find_job(session, f"{run_id}.2") is None
    return caught.value


@pytest.mark.parametrize("state", ["cancelled", "failed", "lost"])
def test_a_run_that_ended_early_goes_on_as_itself_and_the_log_says_who_and_from_where(
    service: LocalService, state: str
) -> None:
    run_id = f"run_{state}"
    end_early(service, run_id, state)
    folder = run_folder(service.runtime, run_id)
    plan = (folder / "plan.json").read_bytes()
    for name in (RESULT, CANCEL):
        (folder / "out" / name).write_text("{}")
    entry = resume_run(service.runtime, run_id, "ana")
    run = service.get(f"/api/v1/runs/{run_id}")
    assert (run["state"], run["attempt"], resumes(service, run_id)) == ("queued", 2, [entry])
    said = run["statement"]
    assert (said["phase"], said["actor"], said["step"], said["attempt"]) == ("resume", "ana", 20, 2)
    logged = "cancelled" if state == "cancelled" else "failed"
    assert said["ended"] == {"state": logged, "detail": f"it was {state}"}
    assert (said["plan_digest"], said["code_digest"]) == (run["plan"]["plan_digest"], run["plan"]["code_digest"])
    assert said["environment_digest"] == run["plan"]["environment_digest"]
    assert (folder / "plan.json").read_bytes() == plan
    assert not (folder / "out" / RESULT).exists()
    assert not (folder / "out" / CANCEL).exists()
    assert read_seconds_before(folder) == 12.5
    assert find_begin(folder).name == "attempt.json"
    assert [item["id"] for item in service.get("/api/v1/runs")["runs"]].count(run_id) == 1
    assert "Attempt 2" in service.client.get(f"/runs/{run_id}", headers={"accept": "text/html"}).text


def test_a_run_that_ends_early_again_goes_on_again(service: LocalService) -> None:
    end_early(service, "run_again")
    resume_run(service.runtime, "run_again", "ana")
    outcome = {"state": "failed", "result": {}, "detail": "out of memory"}
    finish_run(service.runtime, "run_again", ASKED, outcome)
    write_checkpoint(service, "run_again", 30, 20.0)
    resume_run(service.runtime, "run_again", "ben")
    run = service.get("/api/v1/runs/run_again")
    assert [item["phase"] for item in run["entries"]] == ["plan", "start", "cancel", "resume", "fail", "resume"]
    assert (run["state"], run["attempt"], run["statement"]["step"]) == ("queued", 3, 30)
    assert run["statement"]["ended"] == {"state": "failed", "detail": "out of memory"}


def test_what_is_not_over_or_has_nothing_to_go_on_from_is_refused(service: LocalService) -> None:
    refuse(service, "run_never", NotFoundError)
    plan_run(service.runtime, "run_planned", ASKED)  # no job and no end: its service is gone
    assert "checkpoint" in refuse(service, "run_planned", NotResumableError).detail
    end_early(service, "run_bare", step=None)
    assert "checkpoint" in refuse(service, "run_bare", NotResumableError).detail
    torn = write_checkpoint(service, "run_bare", 10)
    (torn / "trainer_state.json").write_text("{}")
    assert "checkpoint" in refuse(service, "run_bare", NotResumableError).detail
    assert torn.exists()  # a refusal changes nothing
    end_early(service, "run_twice")
    resume_run(service.runtime, "run_twice", "ana")
    with pytest.raises(NotResumableError, match="queued"):
        resume_run(service.runtime, "run_twice", "ana")
    end_early(service, "run_done")
    service.runtime.append("run", _statement(service, "run_done") | {"phase": "end"})
    assert "done" in refuse(service, "run_done", NotResumableError).detail


def _statement(service: LocalService, run_id: str) -> dict[str, Any]:
    said: dict[str, Any] = service.get(f"/api/v1/runs/{run_id}")["statement"]
    return said


def test_another_plan_other_code_and_other_weights_are_not_what_was_signed(
    service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_early(service, "run_signed")
    path = run_folder(service.runtime, "run_signed") / "plan.json"
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"max_steps":40', b'"max_steps":41'))
    assert "plan.json" in refuse(service, "run_signed", DigestMismatchError).detail
    path.unlink()
    assert "plan" in refuse(service, "run_signed", NotResumableError).detail
    path.write_bytes(data)
    monkeypatch.setattr(resume, "code_digest", lambda: "sha256:" + "0" * 64)
    error = refuse(service, "run_signed", NotResumableError)
    assert (error.code, error.errors[0].field) == ("run-not-resumable", "code_digest")
    monkeypatch.undo()
    monkeypatch.setattr(resume, "environment_digest", lambda: "sha256:" + "1" * 64)
    resume_run(service.runtime, "run_signed", "ana")  # recorded, not refused
    said = _statement(service, "run_signed")
    assert said["environment_digest"] == "sha256:" + "1" * 64
    assert said["environment_digest"] != service.get("/api/v1/runs/run_signed")["plan"]["environment_digest"]


def test_a_run_that_a_recall_reached_waits_until_the_recall_is_lifted(service: LocalService) -> None:
    end_early(service, "run_recalled")
    opened = open_recall(service.runtime, "rec_1", LLAMA, reason="terms", actor="ana")
    error = refuse(service, "run_recalled", DeniedError)
    assert isinstance(error, DeniedError)
    assert (error.code, error.decision is not None) == ("release-not-allowed", True)
    close_recall(service.runtime, opened["id"], outcome="lifted", actor="ben", reason="a mistake")
    resume_run(service.runtime, "run_recalled", "ana")


def test_two_that_ask_at_once_make_one_attempt(service: LocalService) -> None:
    end_early(service, "run_race")
    answers: list[int | ConflictError] = []

    def ask(name: str) -> None:
        try:
            answers.append(resume_run(service.runtime, "run_race", name))
        except ConflictError as exc:
            answers.append(exc)

    threads = [threading.Thread(target=ask, args=(name,)) for name in ("ana", "ben", "cleo")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer for answer in answers if isinstance(answer, int)] == resumes(service, "run_race")
    assert len(resumes(service, "run_race")) == 1


def test_a_service_that_died_between_entry_and_job_goes_on_where_it_was(
    service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    for run_id in ("run_start", "run_request"):
        end_early(service, run_id)
        with monkeypatch.context() as patched:
            patched.setattr(resume, "_make_job", die)
            with pytest.raises(KeyboardInterrupt):
                resume_run(service.runtime, run_id, "ana")
    with read_session(service.runtime.engine) as session:
        assert {"run_start", "run_request"} <= set(list_unheard_resumes(session))
    (entry,) = resumes(service, "run_request")
    assert resume_run(service.runtime, "run_request", "ben") == entry  # no second statement
    adopt_resumes(service.runtime)
    with read_session(service.runtime.engine) as session:
        assert list_unheard_resumes(session) == []
        assert find_job(session, "run_start.2") is not None
    assert len(resumes(service, "run_start")) == 1


def test_a_cancel_of_the_waiting_attempt_is_not_lost_when_it_is_looked_after_again(service: LocalService) -> None:
    end_early(service, "run_kept")
    resume_run(service.runtime, "run_kept", "ana")
    service.post("/api/v1/runs/run_kept/cancel", None)
    adopt_resumes(service.runtime)
    assert (run_folder(service.runtime, "run_kept") / "out" / CANCEL).exists()


def test_at_the_slot_all_is_asked_again_and_the_clock_starts(service: LocalService) -> None:
    end_early(service, "run_slot")
    resume_run(service.runtime, "run_slot", "ana")
    folder = run_folder(service.runtime, "run_slot")
    before = find_begin(folder).stat().st_mtime_ns
    readmit_run(service.runtime, "run_slot", ASKED)
    assert find_begin(folder).stat().st_mtime_ns > before
    (folder / "out" / "checkpoint-20" / "trainer_state.json").unlink()
    with pytest.raises(NotResumableError):
        check_resume(service.runtime, "run_slot", ASKED)


def test_without_its_job_the_plan_says_what_was_asked_for(service: LocalService) -> None:
    end_early(service, "run_restored")
    resume_run(service.runtime, "run_restored", "ana")
    with read_session(service.runtime.engine) as session:
        job = find_job(session, "run_restored.2")
        assert job is not None
        assert job.request["recipe"] == "sft"
        assert job.request["config"]["max_steps"] == 40
    with write_session(service.runtime.engine) as session:
        update_job(session, "run_restored.2", now="2026-11-24T10:00:00Z", state="failed", error={"detail": "disk full"})
    run = service.get("/api/v1/runs/run_restored")
    assert (run["state"], run["error"]) == ("failed", {"detail": "disk full"})


def test_attempts_are_jobs_of_their_own() -> None:
    assert [job_of_attempt("run_a", number) for number in (1, 2, 3)] == ["run_a", "run_a.2", "run_a.3"]
    assert {run_of_job(job_of_attempt("run_a", number)) for number in (1, 2, 3)} == {"run_a"}
