"""Hold a checkpoint back until a quorum of witnesses has cosigned it, and keep account of each witness.

- Appends never wait for this: a receipt carries the log's own checkpoint, only its publication is held.
- With `quorum none` the checkpoint is published at once, and again with each cosignature that comes.
- Cosignatures older than half the bound are asked for anew while the log stands still, so that what is published stays
  fresh. A witness that fails is asked again after 1, 2, 4 ... 300 seconds; the others do not wait for it.
- The account is a file beside the published checkpoint, written by whoever publishes: pages, `/readyz` and `doctor` read
  it. Losing it is harmless: the witnesses tell again what they hold.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from provenance.errors import FieldError, MalformedError, SettingsError, SignatureError
from provenance.ledger.checkpoint import parse_checkpoint, verify_cosignature
from provenance.ledger.cosign import AGREES, INVALID, Clients, Prove, Question, Reply, ask_all
from provenance.ledger.note import Note, NoteSignature, VerifierKey, format_note, format_vkey, parse_note, parse_vkey
from provenance.ledger.policy import TrustPolicy, parse_policy
from provenance.ledger.publish import CHECKPOINT, lock_folder, read_checkpoint, write_file

ACCOUNT = ".witnesses.json"
MAX_BACK_OFF = 300
ASK_SECONDS = 8.0
NOT_ASKED, BEHIND = "not-asked", "behind"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WitnessState:
    """What is known of one witness: `size` and `cosigned_at` (POSIX) of its newest good cosignature, `held` what it says
    it holds, `state` of the last question with its `problem`, and when it is asked again after `failures`."""

    name: str
    vkey: str
    url: str | None
    state: str = NOT_ASKED
    problem: str | None = None
    size: int | None = None
    cosigned_at: int | None = None
    held: int = 0
    asked_at: int | None = None
    failures: int = 0
    retry_at: int = 0


@dataclass(frozen=True)
class Account:
    """All witnesses, what is published, and whether publication is held: since when (POSIX) and at which size."""

    witnesses: tuple[WitnessState, ...] = ()
    published_size: int | None = None
    held_since: int | None = None
    held_size: int | None = None
    pending: str = ""

    @property
    def agreeing(self) -> int:
        """How many witnesses cosigned what is published or newer when they were asked last."""
        return sum(self.describe(item) == AGREES for item in self.witnesses)

    def describe(self, item: WitnessState) -> str:
        """The state of one of the witnesses against what is published: it may have agreed to less."""
        is_behind = item.state == AGREES and (item.size or 0) < (self.published_size or 0)
        return BEHIND if is_behind else item.state

    @property
    def hold(self) -> str | None:
        """Why publication is held, in words; None where it is not."""
        if self.held_since is None:
            return None
        missing = [f"{item.name} {item.state}" for item in self.witnesses if item.size != self.held_size]
        return f"the quorum has not cosigned the checkpoint of {self.held_size} entries yet: {', '.join(missing)}"


def read_account(folder: Path) -> Account:
    """The account beside the published files; an empty one where there is none, or it is not readable."""
    try:
        value = json.loads((folder / ACCOUNT).read_text())
        witnesses = tuple(WitnessState(**item) for item in value.pop("witnesses"))
        return Account(witnesses, **value)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Account()


def read_witness_policy(path: Path, log_keys: Sequence[VerifierKey]) -> TrustPolicy:
    """The policy file by which a log publishes.

    Raises:
        SettingsError: it cannot be read, does not name this log, or asks for witnesses that cannot be asked.
    """

    def refuse(problem: str, expected: str) -> SettingsError:
        shown = FieldError("PROVENANCE_WITNESS_POLICY", str(path), expected)
        return SettingsError(f"PROVENANCE_WITNESS_POLICY {path}: {problem}; expected {expected}", shown)

    try:
        policy = parse_policy(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError) as exc:
        raise refuse(f"cannot be read ({exc})", "a tlog-policy file") from exc
    except MalformedError as exc:
        raise refuse(exc.detail, "a tlog-policy file") from exc
    if not set(policy.logs) & set(log_keys):
        raise refuse("names another log", "a `log` line with a key of `provenance keys list`")
    for name, url in policy.urls.items():
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise refuse(f"witness {name} has the URL {url!r:.90}", "http://... or https://...")
    if not policy.is_met({policy.witnesses[name] for name in policy.urls}):
        raise refuse("its quorum needs witnesses that have no URL", "a URL for each witness of the quorum")
    return policy


@dataclass
class Quorum:
    """Publishes checkpoints by a policy; one object serves many, and keeps connections open."""

    policy: TrustPolicy
    prove: Prove
    now: Callable[[], int]
    max_age: int
    clients: Clients = field(default_factory=dict)

    def publish(self, folder: Path, note: str) -> float | None:
        """Ask those whose turn it is to cosign `note`, and publish it as soon as the policy allows.

        Returns:
            After how many seconds to call again, also if nothing is appended.
        Raises:
            OSError: the folder cannot be written.
        """
        with lock_folder(folder):
            account, published = self._read(folder), read_checkpoint(folder)
            size = _size_of(note)
            if published is not None and _size_of(published) > size:
                return None  # another process is ahead
            state = _Publication(self, folder, account, note, published)
            state.settle()
            questions = self._questions(account, size)
            if questions:
                replies = ask_all(
                    self.clients, questions, note, self.prove,
                    now=self.now, max_age=self.max_age, seconds=ASK_SECONDS,
                )  # fmt: skip
                for reply in replies:
                    state.take(reply)
            return self._next(state.account)

    def close(self) -> None:
        """Let go of the connections."""
        while self.clients:
            self.clients.popitem()[1].close()

    def _read(self, folder: Path) -> Account:
        """The account, with the witnesses that the policy names now."""
        account = read_account(folder)
        before = {(item.vkey, item.url): item for item in account.witnesses}
        witnesses = []
        for name, key in self.policy.witnesses.items():
            fresh = WitnessState(name, format_vkey(key), self.policy.urls.get(name))
            witnesses.append(replace(before.get((fresh.vkey, fresh.url), fresh), name=name))
        return replace(account, witnesses=tuple(witnesses))

    def _questions(self, account: Account, size: int) -> list[Question]:
        now, due = self.now(), {}
        for item in account.witnesses:
            is_old = item.size != size or now - (item.cosigned_at or 0) >= self.max_age / 2
            if item.url and now >= item.retry_at and (is_old or item.state != AGREES):
                due[item.url] = item.held
        return [Question(url, self.keys_at(url), held) for url, held in due.items()]

    def keys_at(self, url: str) -> tuple[VerifierKey, ...]:
        """The keys of the witness that answers at `url`: one machine may have two."""
        return tuple(key for name, key in self.policy.witnesses.items() if self.policy.urls.get(name) == url)

    def _next(self, account: Account) -> float | None:
        now = self.now()
        waits = [
            item.retry_at - now if item.failures else (item.cosigned_at or 0) + self.max_age / 2 - now
            for item in account.witnesses
            if item.url
        ]
        return max(1.0, min(waits)) if waits else None


Key = tuple[str, bytes]


class _Publication:
    """One checkpoint on its way out: the lines it has, and the account as it changes."""

    def __init__(self, quorum: Quorum, folder: Path, account: Account, note: str, published: str | None) -> None:
        self._quorum, self._folder, self.account, self._published = quorum, folder, account, published
        signed = parse_note(note)
        self.text, self.size = signed.text, parse_checkpoint(signed.text).size
        self._keys = {(key.name, key.key_id): key for key in quorum.policy.witnesses.values()}
        self._lines: dict[Key, NoteSignature] = {(line.name, line.key_id): line for line in signed.signatures}
        self._times: dict[Key, int] = {}
        self._is_out = published is not None and parse_note(published).text == self.text
        for earlier in (published or "", account.pending):
            with suppress(MalformedError):  # no note yet, or a file that was altered
                if parse_note(earlier).text == self.text:
                    self._add(parse_note(earlier).signatures)

    def take(self, reply: Reply) -> None:
        """Enter what a witness answered, and publish if that was what was missing."""
        self._add(reply.lines)
        got = {(line.name, line.key_id): self._times[line.name, line.key_id] for line in reply.lines}
        states = [self._judge(item, reply, got) if item.url == reply.url else item for item in self.account.witnesses]
        self.account = replace(self.account, witnesses=tuple(states))
        self.settle()

    def settle(self) -> None:
        """Write the checkpoint if it may go out, and the account."""
        account, now = self.account, self._quorum.now()
        note = format_note(Note(self.text, tuple(self._lines.values())))
        if self._is_met(now - self._quorum.max_age) or (self._is_out and self._is_met(0)):
            if note != self._published:
                write_file(self._folder / CHECKPOINT, note.encode())
            self._published, self._is_out = note, True
            account = replace(account, published_size=self.size, held_since=None, held_size=None, pending="")
        else:
            out = _size_of(self._published) if self._published is not None else None
            since = account.held_since or now
            account = replace(account, published_size=out, held_since=since, held_size=self.size, pending=note)
        self.account = account
        _write_account(self._folder, account)

    def _is_met(self, since: int) -> bool:
        """Whether the lines since then are a quorum."""
        return self._quorum.policy.is_met({self._keys[key] for key, time in self._times.items() if time >= since})

    def _add(self, lines: Iterable[NoteSignature]) -> None:
        """Take the lines of witnesses over, if they verify: a file may have been altered."""
        for line in lines:
            key = (line.name, line.key_id)
            with suppress(KeyError, SignatureError):
                self._times[key] = verify_cosignature(self._keys[key], self.text, line.signature)
                self._lines[key] = line

    def _judge(self, item: WitnessState, reply: Reply, got: Mapping[Key, int]) -> WitnessState:
        now, held = self._quorum.now(), item.held if reply.size is None else reply.size
        key = parse_vkey(item.vkey)
        cosigned_at = got.get((key.name, key.key_id))
        if cosigned_at is not None:
            return WitnessState(item.name, item.vkey, item.url, AGREES, None, self.size, cosigned_at, held, now)
        failures, problem = item.failures + 1, reply.problem or "it did not sign with this key"
        state = INVALID if reply.state == AGREES else reply.state
        if state != item.state:
            _log.warning("witness %s %s: %s", item.name, state, problem)
        return replace(
            item, state=state, problem=problem, held=held, asked_at=now,
            failures=failures, retry_at=now + min(2 ** min(failures - 1, 9), MAX_BACK_OFF),
        )  # fmt: skip


def _write_account(folder: Path, account: Account) -> None:
    """Whole or not at all, but not fsynced: it is written often, and may be lost."""
    temporary = folder / f"{ACCOUNT}.new"
    temporary.write_text(json.dumps(asdict(account), indent=1))
    temporary.replace(folder / ACCOUNT)


def _size_of(note: str) -> int:
    return parse_checkpoint(parse_note(note).text).size
