"""`provenance recall` on a local data directory: planned by anybody, opened by one named person, closed by another."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.cli.inprocess import run_command, run_json
from tests.service import make_sample

pytestmark = pytest.mark.slow
SOURCE = "teacher:huggingface-smollm/smollm2-135m-instruct"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recall")
    rows = [make_sample(n, dataset="math") for n in range(5)]
    (folder / "five.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    run_json("capture", str(folder / "five.jsonl"), data_dir=folder / "data")
    return folder / "data"


def test_a_recall_from_plan_to_close(data: Path) -> None:
    assert run_command("recall", "status", data_dir=data).stdout.strip() == "No recall."
    planned = run_json("recall", "plan", SOURCE, data_dir=data)
    assert planned["reach"]["counts"]["samples"] == 5
    nameless = run_command("recall", "open", SOURCE, "--reason", "r", data_dir=data)
    assert (nameless.returncode, "named person" in nameless.stderr) == (5, True)
    ann, ben = (
        run_json("token", "create", "--name", name, "--role", "counsel", data_dir=data)["token"]
        for name in ("ann", "ben")
    )
    opened = run_json("recall", "open", SOURCE, "--reason", "a book", data_dir=data, PROVENANCE_TOKEN=ann)
    assert (opened["state"], opened["reach_digest"]) == ("open", planned["reach_digest"])
    proved = run_json("recall", "prove", opened["id"], data_dir=data)
    assert proved["complete"]
    own = run_command("recall", "close", opened["id"], "--reason", "r", data_dir=data, PROVENANCE_TOKEN=ann)
    assert own.returncode == 5
    closed = run_command("recall", "close", opened["id"], "--reason", "over", data_dir=data, PROVENANCE_TOKEN=ben)
    assert (closed.returncode, "is upheld" in closed.stdout) == (0, True)
    shown = run_command("recall", "status", opened["id"], data_dir=data).stdout
    assert "ben" in shown
    assert opened["id"] in run_command("recall", "status", data_dir=data).stdout
    assert run_json("log", "verify", data_dir=data)["ok"]


@pytest.mark.parametrize(
    ("source", "code", "said"),
    [
        ("nothing", 3, "KIND:ID"),
        ("planet:x", 3, "source.kind"),
        ("teacher:nobody/none", 4, "nothing in the record"),
        ('{"kind": "samples", "indices": [0]}', 4, "not a sample"),
    ],
)
def test_a_source_that_means_nothing_is_said(data: Path, source: str, code: int, said: str) -> None:
    done = run_command("recall", "plan", source, data_dir=data)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
