"""Asking witnesses: honest ones, and those that are slow, down, wrong or worse."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from provenance.ledger import cosign
from provenance.ledger.checkpoint import Ed25519Cosigner
from provenance.ledger.cosign import (
    AGREES,
    DISAGREES,
    FUTURE_SECONDS,
    INVALID,
    MAX_ANSWER_BYTES,
    REFUSES,
    UNREACHABLE,
    Question,
    Reply,
    ask_all,
)
from provenance.ledger.note import NoteSignature, format_signature_lines, parse_note
from provenance.ledger.witness.answer import add_checkpoint
from provenance.ledger.witness.serve import make_app
from tests.ledger.witness.witnesses import NOW, W1, SmallLog, make_witness, serve_app, witness_keys

LOG = SmallLog().grow(40)
FORK = LOG.fork(5, 40)
MAX_AGE = 600
W2 = "witness.example/w2"


Act = Callable[[BaseHTTPRequestHandler, bytes], object]


def ask(url: str, *, known: int = 0, size: int = 20, seconds: float = 10, name: str = W1) -> Reply:
    question = Question(url, tuple(witness_keys(name).vkeys), known)
    replies = ask_for(question, note=LOG.note(size), seconds=seconds)
    assert len(replies) == 1, "one reply for each question"
    return replies[0]


def ask_for(*questions: Question, note: str, prove: cosign.Prove = LOG.proof, seconds: float = 10) -> list[Reply]:
    with open_clients() as clients:
        return list(ask_all(clients, questions, note, prove, now=lambda: NOW, max_age=MAX_AGE, seconds=seconds))


@contextmanager
def open_clients() -> Iterator[cosign.Clients]:
    clients: cosign.Clients = {}
    yield clients
    for client in clients.values():
        client.close()


@contextmanager
def answer_with(act: Act) -> Iterator[str]:
    """A server that answers each POST as `act` does."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with suppress(OSError):  # whoever asked has gone
                act(self, body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _send(status: int, body: str | bytes, **headers: str) -> Act:
    raw = body.encode() if isinstance(body, str) else body

    def act(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(raw)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(raw)

    return act


def _line(text: str, timestamp: int, name: str = W1) -> str:
    signer = Ed25519Cosigner(name, witness_keys(name).ed25519, timestamp)
    return format_signature_lines([NoteSignature(signer.vkey.name, signer.vkey.key_id, signer.sign(text))])


TEXT = parse_note(LOG.note(20)).text
LIES: dict[str, tuple[Act, str, str]] = {
    "another root": (_send(200, _line(parse_note(FORK.note(20)).text, NOW)), INVALID, "does not verify"),
    "another size": (_send(200, _line(parse_note(LOG.note(19)).text, NOW)), INVALID, "does not verify"),
    "the future": (_send(200, _line(TEXT, NOW + FUTURE_SECONDS + 1)), INVALID, "in the future"),
    "the past": (_send(200, _line(TEXT, NOW - MAX_AGE - 1)), INVALID, "seconds old"),
    "no time": (_send(200, _line(TEXT, 0)), INVALID, "seconds old"),
    "another witness's line": (_send(200, _line(TEXT, NOW, W2)), INVALID, "no line is by a key"),
    "nothing": (_send(200, ""), INVALID, ""),
    "a page": (_send(200, "<html>It works!</html>"), INVALID, "signature line"),
    "no UTF-8": (_send(200, b"\xff\xfe"), INVALID, "UTF-8"),
    "a body without end": (_send(200, "x" * (MAX_ANSWER_BYTES + 1)), INVALID, "more than"),
    "a redirect": (_send(302, "", Location="http://127.0.0.1:1/"), REFUSES, "302"),
    "not known": (_send(404, "who are you\n"), REFUSES, "404: who are you"),
    "not signed": (_send(403, ""), REFUSES, "403"),
    "not consistent": (_send(422, "no\n"), DISAGREES, "422"),
    "a fault": (_send(503, "later\n"), UNREACHABLE, "503"),
    "a size that is none": (_send(409, "many\n"), INVALID, "without the size"),
    "a size ahead of us": (_send(409, "21\n"), DISAGREES, "cosigned 21 entries"),
    "a size again and again": (_send(409, "7\n"), REFUSES, "another size"),
    "no HTTP": (lambda handler, _: handler.wfile.write(b"\0" * 100), UNREACHABLE, "RemoteProtocolError"),
    "half an answer": (_send(200, "x", **{"Content-Length": "50"}), UNREACHABLE, ""),
}  # fmt: skip


@pytest.mark.parametrize(("act", "state", "problem"), LIES.values(), ids=LIES)
def test_what_is_no_good_cosignature_is_named_and_counts_for_nothing(act: Act, state: str, problem: str) -> None:
    with answer_with(act) as url:
        reply = ask(url, known=3)
    assert (reply.state, reply.lines) == (state, ())
    assert problem in str(reply.problem)


def test_times_within_the_bounds_count() -> None:
    for timestamp in (NOW - MAX_AGE, NOW, NOW + FUTURE_SECONDS):
        with answer_with(_send(200, _line(TEXT, timestamp))) as url:
            assert ask(url).state == AGREES


def test_a_good_line_beside_lines_of_others_counts_alone() -> None:
    with answer_with(_send(200, _line(TEXT, NOW, W2) + _line(TEXT, NOW))) as url:
        assert [line.name for line in ask(url).lines] == [W1]


def test_one_bad_line_by_a_known_key_spoils_the_good_one() -> None:
    bad = _line(parse_note(FORK.note(20)).text, NOW)
    with answer_with(_send(200, _line(TEXT, NOW) + bad)) as url:
        assert ask(url).state == INVALID


def test_an_honest_witness_tells_what_it_holds_and_is_asked_again(tmp_path: Path) -> None:
    witness = make_witness(tmp_path, LOG)
    add_checkpoint(witness, LOG.request(0, 7))
    with serve_app(make_app(witness)) as url:
        reply = ask(url)  # we know nothing of it: 409, then a proof from 7
        assert (reply.state, reply.size, len(reply.lines)) == (AGREES, 20, 2)
        assert ask(url, known=20).state == AGREES
        assert ask(url, known=20, size=12).state == DISAGREES, "it is ahead of a log that was put back"
    assert witness.record.read(LOG.origin).size == 20


def test_a_witness_that_has_seen_another_history_disagrees(tmp_path: Path) -> None:
    witness = make_witness(tmp_path, LOG)
    add_checkpoint(witness, FORK.request(0, 20))
    with serve_app(make_app(witness)) as url:
        assert ask(url).state == DISAGREES


def test_who_is_not_there_is_unreachable() -> None:
    assert ask("http://127.0.0.1:1").state == UNREACHABLE


def test_who_drips_is_not_waited_for_and_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cosign, "READ_SECONDS", 1.0)
    ended = threading.Event()

    def drip(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while not ended.wait(0.05):
                handler.wfile.write(b"x")
        except OSError:
            ended.set()

    with ExitStack() as stack:
        slow = stack.enter_context(answer_with(drip))
        good = stack.enter_context(answer_with(_send(200, _line(TEXT, NOW))))
        questions = [Question(url, tuple(witness_keys(W1).vkeys), 0) for url in (slow, good)]
        clients = stack.enter_context(open_clients())
        start = time.monotonic()
        replies = ask_all(clients, questions, LOG.note(20), LOG.proof, now=lambda: NOW, max_age=MAX_AGE, seconds=1.5)
        assert next(replies) == Reply(good, AGREES, size=20, lines=replies_lines(TEXT))
        assert time.monotonic() - start < 1.2
        late = next(replies)
        assert (late.url, late.state) == (slow, UNREACHABLE)
        assert time.monotonic() - start < 3
        assert set(clients) == {good}, "the connection to who drips is closed"
        assert ended.wait(10), "and its thread is not left behind"


def replies_lines(text: str) -> tuple[NoteSignature, ...]:
    return parse_note(f"{text}\n{_line(text, NOW)}").signatures


def test_a_proof_that_cannot_be_made_is_recorded_like_any_fault(tmp_path: Path) -> None:
    witness = make_witness(tmp_path, LOG)
    add_checkpoint(witness, LOG.request(0, 7))

    def fail(*_: int) -> list[bytes]:
        raise RuntimeError("the database went away")

    with serve_app(make_app(witness)) as url:
        question = Question(url, tuple(witness_keys(W1).vkeys), 0)
        (reply,) = ask_for(question, note=LOG.note(20), prove=fail)
    assert reply.state == UNREACHABLE
    assert "the database went away" in str(reply.problem)
