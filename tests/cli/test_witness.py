"""`provenance witness`, `log compare`, and `verify` on a proof of equivocation, as their users type them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provenance.cli.witness import open_local
from provenance.errors import ConflictError, SettingsError
from provenance.ledger.merkle import MemoryTree
from provenance.ledger.note import format_vkey
from provenance.ledger.publish import write_file
from provenance.ledger.tiles import Tile, format_tile, format_tile_path
from provenance.ledger.witness.answer import add_checkpoint
from provenance.ledger.witness.keys import create_witness
from tests.cli.inprocess import run_command, run_json
from tests.ledger.witness.witnesses import SmallLog

LOG = SmallLog().grow(40)
FORK = LOG.fork(5, 40)
NAME = "witness.example/cli"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "witness"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Checkpoints of two histories, the keys, and the published tiles of one of them."""
    for name, log in (("log", LOG), ("fork", FORK)):
        for size in (8, 11, 20):
            (tmp_path / f"{name}-{size}").write_text(log.note(size))
    (tmp_path / "vkeys").write_text("".join(f"{format_vkey(vkey)}\n" for vkey in LOG.vkeys))
    # A log that has grown to 40: of its first tile the file of width 20 may be gone.
    write_file(tmp_path / "tiles" / format_tile_path(Tile(0, 0, 40)), format_tile(LOG.leaves))
    return tmp_path


def test_a_witness_is_made_once_and_keeps_its_keys_and_logs(folder: Path) -> None:
    first = open_local(folder, NAME)
    assert open_local(folder, None).keys.vkeys == first.keys.vkeys
    with pytest.raises(SettingsError, match="another one"):
        open_local(folder, "witness.example/renamed")
    with pytest.raises(ConflictError):
        create_witness(folder / "keys", NAME, b"word")
    assert {path.stat().st_mode & 0o777 for path in (folder / "keys").iterdir()} == {0o600}
    vkey = format_vkey(LOG.vkeys[0])
    options = ("--data-dir", str(folder))
    assert run_command("witness", "add", vkey, *options, data_dir=folder).returncode == 0
    assert run_json("witness", "keys", *options, data_dir=folder) == [format_vkey(key) for key in first.keys.vkeys]
    (row,) = run_json("witness", "list", *options, data_dir=folder)
    assert (row["origin"], row["tree_size"], row["equivocations"]) == (LOG.origin, None, [])
    add_checkpoint(first, LOG.request(0, 10))
    add_checkpoint(first, FORK.request(10, 10))
    (row,) = run_json("witness", "list", *options, data_dir=folder)
    assert row["tree_size"] == 10
    assert run_command("verify", row["equivocations"][0], data_dir=folder).returncode == 6
    assert run_command("witness", "remove", vkey, *options, data_dir=folder).returncode == 0
    assert run_command("witness", "remove", vkey, *options, data_dir=folder).returncode == 4


@pytest.mark.parametrize(
    "vkey",
    [
        "nonsense",
        format_vkey(LOG.vkeys[0])[:-4],
        format_vkey(SmallLog("x" * 256).vkeys[0]),
    ],
    ids=["nonsense", "cut", "too long"],  # the keys are others in every process
)
def test_what_is_no_log_s_key_is_refused(folder: Path, vkey: str) -> None:
    done = run_command("witness", "add", vkey, "--data-dir", str(folder), data_dir=folder)
    assert done.returncode == 3, done.stderr


def test_a_witness_s_own_key_is_no_log_s(folder: Path) -> None:
    vkey = format_vkey(open_local(folder, NAME).keys.vkeys[0])
    done = run_command("witness", "add", vkey, "--data-dir", str(folder), data_dir=folder)
    assert done.returncode == 3
    assert "type 0x01" in done.stderr


def test_without_a_witness_there_are_no_keys_to_print(folder: Path) -> None:
    done = run_command("witness", "keys", "--data-dir", str(folder), data_dir=folder)
    assert done.returncode == 4
    assert "provenance witness serve" in done.stderr


def _compare(files: Path, one: str, other: str, *options: str) -> tuple[int, str, str]:
    done = run_command(
        "log", "compare", str(files / one), str(files / other), "--policy", str(files / "vkeys"),
        "--output", str(files / "fraud.json"), *options, data_dir=files,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_two_roots_of_one_size_convict(files: Path) -> None:
    code, out, _ = _compare(files, "log-11", "fork-11")
    assert code == 6
    assert "EQUIVOCATION PROVEN" in out
    fraud, policy = str(files / "fraud.json"), ("--policy", str(files / "vkeys"))
    done = run_command("verify", fraud, *policy, data_dir=files)
    assert done.returncode == 6
    assert "pinned by you" in done.stdout
    done = run_command("verify", fraud, "--json", data_dir=files)
    assert done.returncode == 6
    said = json.loads(done.stdout)
    assert (said["proven"], said["pinned"], said["origin"]) == (True, False, LOG.origin)


@pytest.mark.parametrize("old", ["8", "11"])  # a power of two leaves another proof than the rest
def test_two_sizes_are_told_apart_with_the_greater_tree_s_tiles(files: Path, old: str) -> None:
    tiles = ("--tiles", str(files / "tiles"))
    assert _compare(files, f"log-{old}", "log-20", *tiles)[0] == 0
    assert not (files / "fraud.json").exists()
    assert _compare(files, f"fork-{old}", "log-20", *tiles)[0] == 6
    assert run_command("verify", str(files / "fraud.json"), data_dir=files).returncode == 6


def test_without_tiles_or_proof_nothing_is_decided_and_it_is_said(files: Path) -> None:
    code, _, errors = _compare(files, "log-11", "log-20")
    assert code == 6
    assert "undecided" in errors
    assert not (files / "fraud.json").exists()


def test_a_consistency_proof_as_the_log_prints_it_is_taken(files: Path) -> None:
    from provenance.canonical import format_base64

    tree = MemoryTree(LOG.leaves[:20])
    assert tree.read(0, 0) == LOG.leaves[0]
    (files / "proof").write_text(json.dumps({"proof": [format_base64(item) for item in LOG.proof(11, 20)]}))
    assert _compare(files, "log-11", "log-20", "--proof", str(files / "proof"))[0] == 0
    assert _compare(files, "fork-11", "log-20", "--proof", str(files / "proof"))[0] == 6
    (files / "proof").write_text("[]")
    assert _compare(files, "log-11", "log-20", "--proof", str(files / "proof"))[0] == 3


def test_a_file_that_proves_nothing_is_bad_input_and_never_a_success(files: Path) -> None:
    _compare(files, "log-11", "fork-11")
    fraud = json.loads((files / "fraud.json").read_text())
    changes = {
        "consistent": {"second": fraud["first"]},
        "unsigned": {"second": fraud["second"].replace("— log", "— lag")},
        "no keys": {"vkeys": []},
    }
    for name, change in changes.items():
        (files / name).write_text(json.dumps(fraud | change))
        done = run_command("verify", str(files / name), data_dir=files)
        assert done.returncode == 3, name
        assert "proves no equivocation" in done.stderr
    (files / "other").write_text(format_vkey(SmallLog().vkeys[0]) + "\n")
    done = run_command("verify", str(files / "fraud.json"), "--policy", str(files / "other"), data_dir=files)
    assert done.returncode == 3, "it is not about a log that this verifier knows"
