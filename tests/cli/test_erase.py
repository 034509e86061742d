"""`provenance erase` on a local data directory: asked for at the terminal, approved by somebody with a token."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.cli.inprocess import run_command, run_json
from tests.remains import find_remains
from tests.service import make_sample

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("erase")
    rows = [make_sample(n, dataset="math", completion=f"nowhere-else-{n}", external_id=f"m-{n}") for n in range(9)]
    (folder / "nine.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    run_json("capture", str(folder / "nine.jsonl"), data_dir=folder / "data")
    return folder / "data"


def test_text_is_erased_by_two_persons(data: Path) -> None:
    first = run_json("erase", "--external-id", "m-0", "--dry-run", data_dir=data)
    assert (first["count"], "id" in first) == (1, False)
    assert run_json("erase", "list", data_dir=data) == []
    assert run_command("erase", "list", data_dir=data).stdout.strip() == "No erasure."
    asked = run_json("erase", "--external-id", "m-3", "--external-id", "m-4", "--reason", "asked", data_dir=data)
    assert (asked["count"], asked["state"]) == (2, "requested")
    alone = run_command("erase", "approve", asked["id"], data_dir=data)  # the same terminal
    assert alone.returncode == 5
    assert "another person" in alone.stderr
    token = run_json("token", "create", "--name", "dana", "--role", "counsel", data_dir=data)["token"]
    done = run_json("erase", "approve", asked["id"], data_dir=data, PROVENANCE_TOKEN=token)
    assert (done["state"], done["approver"]) == ("done", "dana")
    assert find_remains(data, ["nowhere-else-3", "nowhere-else-4"]) == {}
    assert set(find_remains(data, ["nowhere-else-2", "nowhere-else-5"])) == {"nowhere-else-2", "nowhere-else-5"}
    checked = run_json("log", "verify", data_dir=data)
    assert (checked["ok"], checked["checked"]["erased"]) == (True, 2)
    shown = run_command("erase", "show", asked["id"], data_dir=data).stdout
    assert "out of reach: backups" in shown
    assert "dana" in run_command("erase", "list", data_dir=data).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--external-id", "m-1"], 3, "--reason"),
        (["--reason", "r"], 3, "no sample is asked for"),
        (["--index", "0", "--reason", "r"], 4, "entry 0 is not a sample"),
        (["--dataset", "math", "--selection", "route", "--reason", "r"], 3, "NAME=VALUE"),
        (["approve", "era_none"], 4, "no erasure"),
    ],
)
def test_what_cannot_be_erased_is_said(data: Path, arguments: list[str], code: int, said: str) -> None:
    done = run_command("erase", *arguments, data_dir=data)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
