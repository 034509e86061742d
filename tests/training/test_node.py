"""What a cluster's node checks before it starts anything, with the bootstrap as it stands on the job's command line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provenance.canonical import canonical_bytes, sha256_digest
from provenance.training import node
from provenance.training.files import list_files
from provenance.training.local import CANCEL, RESULT
from provenance.training.ray import BOOTSTRAP
from provenance.training.stage import pack_code

pytest.importorskip("trl")


@pytest.fixture
def job(tmp_path: Path, make_plan: Callable[..., Path], tiny_teacher: Path) -> dict[str, Any]:
    plan = make_plan()
    (tmp_path / "code.zip").write_bytes(pack_code())
    return {
        "plan": str(plan), "plan_digest": sha256_digest(plan.read_bytes()),
        "code": str(tmp_path / "code.zip"), "code_digest": sha256_digest((tmp_path / "code.zip").read_bytes()),
        "models": [{"folder": str(tiny_teacher), "files": list_files(tiny_teacher)}], "output": str(tmp_path / "run"),
    }  # fmt: skip


def result_of(job: dict[str, Any]) -> Any:
    return json.loads((Path(job["output"]) / RESULT).read_bytes())


def boot(job: dict[str, Any], tmp_path: Path, digest: str | None = None) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "job.json"
    path.write_bytes(canonical_bytes(job))
    command = [sys.executable, "-I", "-c", BOOTSTRAP, str(path), digest or sha256_digest(path.read_bytes())]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"})


def test_an_altered_plan_or_model_is_refused_and_the_result_says_which(job: dict[str, Any]) -> None:
    path = Path(job["plan"])
    path.write_bytes(path.read_bytes() + b" ")
    assert node.run(job) == 6
    assert (result_of(job)["code"], "plan.json" in result_of(job)["detail"]) == ("digest-mismatch", True)
    job["plan_digest"] = sha256_digest(path.read_bytes())
    job["models"][0]["files"] = [
        item | {"digest": "sha256:" + "0" * 64} if item["path"] == "config.json" else item
        for item in job["models"][0]["files"]
    ]
    assert node.run(job) == 6
    assert "config.json" in result_of(job)["detail"]


def test_a_file_beside_a_model_is_refused(job: dict[str, Any]) -> None:
    job["models"][0]["files"] = [item for item in job["models"][0]["files"] if item["path"] != "tokenizer.json"]
    assert node.run(job) == 6
    assert "tokenizer.json" in result_of(job)["detail"]


def test_a_job_that_was_cancelled_while_it_waited_trains_nothing(job: dict[str, Any]) -> None:
    (Path(job["output"]) / CANCEL).touch()
    assert node.run(job) == 0
    assert result_of(job) == {
        "state": "cancelled",
        "code": "run-cancelled",
        "detail": "cancelled before it was started",
    }


def test_the_bootstrap_runs_exactly_the_staged_code(job: dict[str, Any], tmp_path: Path) -> None:
    (Path(job["output"]) / CANCEL).touch()  # as far as the node's own code, no further
    done = boot(job, tmp_path)
    assert done.returncode == 0, done.stderr
    assert result_of(job)["state"] == "cancelled"


@pytest.mark.parametrize("wrong", ["job", "code", "missing"])
def test_the_bootstrap_refuses_what_is_altered_or_not_there(job: dict[str, Any], tmp_path: Path, wrong: str) -> None:
    if wrong == "code":
        (tmp_path / "code.zip").write_bytes(pack_code() + b"#")
    if wrong == "missing":
        (tmp_path / "code.zip").unlink()
    done = boot(job, tmp_path, "sha256:" + "0" * 64 if wrong == "job" else None)
    assert done.returncode == 6
    expected = {"job": "job.json: expected sha256:000", "code": "code.zip: expected", "missing": "does this node see"}
    assert expected[wrong] in done.stdout
    assert not (Path(job["output"]) / RESULT).exists()
