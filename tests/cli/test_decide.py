from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from provenance.cli.decide import answer_cases
from tests.cli.inprocess import run_command

pytestmark = pytest.mark.slow

STUDENT: dict[str, Any] = {
    "name": "acme-1b", "developer": {"name": "acme", "country": "US", "ultimate_parent_country": "US"},
    "base_model": "none", "base_license": "unknown", "release_license": "Apache-2.0", "use": "internal",
    "distribution": "none", "purpose": "reasoning", "competes_with": ["openai"], "territories": ["US"],
    "monthly_active_users": 0, "annual_revenue_usd": 0, "notices": [], "training": {"location": "US", "hardware": "cpu"},
}  # fmt: skip
DAY = {"generated_at": "2026-11-20T10:00:00Z"}
SMOLLM = {"teacher": {"provider": "huggingface-smollm", "model": "SmolLM2-135M-Instruct", "route": "weights"}, **DAY}
OPENAI = {
    "teacher": {"provider": "openai", "model": "gpt-4o", "route": "api"}, "account": {"holder": "acme", "plan": "api"}, **DAY,
}  # fmt: skip
UNKNOWN = {"teacher": {"provider": "nobody", "model": "x", "route": "api"}, **DAY}


def write(path: Path, value: Any) -> str:
    path.write_bytes(orjson.dumps(value))
    return str(path)


@pytest.mark.parametrize(
    ("sample", "verdict", "code"), [(SMOLLM, "allow", 0), (OPENAI, "deny", 30), (UNKNOWN, "review", 20)]
)
def test_the_verdict_is_the_exit_code(tmp_path: Path, sample: Any, verdict: str, code: int) -> None:
    files = (
        "--sample",
        write(tmp_path / "sample.json", sample),
        "--student",
        write(tmp_path / "student.json", STUDENT),
    )
    done = run_command("decide", *files, "--json", data_dir=tmp_path / "data")
    answer = json.loads(done.stdout)
    assert (answer["verdict"], done.returncode) == (verdict, code)
    assert answer["not_legal_advice"] is True
    assert not (tmp_path / "data").exists()
    shown = run_command("decide", *files, data_dir=tmp_path / "data")
    assert shown.returncode == code
    assert shown.stdout.startswith(verdict.upper())


def test_every_case_is_answered_and_a_bad_one_stops_nothing(tmp_path: Path) -> None:
    lines = [
        orjson.dumps({"id": "a", "sample": SMOLLM, "student": STUDENT, "action": "train"}),
        b"{not json",
        orjson.dumps(
            {"id": "c", "sample": OPENAI, "student": STUDENT | {"use": "world domination"}, "action": "train"}
        ),
        orjson.dumps({"id": 4, "sample": OPENAI, "student": STUDENT, "action": "publish", "agreements": []}),
        orjson.dumps({"id": "e", "sample": SMOLLM, "student": STUDENT, "action": "dance"}),
        orjson.dumps({"id": "f", "student": STUDENT, "action": "train"}),
    ]
    (tmp_path / "cases.ndjson").write_bytes(b"\n".join(lines))
    done = run_command("decide", "--cases", str(tmp_path / "cases.ndjson"), data_dir=tmp_path / "data")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert [answer["id"] for answer in answers] == ["a", None, "c", 4, "e", "f"]
    assert [answer.get("verdict") for answer in answers] == ["allow", None, None, "deny", None, None]
    assert ["error" in answer for answer in answers] == [False, True, True, False, True, True]


def test_a_fault_of_ours_on_one_line_leaves_the_others(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    def ask(question: Mapping[str, Any]) -> dict[str, Any]:
        if question["id"] == "b":
            raise OverflowError("date value out of range")
        return {"verdict": "review"}

    lines = [orjson.dumps({"id": name, "sample": SMOLLM, "student": STUDENT}) for name in "abc"]
    answer_cases(ask, b"\n".join(lines))
    answers = [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
    assert [answer["id"] for answer in answers] == ["a", "b", "c"]
    assert answers[1]["error"]["status"] == 500
    assert "date value out of range" in answers[1]["error"]["detail"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [((), 2), (("--sample", "nothing.json", "--student", "nothing.json"), 4), (("--cases", "a", "--sample", "b"), 2)],
)
def test_a_question_that_is_none_is_refused(tmp_path: Path, arguments: tuple[str, ...], code: int) -> None:
    assert run_command("decide", *arguments, data_dir=tmp_path).returncode == code


def test_bad_facts_are_named(tmp_path: Path) -> None:
    sample, student = write(tmp_path / "s.json", SMOLLM), write(tmp_path / "t.json", STUDENT | {"purpos": "x"})
    done = run_command("decide", "--sample", sample, "--student", student, "--json", data_dir=tmp_path)
    assert done.returncode == 3
    assert "purpos" in json.loads(done.stdout)["errors"][0]["field"]
