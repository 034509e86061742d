"""The sequencer as the other processes of a service see it: the same calls, answered by the one process that writes.

- A connection carries one request at a time and goes back to the pool; as many are open as threads wait at once.
- A request that did not reach the sequencer whole was not taken: it is sent again, to the next one, while there is time.
- One whose answer was lost may be durable. Under an Idempotency-Key it is sent again, which answers with its receipt;
  without one the caller is told to look.

Order of use: `serve_appends` in the process that holds the `Sequencer`, `RemoteSequencer` in the others.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Engine

from provenance.errors import MalformedError, ProvenanceError
from provenance.ledger.append import Draft, Receipt, find_replay
from provenance.ledger.handover import (
    Answer,
    Append,
    Appended,
    Ask,
    Failure,
    State,
    check_peer,
    connect_privately,
    describe_failure,
    format_message,
    parse_answer,
    parse_request,
    receive_frame,
    restore_failure,
    send_frame,
    unavailable,
)
from provenance.ledger.sequencer import Sequencer
from provenance.store.session import read_session

WAIT_SECONDS = 15.0  # for a sequencer that is being started again
STATE_SECONDS = 2.0  # for a word on how it goes
PAUSE_SECONDS = 0.05
_log = logging.getLogger(__name__)


class LostAnswerError(Exception):
    """The request was sent whole; nobody knows what came of it."""


class RemoteSequencer:
    """A `Sequencer` that stands in another process; its socket lies in `folder`."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine, self._folder = engine, folder
        self._idle: list[socket.socket] = []
        self._lock = threading.Lock()
        self._closed = False

    def append(self, draft: Draft) -> Receipt:
        """Append `draft`; returns once it is durable.

        Raises:
            as `Sequencer.append`; also UnavailableError where the sequencer ended before it answered.
        """
        data = format_message(Append(draft))
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                answer = self._ask(data, deadline)
            except LostAnswerError as exc:
                if draft.idempotency_key and time.monotonic() < deadline:
                    continue  # what is durable under a key is answered again, not done again
                problem = "ended before it answered; look whether the entries are there before trying again"
                raise unavailable(problem, exc) from exc
            if isinstance(answer, Appended):
                return answer.receipt
            raise unavailable("gave an answer that is none; look whether the entries are there before trying again")

    def find_replay(self, key: str, request_digest: str) -> Receipt | None:
        """The receipt that this Idempotency-Key was given, or None.

        Raises:
            ConflictError: the key was used for another request.
        """
        with read_session(self._engine) as session:
            return find_replay(session, key, request_digest)

    def publication_failure(self) -> str | None:
        """Why the log cannot be published; None while it can.

        Raises:
            UnavailableError: the sequencer is not there.
        """
        try:
            answer = self._ask(format_message(Ask()), time.monotonic() + STATE_SECONDS, STATE_SECONDS)
        except LostAnswerError as exc:
            raise unavailable("does not answer", exc) from exc
        return answer.publication_failure if isinstance(answer, State) else None

    def close(self) -> None:
        """Let go of the connections."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _ask(self, data: bytes, deadline: float, patience: float | None = None) -> Answer:
        while True:
            connection = self._connect(deadline)
            connection.settimeout(patience)
            try:
                send_frame(connection, data)
            except OSError:
                connection.close()  # it got a part at most, and takes no part: the next one gets it whole
                continue
            answer = self._receive(connection)
            if isinstance(answer, Failure):
                raise restore_failure(answer)
            return answer

    def _receive(self, connection: socket.socket) -> Answer:
        try:
            data = receive_frame(connection)
            answer = None if data is None else parse_answer(data)
        except (OSError, MalformedError) as exc:
            connection.close()
            raise LostAnswerError from exc
        if answer is None:
            connection.close()
            raise LostAnswerError
        self._keep(connection)
        return answer

    def _keep(self, connection: socket.socket) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def _connect(self, deadline: float) -> socket.socket:
        """An idle connection whose other side is still there, or a new one; a sequencer that restarts is waited for."""
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                break
            if _is_open(connection):
                return connection
            connection.close()
        problem: BaseException | None = None
        while (left := deadline - time.monotonic()) > 0:
            try:
                return self._greet(connect_privately(self._folder, left))
            except OSError as exc:
                problem = exc
                time.sleep(PAUSE_SECONDS)
        raise unavailable("does not answer; nothing was appended", problem)

    @staticmethod
    def _greet(connection: socket.socket) -> socket.socket:
        # A connection may wait in the queue of a sequencer that is not up yet; it is one once the greeting came.
        try:
            greeting = receive_frame(connection)
        except BaseException:
            connection.close()
            raise
        if greeting is None:
            connection.close()
            raise ConnectionResetError("the sequencer ended before its greeting")
        return connection


def _is_open(connection: socket.socket) -> bool:
    """Whether the other side of an idle connection is still there; nothing is to be read from it but its end."""
    connection.setblocking(False)  # with a time-out it would wait that long first
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def serve_appends(listener: socket.socket, sequencer: Sequencer, state: Callable[[], State]) -> None:
    """Answer all that connect to `listener`, from threads that end with the process."""
    threading.Thread(target=_accept, args=(listener, sequencer, state), name="handover", daemon=True).start()


def _accept(listener: socket.socket, sequencer: Sequencer, state: Callable[[], State]) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError as exc:
            if listener.fileno() < 0:
                return  # it was closed
            _log.error("the sequencer cannot take a connection: %s", exc)
            time.sleep(PAUSE_SECONDS)
            continue
        thread = threading.Thread(target=_answer_all, args=(connection, sequencer, state), daemon=True)
        thread.start()


def _answer_all(connection: socket.socket, sequencer: Sequencer, state: Callable[[], State]) -> None:
    with connection, suppress(OSError):  # the other side may end at any time
        try:
            check_peer(connection)
            send_frame(connection, format_message(State()))
            while (data := receive_frame(connection)) is not None:
                send_frame(connection, format_message(_answer(data, sequencer, state)))
        except ProvenanceError as exc:
            _log.error("a connection to the sequencer was refused: %s", exc.detail)


def _answer(data: bytearray, sequencer: Sequencer, state: Callable[[], State]) -> Answer:
    try:
        request = parse_request(data)
        return Appended(sequencer.append(request.draft)) if isinstance(request, Append) else state()
    except BaseException as exc:  # noqa: BLE001 - whoever waits must be answered, whatever broke
        if not isinstance(exc, ProvenanceError):
            _log.error("the sequencer failed", exc_info=exc)
        return describe_failure(exc)
