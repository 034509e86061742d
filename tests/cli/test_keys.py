"""`provenance keys rotate | revoke` on a real data directory, rehearsed with a key that a thief has copied before."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from provenance.ledger.append import make_draft
from provenance.ledger.keys import KeyRing, open_keys
from provenance.report.evidence import bundle_sample
from provenance.runtime import Runtime, open_runtime
from provenance.settings import Settings
from provenance.store.log import get_head
from provenance.store.session import read_session
from provenance.verify import verify
from tests.cli.inprocess import run_command, run_json
from tests.service import STUDENT, make_sample

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys") / "data"
    capture(folder)
    return folder


@pytest.fixture
def data(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "data"))


def capture(data: Path) -> int:
    """Record three samples with the keys in force; the answer is the first one's index."""
    rows = [make_sample(n, dataset="math") for n in range(3)]
    lines = data.parent / "three.jsonl"
    lines.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return int(run_json("capture", str(lines), data_dir=data)["first_index"])


def active(data: Path, purpose: str) -> list[str]:
    keys = run_json("keys", "list", data_dir=data)
    return [key["keyid"] for key in keys if key["purpose"] == purpose and key["state"] == "active"]


def log_is_clean(data: Path) -> dict[str, Any]:
    done = run_command("log", "verify", "--json", data_dir=data)
    outcome: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if outcome["ok"] else 6)
    return outcome


@contextmanager
def opened(data: Path) -> Iterator[Runtime]:
    runtime = open_runtime(Settings(data_dir=data))
    try:
        yield runtime
    finally:
        runtime.close()


def ring_of(data: Path) -> KeyRing:
    """What a thief takes along who copies the keys and the passphrase."""
    return open_keys(data / "keys", (data / "keys" / "passphrase").read_text().strip())


def verifies(data: Path, index: int) -> bool:
    path = data.parent / "sample.zip"
    with opened(data) as runtime, read_session(runtime.engine) as session:
        path.write_bytes(bundle_sample(runtime, session, index))
    return verify(path).ok


def forge_samples(data: Path, thief: KeyRing) -> int:
    """Samples that a stolen collector key signed, as they reach the log of whoever took its database too."""
    with opened(data) as runtime:
        runtime.recorder.ring = thief
        from provenance.capture.sample import parse_samples

        body = orjson.dumps([make_sample(7, dataset="math", external_id="forged")])
        samples = parse_samples(body, now=runtime.clock(), lines=False)
        return runtime.recorder.record(samples, source="api").first_index


def size_of(data: Path) -> int:
    with opened(data) as runtime, read_session(runtime.engine) as session:
        return get_head(session).size


@pytest.mark.parametrize("purpose", ["authority", "log", "collector", "release", "model"])
def test_after_a_rotation_old_and_new_entries_verify(data: Path, purpose: str) -> None:
    before = active(data, purpose)
    made = run_json("keys", "rotate", purpose, data_dir=data)
    assert {key["keyid"] for key in made} == set(active(data, purpose)) - set(before)
    assert set(before) < set(active(data, purpose))  # both, for a week
    later = capture(data)
    assert log_is_clean(data)["ok"]
    assert verifies(data, later)
    assert verifies(data, first_sample(data))
    refused = run_command("keys", "rotate", purpose, data_dir=data)
    assert (refused.returncode, "overlaps until" in refused.stderr) == (3, True)


def first_sample(data: Path) -> int:
    with opened(data) as runtime, read_session(runtime.engine) as session:
        from sqlmodel import func, select

        from provenance.store.tables import SampleRow

        return int(session.exec(select(func.min(SampleRow.index))).one())


@pytest.mark.parametrize("purpose", ["authority", "log", "collector", "release", "model"])
def test_a_rotation_without_overlap_ends_the_old_key_at_once(data: Path, purpose: str) -> None:
    before = active(data, purpose)
    run_json("keys", "rotate", purpose, "--overlap", "0", data_dir=data)
    assert not set(before) & set(active(data, purpose))
    capture(data)
    assert log_is_clean(data)["ok"]
    assert verifies(data, first_sample(data))


def test_a_stolen_collector_key_is_revoked_and_what_it_forged_is_void(data: Path) -> None:
    (stolen,) = active(data, "collector")
    thief, good = ring_of(data), size_of(data)
    early = forge_samples(data, thief)  # before anybody noticed
    assert log_is_clean(data)["ok"]
    said = ("--reason", "copied from a laptop", "--last-good-size", str(good))
    (new,) = run_json("keys", "revoke", stolen, *said, data_dir=data)
    assert active(data, "collector") == [new["keyid"]]
    outcome = log_is_clean(data)
    assert {item["index"] for item in outcome["findings"]} == {early - 1, early + 1}  # its capture and its batch
    assert not verifies(data, early)
    assert verifies(data, first_sample(data))  # what it signed before it was stolen stands
    late = forge_samples(data, thief)
    assert not verifies(data, late)
    found = {item["index"] for item in log_is_clean(data)["findings"]}
    assert found == {early - 1, early + 1, late - 1, late, late + 1}  # and no batch that counts closes its sample
    assert verifies(data, capture(data))  # its successor's stand
    again = run_command("keys", "revoke", stolen, *said, data_dir=data)
    assert (again.returncode, "revoked before" in again.stderr) == (3, True)


def test_a_stolen_authority_key_decides_nothing_any_more(data: Path) -> None:
    (stolen,) = active(data, "authority")
    thief = ring_of(data)
    said = ("--reason", "copied", "--last-good-size", str(size_of(data)))
    run_json("keys", "revoke", stolen, *said, data_dir=data)
    assert log_is_clean(data)["ok"]
    from provenance.ledger.sign import sign_entry

    access = {"actor": "thief", "act": "x", "target": None, "reason": None, "at": "2026-11-24T10:00:00Z"}
    forged_key = {**thief.records[0].to_public(), "keyid": thief.records[0].keyid, "state": "active"}
    with opened(data) as runtime:
        entries = [sign_entry(thief, "access", access), sign_entry(thief, "key", forged_key)]
        first = runtime.sequencer.append(make_draft(entries)).first_index
    assert {item["index"] for item in log_is_clean(data)["findings"]} == {first, first + 1}


def test_a_checkpoint_by_a_revoked_log_key_alone_convinces_nobody(data: Path) -> None:
    from dataclasses import replace

    from provenance.ledger.checkpoint import Checkpoint, sign_checkpoint
    from provenance.ledger.proof import format_proof, parse_proof
    from provenance.release.bundle import format_bundle, parse_bundle

    thief, size = ring_of(data), size_of(data)
    for keyid in active(data, "log"):
        run_json("keys", "revoke", keyid, "--reason", "copied", "--last-good-size", str(size), data_dir=data)
    assert log_is_clean(data)["ok"]
    assert verifies(data, first_sample(data))
    honest = parse_bundle((data.parent / "sample.zip").read_bytes()).contents
    with opened(data) as runtime, read_session(runtime.engine) as session:
        head = get_head(session)
        note = sign_checkpoint(Checkpoint(head.origin, head.size, head.root), thief.log_signers)
        proofs = {
            index: format_proof(replace(parse_proof(text), checkpoint=note)) for index, text in honest.proofs.items()
        }
        forged = replace(honest, checkpoint=note, proofs=proofs, vkeys=thief.vkey_lines)
        path = data.parent / "forged.zip"
        path.write_bytes(format_bundle(forged, runtime.ring.signer("release")))
    outcome = verify(path)
    assert [step.number for step in outcome.steps if step.state == "failed"] == [4]
    assert "revoked" in str(next(step for step in outcome.steps if step.number == 4).error)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["rotate", "witness"], 4, "no active key"),
        (["rotate", "log", "--overlap", "x"], 3, "overlap: expected a number"),
        (["revoke", "0" * 64, "--reason", "r", "--last-good-size", "1"], 4, "0 keys have the id"),
        (["revoke", "0" * 64, "--reason", "r", "--last-good-size", "999999"], 3, "the size of the log"),
    ],
)
def test_what_cannot_be_changed_is_said_and_changes_nothing(
    data: Path, arguments: list[str], code: int, said: str
) -> None:
    before = (data / "keys" / "keys.json").read_bytes()
    done = run_command("keys", *arguments, data_dir=data)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert (data / "keys" / "keys.json").read_bytes() == before


@pytest.mark.parametrize(("good", "code"), [("after", 0), ("before", 6)])
def test_a_release_that_a_revoked_key_attested_is_taken_below_its_last_good_size_only(
    data: Path, good: str, code: int
) -> None:
    student = data.parent / "student.json"
    student.write_bytes(orjson.dumps(STUDENT))
    before = size_of(data)
    run_json("release", "create", "math", "--student", str(student), "--name", "math", data_dir=data)
    size = size_of(data) if good == "after" else before
    (key,) = active(data, "release")
    run_json("keys", "revoke", key, "--reason", "copied", "--last-good-size", str(size), data_dir=data)
    done = run_command("release", "verify", "math@1", data_dir=data)
    assert done.returncode == code, done.stderr
    assert log_is_clean(data)["ok"] is (good == "after")
