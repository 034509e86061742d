"""What a cluster's job runs on its node: check what was staged, then start the same trainer as the `local` backend does.

The job's command line carries the digest of `job.json`, which names plan, code and models by digest. It is read by a few
lines of the standard library (`ray.BOOTSTRAP`), which unpack exactly that code and call `run`. The release is verified by the
trainer itself.

- The trainer is shut in here as on the service's machine, sees none of the cluster's variables, and dies with this process.
- What this process cannot do ends in `result.json`, as the trainer's own failures do.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from provenance.canonical import canonical_bytes, sha256_digest
from provenance.errors import DigestMismatchError, ProvenanceError
from provenance.training.extras import require
from provenance.training.files import write_atomically
from provenance.training.local import CANCEL, LOG, RESULT, build_command, build_environment, tethered
from provenance.training.plan import Plan, environment_digest, parse_plan
from provenance.training.sandbox import best_level, wrap_command
from provenance.training.stage import check_exactly
from provenance.training.tether import PARENT

NODE = "node.json"


def run(job: Mapping[str, Any]) -> int:
    """Carry out a job that the bootstrap has verified; the answer is the exit code."""
    output = Path(job["output"])
    try:
        plan = check_job(job)
        if (output / CANCEL).exists() and not (output / "events.jsonl").exists():
            return _end(output, "cancelled", "run-cancelled", "cancelled before it was started", 0)
        return _train(plan, Path(job["plan"]), output)
    except ProvenanceError as exc:
        return _end(output, "failed", exc.code, exc.detail, exc.exit_code)


def check_job(job: Mapping[str, Any]) -> Plan:
    """Read the plan, check it and the models that it starts from.

    Raises:
        DigestMismatchError: something was altered on its way.
        UnavailableError: this Python lacks the training packages.
    """
    require()
    data = Path(job["plan"]).read_bytes()
    if sha256_digest(data) != job["plan_digest"]:
        raise DigestMismatchError(f"plan.json: expected {job['plan_digest']}, got {sha256_digest(data)}")
    for model in job["models"]:
        check_exactly(Path(model["folder"]), model["files"])
    return parse_plan(data)


def _train(plan: Plan, plan_path: Path, output: Path) -> int:
    folders = [plan.release_dir, plan.base_model_dir, plan.teacher_dir]
    read_only = [plan_path, *(Path(folder) for folder in folders if folder is not None)]
    level = best_level()
    command, _ = wrap_command(
        tethered(build_command(plan, plan_path)),
        read_only=read_only,
        writable=output,
        level=level,
        die_with_parent=True,
    )
    environment = build_environment(plan) | {"PROVENANCE_ISOLATION": level}
    if level != "bwrap":  # inside it has a numbering of its own
        environment[PARENT] = str(os.getpid())
    said = {"host": platform.node(), "python": platform.python_version(), "environment_digest": environment_digest()}
    write_atomically(output / NODE, json.dumps(said).encode())
    with (output / LOG).open("ab") as log:
        # In our own process group: what the cluster kills is all of it.
        process = subprocess.Popen(  # noqa: S603  # our interpreter, our module, a plan that was checked
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=output
        )
        signal.signal(signal.SIGTERM, lambda *_: process.kill())
        return process.wait()


def _end(output: Path, state: str, code: str, detail: str, exit_code: int) -> int:
    write_atomically(output / RESULT, canonical_bytes({"state": state, "code": code, "detail": detail}))
    return exit_code
