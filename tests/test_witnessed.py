"""A service that publishes by a quorum of real witnesses: processes of their own, under keys of their own, one of them down."""

from __future__ import annotations

import json
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from proofbundle import tlogproof

from provenance.errors import SettingsError
from provenance.ledger.checkpoint import open_signed_checkpoint
from provenance.ledger.merkle import leaf_hash
from provenance.ledger.note import format_vkey, parse_vkey
from provenance.ledger.policy import TrustPolicy, parse_policy
from provenance.ledger.proof import parse_proof, verify_proof
from provenance.ledger.witness.serve import make_app
from provenance.runtime import open_runtime
from provenance.settings import Settings
from provenance.store.log import get_head, list_statements
from provenance.store.session import read_session
from provenance.verify import verify
from tests.cli.inprocess import run_command, run_json
from tests.ledger.witness.witnesses import WitnessProcess, make_witness, serve_app
from tests.service import Service, make_samples, open_service


@pytest.fixture
def log_vkeys(tmp_path: Path) -> list[str]:
    """The keys of a log that was opened once, without witnesses."""
    runtime = open_runtime(Settings(data_dir=tmp_path / "data"))
    runtime.close()
    return runtime.ring.vkey_lines


@pytest.fixture
def witnesses(tmp_path: Path, log_vkeys: list[str]) -> Iterator[list[WitnessProcess]]:
    started: list[WitnessProcess] = []
    try:
        for number in (1, 2, 3):
            started.append(WitnessProcess(tmp_path / f"w{number}", f"witness.example/{number}", *log_vkeys))  # noqa: PERF401 - each must be ended if the next fails
        yield started
    finally:
        for witness in started:
            witness.kill()


@pytest.fixture
def policy(tmp_path: Path, log_vkeys: list[str], witnesses: list[WitnessProcess]) -> Path:
    """Two of the three must have cosigned."""
    lines = [f"log {vkey}" for vkey in log_vkeys]
    lines += [f"witness w{number} {item.vkey_line} {item.url}" for number, item in enumerate(witnesses, 1)]
    path = tmp_path / "policy"
    path.write_text("".join(f"{line}\n" for line in [*lines, "group all-of-them 2 w1 w2 w3", "quorum all-of-them"]))
    return path


def _until(act: Callable[[], Any]) -> Any:
    """What `act` answers, once it is something."""
    deadline = time.monotonic() + 60
    while not (seen := act()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return seen


def _publication(service: Service) -> dict[str, Any]:
    return dict(service.get("/readyz")["publication"])


def _is_published(service: Service, size: int) -> bool:
    return bool((_publication(service)["published_size"] or 0) >= size)


def test_the_log_publishes_what_two_of_three_have_seen(
    tmp_path: Path, policy: Path, witnesses: list[WitnessProcess], log_vkeys: list[str]
) -> None:
    keys = [parse_vkey(item) for item in (*log_vkeys, *(witness.vkey_line for witness in witnesses))]
    trust = parse_policy(policy.read_text())
    environment = {"PROVENANCE_WITNESS_POLICY": str(policy)}
    witnesses[2].kill()
    with open_service(tmp_path / "data", witness_policy=policy) as service:
        # 1. One is down: the others are enough, and every evidence carries their lines.
        receipt = service.capture(make_samples(apache=5, openai=0, llama=0))
        _until(lambda: _is_published(service, receipt["tree_size"]))
        opened = open_signed_checkpoint(service.client.get("/log/checkpoint").text, keys)
        trust.check(opened.signed_by)
        assert {key.name for key in opened.signed_by} == {
            opened.checkpoint.origin,
            "witness.example/1",
            "witness.example/2",
        }
        first = receipt["first_index"]
        bundle = tmp_path / "bundle.zip"
        bundle.write_bytes(service.client.get(f"/api/v1/samples/{first}/evidence").content)
        outcome = verify(bundle, policy=policy)
        assert outcome.ok, outcome.to_json()
        assert outcome.pinned
        assert sum("which saw it at 20" in note for note in outcome.steps[1].notes) == 2
        _check_proof(service, first, trust)
        with read_session(service.runtime.engine) as session:
            logged = list_statements(session, "witness")
        assert [row.predicate["vkey"] for row in logged[::-1]] == [witness.vkey_line for witness in witnesses]
        assert [item["state"] for item in service.get("/log.json")["witnesses"]] == ["agrees", "agrees", "unreachable"]
        assert "2 of 3 witnesses agree" in service.client.get("/log", headers={"Accept": "text/html"}).text

        # 2. Two are down: entries go in, the checkpoint stays, and everybody is told.
        witnesses[1].kill()
        before = service.client.get("/log/checkpoint").text
        receipt = service.capture(make_samples(apache=5, openai=0, llama=0, dataset="more"))
        assert "witness" not in receipt["checkpoint"]
        _until(lambda: _publication(service)["held"])
        assert service.client.get("/log/checkpoint").text == before
        assert "w2 unreachable" in _publication(service)["held"]
        page = service.client.get("/log", headers={"Accept": "text/html"}).text
        assert "publication is held" in page
        assert "1 of 3 witnesses agree" in page
        held = tmp_path / "held.zip"
        held.write_bytes(service.client.get(f"/api/v1/samples/{receipt['first_index']}/evidence").content)
        assert not verify(held, policy=policy).ok, "what no quorum has seen does not pass for it"
        assert verify(held).ok

        exported = run_json("log", "export", str(tmp_path / "exported"), data_dir=tmp_path / "data", **environment)
        assert exported["tree_size"] < receipt["tree_size"], "what is held is not given out by another door"
        proof = run_command("log", "proof", str(first), data_dir=tmp_path / "data", **environment).stdout
        trust.check(open_signed_checkpoint(parse_proof(proof).checkpoint, trust.vkeys).signed_by)
        checks = json.loads(run_command("doctor", "--json", data_dir=tmp_path / "data", **environment).stdout)["checks"]
        assert "publication is held" in next(item["said"] for item in checks if item["name"] == "witnesses")

        # 3. One is back: what was held is let go.
        witnesses[1] = witnesses[1].again()
        _until(lambda: _is_published(service, receipt["tree_size"]))
        assert _publication(service)["held"] is None
        held.write_bytes(service.client.get(f"/api/v1/samples/{receipt['first_index']}/evidence").content)
        assert verify(held, policy=policy).ok
    with (
        open_service(tmp_path / "data", witness_policy=policy) as service,
        read_session(service.runtime.engine) as session,
    ):
        assert len(list_statements(session, "witness")) == 3, "they are logged once"


def _check_proof(service: Service, index: int, trust: TrustPolicy) -> None:
    text = service.client.get(f"/api/v1/samples/{index}/proof").text
    leaf = leaf_hash(read_entry_bytes(service, index))
    assert verify_proof(text, leaf, trust.vkeys)[0] == index
    trust.check(open_signed_checkpoint(parse_proof(text).checkpoint, trust.vkeys).signed_by)
    _check_proof_by_proofbundle(text, read_entry_bytes(service, index), trust)


def _check_proof_by_proofbundle(text: str, entry: bytes, trust: TrustPolicy) -> None:
    """Another implementation counts the same quorum under the proof that the service gave out."""
    log_key, witnesses = format_vkey(trust.logs[0]), [format_vkey(key) for key in trust.witnesses.values()]
    for threshold, enough in ((2, True), (3, False)):
        found = tlogproof.verify_tlog_proof(text, entry, log_key, witnesses, threshold=threshold)
        assert (found["inclusion_ok"], found["witnesses_ok"], found["ok"]) == (True, enough, enough), found


def read_entry_bytes(service: Service, index: int) -> bytes:
    return b64decode(service.get(f"/api/v1/log/entries/{index}")["bytes"])


def test_without_a_policy_nothing_is_held_and_no_witness_is_spoken_of(tmp_path: Path) -> None:
    with open_service(tmp_path / "data") as service:
        assert "publication" not in service.get("/readyz")
        assert service.client.get("/log/checkpoint").status_code == 200
        page = service.client.get("/log", headers={"Accept": "text/html"}).text
        assert "No witness configured" in page


def test_before_the_first_quorum_there_is_no_checkpoint_to_be_had(
    tmp_path: Path, policy: Path, witnesses: list[WitnessProcess]
) -> None:
    for witness in witnesses:
        witness.kill()
    for name in ("log/checkpoint", "log/.published"):
        (tmp_path / "data" / name).unlink(missing_ok=True)  # as a log that was opened with its policy from the start
    with open_service(tmp_path / "data", witness_policy=policy) as service:
        _until(lambda: _publication(service)["held"])
        answer = service.client.get("/log/checkpoint")
        assert answer.status_code == 503
        assert "quorum" in answer.json()["detail"]
        assert service.client.get("/log").status_code == 200


def test_a_policy_for_another_log_stops_the_start(tmp_path: Path, policy: Path) -> None:
    with pytest.raises(SettingsError, match="names another log"):
        open_runtime(Settings(data_dir=tmp_path / "another", witness_policy=policy))


def test_it_is_the_same_on_every_database(tmp_path: Path, database_url: str) -> None:
    settings = Settings(data_dir=tmp_path / "data", database_url=database_url)
    runtime = open_runtime(settings)
    runtime.close()
    witness = make_witness(tmp_path / "w", name="witness.example/w1", now=None)
    for vkey in runtime.ring.vkeys:
        witness.record.add_log(vkey)
    with serve_app(make_app(witness)) as url:
        lines = [*(f"log {vkey}" for vkey in runtime.ring.vkey_lines)]
        lines += [f"witness w1 {format_vkey(witness.keys.vkeys[0])} {url}", "quorum w1"]
        path = tmp_path / "policy"
        path.write_text("\n".join(lines))
        runtime = open_runtime(settings.model_copy(update={"witness_policy": path}))
        for number in range(3):
            runtime.append_access("test", "look", str(number))
            runtime.publish()
            account = runtime.account()
            assert (account.hold, account.agreeing) == (None, 1)
        with read_session(runtime.engine) as session:
            size = get_head(session).size
            prover = runtime.prover(session, newest=size - 1)
            parse_policy(path.read_text()).check(
                open_signed_checkpoint(prover.checkpoint, [*runtime.ring.vkeys, *witness.keys.vkeys]).signed_by
            )
        assert (prover.size, account.published_size) == (size, size)
        runtime.close()
