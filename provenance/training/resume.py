"""Let a run that was cancelled, failed or lost go on from its newest whole checkpoint, as the same run.

Order: `resume_run` (asks the gate, logs who wants it, makes the next attempt's job) -> `readmit_run` when its slot is free ->
`supervise.watch_run` -> `launch.finish_run`.

- The plan stays the one that was signed. Other code than it names is refused: it would not be the plan's training. Another
  environment is logged beside the plan's: any package changes its digest, and a long training should survive an upgrade.
- The plan's deadline counts anew: a person asked for this attempt, and the log says who.
- A crash after the entry leaves an attempt without a job; `complete_resume` makes it, at the next start or request.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlmodel import Session

from provenance.canonical import sha256_digest
from provenance.errors import ConflictError, DeniedError, DigestMismatchError, FieldError
from provenance.ledger.append import format_time
from provenance.runtime import Runtime
from provenance.store.jobs import create_job, find_job
from provenance.store.recalls import load_held
from provenance.store.runs import RESUME, count_attempts, find_attempt, get_run, job_of_attempt, list_phases
from provenance.store.session import read_session, write_session
from provenance.training.attempt import PLAN, note_attempt, start_clock
from provenance.training.checkpoint import Checkpoint, find_checkpoint
from provenance.training.launch import examine, log_phase, run_folder
from provenance.training.local import CANCEL, PROCESS, RESULT
from provenance.training.place import open_backend
from provenance.training.plan import Plan, code_digest, environment_digest, parse_plan
from provenance.training.weights import TeacherWeights

ENDED_EARLY = frozenset({"cancelled", "failed", "lost"})
ASKED = ("release", "student", "recipe", "config", "backend", "gpus", "processes", "seed")


class NotResumableError(ConflictError):
    """The run cannot go on; the detail says why."""

    code = "run-not-resumable"


def resume_run(runtime: Runtime, run_id: str, actor: str, once: tuple[str, Any] | None = None) -> int:
    """Ask for the next attempt of a run; the answer is the entry that says so. The caller starts the attempt's job.

    Raises:
        NotFoundError: there is no such run.
        NotResumableError: it has not ended, is finished, or has nothing to go on from.
        DeniedError: today's policies, or a recall, do not let it go on; with the decision.
        DigestMismatchError: its plan or its release was altered.
    """
    with _alone(runtime):
        with read_session(runtime.engine) as session:
            run, phases = get_run(session, run_id), list_phases(session, run_id)
            waiting = run["state"] in ENDED_EARLY and _waits_for_job(session, run_id)
            request = _request_of(session, run)
        if waiting:  # the service died after the entry
            _make_job(runtime, run_id)
            return phases[-1].index
        if run["state"] not in ENDED_EARLY:
            expected = "a run that was cancelled, failed or lost"
            wrong = FieldError("run", run["state"], expected)
            raise NotResumableError(f"run {run_id} is {run['state']}: expected {expected}", wrong)
        checkpoint = check_resume(runtime, run_id, request)
        open_backend(runtime, request).kill(run_folder(runtime, run_id))  # a process that nobody watches any more
        entry = log_phase(runtime, run_id, RESUME, request, _say(run, checkpoint, actor), once=once)
        _make_job(runtime, run_id)
        return entry


def complete_resume(runtime: Runtime, run_id: str) -> None:
    """Make the job of an attempt that the log tells of, if it is missing."""
    with _alone(runtime):
        with read_session(runtime.engine) as session:
            waiting = _waits_for_job(session, run_id)
        if waiting:
            _make_job(runtime, run_id)


def readmit_run(runtime: Runtime, run_id: str, request: Mapping[str, Any]) -> None:
    """When the slot is free: all is asked once more, and the attempt's time begins.

    Raises:
        as `resume_run`.
    """
    check_resume(runtime, run_id, request)
    start_clock(run_folder(runtime, run_id))


def check_resume(runtime: Runtime, run_id: str, request: Mapping[str, Any]) -> Checkpoint:
    """Refuse what may not, or cannot, go on; the answer is what it goes on from.

    Raises:
        as `resume_run`.
    """
    with read_session(runtime.engine) as session:
        said = get_run(session, run_id)["plan"]
        recall = load_held(session).runs.get(run_id)
    if said is None:
        raise NotResumableError(f"run {run_id} ended before it was planned: launch it anew")
    release, weights = examine(runtime, request)
    if recall is not None:
        detail = f"run {run_id} is held back by recall {recall}"
        raise DeniedError(detail, release["decision"], code="release-not-allowed")
    _check_plan(_open_plan(run_folder(runtime, run_id), said), weights)
    checkpoint = find_checkpoint(run_folder(runtime, run_id) / "out", delete_torn=False)
    if checkpoint is None:
        where = "on this machine" if said.get("backend") == "local" else "here: what ran on a cluster leaves none"
        raise NotResumableError(f"run {run_id} has no whole checkpoint {where}: launch it anew")
    return checkpoint


def _open_plan(folder: Path, said: Mapping[str, Any]) -> Plan:
    """The plan that was signed, and no other."""
    try:
        data = (folder / PLAN).read_bytes()
    except FileNotFoundError as exc:
        raise NotResumableError(f"run {folder.name}: its plan does not lie on this machine: launch it anew") from exc
    if sha256_digest(data) != said["plan_digest"]:
        raise DigestMismatchError(f"{PLAN}: expected {said['plan_digest']}, got {sha256_digest(data)}")
    return parse_plan(data)


def _check_plan(plan: Plan, weights: TeacherWeights | None) -> None:
    found = code_digest()
    if plan.code_digest != found:
        detail = f"the plan names the training code {plan.code_digest}, and this is {found}: launch it anew"
        raise NotResumableError(detail, FieldError("code_digest", found, str(plan.code_digest)))
    teacher = weights.describe()["weights_digest"] if weights else None
    if teacher != plan.teacher_digest:
        detail = f"the plan names the teacher's weights {plan.teacher_digest}, and these are {teacher}: launch it anew"
        raise NotResumableError(detail, FieldError("teacher_digest", teacher, str(plan.teacher_digest)))


def _say(run: Mapping[str, Any], checkpoint: Checkpoint, actor: str) -> dict[str, Any]:
    """Who, from where, and why it had ended."""
    error = run["error"] or {}
    return {
        **{name: run["plan"][name] for name in ("release", "student", "plan_digest")},
        "attempt": run["attempt"] + 1,
        "actor": actor,
        "step": checkpoint.step,
        "seconds": float(checkpoint.notes["seconds"]),
        "ended": {"state": run["state"], "detail": error.get("detail")},
        "code_digest": code_digest(),
        "environment_digest": environment_digest(),
    }


def _request_of(session: Session, run: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for at first; where its job is gone, as the plan's statement says it."""
    job = find_job(session, run["id"])
    plan = run["plan"] or {}
    return dict(job.request) if job else {name: plan[name] for name in ASKED if name in plan}


def _waits_for_job(session: Session, run_id: str) -> bool:
    phases = list_phases(session, run_id)
    return bool(phases) and phases[-1].predicate["phase"] == RESUME and find_attempt(session, run_id) is None


def _make_job(runtime: Runtime, run_id: str) -> None:
    """Until its job is there nobody can cancel the attempt, so nothing of it is lost by clearing up once more."""
    with read_session(runtime.engine) as session:
        run, phases = get_run(session, run_id), list_phases(session, run_id)
        request = _request_of(session, run)
    attempt, folder = count_attempts(phases), run_folder(runtime, run_id)
    for path in (folder / "out" / RESULT, folder / "out" / CANCEL, folder / PROCESS):  # how the last attempt ended
        path.unlink(missing_ok=True)
    note_attempt(folder, attempt, phases[-1].predicate["seconds"])
    with write_session(runtime.engine) as session:
        name, now = job_of_attempt(run_id, attempt), format_time(runtime.clock())
        create_job(session, identifier=name, kind="run", request=request, now=now)


@contextmanager
def _alone(runtime: Runtime) -> Iterator[None]:
    """One resume at a time, in all processes of the service: two at once are one, and one that is refused."""
    with (runtime.folder("runs") / ".resume.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
