"""The plan of a run: everything that decides what the training process does, as one canonical JSON value.

- The process trains what stands in the plan and nothing else; the plan's digest therefore names the run's inputs.
- `code_digest` and `environment_digest` say with which code and packages; they are computed where the plan is made and checked by
  the process before it starts.
"""

from __future__ import annotations

from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Literal

import msgspec

from provenance.canonical import canonical_bytes, parse_digest, parse_json, sha256_digest
from provenance.errors import FieldError, MalformedError
from provenance.training.files import digest_file
from provenance.training.recipe import WHITE_BOX, parse_config, settle_config

MAX_SEED = 2**32 - 1
"""numpy takes no larger seed."""


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The input of one run.

    `teacher_dir` holds the weights that the student is compared with; a white-box recipe trains against them, and then
    `teacher_digest` names them. `answers_dir` is where an on-policy run reads what became of each round, and cannot write.
    """

    run_id: str
    release_dir: str
    release_digest: str
    output_dir: str
    base_model_dir: str | None = None
    teacher_dir: str | None = None
    teacher: str | None = None
    teacher_digest: str | None = None
    answers_dir: str | None = None
    recipe: str = "sft"
    config: dict[str, Any] = {}
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = 0
    processes: int = 1
    deadline_seconds: float = 86_400.0
    code_digest: str | None = None
    environment_digest: str | None = None


def format_plan(plan: Plan) -> bytes:
    """The plan's canonical bytes; their digest is the plan's name."""
    return canonical_bytes(msgspec.to_builtins(plan))


def parse_plan(data: bytes) -> Plan:
    """Read and check a plan.

    Raises:
        MalformedError: not a plan; the message names field, value and expectation.
    """
    body = parse_json(data)
    try:
        plan = msgspec.convert(body, Plan)
    except msgspec.ValidationError as exc:
        raise MalformedError(f"plan: {exc}") from exc
    check_plan(plan)
    return plan


def check_plan(plan: Plan) -> None:
    """Check what the types cannot say.

    Raises:
        MalformedError: a field is out of range, or fields contradict each other.
    """
    config = settle_config(plan.recipe, parse_config(plan.config))
    white_box = plan.recipe in WHITE_BOX
    parse_digest(plan.release_digest)
    if plan.teacher_digest is not None:
        parse_digest(plan.teacher_digest)
    checks = [
        ("run_id", plan.run_id, bool(plan.run_id), "a name"),
        ("seed", plan.seed, 0 <= plan.seed <= MAX_SEED, f"from 0 to {MAX_SEED}"),
        ("threads", plan.threads, plan.threads >= 0, "0 (as many as there are) or more"),
        ("processes", plan.processes, plan.processes >= 1, "at least 1"),
        ("deadline_seconds", plan.deadline_seconds, plan.deadline_seconds > 0, "above 0"),
        (
            "base_model_dir",
            plan.base_model_dir,
            (plan.base_model_dir is None) == (config.student == "scratch"),
            "a model folder for a student that starts from one; null for a student from scratch",
        ),
        (
            "teacher_dir",
            plan.teacher_dir,
            not white_box or bool(plan.teacher_dir),
            "the folder of the teacher's weights",
        ),
        (
            "teacher_digest",
            plan.teacher_digest,
            (plan.teacher_digest is not None) == white_box,
            "the digest of the teacher's files for recipe kd or on-policy, null for others",
        ),
        (
            "answers_dir",
            plan.answers_dir,
            (plan.answers_dir is not None) == (plan.recipe == "on-policy"),
            "a folder for recipe on-policy, null for others",
        ),
    ]
    errors = [FieldError(field, value, expected) for field, value, good, expected in checks if not good]
    if errors:
        raise MalformedError("; ".join(f"{error.field}: expected {error.expected}" for error in errors), *errors)


def code_digest() -> str:
    """One digest over the source of the training modules."""
    folder = Path(__file__).parent
    files = [{"path": path.name, "digest": digest_file(path)} for path in sorted(folder.glob("*.py"))]
    return sha256_digest(canonical_bytes(files))


def list_environment() -> list[str]:
    """Installed packages as `name==version`, sorted; the same list on machines with the same packages."""
    found = {f"{item.metadata['Name']}=={item.version}".lower() for item in distributions() if item.metadata["Name"]}
    return sorted(found)


def environment_digest() -> str:
    """One digest over the installed packages."""
    return sha256_digest(canonical_bytes(list_environment()))
