"""`python -m provenance.verify`: exit codes, JSON, and the conviction of a log with two faces."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from provenance.errors import MalformedError, NotFoundError
from provenance.ledger.checkpoint import Checkpoint, sign_checkpoint
from provenance.ledger.equivocation import accuse, format_equivocation
from provenance.release.bundle import format_bundle
from provenance.verify import main, verify
from tests.evidence_factory import ORIGIN, Log, make_log


@pytest.fixture
def log() -> Log:
    return make_log()


def test_the_command_says_each_step_and_exits_with_the_contract_s_codes(
    log: Log, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, policy = tmp_path / "bundle.zip", tmp_path / "vkeys"
    data = format_bundle(log.contents(), log.signers["release"])
    path.write_bytes(data)
    policy.write_text("\n".join(log.vkeys()))
    assert main([str(path)]) == 0
    assert "compare the key" in capsys.readouterr().out
    assert main([str(path), "--policy", str(policy), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["ok"], answer["pinned"], len(answer["steps"])) == (True, True, 8)
    path.write_bytes(data[:-1])
    assert main([str(path)]) == 6
    assert "VERIFICATION FAILED" in capsys.readouterr().out
    path.write_bytes(b"a letter, not a bundle")
    assert main([str(path)]) == 3
    assert main([str(tmp_path / "nothing")]) == 4
    policy.write_text("trust me")
    assert main([str(path), "--policy", str(policy)]) == 3


def test_files_that_are_not_there_are_named(log: Log, tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    path.write_bytes(format_bundle(log.contents(), log.signers["release"]))
    with pytest.raises(NotFoundError):
        verify(path, policy=tmp_path / "nothing")
    (tmp_path / "binary").write_bytes(b"\xff")
    with pytest.raises(MalformedError):
        verify(path, policy=tmp_path / "binary")


def test_it_loads_nothing_of_the_service() -> None:
    code = (
        "import sys, provenance.verify; "
        "print([n for n in sys.modules if n.split('.')[0] in ('sqlmodel', 'sqlalchemy', 'fastapi', 'torch', 'httpx')"
        " or n.startswith(('provenance.store', 'provenance.api', 'provenance.ledger.append'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def accusation(log: Log, other: bytes = b"another root") -> bytes:
    """A file that accuses the log of two trees of one size."""
    one, two = (
        sign_checkpoint(Checkpoint(ORIGIN, 12, hashlib.sha256(text).digest()), [log.log]) for text in (b"one", other)
    )
    return format_equivocation(accuse(one, two, [log.log.vkey]))


@pytest.mark.parametrize("pinned", [False, True])
def test_a_proof_of_equivocation_convicts_and_never_exits_with_0(
    log: Log, tmp_path: Path, capsys: pytest.CaptureFixture[str], pinned: bool
) -> None:
    path, policy = tmp_path / "fraud.json", tmp_path / "vkeys"
    path.write_bytes(accusation(log))
    policy.write_text("\n".join(log.vkeys()))
    more = ["--policy", str(policy)] if pinned else []
    assert main([str(path), *more]) == 6
    assert "EQUIVOCATION PROVEN" in capsys.readouterr().out
    assert main([str(path), "--json", *more]) == 6
    answer = json.loads(capsys.readouterr().out)
    assert (answer["proven"], answer["pinned"], answer["origin"]) == (True, pinned, ORIGIN)


def test_a_proof_that_proves_nothing_is_bad_input(log: Log, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, policy = tmp_path / "fraud.json", tmp_path / "vkeys"
    policy.write_text("\n".join(make_log().vkeys()))
    path.write_bytes(accusation(log, other=b"one"))
    assert main([str(path)]) == 3
    assert "proves no equivocation" in capsys.readouterr().err
    path.write_bytes(accusation(log))
    assert main([str(path), "--policy", str(policy)]) == 3, "signed by keys that the policy does not know"
    path.write_bytes(accusation(log)[:-20])
    assert main([str(path)]) == 3
    path.write_bytes(accusation(log) + b" " * (1 << 20))
    assert main([str(path)]) == 3


@pytest.mark.parametrize("name", ["folder", "empty"])
def test_what_is_no_file_or_holds_nothing_is_bad_input(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").write_bytes(b"")
    assert main([str(tmp_path / name)]) == 3
