"""The parts of a running service or embedded command, built once by an entry point and handed down.

Opening makes what is missing: the data directory, the keys, the schema, the log with its first entries (who holds which
key, which terms and which policies are in force). What changed since the last start is logged; nothing is rewritten.

- Terms in force: what the log says last of each document, superseded where the shipped file has changed since.
- Pack in force: the last one that the log says was approved, else the shipped one.
- Where a service has several processes (`processes.py`), each takes up what the others changed before its next request.
"""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

import orjson
from sqlalchemy import Engine
from sqlmodel import Session

from provenance.canonical import canonical_bytes, sha256_digest
from provenance.capture.record import Recorder
from provenance.ledger.append import Clock, Receipt, format_time, make_draft
from provenance.ledger.checkpoint import Checkpoint, sign_checkpoint
from provenance.ledger.keys import KeyRing, SignOnce, list_public
from provenance.ledger.merkle import tree_root
from provenance.ledger.mirror import Mirror, MirrorState, read_state
from provenance.ledger.note import format_vkey
from provenance.ledger.prove import Prover, consistency_between
from provenance.ledger.publish import Publisher, publish, publish_tiles, read_checkpoint
from provenance.ledger.quorum import Account, Quorum, read_account, read_witness_policy
from provenance.ledger.ring import open_ring
from provenance.ledger.sequencer import Sequencer, Writer
from provenance.ledger.sign import sign_entry
from provenance.ledger.target import open_target
from provenance.policy.pack import Pack, load_pack
from provenance.policy.recorded import choose_pack, load_recorded_pack, policy_predicate
from provenance.policy.words import check_pack
from provenance.settings import Settings, prepare_data_dir
from provenance.store.history import find_newest_index
from provenance.store.log import HEAD_ID, find_head, find_statement
from provenance.store.migrate import upgrade
from provenance.store.reindex import is_behind, reindex
from provenance.store.session import make_engine, read_session, write_session
from provenance.store.tables import LogHead
from provenance.terms.catalogue import Catalogue, load_catalogue
from provenance.terms.check import check_order
from provenance.terms.record import sign_terms
from provenance.terms.recorded import Loaded, load_recorded, merge_shipped

GOVERNING = ("terms", "policy")  # the kinds of statements that change what is in force
log = logging.getLogger("provenance")


def utc_now() -> datetime:
    """The clock of a running service."""
    return datetime.now(UTC)


@dataclass
class Runtime:
    """Everything that use cases are handed."""

    settings: Settings
    engine: Engine
    ring: KeyRing
    sequencer: Writer
    recorder: Recorder
    catalogue: Catalogue
    pack: Pack
    clock: Clock
    shipped: Mapping[str, str]
    publisher: Publisher | None = None
    quorum: Quorum | None = None
    mirror: Mirror | None = None
    mirror_publisher: Publisher | None = None
    is_shared: bool = False  # other processes of this service change what is in force too
    publication_failure: Callable[[], str | None] = lambda: None
    seen: int | None = None  # the newest statement that made what is in force here
    _refreshing: Lock = field(default_factory=Lock)

    def append(
        self,
        kind: str,
        predicate: Mapping[str, Any],
        *,
        subjects: Sequence[tuple[str, str]] = (),
        content: Any = None,
        once: tuple[str, Any] | None = None,
    ) -> Receipt:
        """Append one governance statement; `content` is kept beside it, erasable and uncommitted unless the predicate says so.

        `once` is a key and what was asked under it: asked again, the first receipt is the answer.

        Raises:
            ConflictError: the key of `once` stands for another request.
        """
        entry = sign_entry(self.ring, kind, predicate, subjects=subjects)
        contents = [] if content is None else [orjson.dumps(content)]
        key, request_digest = (once[0], sha256_digest(canonical_bytes(once[1]))) if once else (None, None)
        return self.sequencer.append(make_draft([entry], contents, idempotency_key=key, request_digest=request_digest))

    @property
    def governing(self) -> AbstractContextManager[None]:
        """One change of terms or policy at a time, in all processes of the service: each stands on the last."""
        return self._govern()

    @contextmanager
    def _govern(self) -> Iterator[None]:
        with _locked(self.settings.data_dir / ".governing"):
            self.refresh()
            yield

    def refresh(self) -> None:
        """Take up what other processes of this service put in force; called before each request."""
        if not self.is_shared or find_newest(self.engine) == self.seen:
            return
        with self._refreshing, read_session(self.engine) as session:
            newest = find_newest_index(session, GOVERNING)
            if newest != self.seen:
                self.use_terms(load_recorded(session))
                self.pack = load_recorded_pack(session)
                self.seen = newest

    def use_terms(self, catalogue: Catalogue) -> None:
        """Take a catalogue into use that the log holds; decisions and samples from here on name its digest."""
        self.recorder.use_terms(catalogue)
        self.catalogue = catalogue

    def append_access(self, actor: str, act: str, target: str, reason: str | None = None) -> Receipt:
        """Log an administrative act."""
        at = format_time(self.clock())
        return self.append("access", {"actor": actor, "act": act, "target": target, "reason": reason, "at": at})

    def folder(self, name: str) -> Path:
        """A folder of the data directory, made when missing."""
        path = self.settings.data_dir / name
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def publish(self) -> float | None:
        """Bring the published log files up to what is durable; the answer is when witnesses want to be asked again."""
        folder = self.folder("log")
        with read_session(self.engine) as session:
            if self.quorum is None:
                publish(session, folder, self.ring.vkey_lines)
                note = None
            else:
                note = publish_tiles(session, folder, self.ring.vkey_lines)
        again = None
        if self.quorum is not None and note is not None:
            again = self.quorum.publish(folder, note)  # no session is open while witnesses are waited for
        if self.mirror_publisher is not None:
            self.mirror_publisher.wake()
        return again

    def cosigned(self) -> str | None:
        """The published checkpoint with the lines of its witnesses; None without witnesses, or before the first."""
        return None if self.quorum is None else read_checkpoint(self.settings.data_dir / "log")

    def account(self) -> Account:
        """The witnesses, and whether publication is held; empty where none is configured."""
        return Account() if self.quorum is None else read_account(self.settings.data_dir / "log")

    def mirror_state(self) -> MirrorState | None:
        """How far publication to another place is, whichever process does it; None where none is configured."""
        url = self.settings.publish_url
        return None if url is None else read_state(self.settings.data_dir / "log", url)

    def prover(self, session: Session, *, newest: int) -> Prover:
        """Makes proofs of entries up to `newest`: against the cosigned checkpoint if it covers them, else the log's own."""
        return Prover(session, self.cosigned(), newest=newest)

    def close(self) -> None:
        """Finish what waits and let go of the database."""
        self.sequencer.close()
        if self.publisher is not None:
            self.publisher.close()
        if self.mirror is not None and self.mirror_publisher is not None:
            self.mirror.ending.set()  # an upload that takes long breaks off; the next start takes it up
            self.mirror_publisher.close()
        if self.quorum is not None:
            self.quorum.close()
        self.engine.dispose()


def find_newest(engine: Engine) -> int | None:
    """The index of the statement that last changed what is in force."""
    with read_session(engine) as session:
        return find_newest_index(session, GOVERNING)


def open_runtime(settings: Settings, clock: Clock = utc_now) -> Runtime:
    """Open the data directory, making what is missing.

    Raises:
        SettingsError: the directory, the passphrase or the database cannot be used.
        LedgerForkError: the database is older than what was signed from it (a stale backup).
    """
    _ = settings.price_table  # one that cannot be is refused before anything is opened
    prepare_data_dir(settings.data_dir)
    engine = make_engine(settings.resolved_database_url)
    with _locked(settings.data_dir / ".opening"):  # two that open a fresh directory must not both make its keys
        upgrade(settings.resolved_database_url)
        _catch_up(engine)
        ring = open_ring(settings, clock())
        sequencer = open_sequencer(settings, engine, ring, clock)
        shipped, own_pack = load_catalogue(), load_pack()
        check_order(shipped)
        check_pack(own_pack, shipped)
        with read_session(engine) as session:
            loaded, policy = merge_shipped(session, shipped), choose_pack(session, own_pack)
        recorder = Recorder(sequencer.append, ring, loaded.catalogue, clock, find_replay=sequencer.find_replay)
        runtime = Runtime(
            settings, engine, ring, sequencer, recorder, loaded.catalogue, policy.pack, clock, loaded.shipped
        )
        _log_keys(runtime)
        _log_terms(runtime, loaded)
        if not policy.logged:
            runtime.append(
                "policy",
                policy_predicate(policy.pack, state="shipped", author="provenance", at=format_time(clock())),
                subjects=[("policy", policy.pack.digest)],
                content=policy.pack.content(),
            )
        open_quorum(runtime)
        runtime.seen = find_newest(engine)
    start_publishing(runtime, sequencer)
    return runtime


def _catch_up(engine: Engine) -> None:
    """Fill the tables that a newer version brought, from the entries."""
    with read_session(engine) as session:
        behind = is_behind(session)
    if behind:
        log.warning("the index lacks what this version knows; it is made again from the log's entries")
        with write_session(engine) as session:
            size = reindex(session)
        log.warning("%s entries are indexed", f"{size:,}")


def open_sequencer(settings: Settings, engine: Engine, ring: KeyRing, clock: Clock) -> Sequencer:
    """The writer of this log; the register learns of a commit that it did not hear of."""
    sign_once = SignOnce(settings.data_dir / "keys" / "signed")
    _open_log(engine, ring, sign_once, clock())
    # Connections of its own: requests that hold one while they wait for the writer must not keep it from getting one.
    return Sequencer(make_engine(settings.resolved_database_url), ring, sign_once, clock)


def start_publishing(runtime: Runtime, sequencer: Sequencer) -> None:
    """Publish what is durable, and from here on after each commit."""
    _open_mirror(runtime)
    publisher = Publisher(runtime.publish)
    runtime.publisher = publisher
    runtime.publication_failure = lambda: None if publisher.failure is None else str(publisher.failure)
    sequencer.after_commit(publisher.wake)
    publisher.wake()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep all others away that lock `path`, threads of this process and other processes alike."""
    with path.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _open_log(engine: Engine, ring: KeyRing, sign_once: SignOnce, now: datetime) -> None:
    with write_session(engine) as session:
        head = find_head(session, lock=True)
        if head is None:
            empty = Checkpoint(ring.origin, 0, tree_root([]))
            sign_once.check(empty.size, empty.root)
            note = sign_checkpoint(empty, ring.log_signers)
            head = LogHead(
                id=HEAD_ID, origin=ring.origin, size=0, root=empty.root, checkpoint=note, updated_at=format_time(now)
            )
            session.add(head)
        # A database that is older than the last signature is a stale backup: say so before anything is signed.
        sign_once.check(head.size, head.root)
        size, root = head.size, head.root
    sign_once.record(size, root)


def open_quorum(runtime: Runtime) -> None:
    """Read the policy, and log each witness that it names: who shall have seen this log is part of the record."""
    path = runtime.settings.witness_policy
    if path is None:
        return
    policy = read_witness_policy(path, runtime.ring.vkeys)

    def prove(old_size: int, size: int) -> list[bytes]:
        with read_session(runtime.engine) as session:
            return consistency_between(session, old_size, size)

    max_age = runtime.settings.witness_max_age_seconds
    runtime.quorum = Quorum(policy, prove, lambda: int(runtime.clock().timestamp()), max_age)
    for name, key in policy.witnesses.items():
        keyid = key.key_id.hex()
        said = {
            "name": key.name, "label": name, "keyid": keyid, "vkey": format_vkey(key), "url": policy.urls.get(name)
        }  # fmt: skip
        with read_session(runtime.engine) as session:
            logged = find_statement(session, "witness", keyid)
        if logged is None or logged.predicate != said:
            runtime.append("witness", said)


def _open_mirror(runtime: Runtime) -> None:
    """Publication to a target has a thread of its own: what is far away holds up neither appends nor witnesses."""
    url = runtime.settings.publish_url
    if url is None:
        return
    runtime.mirror = Mirror(
        runtime.engine, runtime.folder("log"), open_target(url), url,
        lambda: runtime.ring.vkey_lines, lambda: int(runtime.clock().timestamp()),
    )  # fmt: skip
    runtime.mirror_publisher = Publisher(runtime.mirror.act)


def _log_keys(runtime: Runtime) -> None:
    for key in list_public(runtime.ring):  # the authority key introduces itself first, then all others
        with read_session(runtime.engine) as session:
            logged = find_statement(session, "key", key["keyid"])
        if logged is None or logged.predicate["state"] != key["state"]:
            runtime.append("key", key)


def _log_terms(runtime: Runtime, loaded: Loaded) -> None:
    entries, contents = sign_terms(
        runtime.ring,
        loaded.missing,
        shipped=loaded.shipped,
        catalogue=loaded.catalogue,
        recorded_at=format_time(runtime.clock()),
    )
    if entries:
        runtime.sequencer.append(make_draft(entries, contents))
