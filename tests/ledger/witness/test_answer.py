"""A witness answers exactly as C2SP tlog-witness says, and never cosigns two roots of one size."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from provenance.errors import SignatureError
from provenance.ledger.checkpoint import open_signed_checkpoint, parse_checkpoint, verify_cosignature
from provenance.ledger.equivocation import convict, parse_equivocation
from provenance.ledger.note import parse_note
from provenance.ledger.witness.answer import Answer, Witness, add_checkpoint, show_checkpoint
from provenance.ledger.witness.record import WitnessRecord
from provenance.ledger.witness.request import format_request
from tests.ledger.witness.witnesses import NOW, W1, SmallLog, make_witness, witness_keys

LOG = SmallLog().grow(40)
FORK = LOG.fork(5, 40)
STRANGER = SmallLog().grow(40)  # the same origin under other keys
OTHER = SmallLog("log.example/other").grow(40)


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return make_witness(tmp_path, LOG)


def _cosigned(answer: Answer, text: str) -> list[int]:
    """The times of an answer's lines, each verified."""
    assert answer.status == 200
    lines = parse_note(f"{text}\n{answer.body}").signatures
    keys = witness_keys(W1).vkeys
    assert [(line.name, line.key_id) for line in lines] == [(key.name, key.key_id) for key in keys]
    return [verify_cosignature(key, text, line.signature) for key, line in zip(keys, lines, strict=True)]


def _bend(note: str, line: int) -> str:
    head, block = note.rsplit("\n\n", 1)
    lines = block.splitlines()
    lines[line] = lines[line][:-12] + ("A" if lines[line][-12] != "A" else "B") + lines[line][-11:]
    return head + "\n\n" + "".join(f"{item}\n" for item in lines)


def _text(note: str) -> str:
    return parse_note(note).text


CASES: dict[str, tuple[Callable[[], bytes], int, str | None]] = {
    "the next size": (lambda: LOG.request(10, 20), 200, None),
    "the same size again": (lambda: LOG.request(10, 10), 200, None),
    "nothing": (lambda: b"", 400, None),
    "no empty line": (lambda: b"old 10\n", 400, None),
    "no old line": (lambda: LOG.request(10, 20).removeprefix(b"old 10\n"), 400, None),
    "two spaces": (lambda: LOG.request(10, 20).replace(b"old ", b"old  "), 400, None),
    "a leading zero": (lambda: LOG.request(10, 20).replace(b"old 10", b"old 010"), 400, None),
    "a sign": (lambda: LOG.request(10, 20).replace(b"old 10", b"old +10"), 400, None),
    "a size of 64 bits": (lambda: LOG.request(10, 20).replace(b"old 10", b"old 18446744073709551616"), 400, None),
    "digits of another script": (lambda: LOG.request(10, 20).replace(b"old 10", "old ١٠".encode()), 400, None),
    "carriage returns": (lambda: LOG.request(10, 20).replace(b"\n", b"\r\n"), 400, None),
    "no UTF-8": (lambda: LOG.request(10, 20) + b"\xff", 400, None),
    "a hash of 31 bytes": (lambda: format_request(10, [b"h" * 31], LOG.note(20)), 400, None),
    "no base64": (lambda: b"old 10\n!!!\n\n" + LOG.note(20).encode(), 400, None),
    "64 hashes": (lambda: format_request(10, [b"h" * 32] * 64, LOG.note(20)), 400, None),
    "a checkpoint without signatures": (lambda: format_request(10, [], _text(LOG.note(20))), 400, None),
    "a checkpoint that is none": (lambda: format_request(10, [], "word\n\n" + LOG.note(20).split("\n\n")[1]), 400, None),
    "old greater than new": (lambda: format_request(21, [], LOG.note(20)), 400, None),
    "another log": (lambda: OTHER.request(0, 20), 404, None),
    "another key of that name": (lambda: STRANGER.request(10, 20), 403, None),
    "a bent Ed25519 line": (lambda: format_request(10, LOG.proof(10, 20), _bend(LOG.note(20), 0)), 403, None),
    "a bent ML-DSA-44 line": (lambda: format_request(10, LOG.proof(10, 20), _bend(LOG.note(20), 1)), 403, None),
    "old is less": (lambda: LOG.request(9, 20), 409, "10\n"),
    "old is zero": (lambda: LOG.request(0, 20), 409, "10\n"),
    "old is more": (lambda: LOG.request(11, 20), 409, "10\n"),
    "a smaller tree": (lambda: LOG.request(5, 9), 409, "10\n"),
    "a fork": (lambda: FORK.request(10, 20), 422, None),
    "a fork of this size": (lambda: FORK.request(10, 10), 422, None),
    "no proof": (lambda: format_request(10, [], LOG.note(20)), 422, None),
    "a proof too long": (lambda: format_request(10, [*LOG.proof(10, 20), b"h" * 32], LOG.note(20)), 422, None),
    "a proof of nothing": (lambda: format_request(10, [b"h" * 32], LOG.note(10)), 422, None),
    "63 hashes": (lambda: format_request(10, [b"h" * 32] * 63, LOG.note(20)), 422, None),
}  # fmt: skip


@pytest.mark.parametrize(("make", "status", "body"), CASES.values(), ids=CASES)
def test_each_request_has_its_answer(
    witness: Witness, make: Callable[[], bytes], status: int, body: str | None
) -> None:
    assert add_checkpoint(witness, LOG.request(0, 10)).status == 200
    answer = add_checkpoint(witness, make())
    assert answer.status == status
    assert answer.content_type == ("text/x.tlog.size" if status == 409 else "text/plain; charset=utf-8")
    assert body in (None, answer.body)
    assert answer.body.endswith("\n")
    seen = witness.record.read(LOG.origin)
    assert seen.size == (20 if make == CASES["the next size"][0] else 10), "nothing but a good request moves the record"
    assert seen.root == LOG.root(seen.size)


FIRST: dict[str, tuple[Callable[[], bytes], int]] = {
    "the empty tree": (lambda: LOG.request(0, 0), 200),
    "any tree": (lambda: LOG.request(0, 7), 200),
    "a proof from nothing": (lambda: format_request(0, [b"h" * 32], LOG.note(7)), 422),
    "an old size that it never saw": (lambda: LOG.request(3, 7), 409),
}


@pytest.mark.parametrize(("make", "status"), FIRST.values(), ids=FIRST)
def test_the_first_request_starts_from_nothing(witness: Witness, make: Callable[[], bytes], status: int) -> None:
    answer = add_checkpoint(witness, make())
    assert answer.status == status
    if status == 409:
        assert answer.body == "0\n"


def test_an_empty_tree_has_one_root(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SmallLog, "root", lambda *_: b"r" * 32)
    assert add_checkpoint(witness, LOG.request(0, 0)).status == 422


def test_the_cosignatures_are_for_this_very_text_and_state_the_time(witness: Witness) -> None:
    note = LOG.note(10)
    assert _cosigned(add_checkpoint(witness, format_request(0, [], note)), _text(note)) == [NOW, NOW]


def test_time_never_goes_back_though_the_clock_does(tmp_path: Path) -> None:
    times = iter([NOW, NOW - 100, NOW + 1])
    witness = make_witness(tmp_path, LOG)
    witness = Witness(witness.keys, witness.record, witness.proofs, lambda: next(times))
    stated = []
    for old, size in ((0, 3), (3, 9), (9, 9)):
        note = LOG.note(size)
        stated += _cosigned(add_checkpoint(witness, format_request(old, LOG.proof(old, size), note)), _text(note))
    assert stated == [NOW, NOW, NOW, NOW, NOW + 1, NOW + 1]


def test_any_one_trusted_line_is_enough_and_lines_of_others_are_not_kept(witness: Witness) -> None:
    head, block = LOG.note(10).split("\n\n")
    stranger = STRANGER.note(10).split("\n\n")[1]
    note = f"{head}\n\n{block.splitlines()[1]}\n{stranger}"
    assert add_checkpoint(witness, format_request(0, [], note)).status == 200
    kept = parse_note(witness.record.read(LOG.origin).note)
    assert [line.key_id for line in kept.signatures] == [
        LOG.vkeys[1].key_id, *(key.key_id for key in witness_keys(W1).vkeys),
    ]  # fmt: skip


def test_what_was_cosigned_last_is_served_with_the_log_s_lines_and_ours(witness: Witness) -> None:
    name = hashlib.sha256(LOG.origin.encode()).hexdigest()
    assert show_checkpoint(witness, name).status == 404
    add_checkpoint(witness, LOG.request(0, 10))
    add_checkpoint(witness, LOG.request(10, 12))
    answer = show_checkpoint(witness, name)
    assert answer.status == 200
    opened = open_signed_checkpoint(answer.body, [*LOG.vkeys, *witness_keys(W1).vkeys])
    assert (opened.checkpoint.size, len(opened.signed_by)) == (12, 4)
    assert show_checkpoint(witness, name.upper()).status == 404


def test_a_log_with_two_faces_leaves_a_proof_that_convicts_it(witness: Witness) -> None:
    add_checkpoint(witness, LOG.request(0, 10))
    assert add_checkpoint(witness, FORK.request(10, 10)).status == 422
    assert add_checkpoint(witness, FORK.request(0, 10)).status == 409
    (path,) = witness.proofs.iterdir()
    conviction = convict(parse_equivocation(path.read_bytes()), LOG.vkeys)
    assert {conviction.first.root, conviction.second.root} == {LOG.root(10), FORK.root(10)}
    assert conviction.keys == tuple(LOG.vkeys)


def test_a_log_cannot_fill_the_disk_with_its_own_forks(witness: Witness) -> None:
    add_checkpoint(witness, LOG.request(0, 10))
    for at in range(10):
        for word in ("a", "b"):
            fork = SmallLog(LOG.origin, LOG.leaves[:at], LOG.ed25519, LOG.ml_dsa_44).grow(10, word)
            assert add_checkpoint(witness, fork.request(10, 10)).status == 422
    assert len(list(witness.proofs.iterdir())) == 16


def test_a_log_that_is_known_no_longer_is_not_answered_and_not_forgotten(witness: Witness) -> None:
    add_checkpoint(witness, LOG.request(0, 10))
    for vkey in LOG.vkeys:
        assert witness.record.remove_log(vkey)
    assert add_checkpoint(witness, LOG.request(10, 20)).status == 404
    for vkey in LOG.vkeys:
        witness.record.add_log(vkey)
    assert add_checkpoint(witness, FORK.request(0, 20)).body == "10\n"


def test_nothing_leaves_when_the_record_cannot_be_written(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    from provenance.ledger.witness.record import Turn

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Turn, "advance", fail)
    with pytest.raises(OSError, match="No space"):
        add_checkpoint(witness, LOG.request(0, 10))
    monkeypatch.undo()
    assert witness.record.read(LOG.origin).size == 0
    assert add_checkpoint(witness, FORK.request(0, 10)).status == 200, "the record is not locked"


def test_of_two_that_ask_at_once_only_one_advances(tmp_path: Path) -> None:
    """Many threads over two records of one file, as two processes have them: each size is cosigned with one root."""
    make_witness(tmp_path, LOG)
    answers: list[tuple[str, Answer]] = []

    def ask(log: SmallLog, size: int) -> None:
        note = log.note(size)
        mine = Witness(witness_keys(W1), WitnessRecord(tmp_path / "witness.db"), tmp_path / "proofs", lambda: NOW)
        ready.wait()
        answers.append((note, add_checkpoint(mine, format_request(0, [], note))))

    jobs = [(log, size) for log in (LOG, FORK) for size in range(6, 14)]
    ready = threading.Barrier(len(jobs))
    threads = [threading.Thread(target=ask, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    won = [(note, answer) for note, answer in answers if answer.status == 200]
    assert len(answers) == len(jobs)
    assert len(won) == 1
    checkpoint = parse_checkpoint(_text(won[0][0]))
    assert all(answer.body == f"{checkpoint.size}\n" for _, answer in answers if answer.status == 409)
    assert WitnessRecord(tmp_path / "witness.db").read(LOG.origin).root == checkpoint.root


@cache
def _branches() -> tuple[SmallLog, SmallLog, SmallLog]:
    return LOG, LOG.fork(5, 40), LOG.fork(17, 40)


class Restless(RuleBasedStateMachine):
    """Logs of several histories ask in any order, with true and wrong sizes and proofs."""

    @initialize()
    def begin(self) -> None:
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.witness = make_witness(Path(self.folder.name), LOG)
        self.roots: dict[int, bytes] = {}
        self.last = 0

    @rule(branch=st.integers(0, 2), size=st.integers(0, 40), old=st.none() | st.integers(0, 40), honest=st.booleans())
    def ask(self, branch: int, size: int, old: int | None, honest: bool) -> None:
        log, start = _branches()[branch], self.last if old is None else old
        proof = log.proof(start, size) if honest else [b"p" * 32]
        note = log.note(size)
        answer = add_checkpoint(self.witness, format_request(start, proof, note))
        if answer.status == 200:
            assert size >= self.last, "a witness never goes back"
            assert start == self.last, "it moves from what it has"
            assert self.roots.setdefault(size, log.root(size)) == log.root(size), "one root a size"
            _cosigned(answer, _text(note))
            self.last = size
        else:
            assert answer.status in (400, 409, 422)

    @rule()
    def restart(self) -> None:
        self.witness = make_witness(Path(self.folder.name), LOG)

    @invariant()
    def its_trees_are_of_one_history(self) -> None:
        cosigned = getattr(self, "roots", {})
        assert any(all(log.root(size) == root for size, root in cosigned.items()) for log in _branches())

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()


Restless.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestRestless = Restless.TestCase


def test_a_stranger_s_cosignature_is_none(witness: Witness) -> None:
    note = LOG.note(10)
    answer = add_checkpoint(witness, format_request(0, [], note))
    line = parse_note(f"{_text(note)}\n{answer.body}").signatures[0]
    with pytest.raises(SignatureError):
        verify_cosignature(witness_keys("witness.example/w2").vkeys[0], _text(note), line.signature)
