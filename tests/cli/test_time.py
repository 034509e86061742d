"""Terms and packs from the command line: recorded, asked about, proposed, and approved by somebody else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from provenance.resources import find_resource
from tests.cli.inprocess import run_command, run_json
from tests.service import APACHE, STUDENT, make_sample

pytestmark = pytest.mark.slow


def write(path: Path, value: Any) -> str:
    path.write_text(json.dumps(value))
    return str(path)


def test_a_document_is_tried_recorded_and_seen_in_time(tmp_path: Path) -> None:
    data = tmp_path / "data"
    facts = {name: value for name, value in make_sample(0, APACHE).items() if name not in {"prompt", "completion"}}
    ask = ("--sample", write(tmp_path / "s.json", facts), "--student", write(tmp_path / "st.json", STUDENT))
    said = run_json("terms", "show", "smollm-apache", data_dir=data)
    said["facts"]["train_on_outputs"] |= {"value": "prohibited-any-other-model", "scope": "any-model", "clause": "9"}
    file = write(tmp_path / "d.json", {name: value for name, value in said.items() if name != "digest"})
    assert run_command("decide", *ask, "--known-at", "2020-01-01", data_dir=data).returncode == 4  # no log yet
    tried = run_json("terms", "add", file, "--dry-run", data_dir=data)
    assert [change["subject"] for change in tried["changes"]] == ["train_on_outputs"]
    assert run_command("decide", *ask, data_dir=data).returncode == 0
    made = run_json("terms", "add", file, data_dir=data)
    assert made["document_digest"] == tried["document_digest"]
    assert run_command("decide", *ask, data_dir=data).returncode == 30
    assert run_command("decide", *ask, "--terms-of", "today", data_dir=data).returncode == 30
    today = made["recorded_at"]
    compared = run_command("decide", *ask, "--known-at", today, "--compare", data_dir=data)
    assert (compared.returncode, "nothing differs" in compared.stdout) == (30, True)
    for day in ("2020-01-01", "2999-01-01", "soon"):
        assert run_command("decide", *ask, "--known-at", day, data_dir=data).returncode == 3
    assert run_command("decide", *ask, "--compare", data_dir=data).returncode == 2
    assert run_json("terms", "impact", "smollm-apache", data_dir=data)["impact"]["flips"] == []
    assert "binds 0 samples" in run_command("terms", "impact", "smollm-apache", data_dir=data).stdout
    assert run_command("terms", "add", file, data_dir=data).returncode == 3
    assert run_json("log", "verify", data_dir=data)["ok"]


def test_whoever_sits_at_the_terminal_proposes_and_cannot_approve(tmp_path: Path) -> None:
    data, folder = tmp_path / "data", tmp_path / "policies"
    for name in ("rules", "cases"):
        shutil.copytree(find_resource("policies", name), folder / name)
    path = folder / "rules" / "quality.cedar"
    path.write_text(path.read_text().replace("A quality check failed", "A check of quality failed"))
    assert run_json("policy", "replay", str(folder), data_dir=data)["totals"] == {}
    made = run_json("policy", "propose", str(folder), "--author", "grace", data_dir=data)
    assert made["author"] == "grace"
    seen = ("--digest", made["digest"], "--replay", made["replay"]["digest"])
    refused = run_command("policy", "approve", made["id"], *seen, data_dir=data)
    assert (refused.returncode, "another person" in refused.stderr) == (5, True)
    listed = run_json("policy", "list", data_dir=data)
    assert (listed["history"][0]["state"], listed["in_force"]["id"] != made["id"]) == ("proposed", True)
    assert "in force: pol_" in run_command("policy", "list", data_dir=data).stdout
    assert run_command("policy", "replay", str(tmp_path), data_dir=data).returncode == 4
    shutil.rmtree(folder / "cases")
    assert run_command("policy", "propose", str(folder), data_dir=data).returncode == 3
