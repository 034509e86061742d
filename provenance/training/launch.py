"""Launch a student's training: ask the gate again, sign the plan, log how it ended, register the model.

Order: `check_launch` (refuses before anything is made) -> `plan_run` -> `start_phase` -> `supervise.watch_run` ->
`finish_run`. Each is safe to repeat, also by another service process than the one that began. See `resume` for a run that
ended early.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from provenance.canonical import sha256_digest
from provenance.errors import DeniedError, DigestMismatchError, FieldError, MalformedError, NotFoundError
from provenance.ledger.append import format_time
from provenance.ledger.publish import write_file
from provenance.policy.gate import decide_recorded
from provenance.policy.lifts import Lifts, load_lifts
from provenance.release.build import release_folder
from provenance.runtime import Runtime
from provenance.store.log import find_statement
from provenance.store.releases import get_release, refuse_unapproved
from provenance.store.runs import list_phases
from provenance.store.samples import count_classes
from provenance.store.session import read_session
from provenance.store.students import get_student
from provenance.training.cost import state_cost
from provenance.training.extras import check_reporters, require
from provenance.training.files import check_files
from provenance.training.permit import check_conditions
from provenance.training.place import open_backend, read_need
from provenance.training.plan import Plan, check_plan, code_digest, environment_digest, format_plan
from provenance.training.recipe import RecipeConfig, format_config, parse_config, settle_config
from provenance.training.sign import sign_model
from provenance.training.stage import MODEL
from provenance.training.vocabulary import check_same_tokens
from provenance.training.weights import PERMITTING, TeacherWeights, ask_for_weights, choose_teacher

DEADLINE_SECONDS = 24 * 3600.0
ANSWERS = "answers"
STARTED = ("release", "student", "plan_digest", "teacher_weights")
PHASES = {"finished": "end", "cancelled": "cancel"}


def run_folder(runtime: Runtime, run_id: str) -> Path:
    """Where a run's plan, events and output lie."""
    return runtime.folder("runs") / run_id


def model_folder(runtime: Runtime, run_id: str) -> Path:
    """Where the model that a run made lies, with its signature beside it."""
    return run_folder(runtime, run_id) / "out" / MODEL


def check_launch(runtime: Runtime, request: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse what may not or cannot be trained; the answer is the release.

    Raises:
        NotFoundError: no such release or student, or the base model's weights are not on this machine.
        DeniedError: code `release-not-allowed`, with the decision.
        DigestMismatchError: the release's files are not what its manifest says.
        MalformedError: a recipe or setting that is out of range.
        UnavailableError: the training packages are not installed.
    """
    return examine(runtime, request)[0]


def examine(runtime: Runtime, request: Mapping[str, Any]) -> tuple[dict[str, Any], TeacherWeights | None]:
    """The release, and the teacher whose weights a white-box recipe may use."""
    require()
    config = settle_config(request["recipe"], parse_config(request.get("config")))
    check_reporters(config.report_to, request.get("backend", "local"))
    if config.on_policy is not None and request.get("backend", "local") != "local":
        expected = "local for recipe on-policy: the service records each round from the run's own folder"
        raise MalformedError(f"backend: expected {expected}", FieldError("backend", request["backend"], expected))
    with read_session(runtime.engine) as session:
        release = get_release(session, request["release"])
        student = get_student(session, request["student"]).predicate
        if release["state"] not in {"allowed", "partial"}:
            raise DeniedError(
                f"release {release['name']}@{release['version']} is {release['state']}: no student may be trained on it",
                release["decision"],
                code="release-not-allowed",
            )
        if student["id"] != release["student"]:
            raise DeniedError(
                f"release {release['name']}@{release['version']} was made for another student than {student['facts']['name']}",
                release["decision"],
                code="release-not-allowed",
            )
        refuse_unapproved(release, "release-not-allowed")
        weights = ask_again(runtime, session, release, student["facts"], config)
    base = _base_model(runtime, student["facts"], request)
    if weights is not None and base is not None:
        check_same_tokens(Path(base), weights.folder)
    folder = release_folder(runtime, release["name"], release["version"])
    check_files(folder, [*release["files"], {"path": "manifest.json", "digest": release["manifest_digest"]}])
    return release, weights


def ask_again(
    runtime: Runtime, session: Any, release: Mapping[str, Any], facts: Mapping[str, Any], config: RecipeConfig
) -> TeacherWeights | None:
    """The gate is asked once more, for training, with today's policies, agreements and exceptions: a release may have
    been made under others. For a white-box recipe it is asked for the teacher's weights too, and the answer is these."""
    decision = find_statement(session, "decision", release["decision"]["id"])
    if decision is None:
        raise NotFoundError(f"the decision of release {release['id']} is not in the log")
    today = runtime.clock().date()
    held = load_lifts(session, today)
    _refuse_ended(release, decision.predicate, held)
    selection = decision.predicate["selection"]
    allowed = [short for short, verdict, _, _ in decision.predicate["classes"] if verdict in PERMITTING]
    counts = count_classes(session, selection["dataset"], selection["filter"], release["log_size"])
    released = [item for item in counts if any(item.digest.startswith(short) for short in allowed)]
    answer = decide_recorded(
        session,
        [(item.digest, item.facts, item.samples, item.tokens) for item in released],
        facts,
        "train",
        dataset=selection["dataset"],
        log_size=release["log_size"],
        held=held,
        at=today,
        catalogue=runtime.catalogue,
        pack=runtime.pack,
    )
    if answer.verdict not in PERMITTING:
        raise DeniedError(
            f"today's policies do not let {facts['name']} be trained on this release: {answer.verdict}",
            answer.answer,
            code="release-not-allowed",
        )
    refuse_unapproved(release, "release-not-allowed", answer.answer.get("approval", ()))
    if config.teacher is None:
        return None
    names = dict.fromkeys([*(item.teacher for item in released), *filter(None, [config.teacher.model])])
    model, folder = choose_teacher(config.teacher, {name: local_model_folder(runtime, name) for name in names})
    return TeacherWeights(model, folder, ask_for_weights(runtime, session, model, released, facts, held=held))


def _refuse_ended(release: Mapping[str, Any], decision: Mapping[str, Any], held: Lifts) -> None:
    """A release that was decided with an agreement or exception stands only as long as that does."""
    for kind in ("agreements", "exceptions"):
        for identifier in decision.get(kind, ()):  # decisions of before these were logged name none
            if identifier not in held.ids:
                raise DeniedError(
                    f"release {release['name']}@{release['version']} was decided with {kind[:-1]} {identifier}, which was "
                    "revoked or has expired: build a release anew",
                    release["decision"],
                    code="release-not-allowed",
                )


def plan_run(runtime: Runtime, run_id: str, request: Mapping[str, Any]) -> Path:
    """Write and sign the plan of a run, and bring what it names to where it runs; the answer is the plan's file."""
    folder = run_folder(runtime, run_id)
    path = folder / "plan.json"
    with read_session(runtime.engine) as session:
        planned = bool(list_phases(session, run_id))
    if planned and path.exists():
        return path
    release, weights = examine(runtime, request)
    with read_session(runtime.engine) as session:
        student = get_student(session, request["student"]).predicate
        teachers = _teachers(session, release)
    base = _base_model(runtime, student["facts"], request)
    backend = open_backend(runtime, request)
    need = backend.complete(read_need(request))
    said = weights.describe() if weights else None
    recipe = request["recipe"]
    plan = Plan(
        run_id=run_id,
        release_dir=str(release_folder(runtime, release["name"], release["version"]).resolve()),
        release_digest=release["manifest_digest"],
        output_dir=str((folder / "out").resolve()),
        base_model_dir=base,
        teacher_dir=str(weights.folder.resolve()) if weights else _first_local(runtime, teachers),
        teacher=said["model"] if said else None,
        teacher_digest=said["weights_digest"] if said else None,
        answers_dir=str((folder / ANSWERS).resolve()) if recipe == "on-policy" else None,
        recipe=recipe,
        config=format_config(settle_config(recipe, parse_config(request.get("config")))),
        seed=request.get("seed", 0),
        device="cuda" if need.gpus else "auto",
        processes=need.processes,
        deadline_seconds=DEADLINE_SECONDS,
        code_digest=code_digest(),
        environment_digest=environment_digest(),
    )
    check_plan(plan)
    plan = backend.place(plan, folder)
    data = format_plan(plan)
    write_file(path, data)
    log_phase(runtime, run_id, "plan", request, {
        "release": release["id"],
        "student": student["id"],
        "plan_digest": sha256_digest(data),
        "base_model": student["facts"].get("base_model") if base else None,
        "teachers": teachers,
        "config": plan.config,
        "seed": plan.seed,
        "backend": backend.name,
        "gpus": need.gpus,
        "processes": need.processes,
        "code_digest": plan.code_digest,
        "environment_digest": plan.environment_digest,
        **({"teacher_weights": said} if said else {}),
    })  # fmt: skip
    return path


def local_model_folder(runtime: Runtime, name: str) -> Path:
    """Where the weights of `provider/name` lie, if this machine has them: `models/<name>/model` in the data directory."""
    return runtime.folder("models") / name.rpartition("/")[2].lower() / "model"


def _teachers(session: Any, release: Mapping[str, Any]) -> list[str]:
    decision = find_statement(session, "decision", release["decision"]["id"])
    if decision is None:
        return []
    selection = decision.predicate["selection"]
    counts = count_classes(session, selection["dataset"], selection["filter"], release["log_size"])
    allowed = [short for short, verdict, _, _ in decision.predicate["classes"] if verdict in PERMITTING]
    weights: dict[str, int] = {}
    for item in counts:
        if any(item.digest.startswith(short) for short in allowed):
            weights[item.teacher] = weights.get(item.teacher, 0) + item.samples
    return sorted(weights, key=lambda name: (-weights[name], name))


def _first_local(runtime: Runtime, teachers: Sequence[str]) -> str | None:
    found = (local_model_folder(runtime, name) for name in teachers)
    return next((str(folder.resolve()) for folder in found if folder.is_dir()), None)


def _base_model(runtime: Runtime, facts: Mapping[str, Any], request: Mapping[str, Any]) -> str | None:
    if parse_config(request.get("config")).student == "scratch":
        return None
    name = facts.get("base_model")
    if not isinstance(name, str) or name == "unknown":
        expected = "the model that the student starts from, or config.student `scratch`"
        raise MalformedError(
            f"student.base_model: expected {expected}", FieldError("student.base_model", name, expected)
        )
    folder = local_model_folder(runtime, name)
    if not folder.is_dir():
        expected = f"its weights in {folder}"
        raise NotFoundError(f"base model {name}: expected {expected}", FieldError("student.base_model", name, expected))
    return str(folder.resolve())


def start_phase(runtime: Runtime, run_id: str, request: Mapping[str, Any]) -> None:
    """Log that the process is about to run."""
    with read_session(runtime.engine) as session:
        phases = list_phases(session, run_id)
    if not any(row.predicate["phase"] == "start" for row in phases):
        plan = phases[0].predicate
        log_phase(runtime, run_id, "start", request, {name: plan[name] for name in STARTED if name in plan})


def finish_run(runtime: Runtime, run_id: str, request: Mapping[str, Any], outcome: Mapping[str, Any]) -> str | None:
    """Log how the run ended; a finished one registers its model. The answer is the model's id, or None."""
    with read_session(runtime.engine) as session:
        phases = list_phases(session, run_id)
    plan, last = phases[0].predicate, phases[-1].predicate
    if last["phase"] in {"end", "fail", "cancel"}:
        return last.get("model")
    result = state_cost(runtime.settings.price_table, outcome["result"])
    model_id: str | None = f"mdl_{run_id.removeprefix('run_')}"
    if outcome["state"] == "finished":
        try:
            _register_model(runtime, str(model_id), run_id, plan, result)
        except (DigestMismatchError, MalformedError) as exc:  # the folder is not what the run said that it wrote
            outcome = {**outcome, "state": "failed", "detail": exc.detail}
    phase = PHASES.get(outcome["state"], "fail")
    model_id = model_id if phase == "end" else None
    said = {name: plan[name] for name in ("release", "student", "plan_digest", "base_model", "seed")}
    names = (
        "device", "isolation", "sample_ids_digest", "consumed", "steps", "tokens", "flops", "energy_kwh", "cost",
        "peak_memory_bytes", "wall_seconds", "metrics", "limits", "torch_version", "teacher_weights", "on_policy",
    )  # fmt: skip
    said |= {name: result[name] for name in names if name in result}
    said |= {
        "backend": outcome.get("backend"),
        "model": model_id,
        "error": None if phase == "end" else {"state": outcome["state"], "detail": outcome["detail"]},
    }
    log_phase(runtime, run_id, phase, request, said)
    return model_id


def _register_model(
    runtime: Runtime, model_id: str, run_id: str, plan: Mapping[str, Any], result: Mapping[str, Any]
) -> None:
    with read_session(runtime.engine) as session:
        if find_statement(session, "model", model_id) is not None:
            return
        student = get_student(session, plan["student"]).predicate["facts"]
        release = get_release(session, plan["release"])
        publishing = check_conditions(runtime, session, release, student)
    developer = student.get("developer")
    provider = developer.get("name") if isinstance(developer, Mapping) else None
    files = result["model_files"]
    # A second try, after a crash right here, signs again: what is registered is the signature that lies there.
    signature = sign_model(model_folder(runtime, run_id), files, student["name"], runtime.ring.signer("model"))
    predicate = {
        "id": model_id,
        "provider": provider or "unknown",
        "name": student["name"],
        "revision": run_id,
        "weights_digest": result["weights_digest"],
        "kind": "trained",
        "license": student.get("release_license"),
        "parents": list(dict.fromkeys(name for name in (plan["base_model"], *plan["teachers"]) if name)),
        "release": plan["release"],
        "run": run_id,
        "evaluation": result.get("metrics"),
        "conditions": release["conditions"],
        "parameters_count": result["parameters"],
        "files": files,
        "signature": signature,
        "publishing": publishing,
    }
    subjects = [(file["path"], file["digest"]) for file in (*files, signature)]
    runtime.append("model", predicate, subjects=subjects)


def log_phase(
    runtime: Runtime,
    run_id: str,
    phase: str,
    request: Mapping[str, Any],
    said: Mapping[str, Any],
    *,
    once: tuple[str, Any] | None = None,
) -> int:
    """Log a statement of the run; the answer is its entry."""
    at = format_time(runtime.clock())
    predicate = {"id": run_id, "phase": phase, "recipe": request["recipe"], "at": at, **said}
    return runtime.append("run", predicate, once=once).first_index
