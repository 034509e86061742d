from __future__ import annotations

import json
import shutil
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.inprocess import run_command, run_json
from tests.client.processes import ROOT, make_environment

pytestmark = pytest.mark.slow

SAMPLE: dict[str, Any] = {
    "dataset": "math", "teacher": {"provider": "huggingface-smollm", "model": "SmolLM2-135M-Instruct", "route": "weights"},
    "generated_at": "2026-11-20T10:00:00Z", "prompt": "1+1?", "completion": "2",
}  # fmt: skip
TERMINAL_TOKENS = "terminal-"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with three recorded samples, shared by the tests that only read it or add to it."""
    folder = tmp_path_factory.mktemp("cli")
    write_lines(folder / "three.jsonl", [SAMPLE | {"prompt": f"{n}+{n}?"} for n in range(3)])
    run_json("capture", str(folder / "three.jsonl"), data_dir=folder / "data")
    return folder / "data"


def write_lines(path: Path, rows: list[Any]) -> Path:
    path.write_bytes(b"".join((row if isinstance(row, bytes) else orjson.dumps(row)) + b"\n" for row in rows))
    return path


def problem(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(done.stdout)
    return body


def test_help_is_there_for_every_verb_and_loads_nothing_heavy() -> None:
    program = (
        "import sys, typer.main, provenance.cli.app as cli\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))\n"
        "def walk(app, at):\n"
        "    for command in app.registered_commands: print('verb', *at, command.name or command.callback.__name__)\n"
        "    for group in app.registered_groups: walk(group.typer_instance, [*at, group.name])\n"
        "walk(cli.app, [])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT)
    loaded, *verbs = done.stdout.splitlines()
    assert not {"torch", "fastapi", "sqlmodel", "sqlalchemy", "dbos", "pyarrow", "datasets", "cedarpy"} & set(
        loaded.split()
    )
    named = {line.removeprefix("verb ") for line in verbs}
    assert {
        "serve",
        "demo",
        "doctor",
        "decide",
        "train",
        "verify",
        "capture",
        "token create",
        "agreement add",
        "exception approve",
        "db reindex",
        "log verify",
    } <= named
    assert {
        "import hf",
        "release create",
        "run cancel",
        "run resume",
        "report build",
        "terms diff",
        "policy test",
        "keys list",
    } <= named


def test_a_token_is_made_on_a_fresh_directory_and_ends_when_it_is_revoked(tmp_path: Path) -> None:
    made = run_json("token", "create", "--name", "ci", "--role", "collector", "--expires", "30d", data_dir=tmp_path)
    assert made.keys() == {"id", "name", "role", "token", "expires_at"}
    assert made["token"].startswith("prv_")
    assert [row["name"] for row in run_json("token", "list", data_dir=tmp_path)] == ["ci"]
    assert made["token"] not in run_command("token", "list", data_dir=tmp_path).stdout
    assert run_command("token", "create", "--name", "ci", "--role", "viewer", data_dir=tmp_path).returncode == 3
    assert run_json("token", "revoke", "ci", data_dir=tmp_path)["revoked_at"]
    assert run_json("token", "list", data_dir=tmp_path) == []
    assert run_command("token", "revoke", "ci", data_dir=tmp_path).returncode == 4
    assert run_json("log", "verify", data_dir=tmp_path)["ok"]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [(("--role", "boss"), "role"), (("--role", "viewer", "--expires", "soon"), "expires"), (("--role", "viewer", "--name", "a\nb"), "name")],
)  # fmt: skip
def test_a_bad_token_names_the_field(data: Path, arguments: tuple[str, ...], field: str) -> None:
    name = () if "--name" in arguments else ("--name", "n")
    done = run_command("token", "create", *name, *arguments, "--json", data_dir=data)
    assert done.returncode == 3
    assert problem(done)["errors"][0]["field"] == field
    assert f"field: {field}" in done.stderr


def test_a_file_is_recorded_once_however_often_it_is_sent(data: Path, tmp_path: Path) -> None:
    file = write_lines(
        tmp_path / "more.jsonl", [{"prompt": "q", "completion": "a"}, {"prompt": "r", "completion": "b"}]
    )
    options = (
        "--dataset",
        "more",
        "--teacher",
        "openai/gpt-4o",
        "--route",
        "api",
        "--generated-at",
        "2026-11-20T10:00:00Z",
    )
    first = run_json("capture", str(file), *options, data_dir=data)
    again = run_json("capture", str(file), *options, data_dir=data)
    assert (first["count"], first["replayed"], again["replayed"]) == (2, 0, 2)
    assert again["first_index"] == first["first_index"]


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (b'{"prompt": ', "line"),
        ({**SAMPLE, "prompt": " "}, "prompt"),
        ({**SAMPLE, "generated_at": "yesterday"}, "generated_at"),
        ({**SAMPLE, "teacher": {"provider": "Open AI", "model": "x", "route": "api"}}, "teacher.provider"),
        ({**SAMPLE, "surprise": 1}, "surprise"),
        (b'{"prompt": "a", "prompt": "b"}', "line"),
    ],
)  # fmt: skip
def test_one_bad_line_refuses_the_file_and_is_named(data: Path, tmp_path: Path, bad: Any, field: str) -> None:
    before = run_json("log", "verify", data_dir=data)["tree_size"]
    file = write_lines(tmp_path / "bad.jsonl", [SAMPLE, SAMPLE, bad, SAMPLE])
    done = run_command("capture", str(file), "--json", data_dir=data)
    assert done.returncode == 3, done.stderr
    assert (problem(done)["errors"][0]["field"], problem(done)["errors"][0]["line"]) == (field, 3)
    assert run_json("log", "verify", data_dir=data)["tree_size"] == before


def test_somebody_elses_dataset_enters_as_claimed(data: Path, tmp_path: Path) -> None:
    rows = [
        {"instruction": "Add", "input": "2 2", "output": "4"},
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
        {"prompt": "", "completion": "empty prompt"},
    ]
    file = write_lines(tmp_path / "set.jsonl", rows)
    options = ("--dataset", "theirs", "--teacher", "openai/gpt-4o", "--generated-at", "2026-01-02", "--license", "MIT")
    refused = run_command("import", "hf", str(file), *options, "--json", data_dir=data)
    assert (refused.returncode, problem(refused)["errors"][0]["line"]) == (3, 3)
    plan = run_json("import", "hf", str(file), *options, "--skip-bad", "--dry-run", data_dir=data)
    assert (plan["samples"], plan["skipped"], plan["recorded"]) == (2, 1, 0)
    assert plan["first"]["prompt"] == "Add\n\n2 2"
    done = run_json("import", "hf", str(file), *options, "--skip-bad", data_dir=data)
    assert done["count"] == 2
    with closing(sqlite3.connect(data / "provenance.db")) as database:
        (facts,) = database.execute(
            "SELECT facts FROM fact_class WHERE teacher = 'openai/gpt-4o' ORDER BY id DESC"
        ).fetchone()
    assert json.loads(facts)["evidence"] == "claimed"
    assert json.loads(facts)["source_dataset"] == {"ref": "set.jsonl", "license": "MIT"}


def test_a_parquet_dataset_is_read(data: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table({"question": ["a?", "b?"], "answer": ["A", "B"]}), tmp_path / "set.parquet")
    options = ("--dataset", "x", "--teacher", "openai/gpt-4o", "--generated-at", "2026-01-02", "--dry-run")
    assert run_json("import", "hf", str(tmp_path), *options, data_dir=data)["samples"] == 2
    (tmp_path / "set.parquet").write_bytes(b"PAR1 no parquet")
    assert run_command("import", "hf", str(tmp_path), *options, data_dir=data).returncode == 3


def test_the_log_is_checked_proved_and_exported(data: Path, tmp_path: Path) -> None:
    outcome = run_json("log", "verify", data_dir=data)
    assert (outcome["ok"], outcome["first_bad_index"]) == (True, None)
    assert run_command("log", "proof", "0", data_dir=data).stdout.startswith("c2sp.org/tlog-proof@v1\n")
    assert run_command("log", "proof", "99999", data_dir=data).returncode == 4
    several = run_command("log", "proof", "0-2,5", data_dir=data).stdout
    assert several.startswith("provenance/multiproof@v1\nindices 0-2,5\n")
    assert run_command("log", "proof", "5,1", data_dir=data).returncode == 3
    assert run_json("log", "consistency", "3", data_dir=data)["new_size"] == outcome["tree_size"]
    assert run_command("log", "consistency", "99999", data_dir=data).returncode == 3
    run_json("log", "export", str(tmp_path / "log"), data_dir=data)
    assert {"checkpoint", "vkey", "tile"} <= {path.name for path in (tmp_path / "log").iterdir()}


def test_a_changed_entry_is_named_and_exits_6(data: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(data, tmp_path / "data"))
    with closing(sqlite3.connect(copy / "provenance.db")) as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f'DROP TRIGGER "{name}"')
        (first,) = database.execute("SELECT max(first_index) FROM entry_segment").fetchone()
        database.execute("UPDATE entry_segment SET frames = zeroblob(length(frames)) WHERE first_index = ?", (first,))
        database.commit()
    done = run_command("log", "verify", data_dir=copy)
    assert done.returncode == 6
    assert f"first bad index: {first}\n" in done.stdout
    done = run_command("log", "verify", "--json", data_dir=copy)
    assert (done.returncode, problem(done)["first_bad_index"]) == (6, first)


def test_the_index_is_rebuilt_from_the_entries_alone(data: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(data, tmp_path / "data"))
    tables = ("dataset", "fact_class", "sample", "statement")

    def rows() -> dict[str, list[Any]]:
        with closing(sqlite3.connect(copy / "provenance.db")) as database:
            return {name: database.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall() for name in tables}  # noqa: S608 - named above

    before = rows()
    with closing(sqlite3.connect(copy / "provenance.db")) as database:
        database.execute("DELETE FROM sample")
        database.execute("UPDATE dataset SET samples = 0")
        database.commit()
    assert run_command("db", "reindex", data_dir=copy).returncode == 0
    after = rows()
    assert [row[1:] for row in after["dataset"]] == [row[1:] for row in before["dataset"]]
    assert len(after["sample"]) == len(before["sample"]) > 0
    assert after["statement"] == before["statement"]


def test_a_backup_is_restored_only_where_the_log_has_not_gone_on(data: Path, tmp_path: Path) -> None:
    copy, file = Path(shutil.copytree(data, tmp_path / "data")), tmp_path / "backup.db"
    assert run_command("db", "backup", str(file), data_dir=copy).returncode == 0
    assert run_command("db", "backup", str(file), data_dir=copy).returncode == 3
    (copy / "provenance.db").unlink()
    assert run_command("db", "restore", str(file), data_dir=copy).returncode == 0
    assert run_json("log", "verify", data_dir=copy)["ok"]
    run_json("token", "create", "--name", "later", "--role", "viewer", data_dir=copy)
    refused = run_command("db", "restore", str(file), data_dir=copy)
    assert (refused.returncode, "would fork" in refused.stderr) == (3, True)
    file.write_bytes(b"no database")
    assert run_command("db", "restore", str(file), data_dir=copy).returncode == 3


def test_the_catalogue_and_the_rules_need_no_data_directory(tmp_path: Path) -> None:
    rows = run_json("terms", "list", "--provider", "openai", data_dir=tmp_path)
    assert len(rows) > 1
    assert run_json("terms", "show", rows[0]["id"], data_dir=tmp_path)["provider"] == "openai"
    assert run_json("terms", "diff", rows[0]["id"], rows[1]["id"], data_dir=tmp_path)
    assert run_command("terms", "show", "nothing", data_dir=tmp_path).returncode == 4
    assert run_json("policy", "check", data_dir=tmp_path)["rules"] > 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("student", "show", "nobody"), 4),
        (("release", "show", "math@9"), 4),
        (("release", "create", "nothing", "--student", "nobody", "--name", "x"), 4),
        (("model", "show", "nobody/none"), 4),
        (("run", "show", "run_none"), 4),
        (("report", "build", "--kind", "nonsense", "--subject", "math@1"), 3),
        (("report", "build", "--kind", "ownership-and-legality", "--subject", "math@9"), 4),
        (("verify", "nothing.zip"), 4),
        (("capture", "nothing.jsonl"), 4),
        (("capture",), 2),
        (("frobnicate",), 2),
    ],
)  # fmt: skip
def test_what_is_not_there_or_not_meant_has_its_exit_code(data: Path, arguments: tuple[str, ...], code: int) -> None:
    done = run_command(*arguments, data_dir=data)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_service_that_does_not_answer_exits_7(data: Path) -> None:
    done = run_command("release", "list", data_dir=data, PROVENANCE_URL="http://127.0.0.1:9")
    assert done.returncode == 7
    assert "does not answer" in done.stderr


def test_serving_says_what_is_in_the_way(data: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run_command("serve", "--port", str(taken.getsockname()[1]), data_dir=data)
    assert (done.returncode, "is in use" in done.stderr) == (3, True)
    done = run_command("serve", "--workers", "65", data_dir=data)
    assert (done.returncode, "expected 1 to 64" in done.stderr) == (2, True)
    (tmp_path / "file").write_text("")
    done = run_command("serve", "--port", "0", data_dir=tmp_path / "file" / "data")
    assert (done.returncode, "PROVENANCE_DATA_DIR" in done.stderr) == (2, True)


def test_embedded_commands_leave_no_token_in_use(data: Path) -> None:
    run_json("student", "list", data_dir=data)
    rows = run_json("token", "list", "--all", data_dir=data)
    mine = [row for row in rows if row["name"].startswith(TERMINAL_TOKENS)]
    assert mine
    assert all(row["revoked_at"] for row in mine)


def test_two_commands_at_once_do_not_disturb_each_other(data: Path) -> None:
    command = [sys.executable, "-m", "provenance.cli.app", "student", "list", "--json"]

    both = [
        subprocess.Popen(command, env=make_environment(data, {}), cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [json.loads(process.communicate(timeout=120)[0]) for process in both] == [[], []]


def test_keys_say_what_verifies_and_nothing_secret(data: Path) -> None:
    keys = run_json("keys", "list", data_dir=data)
    assert {key["purpose"] for key in keys} == {"authority", "log", "collector", "release", "model"}
    assert all(key.get("vkey") or key.get("public_key") for key in keys)
    assert "PRIVATE" not in json.dumps(keys)


def test_openapi_describes_the_contract(tmp_path: Path) -> None:
    done = run_command("openapi", data_dir=tmp_path)
    assert {"/api/v1/samples", "/gateway/v1/chat/completions"} <= json.loads(done.stdout)["paths"].keys()
