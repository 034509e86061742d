"""The sequencer over its socket: the same answers as from the sequencer itself, and what is said when it is not there."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from provenance.errors import ConflictError, FatalError, LedgerForkError, StatementError, UnavailableError
from provenance.ledger import remote
from provenance.ledger.append import make_draft
from provenance.ledger.handover import (
    Appended,
    State,
    connect_privately,
    format_message,
    listen_privately,
    parse_request,
    receive_frame,
    send_frame,
)
from provenance.ledger.remote import RemoteSequencer, serve_appends
from provenance.ledger.sign import sign_entry
from tests.store.logs import Log, check_log, digest_of


@pytest.fixture
def served(log: Log, tmp_path: Path) -> Iterator[RemoteSequencer]:
    """A way to the sequencer of `log`."""
    folder = tmp_path / "socket"
    folder.mkdir()
    with listen_privately(folder) as listener:
        serve_appends(listener, log.sequencer, lambda: State("the disk is full"))
        sequencer = RemoteSequencer(log.engine, folder)
        yield sequencer
        sequencer.close()


def test_many_threads_get_receipts_that_are_true(log: Log, served: RemoteSequencer) -> None:
    def work(thread: int) -> list[tuple[int, list[bytes]]]:
        done = []
        for number in range(6):
            entries = [log.access(f"{thread}-{number}-{part}") for part in range(1 + number % 3)]
            done.append((served.append(make_draft(entries)).first_index, entries))
        return done

    with ThreadPoolExecutor(16) as pool:
        answers = [answer for done in pool.map(work, range(16)) for answer in done]
    entries = check_log(log.engine, log.ring)
    for first, mine in answers:
        assert entries[first : first + len(mine)] == mine
    assert len(entries) == sum(len(mine) for _, mine in answers)


def test_errors_come_out_as_from_the_sequencer_itself(log: Log, served: RemoteSequencer) -> None:
    served.append(make_draft([log.access("a")], idempotency_key="k"))
    with pytest.raises(ConflictError, match="was used for another request") as conflict:
        served.append(make_draft([log.access("b")], idempotency_key="k"))
    assert conflict.value.errors[0].field == "Idempotency-Key"
    uncounted = {"capture": "cap_1", "collector": "test", "count": 3, "root": digest_of("x")}
    with pytest.raises(StatementError, match="does not count the 0 samples before it"):
        served.append(make_draft([sign_entry(log.ring, "batch", uncounted)]))
    log.sign_once.record(1_000, b"x" * 32)
    with pytest.raises(LedgerForkError, match="a restored backup"):
        served.append(make_draft([log.access("c")]))
    with pytest.raises(FatalError):
        served.append(make_draft([log.access("d")]))
    assert len(check_log(log.engine, log.ring)) == 1


def test_the_same_request_is_answered_alike_and_done_once(log: Log, served: RemoteSequencer) -> None:
    draft = make_draft([log.access("a")], idempotency_key="k")
    first, again = served.append(draft), served.append(draft)
    assert (first.replayed, again.replayed, again.first_index) == (False, True, first.first_index)
    found = served.find_replay("k", draft.request_digest)
    assert found is not None
    assert found.first_index == first.first_index


def test_it_says_how_publication_goes(served: RemoteSequencer) -> None:
    assert [served.publication_failure() for _ in range(3)] == ["the disk is full"] * 3  # on one connection


def test_a_sequencer_that_is_closed_says_that_nothing_was_appended(log: Log, served: RemoteSequencer) -> None:
    log.sequencer.close()
    with pytest.raises(UnavailableError, match="shutting down; nothing was appended"):
        served.append(make_draft([log.access("a")]))


class Fake:
    """A listener that a test answers by hand, one connection after the other."""

    def __init__(self, folder: Path, *acts: Callable[[socket.socket], None]) -> None:
        self.listener = listen_privately(folder)
        self.requests: list[object] = []
        self.ended = threading.Semaphore(0)  # a permit for each connection that was closed
        self._thread = threading.Thread(target=self._run, args=(acts,), daemon=True)
        self._thread.start()

    def _run(self, acts: tuple[Callable[[socket.socket], None], ...]) -> None:
        for act in acts:
            connection, _ = self.listener.accept()
            with connection:
                send_frame(connection, format_message(State()))
                data = receive_frame(connection)
                assert data is not None
                self.requests.append(parse_request(data))
                act(connection)
            self.ended.release()

    def close(self) -> None:
        self._thread.join(10)
        self.listener.close()


def drop(_: socket.socket) -> None:
    """End the connection without an answer."""


def babble(connection: socket.socket) -> None:
    send_frame(connection, b"\xc1 no message")


def cut(connection: socket.socket) -> None:
    connection.sendall(b"\0\0\1\0half")


@pytest.mark.parametrize("act", [drop, babble, cut])
def test_without_a_key_a_lost_answer_says_to_look(
    sqlite_log: Log, tmp_path: Path, act: Callable[[socket.socket], None]
) -> None:
    fake = Fake(tmp_path, act)
    with pytest.raises(UnavailableError, match="look whether the entries are there before trying again"):
        RemoteSequencer(sqlite_log.engine, tmp_path).append(make_draft([sqlite_log.access("a")]))
    assert len(fake.requests) == 1  # it was not sent twice
    fake.close()


def test_with_a_key_a_lost_answer_is_asked_for_again(sqlite_log: Log, tmp_path: Path) -> None:
    draft = make_draft([sqlite_log.access("a")], idempotency_key="k")
    receipt = sqlite_log.sequencer.append(draft)  # durable, and its answer lost
    fake = Fake(
        tmp_path, drop, drop, lambda c: send_frame(c, format_message(Appended(sqlite_log.sequencer.append(draft))))
    )
    with closing(RemoteSequencer(sqlite_log.engine, tmp_path)) as sequencer:
        again = sequencer.append(draft)
    assert (again.first_index, again.replayed, len(fake.requests)) == (receipt.first_index, True, 3)
    fake.close()
    assert len(check_log(sqlite_log.engine, sqlite_log.ring)) == 1


def test_an_idle_connection_to_a_sequencer_that_ended_is_not_used(sqlite_log: Log, tmp_path: Path) -> None:
    receipts = [sqlite_log.append("a"), sqlite_log.append("b")]

    def answer(connection: socket.socket) -> None:
        send_frame(connection, format_message(Appended(receipts.pop(0))))

    fake = Fake(tmp_path, answer, answer)  # each ends its connection behind its answer
    with closing(RemoteSequencer(sqlite_log.engine, tmp_path)) as sequencer:
        for number in range(2):
            assert sequencer.append(make_draft([sqlite_log.access("ab"[number])])).first_index == number
            assert fake.ended.acquire(timeout=10)
    fake.close()


def test_a_sequencer_that_is_not_there_is_waited_for_and_then_named(
    sqlite_log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "WAIT_SECONDS", 0.3)
    sequencer = RemoteSequencer(sqlite_log.engine, tmp_path)
    with pytest.raises(UnavailableError, match="does not answer; nothing was appended"):
        sequencer.append(make_draft([sqlite_log.access("a")]))
    with listen_privately(tmp_path), pytest.raises(UnavailableError, match="nothing was appended"):
        sequencer.append(make_draft([sqlite_log.access("a")]))  # it listens and does not greet


def test_a_sequencer_that_comes_up_late_takes_what_waits(sqlite_log: Log, tmp_path: Path) -> None:
    sequencer, draft = RemoteSequencer(sqlite_log.engine, tmp_path), make_draft([sqlite_log.access("a")])
    with listen_privately(tmp_path) as listener, closing(sequencer), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(sequencer.append, draft)
        threading.Event().wait(0.3)
        assert not waiting.done()
        serve_appends(listener, sqlite_log.sequencer, State)
        assert waiting.result(10).first_index == 0


def test_a_hostile_message_is_answered_with_an_error_and_harms_nobody(
    log: Log, served: RemoteSequencer, tmp_path: Path
) -> None:
    with connect_privately(tmp_path / "socket", 5) as connection:
        receive_frame(connection)
        send_frame(connection, b"\x80\x04cos\nsystem\n(S'id'\ntR.")
        answer = receive_frame(connection)
        assert answer is not None
        assert b"not a message to the sequencer" in answer
    assert served.append(make_draft([log.access("a")])).first_index == 0
