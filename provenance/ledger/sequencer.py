"""The thread that owns the append: it takes what waits, makes one transaction of it, and answers everyone.

- `Sequencer.append` blocks until the entries are durable, and is always answered.
- One bad draft fails alone: the others of its group are appended without it.
- After a fork it stays stopped: every later append gets the error.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Protocol

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlmodel import Session

from provenance.errors import ConflictError, FatalError, NotFoundError, ProvenanceError, UnavailableError
from provenance.ledger.append import Clock, Draft, Receipt, append_entries, find_remembered, find_replay, receipt_of
from provenance.ledger.edge import TileEdge
from provenance.ledger.keys import KeyRing, SignOnce
from provenance.store.log import read_entry
from provenance.store.session import read_session, write_session

MAX_GROUP_ENTRIES = 20_000
NO_ROOM = ("is full", "No space left", "quota exceeded")  # as SQLite, PostgreSQL and the system say it
Waiting = tuple[Draft, "Future[Receipt]"]


class Writer(Protocol):
    """Whatever takes drafts for the log: the `Sequencer` itself, or a way to one in another process."""

    def append(self, draft: Draft) -> Receipt:
        """Append `draft`; returns once it is durable."""

    def find_replay(self, key: str, request_digest: str) -> Receipt | None:
        """The receipt that this Idempotency-Key was given, or None."""

    def close(self) -> None:
        """Let go."""


class Sequencer:
    """Serialises appends of this process; other processes are kept apart by the lock on the head row."""

    def __init__(self, engine: Engine, ring: KeyRing, sign_once: SignOnce, clock: Clock) -> None:
        self._engine, self._ring, self._sign_once, self._clock = engine, ring, sign_once, clock
        self._edge = TileEdge()
        self._queue: queue.Queue[Waiting | None] = queue.Queue()
        self._stopped: FatalError | None = None
        self._after: list[Callable[[], None]] = []
        self._closing = False
        self._door = threading.Lock()  # nothing enters the queue behind its end
        self._thread = threading.Thread(target=self._run, name="sequencer", daemon=True)
        self._thread.start()

    def append(self, draft: Draft) -> Receipt:
        """Append `draft`; returns once it is durable.

        Raises:
            ConflictError: its Idempotency-Key stands for another request, or it contradicts what is recorded.
            StatementError: its entries have no place in the index.
            FatalError: the log stopped.
            UnavailableError: the database or the sign-once register failed; the message says whether anything changed.
        """
        future: Future[Receipt] = Future()
        with self._door:
            if self._closing:
                raise UnavailableError("the service is shutting down; nothing was appended")
            self._queue.put((draft, future))
        return future.result()

    def find_replay(self, key: str, request_digest: str) -> Receipt | None:
        """The receipt that this Idempotency-Key was given, or None.

        Raises:
            ConflictError: the key was used for another request.
        """
        with read_session(self._engine) as session:
            return find_replay(session, key, request_digest)

    def after_commit(self, act: Callable[[], None]) -> None:
        """Call `act` on this thread after each commit, when the waiters have been answered; it must not raise."""
        self._after.append(act)

    def close(self) -> None:
        """Finish what waits, end the thread, and let go of the connections."""
        with self._door:
            if not self._closing:
                self._closing = True
                self._queue.put(None)
        self._thread.join(timeout=60)
        self._engine.dispose()

    def _run(self) -> None:
        try:
            while (group := self._take()) is not None:
                while group:
                    group = self._commit(group)
                for act in self._after:
                    act()
        finally:
            self._shut()

    def _shut(self) -> None:
        with self._door:
            self._closing = True
        while not self._queue.empty():
            waiting = self._queue.get_nowait()
            _fail([waiting] if waiting else [], UnavailableError("the sequencer ended; nothing was appended"))

    def _take(self) -> list[Waiting] | None:
        first = self._queue.get()
        if first is None:
            return None
        group, entries = [first], len(first[0].entries)
        while entries < MAX_GROUP_ENTRIES:
            try:
                waiting = self._queue.get_nowait()
            except queue.Empty:
                break
            if waiting is None:
                self._queue.put(None)  # finish this group first, then end
                break
            group.append(waiting)
            entries += len(waiting[0].entries)
        return group

    def _commit(self, group: list[Waiting]) -> list[Waiting]:
        """Answer everyone in `group` but those whose Idempotency-Key stands in it twice: they are the next group."""
        twins: list[Waiting] = []
        try:
            fresh, twins = self._answer_replays(group)
            if fresh:
                self._append(fresh)
        except FatalError as exc:
            self._stopped = exc
            _fail(group, exc)
        except BaseException as exc:  # noqa: BLE001 - whoever waits must be answered, whatever broke
            self._edge = TileEdge()
            _fail([waiting for waiting in group if waiting not in twins], _as_ours(exc))
        return [waiting for waiting in twins if not waiting[1].done()]

    def _answer_replays(self, group: list[Waiting]) -> tuple[list[Waiting], list[Waiting]]:
        keys: set[str] = set()
        fresh: list[Waiting] = []
        twins: list[Waiting] = []
        asked = [draft.idempotency_key for draft, _ in group if draft.idempotency_key]
        with read_session(self._engine) as session:
            remembered = find_remembered(session, asked)
        for draft, future in group:
            key = draft.idempotency_key
            try:
                receipt = receipt_of(remembered, key, draft.request_digest) if key else None
            except ConflictError as exc:
                future.set_exception(exc)
                continue
            if receipt is not None:
                future.set_result(receipt)
            elif key and key in keys:
                twins.append((draft, future))
            else:
                fresh.append((draft, future))
                keys.update([key] if key else [])
        return fresh, twins

    def _append(self, group: list[Waiting]) -> None:
        """One transaction for `group`; if it fails before anything is durable, one for each, so that the bad one fails alone."""
        try:
            receipts = self._write([draft for draft, _ in group])
        except (FatalError, UnavailableError):
            raise
        except Exception as exc:  # noqa: BLE001 - it is handed to the one whose entries caused it
            self._edge = TileEdge()  # the transaction rolled back; read the edge again
            if len(group) == 1:
                self._fail_alone(group[0], exc)
            for waiting in group if len(group) > 1 else []:
                self._append([waiting])
            return
        try:
            # Durable. The register learns of the root before anyone is told of it.
            self._sign_once.record(self._edge.size, self._edge.root())
        except UnavailableError as exc:
            first = receipts[0].first_index
            problem = f"the entries from {first} on are in the log, but the sign-once register is not: {exc.detail}"
            raise UnavailableError(problem) from exc
        for (_, future), receipt in zip(group, receipts, strict=True):
            future.set_result(receipt)

    def _fail_alone(self, waiting: Waiting, cause: Exception) -> None:
        draft, future = waiting
        if isinstance(cause, IntegrityError) and draft.idempotency_key:
            # Another process may have taken the same request between our look and our lock.
            receipt = self.find_replay(draft.idempotency_key, draft.request_digest)
            if receipt is not None:
                future.set_result(receipt)
                return
        future.set_exception(_as_ours(cause))

    def _write(self, drafts: list[Draft]) -> list[Receipt]:
        if self._stopped is not None:
            raise self._stopped
        receipts: list[Receipt] = []
        try:
            with write_session(self._engine) as session:
                receipts = self._append_in(session, drafts)
        except (SQLAlchemyError, OSError):
            # The answer to a commit may get lost on its way: then the entries are there, and must not go in twice.
            if not receipts or not self._is_durable(drafts[-1], receipts[-1]):
                raise
        return receipts

    def _append_in(self, session: Session, drafts: Sequence[Draft]) -> list[Receipt]:
        return append_entries(
            session, self._edge, drafts, ring=self._ring, sign_once=self._sign_once, now=self._clock()
        )

    def _is_durable(self, draft: Draft, receipt: Receipt) -> bool:
        try:
            with read_session(self._engine) as session:
                return read_entry(session, receipt.first_index + receipt.count - 1) == draft.entries[-1]
        except NotFoundError:
            return False
        except (SQLAlchemyError, OSError) as exc:
            problem = "the database went away during the commit; look whether the entries are there before trying again"
            raise UnavailableError(problem) from exc


def _as_ours(cause: BaseException) -> BaseException:
    if isinstance(cause, ProvenanceError) or not isinstance(cause, SQLAlchemyError | OSError):
        return cause
    if isinstance(cause, IntegrityError):
        problem: ProvenanceError = ConflictError(f"it contradicts what is recorded, nothing was changed: {cause.orig}")
    else:
        problem = UnavailableError(f"the database did not take the entries, nothing was changed: {_reason(cause)}")
    problem.__cause__ = cause
    return problem


def _reason(cause: SQLAlchemyError | OSError) -> str:
    """What the database said, without the statement and its values; and what to do where its disk is full."""
    said = str(cause.orig if isinstance(cause, DBAPIError) else cause)
    if any(words in said for words in NO_ROOM):
        said += "; make room on its disk, then send the request again: the service goes on by itself"
    return said


def _fail(group: list[Waiting], exc: BaseException) -> None:
    for _, future in group:
        if not future.done():
            future.set_exception(exc)
