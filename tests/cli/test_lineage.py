"""`provenance lineage` on a local data directory: what a thing was made from, what was made of it, and its exports."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.inprocess import run_command, run_json
from tests.export.endpoint import open_endpoint
from tests.service import world

__all__ = ["world"]
pytestmark = pytest.mark.slow
TEACHER = "huggingface-smollm/smollm2-135m-instruct"


@pytest.fixture(scope="module")
def data(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lineage") / "data"
    shutil.copytree(world, folder)
    return folder


def test_show_says_what_taught_it_and_which_clause_reached_it(data: Path) -> None:
    told = run_json("lineage", "show", "tutor@1", data_dir=data)
    assert {item["name"] for item in told["shares"]["teachers"]} == {TEACHER, "meta/llama-3.1-8b-instruct"}
    assert {item["document"] for item in told["taint"]["items"]} == {"meta-llama-3.1"}
    done = run_command("lineage", "show", "tutor@1", data_dir=data)
    assert (done.returncode, TEACHER in done.stdout, "meta-llama-3.1" in done.stdout) == (0, True, True)
    assert "25.3%" in done.stdout


def test_descendants_and_ancestors_are_each_other_turned(data: Path) -> None:
    down = run_json("lineage", "descendants", TEACHER, data_dir=data)
    release = next(node for node in down["nodes"] if node["label"] == "tutor@1")
    assert release["distance"] == 2
    up = run_json("lineage", "ancestors", "tutor@1", data_dir=data)
    assert TEACHER in {node["label"] for node in up["nodes"]}
    near = run_json("lineage", "ancestors", "tutor@1", "--depth", "1", data_dir=data)
    assert {node["distance"] for node in near["nodes"]} == {0, 1}
    shown = run_command("lineage", "descendants", TEACHER, data_dir=data).stdout
    assert all(word in shown for word in ("start", "tutor@1", f"generated: {TEACHER}", "report"))


def test_a_path_is_shown_step_by_step_or_said_not_to_be(data: Path) -> None:
    found = run_json("lineage", "path", TEACHER, "tutor@1", data_dir=data)
    assert [step["relation"] for step in found["steps"]] == ["generated", "released"]
    shown = run_command("lineage", "path", TEACHER, "tutor@1", data_dir=data).stdout
    assert [line.split()[0] for line in shown.splitlines()[2:]] == ["generated", "released"]
    none = run_command("lineage", "path", "openai/gpt-4o", "tutor@1", data_dir=data)
    assert (none.returncode, none.stdout.strip()) == (0, "No way leads from one to the other.")


def test_an_export_is_printed_or_written_the_same(data: Path, tmp_path: Path) -> None:
    asked = ("lineage", "export", "tutor@1", "--format", "prov-json")
    printed = run_command(*asked, data_dir=data).stdout
    told: dict[str, Any] = json.loads(printed)
    assert any(name.startswith("log:release-") for name in told["entity"])
    file = tmp_path / "tutor.json"
    done = run_command(*asked, "--output", str(file), data_dir=data)
    assert (done.returncode, file.read_text()) == (0, printed)
    events = run_command(*asked[:-1], "openlineage", data_dir=data).stdout.splitlines()
    assert [json.loads(line).get("eventType") for line in events] == [None, "START", "COMPLETE"]
    away = run_command(*asked, "--direction", "descendants", "--depth", "0", data_dir=data)
    assert not any(name.startswith("log:samples-") for name in json.loads(away.stdout)["entity"])


def test_events_are_posted_to_an_endpoint_or_it_is_said_why_not(data: Path) -> None:
    with open_endpoint(key="a key") as endpoint:
        asked = ("lineage", "emit", "tutor@1", "--url", endpoint.url)
        refused = run_command(*asked, data_dir=data)
        assert (refused.returncode, "answered 401" in refused.stderr, endpoint.events) == (7, True, [])
        done = run_command(*asked, data_dir=data, PROVENANCE_OPENLINEAGE_API_KEY="a key")
        assert (done.returncode, done.stdout) == (0, f"3 events were taken by {endpoint.url}\n")
    assert [event.get("eventType") for event in endpoint.events] == [None, "START", "COMPLETE"]
    gone = run_command(*asked, data_dir=data)
    assert (gone.returncode, "did not answer" in gone.stderr) == (7, True)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("show", "nobody/none"), 4, "nothing in the lineage"),
        (("ancestors", "nobody/none"), 4, "nothing in the lineage"),
        (("descendants", "tutor@1", "--depth", "-1"), 3, "depth"),
        (("path", "tutor@1", "nobody/none"), 4, "nobody/none"),
        (("show", "dataset:mixed"), 3, "one thing"),
        (("export", "nobody/none", "--format", "prov-json"), 4, "nothing in the lineage"),
        (("export", "tutor@1", "--format", "prov-xml"), 3, "prov-json"),
        (("export", "tutor@1", "--format", "prov-json", "--direction", "up"), 3, "direction"),
        (("export", "tutor@1", "--format", "prov-json", "-o", "/nowhere/file.json"), 3, "cannot be written"),
        (("export", "tutor@1"), 2, "--format"),
        (("emit", "tutor@1"), 2, "--url"),
        (("emit", "tutor@1", "--url", "http://evil.example/"), 3, "url: expected https"),
        (("emit", "nobody/none", "--url", "http://127.0.0.1:1/"), 4, "nothing in the lineage"),
    ],
)
def test_what_is_no_question_is_said(data: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = run_command("lineage", *arguments, data_dir=data)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
