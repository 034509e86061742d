"""A witness as others meet it: over HTTP, as a process, also one that is killed at the worst moment."""

from __future__ import annotations

import hashlib
import socket
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from provenance.ledger.checkpoint import parse_checkpoint, verify_cosignature
from provenance.ledger.note import format_vkey, parse_note, parse_vkey
from provenance.ledger.witness import serve
from provenance.ledger.witness.request import MAX_REQUEST_BYTES, format_request
from provenance.ledger.witness.serve import make_app
from tests import source_tree
from tests.ledger.witness.witnesses import W1, SmallLog, WitnessProcess, make_witness, serve_app, witness_keys

LOG = SmallLog().grow(40)
FORK = LOG.fork(5, 40)
KILLED = """
import os, signal
from provenance.ledger.witness import answer
format_lines = answer.format_signature_lines
def killed(lines):  # what is on record is on the disk now, and nobody has been answered
    os.kill(os.getpid(), signal.SIGKILL)
answer.format_signature_lines = killed
from provenance.cli.app import main
main()
"""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(make_app(make_witness(tmp_path, LOG))) as client:
        yield client


def test_types_and_bodies_are_those_of_the_specification(client: TestClient) -> None:
    first = client.post("/add-checkpoint", content=LOG.request(0, 10))
    assert (first.status_code, first.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert all(line.startswith("— witness.example/w1 ") for line in first.text.splitlines())
    conflict = client.post("/add-checkpoint", content=LOG.request(3, 10))
    assert (conflict.status_code, conflict.headers["content-type"]) == (409, "text/x.tlog.size")
    assert conflict.content == b"10\n"


def test_what_is_no_such_request_is_refused(client: TestClient) -> None:
    assert client.get("/add-checkpoint").status_code == 405
    assert client.post("/elsewhere", content=b"").status_code == 404
    assert client.get("/..%2fwitness.db/checkpoint").status_code == 404
    assert client.post("/add-checkpoint", content=b"x" * (MAX_REQUEST_BYTES + 1)).status_code == 413
    assert client.post("/add-checkpoint", content=b"old 0\n\n" + b"\n" * (MAX_REQUEST_BYTES - 7)).status_code == 400


def test_monitors_read_keys_and_checkpoint(client: TestClient) -> None:
    assert [parse_vkey(line) for line in client.get("/vkey").text.splitlines()] == witness_keys(W1).vkeys
    path = f"/{hashlib.sha256(LOG.origin.encode()).hexdigest()}/checkpoint"
    assert client.get(path).status_code == 404
    client.post("/add-checkpoint", content=LOG.request(0, 10))
    assert parse_checkpoint(parse_note(client.get(path).text).text).size == 10


def test_a_record_that_cannot_be_used_is_no_answer_and_no_secret(tmp_path: Path) -> None:
    witness = make_witness(tmp_path, LOG)
    with TestClient(make_app(witness)) as client:
        witness.record.path.write_bytes(b"no database" * 1000)
        answer = client.post("/add-checkpoint", content=LOG.request(0, 10))
    assert (answer.status_code, answer.text) == (503, "the witness cannot answer now\n")


def test_a_body_that_never_ends_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "BODY_SECONDS", 0.3)
    with serve_app(make_app(make_witness(tmp_path, LOG))) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as slow:
            slow.sendall(b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 100\r\n\r\nold 0\n")
            assert slow.recv(4096).startswith(b"HTTP/1.1 408 ")
        assert httpx.post(f"{url}/add-checkpoint", content=LOG.request(0, 10)).status_code == 200


def test_it_remembers_across_a_restart_and_a_kill_between_record_and_answer(tmp_path: Path) -> None:
    """The answer that was lost is asked for again: the size is told, and the very same tree is cosigned."""
    folder = tmp_path / "w"
    witness = WitnessProcess(folder, "witness.example/p", *LOG.vkeys)
    key = parse_vkey(witness.vkey_line)
    try:
        assert httpx.post(f"{witness.url}/add-checkpoint", content=LOG.request(0, 10)).status_code == 200
    finally:
        witness.kill()
    witness = WitnessProcess(folder, "witness.example/p", program=KILLED)
    with pytest.raises(httpx.HTTPError):
        httpx.post(f"{witness.url}/add-checkpoint", content=LOG.request(10, 20), timeout=30)
    assert witness.process.wait(timeout=30) == -9
    witness.kill()
    witness = WitnessProcess(folder, "witness.example/p")
    try:
        assert parse_vkey(witness.vkey_line) == key, "its keys are the same"
        lost = httpx.post(f"{witness.url}/add-checkpoint", content=LOG.request(10, 20))
        assert (lost.status_code, lost.text) == (409, "20\n")
        assert httpx.post(f"{witness.url}/add-checkpoint", content=FORK.request(10, 20)).status_code == 409
        assert httpx.post(f"{witness.url}/add-checkpoint", content=FORK.request(20, 20)).status_code == 422
        note = LOG.note(20)
        again = httpx.post(f"{witness.url}/add-checkpoint", content=format_request(20, [], note))
        text = parse_note(note).text
        line = next(item for item in parse_note(f"{text}\n{again.text}").signatures if item.key_id == key.key_id)
        assert verify_cosignature(key, text, line.signature) > 0
    finally:
        witness.kill()
    with sqlite3.connect(folder / "witness.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(list((folder / "equivocations").iterdir())) == 1


def test_many_at_once_over_http_get_one_history(tmp_path: Path) -> None:
    statuses: list[tuple[int, int]] = []
    with serve_app(make_app(make_witness(tmp_path, LOG))) as url:

        def ask(log: SmallLog, number: int) -> None:
            answer = httpx.post(f"{url}/add-checkpoint", content=log.request(0, 12), timeout=30)
            statuses.append((number, answer.status_code))

        threads = [threading.Thread(target=ask, args=(log, number)) for number, log in enumerate((LOG, FORK) * 8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    winners = {number % 2 for number, status in statuses if status == 200}
    assert len(statuses) == 16
    assert len(winners) == 1
    assert {status for _, status in statuses} == {200, 409}


def test_a_log_may_be_named_when_the_witness_starts_and_while_it_runs(tmp_path: Path) -> None:
    witness = make_witness(tmp_path)
    with serve_app(make_app(witness)) as url:
        assert httpx.post(f"{url}/add-checkpoint", content=LOG.request(0, 10)).status_code == 404
        witness.record.add_log(parse_vkey(format_vkey(LOG.vkeys[0])))
        assert httpx.post(f"{url}/add-checkpoint", content=LOG.request(0, 10)).status_code == 200


@pytest.mark.parametrize("entry", ["ledger.witness.serve", "cli.witness"])
def test_a_witness_needs_nothing_of_the_service(entry: str) -> None:
    """It is somebody else's machine: `provenance-ledger[witness]` brings Starlette and uvicorn, and no database."""
    reached = source_tree.reach(source_tree.read_modules(), entry)
    assert reached
    for module in reached:
        assert module.top not in {"store", "settings", "runtime", "api"}, module.name
        needed = set(module.foreign_at_import) & {"alembic", "fastapi", "pydantic", "sqlalchemy", "sqlmodel"}
        assert not needed, f"{module.name} imports {needed}"
