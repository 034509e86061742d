"""Agreements and exceptions from the command line, embedded: what the terminal may do, and what needs a person."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cli.inprocess import run_command, run_json
from tests.service import STUDENT

pytestmark = pytest.mark.slow

AGREEMENT: dict[str, Any] = {
    "provider": "openai", "parties": ["acme"], "models": ["gpt-4o*"], "routes": ["api"], "actions": ["train"],
    "students": ["acme-*"], "document_digest": "sha256:" + "7" * 64, "valid_from": "2026-01-01", "valid_to": None,
}  # fmt: skip
LAST = (datetime.now(UTC).date() + timedelta(days=30)).isoformat()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a declared student."""
    folder = tmp_path_factory.mktemp("lifts")
    (folder / "student.json").write_text(json.dumps(STUDENT))
    run_json("student", "declare", str(folder / "student.json"), data_dir=folder / "data")
    return folder / "data"


def request(*more: str) -> tuple[str, ...]:
    return (
        "exception", "request", "--student", "acme-tutor", "--rule", "competition.competing-model", "--reason", "a study",
        "--action", "train", "--teacher", "openai/gpt-4o", "--expires-on", LAST, *more,
    )  # fmt: skip


def test_an_agreement_is_added_listed_shown_and_revoked(data: Path, tmp_path: Path) -> None:
    (tmp_path / "agreement.json").write_text(json.dumps(AGREEMENT))
    made = run_json("agreement", "add", str(tmp_path / "agreement.json"), data_dir=data)
    assert [row["id"] for row in run_json("agreement", "list", data_dir=data)] == [made["id"]]
    run_json("agreement", "revoke", made["id"], "--reason", "it ended", data_dir=data)
    shown = run_json("agreement", "show", made["id"], data_dir=data)
    assert (shown["state"], shown["steps"][1]["reason"]) == ("revoked", "it ended")
    for verb in (("list",), ("show", made["id"])):
        done = run_command("agreement", *verb, data_dir=data)
        assert (done.returncode, made["id"] in done.stdout, "revoked" in done.stdout) == (0, True, True)
    bad = run_command("agreement", "add", str(tmp_path / "none.json"), data_dir=data)
    assert bad.returncode == 4
    (tmp_path / "agreement.json").write_text(json.dumps(AGREEMENT | {"models": []}))
    bad = run_command("agreement", "add", str(tmp_path / "agreement.json"), data_dir=data)
    assert (bad.returncode, "agreement.models" in bad.stderr) == (3, True)


def test_the_terminal_can_neither_ask_nor_approve_and_is_told_what_it_takes(data: Path) -> None:
    asked = run_command(*request(), data_dir=data)
    assert asked.returncode == 5
    assert "PROVENANCE_TOKEN" in asked.stderr
    assert "token create" in asked.stderr


def test_three_people_make_an_exception_embedded(data: Path) -> None:
    tokens = {
        name: run_json("token", "create", "--name", name, "--role", role, data_dir=data)["token"]
        for name, role in (("erin", "engineer"), ("carla", "counsel"), ("luis", "compliance"))
    }
    made = run_json(*request(), data_dir=data, PROVENANCE_TOKEN=tokens["erin"])
    approve = ("exception", "approve", made["id"])
    assert run_command(*approve, data_dir=data).returncode == 5
    assert run_command(*approve, data_dir=data, PROVENANCE_TOKEN=tokens["erin"]).returncode == 5
    assert run_json(*approve, data_dir=data, PROVENANCE_TOKEN=tokens["carla"])["state"] == "requested"
    again = run_command(*approve, data_dir=data, PROVENANCE_TOKEN=tokens["carla"])
    assert (again.returncode, "carla has approved" in again.stderr) == (3, True)
    done = run_command(*approve, "--reason", "for a month", data_dir=data, PROVENANCE_TOKEN=tokens["luis"])
    assert (done.returncode, "is active" in done.stdout) == (0, True)
    [row] = run_json("exception", "list", data_dir=data)
    assert (row["state"], row["approved_by"]) == ("active", ["carla", "luis"])
    assert "carla" in run_command("exception", "list", data_dir=data).stdout
    assert run_command("exception", "refuse", made["id"], "--reason", "x", data_dir=data).returncode == 3
    ended = run_command("exception", "revoke", made["id"], "--reason", "over", data_dir=data)  # ending needs no person
    assert (ended.returncode, "is revoked" in ended.stdout) == (0, True)
    shown = run_command("exception", "show", made["id"], data_dir=data)
    assert all(word in shown.stdout for word in ("revoked", "for a month", "acme-tutor", "no decision yet"))


def test_bad_requests_name_their_field(data: Path) -> None:
    token = run_json("token", "create", "--name", "kim", "--role", "admin", data_dir=data)["token"]
    done = run_command(*request("--rule", "export-control.listed-party"), data_dir=data, PROVENANCE_TOKEN=token)
    assert (done.returncode, "exception.rules" in done.stderr) == (3, True)
    assert run_command("exception", "show", "exc_none", data_dir=data).returncode == 4
