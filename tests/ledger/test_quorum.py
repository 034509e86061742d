"""Publication by a policy: held without a quorum, let go with one, fresh, and never in the way of the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from provenance.errors import SettingsError
from provenance.ledger import quorum as module
from provenance.ledger.checkpoint import open_signed_checkpoint, verify_cosignature
from provenance.ledger.cosign import AGREES, DISAGREES, UNREACHABLE
from provenance.ledger.note import VerifierKey, format_vkey
from provenance.ledger.policy import TrustPolicy, parse_policy
from provenance.ledger.publish import read_checkpoint, write_file
from provenance.ledger.quorum import NOT_ASKED, Account, Quorum, read_account, read_witness_policy
from provenance.ledger.witness.answer import add_checkpoint
from provenance.ledger.witness.serve import make_app
from tests.ledger.witness.witnesses import NOW, SmallLog, make_witness, serve_app, witness_keys

LOG = SmallLog().grow(60)
note_of = cache(LOG.note)  # a database holds one note of a size; ML-DSA-44 would sign another one each time
NAMES = ("witness.example/w1", "witness.example/w2", "witness.example/w3")
NOWHERE = "http://127.0.0.1:1"
MAX_AGE = 600


class Bench:
    """Three witnesses (those of `up` answer), a quorum of `k`, and a clock that is moved by hand."""

    def __init__(self, folder: Path, stack: ExitStack, k: int | None, up: tuple[int, ...]) -> None:
        self.folder, self.stack, self.now = folder / "log", stack, NOW
        self.witnesses = [make_witness(folder / f"w{number}", LOG, name=name) for number, name in enumerate(NAMES)]
        self.witnesses = [type(item)(item.keys, item.record, item.proofs, lambda: self.now) for item in self.witnesses]
        self.urls = [self._start(number) if number in up else NOWHERE + str(number) for number in range(3)]
        self.quorum = Quorum(self.policy(k), LOG.proof, lambda: self.now, MAX_AGE)
        stack.callback(self.quorum.close)

    def _start(self, number: int) -> str:
        return self.stack.enter_context(serve_app(make_app(self.witnesses[number])))

    def policy(self, k: int | None) -> TrustPolicy:
        lines = [f"log {format_vkey(vkey)}" for vkey in LOG.vkeys]
        for number, url in enumerate(self.urls):
            lines.append(f"witness w{number} {format_vkey(witness_keys(NAMES[number]).vkeys[0])} {url}")
        lines += ["quorum none"] if k is None else [f"group g {k} w0 w1 w2", "quorum g"]
        return parse_policy("".join(f"{line}\n" for line in lines))

    def revive(self, number: int, k: int | None) -> None:
        """Start a witness that was down; its URL is another one now."""
        self.urls[number] = self._start(number)
        self.quorum.policy = self.policy(k)

    def publish(self, size: int) -> float | None:
        return self.quorum.publish(self.folder, note_of(size))

    @property
    def account(self) -> Account:
        return read_account(self.folder)

    def states(self) -> list[str]:
        return [item.state for item in self.account.witnesses]

    def published(self) -> tuple[int, list[str]] | None:
        """The published size, and which witnesses signed it."""
        note = read_checkpoint(self.folder)
        if note is None:
            return None
        opened = open_signed_checkpoint(note, [*LOG.vkeys, *(witness_keys(name).vkeys[0] for name in NAMES)])
        return opened.checkpoint.size, sorted(key.name[-2:] for key in opened.signed_by if key.name != LOG.origin)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    with ExitStack() as stack:
        yield lambda k, *up: Bench(tmp_path, stack, k, up)


def test_two_of_three_are_enough_with_one_down(bench: Callable[..., Bench]) -> None:
    three = bench(2, 0, 2)
    again = three.publish(10)
    assert three.published() == (10, ["w1", "w3"])
    assert three.states() == [AGREES, UNREACHABLE, AGREES]
    assert (three.account.agreeing, three.account.hold, again) == (2, None, 1.0)
    three.publish(20)
    assert three.published() == (20, ["w1", "w3"])


def test_with_two_down_publication_is_held_and_comes_when_one_is_back(bench: Callable[..., Bench]) -> None:
    three = bench(2, 0)
    assert three.publish(10) is not None
    assert three.published() is None
    assert three.account.held_since == NOW
    assert "w1 unreachable" in str(three.account.hold)
    three.now += 5
    three.publish(12)
    assert three.published() is None
    assert (three.account.held_since, three.account.held_size) == (NOW, 12)
    three.revive(1, 2)
    three.now += 5
    three.publish(12)
    assert three.published() == (12, ["w1", "w2"])
    assert (three.account.hold, three.account.published_size) == (None, 12)


def test_what_was_published_stays_while_the_next_is_held(bench: Callable[..., Bench]) -> None:
    three = bench(2, 0, 1)
    three.publish(10)
    first = read_checkpoint(three.folder)
    three.witnesses[1].record.path.write_bytes(b"no database" * 500)
    three.publish(20)
    assert read_checkpoint(three.folder) == first
    assert three.account.held_size == 20
    assert three.account.published_size == 10


def test_lines_gathered_one_after_the_other_make_a_quorum(bench: Callable[..., Bench]) -> None:
    three = bench(2, 0)
    three.publish(10)
    three.quorum.policy.urls["w0"] = NOWHERE  # w0 signed, and went
    three.revive(1, 2)
    three.urls[0] = NOWHERE
    three.quorum.policy = three.policy(2)
    three.now += 60
    three.publish(10)
    assert three.published() == (10, ["w1", "w2"])


def test_lines_older_than_the_bound_make_none(bench: Callable[..., Bench]) -> None:
    three = bench(2, 0)
    three.publish(10)
    three.urls[0] = NOWHERE
    three.revive(1, 2)
    three.now += MAX_AGE + 1
    three.publish(10)
    assert three.published() is None
    assert three.account.hold


def test_without_a_quorum_nothing_waits_and_lines_are_added(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    write = write_file

    def record(path: Path, data: bytes) -> None:
        if path.name == "checkpoint":
            written.append(data.count("— witness".encode()))
        write(path, data)

    monkeypatch.setattr(module, "write_file", record)
    three = bench(None, 0, 1)
    three.publish(10)
    assert written == [0, 1, 2], "at once, and again with each line"
    assert three.published() == (10, ["w1", "w2"])


def test_a_log_that_stands_still_keeps_its_cosignatures_fresh(bench: Callable[..., Bench]) -> None:
    three = bench(2, 0, 1, 2)
    assert three.publish(10) == MAX_AGE / 2
    before = read_checkpoint(three.folder)
    three.now += 10
    assert three.publish(10) == MAX_AGE / 2 - 10
    assert read_checkpoint(three.folder) == before, "nobody is asked before it is time"
    three.now += MAX_AGE // 2
    three.publish(10)
    note = read_checkpoint(three.folder)
    opened = open_signed_checkpoint(note or "", [*LOG.vkeys, witness_keys(NAMES[0]).vkeys[0]])
    line = next(item for item in opened.note.signatures if item.name == NAMES[0])
    key = witness_keys(NAMES[0]).vkeys[0]
    assert verify_cosignature(key, opened.note.text, line.signature) == three.now
    assert len(opened.note.signatures) == 5


def test_who_fails_is_asked_again_later_and_later(bench: Callable[..., Bench]) -> None:
    three = bench(1, 0)
    waits = []
    for size in range(1, 12):
        three.publish(size)
        failed = three.account.witnesses[1]
        waits.append(failed.retry_at - three.now)
        three.now = failed.retry_at
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    three.publish(30)
    asked_at = three.account.witnesses[1].asked_at
    three.now += 10
    three.publish(40)
    assert three.account.witnesses[1].asked_at == asked_at
    assert three.account.witnesses[0].size == 40, "the others do not wait for it"


def test_a_witness_of_another_history_is_shown_and_counts_for_nothing(bench: Callable[..., Bench]) -> None:
    three = bench(2, 0, 1, 2)
    add_checkpoint(three.witnesses[1], LOG.fork(5, 10).request(0, 10))
    three.publish(10)
    assert three.published() == (10, ["w1", "w3"])
    assert three.states() == [AGREES, DISAGREES, AGREES]
    assert "422" in str(three.account.witnesses[1].problem)


def test_who_is_behind_does_not_take_the_newer_checkpoint_back(bench: Callable[..., Bench]) -> None:
    three = bench(2, 0, 1)
    three.publish(20)
    assert three.publish(10) is None
    assert three.published() == (20, ["w1", "w2"])


def test_an_account_that_is_lost_or_broken_is_made_anew(bench: Callable[..., Bench]) -> None:
    three = bench(2, 0, 1)
    three.publish(20)
    for text in ("", "[]", '{"witnesses": [{}]}', '{"witnesses": [], "more": 1}'):
        (three.folder / ".witnesses.json").write_text(text)
        assert read_account(three.folder) == Account()
        three.publish(20)
        assert three.account.agreeing == 2


def test_one_machine_may_have_two_keys(tmp_path: Path) -> None:
    keys = witness_keys(NAMES[0]).vkeys
    with serve_app(make_app(make_witness(tmp_path / "w", LOG, name=NAMES[0]))) as url:
        names = [f"witness k{number} {format_vkey(key)} {url}" for number, key in enumerate(keys)]
        lines = [f"log {format_vkey(LOG.vkeys[0])}", *names, "group both all k0 k1", "quorum both"]
        quorum = Quorum(parse_policy("\n".join(lines)), LOG.proof, lambda: NOW, MAX_AGE)
        quorum.publish(tmp_path / "log", LOG.note(10))
        quorum.close()
    opened = open_signed_checkpoint(read_checkpoint(tmp_path / "log") or "", [*LOG.vkeys, *keys])
    assert set(keys) <= set(opened.signed_by)
    assert read_account(tmp_path / "log").agreeing == 2


GOOD = f"log {format_vkey(LOG.vkeys[0])}\nwitness a {format_vkey(witness_keys(NAMES[0]).vkeys[0])} https://w.example\n"
BAD = {
    "no quorum": GOOD,
    "another log": GOOD.replace(format_vkey(LOG.vkeys[0]), format_vkey(VerifierKey("x", 1, b"k" * 32))) + "quorum a\n",
    "no URL": GOOD.replace(" https://w.example", "") + "quorum a\n",
    "an odd URL": GOOD.replace("https:", "file:") + "quorum a\n",
    "no host": GOOD.replace("https://w.example", "https://") + "quorum a\n",
    "no policy": "hello\n",
}  # fmt: skip


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_a_policy_that_cannot_work_is_refused_at_the_start(tmp_path: Path, text: str) -> None:
    path = tmp_path / "policy"
    path.write_text(text)
    with pytest.raises(SettingsError, match="PROVENANCE_WITNESS_POLICY"):
        read_witness_policy(path, LOG.vkeys)
    path.write_text(GOOD + "quorum a\n")
    assert read_witness_policy(path, LOG.vkeys).urls == {"a": "https://w.example"}


def test_a_policy_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        read_witness_policy(tmp_path / "none", LOG.vkeys)


def test_nobody_was_asked_yet(bench: Callable[..., Bench]) -> None:
    three = bench(2)
    three.quorum.policy.urls.clear()
    assert three.publish(10) is None
    assert three.states() == [NOT_ASKED] * 3
    assert isinstance(make_app(three.witnesses[0]), Starlette)


def test_files_that_were_altered_are_written_anew(bench: Callable[..., Bench]) -> None:
    three = bench(2, 0, 1)
    three.publish(20)
    path = three.folder / "checkpoint"
    lines = path.read_text().splitlines(keepends=True)
    bent = lines[-1][:-10] + ("A" if lines[-1][-10] != "A" else "B") + lines[-1][-9:]
    for text in ("", "nonsense", "".join(lines)[:-60], "".join([*lines[:-1], bent])):
        path.write_text(text)
        three.now += 1
        (three.folder / ".witnesses.json").unlink()
        three.publish(20)
        assert three.published() == (20, ["w1", "w2"])


def test_a_change_is_told_once(bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture) -> None:
    three = bench(1, 0)
    for size in (10, 20, 30):
        three.publish(size)
        three.now += 600
    assert sum("witness w1 unreachable" in message for message in caplog.messages) == 1


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("step", range(1, 6))
def test_a_publication_that_breaks_off_anywhere_is_made_good_by_the_next(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, step: int, before: bool
) -> None:
    """Whatever was written last, the published checkpoint has its quorum, and the next round ends it."""
    three = bench(2, 0, 1)
    three.publish(10)
    calls = 0
    writes: dict[str, Any] = {name: getattr(module, name) for name in ("write_file", "_write_account")}

    def breaking(name: str) -> Callable[..., None]:
        def act(*arguments: Any) -> None:
            nonlocal calls
            calls += 1
            if calls != step or not before:
                writes[name](*arguments)
            if calls == step:
                raise OSError(28, "No space left on device")

        return act

    with monkeypatch.context() as broken:
        for name in writes:
            broken.setattr(module, name, breaking(name))
        try:
            three.publish(20)
        except OSError:
            assert calls == step
        else:
            assert calls < step
    assert three.published() in [(10, ["w1", "w2"]), (20, ["w1", "w2"])]
    three.now += 60
    three.publish(20)
    assert three.published() == (20, ["w1", "w2"])
    assert (three.account.agreeing, three.account.hold) == (2, None)
