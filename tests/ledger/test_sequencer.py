"""The thread that appends: everyone is answered rightly, groups, idempotency, races between writers."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest
from sqlmodel import select

from provenance.attestation.envelope import parse_entry
from provenance.errors import ConflictError, StatementError, UnavailableError
from provenance.ledger.append import Draft, Receipt, make_draft
from provenance.ledger.sequencer import Sequencer
from provenance.ledger.sign import sign_entry
from provenance.store.log import read_entry
from provenance.store.session import read_session
from provenance.store.tables import Student
from tests.store.logs import NOW, Log, check_log, digest_of, open_log

ROOT = Path(__file__).parents[2]


class Gate:
    """A clock that holds the sequencer inside its next group until it is opened, so that others must wait together."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self) -> datetime:
        self.reached.set()
        assert self.opened.wait(60)
        return NOW


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as executor:
        yield executor


def _in_one_group(log: Log, pool: ThreadPoolExecutor, drafts: list[Draft]) -> list[Future[Receipt]]:
    """Hand in `drafts` in this order while the sequencer is busy with another one; it takes them as one group."""
    gate = Gate()
    sequencer = Sequencer(log.engine, log.ring, log.sign_once, gate)
    first = pool.submit(sequencer.append, make_draft([log.access("first")]))
    assert gate.reached.wait(60)
    futures = []
    for number, draft in enumerate(drafts, 1):
        futures.append(pool.submit(sequencer.append, draft))
        _wait_until(lambda number=number: sequencer._queue.qsize() == number)  # type: ignore[misc]  # mypy: lambda default
    gate.opened.set()
    first.result(60)
    sequencer.close()
    return futures


def _wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(10_000):
        if condition():
            return
        threading.Event().wait(0.002)
    pytest.fail("it did not come to that")


def test_many_threads_get_receipts_that_are_true(log: Log, pool: ThreadPoolExecutor) -> None:
    def work(thread: int) -> list[tuple[Receipt, list[bytes]]]:
        done = []
        for number in range(12):
            entries = [log.access(f"{thread}-{number}-{part}") for part in range(1 + number % 3)]
            done.append((log.sequencer.append(make_draft(entries)), entries))
        return done

    answers = [answer for done in pool.map(work, range(16)) for answer in done]
    log_entries = check_log(log.engine, log.ring)
    taken: list[int] = []
    for receipt, entries in answers:
        where = range(receipt.first_index, receipt.first_index + receipt.count)
        assert [log_entries[index] for index in where] == entries
        assert receipt.tree_size > where[-1]
        taken.extend(where)
    assert sorted(taken) == list(range(len(log_entries)))
    assert log.sign_once.last() is not None


def test_what_waits_together_gets_one_checkpoint(sqlite_log: Log, pool: ThreadPoolExecutor) -> None:
    drafts = [make_draft([sqlite_log.access(str(number))]) for number in range(8)]
    receipts = [future.result(60) for future in _in_one_group(sqlite_log, pool, drafts)]
    assert [receipt.first_index for receipt in receipts] == list(range(1, 9))
    assert {receipt.tree_size for receipt in receipts} == {9}
    assert len({receipt.checkpoint for receipt in receipts}) == 1
    check_log(sqlite_log.engine, sqlite_log.ring)


def test_a_bad_draft_does_not_fail_its_neighbours(log: Log, pool: ThreadPoolExecutor) -> None:
    uncounted = {"capture": "cap_1", "collector": "test", "count": 3, "root": digest_of("x")}
    bad = make_draft([log.access("swept along"), sign_entry(log.ring, "batch", uncounted)])
    drafts = [make_draft([log.access("good")]), bad, make_draft([log.access("good too")])]
    before, broken, after = _in_one_group(log, pool, drafts)
    assert (before.result(60).first_index, after.result(60).first_index) == (1, 2)
    with pytest.raises(StatementError, match="does not count the 0 samples before it"):
        broken.result(60)
    targets = [parse_entry(entry).predicate["target"] for entry in check_log(log.engine, log.ring)]
    assert targets == ["first", "good", "good too"]


def test_an_entry_that_contradicts_the_index_is_a_conflict(log: Log) -> None:
    report = {"id": "rep_1", "kind": "recall", "subject": {"kind": "run", "id": "run_1"}, "log_size": 0, "files": [], "previous": None}  # fmt: skip
    log.sequencer.append(make_draft([sign_entry(log.ring, "report", report)]))
    with pytest.raises(ConflictError, match="contradicts what is recorded"):
        log.sequencer.append(make_draft([sign_entry(log.ring, "report", report | {"kind": "audit-pack"})]))
    assert len(check_log(log.engine, log.ring)) == 1


def test_the_same_request_is_answered_alike_and_done_once(log: Log) -> None:
    first = log.append("a", "b", key="k")
    again = log.append("a", "b", key="k")
    assert again.replayed
    assert not first.replayed
    assert (again.first_index, again.count, again.tree_size, again.checkpoint) == (
        first.first_index,
        first.count,
        first.tree_size,
        first.checkpoint,
    )
    assert len(check_log(log.engine, log.ring)) == 2


@pytest.mark.parametrize("other", [("a",), ("b", "a"), ("a", "b", "c")])
def test_a_key_does_not_stand_for_another_request(sqlite_log: Log, other: tuple[str, ...]) -> None:
    sqlite_log.append("a", "b", key="k")
    with pytest.raises(ConflictError, match="was used for another request") as caught:
        sqlite_log.append(*other, key="k")
    assert caught.value.errors[0].field == "Idempotency-Key"
    assert sqlite_log.append("a", "b", key="k2").first_index == 2
    assert len(check_log(sqlite_log.engine, sqlite_log.ring)) == 4


def test_twins_in_one_group_are_done_once(log: Log, pool: ThreadPoolExecutor) -> None:
    twin = make_draft([log.access("twin")], idempotency_key="k")
    stranger = make_draft([log.access("stranger")], idempotency_key="k")
    last = make_draft([log.access("last")])
    first, second, third, other, free = _in_one_group(log, pool, [twin, twin, twin, stranger, last])
    assert not first.result(60).replayed
    for future in (second, third):
        assert future.result(60).replayed
        assert future.result(60).first_index == first.result(60).first_index == 1
    with pytest.raises(ConflictError):
        other.result(60)
    assert free.result(60).first_index == 2
    assert len(check_log(log.engine, log.ring)) == 3


def test_a_twin_of_what_failed_is_tried_by_itself(sqlite_log: Log, pool: ThreadPoolExecutor) -> None:
    uncounted = {"capture": "cap_1", "collector": "test", "count": 1, "root": digest_of("x")}
    bad = make_draft([sign_entry(sqlite_log.ring, "batch", uncounted)], idempotency_key="k")
    good = make_draft([sqlite_log.access("good")], idempotency_key="k")
    first, second = _in_one_group(sqlite_log, pool, [bad, good])
    with pytest.raises(StatementError):
        first.result(60)
    assert second.result(60).first_index == 1


def test_two_writers_in_one_process_do_not_fork_the_log(
    database_url: str, tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    logs = [open_log(database_url, tmp_path / "keys") for _ in range(2)]

    def work(thread: int) -> list[tuple[int, str]]:
        log = logs[thread % 2]
        return [(log.append(f"{thread}-{number}").first_index, f"{thread}-{number}") for number in range(15)]

    answers = dict(answer for done in pool.map(work, range(8)) for answer in done)
    entries = check_log(logs[0].engine, logs[0].ring)
    assert answers == {index: parse_entry(entry).predicate["target"] for index, entry in enumerate(entries)}
    last = logs[0].sign_once.last()
    assert last is not None
    assert last[0] == len(entries) == 120
    for log in logs:
        log.close()


def test_one_request_at_two_writers_is_done_once(database_url: str, tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    logs = [open_log(database_url, tmp_path / "keys") for _ in range(2)]
    for number in range(10):
        draft = make_draft([logs[0].access(str(number))], idempotency_key=f"k{number}")
        together = threading.Barrier(2)

        def race(log: Log, draft: Draft = draft, together: threading.Barrier = together) -> Receipt:
            together.wait(60)
            return log.sequencer.append(draft)

        receipts = list(pool.map(race, logs))
        assert {receipt.first_index for receipt in receipts} == {number}
        assert sorted(receipt.replayed for receipt in receipts) == [False, True]
    assert len(check_log(logs[0].engine, logs[0].ring)) == 10
    for log in logs:
        log.close()


WRITER = """
import sys
from pathlib import Path
from tests.store.logs import open_log
url, folder, name = sys.argv[1:]
log = open_log(url, Path(folder))
for number in range(15):
    print(log.append(f"{name}-{number}", f"{name}-{number}+").first_index, f"{name}-{number}", flush=True)
log.close()
"""


def test_two_processes_do_not_fork_the_log(database_url: str, tmp_path: Path) -> None:
    log = open_log(database_url, tmp_path / "keys")
    command = [sys.executable, "-c", WRITER, database_url, str(tmp_path / "keys")]
    writers = [subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True, cwd=ROOT) for name in ("a", "b")]
    lines = [line.split() for writer in writers for line in writer.communicate(timeout=120)[0].splitlines()]
    assert [writer.returncode for writer in writers] == [0, 0]
    targets = [parse_entry(entry).predicate["target"] for entry in check_log(log.engine, log.ring)]
    assert len(targets) == 60
    assert len(lines) == 30
    for index, target in lines:
        assert targets[int(index) : int(index) + 2] == [target, f"{target}+"]
    log.close()


def test_closing_finishes_what_waits_and_refuses_what_comes_later(sqlite_log: Log, pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    sequencer = Sequencer(sqlite_log.engine, sqlite_log.ring, sqlite_log.sign_once, gate)
    twin = make_draft([sqlite_log.access("twin")], idempotency_key="k")
    futures = [pool.submit(sequencer.append, make_draft([sqlite_log.access("a")]))]
    assert gate.reached.wait(60)
    futures += [pool.submit(sequencer.append, twin) for _ in range(2)]
    _wait_until(lambda: sequencer._queue.qsize() == 2)
    closing = pool.submit(sequencer.close)
    _wait_until(lambda: sequencer._closing)
    with pytest.raises(UnavailableError, match="shutting down"):
        sequencer.append(twin)
    gate.opened.set()
    closing.result(60)
    assert sorted(future.result(60).first_index for future in futures) == [0, 1, 1]
    sequencer.close()  # twice does no harm
    assert len(check_log(sqlite_log.engine, sqlite_log.ring)) == 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_sequencer_that_dies_answers_instead_of_hanging(sqlite_log: Log) -> None:
    def broken() -> None:
        raise RuntimeError("a hook that must not raise did")

    sqlite_log.sequencer.after_commit(broken)
    assert sqlite_log.append("a").first_index == 0
    sqlite_log.sequencer._thread.join(60)
    with pytest.raises(UnavailableError):
        sqlite_log.append("b")


def test_hooks_run_after_each_commit_on_what_is_durable(log: Log) -> None:
    seen: list[bytes] = []
    done = threading.Event()

    def look() -> None:
        with read_session(log.engine) as session:
            seen.append(read_entry(session, 0))
        done.set()

    log.sequencer.after_commit(look)
    log.append("a")
    assert done.wait(60)
    assert seen[0] == check_log(log.engine, log.ring)[0]


def test_rows_are_there_when_the_receipt_is(log: Log) -> None:
    facts = {"name": "acme-1b"}
    student = {"id": "stu_1", "facts": facts, "digest": digest_of("acme")}
    receipt = log.sequencer.append(make_draft([sign_entry(log.ring, "student", student)]))
    with read_session(log.engine) as session:
        row = session.exec(select(Student)).one()
    assert (row.id, row.index, row.name) == ("stu_1", receipt.first_index, "acme-1b")
