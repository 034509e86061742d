"""Witnesses and small logs for tests: in this process, over HTTP in a thread, or as a process that can be killed."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from starlette.applications import Starlette

from provenance.ledger.checkpoint import Checkpoint, MLDSA44Signer, sign_checkpoint
from provenance.ledger.merkle import MemoryTree, consistency_proof, leaf_hash, tree_root
from provenance.ledger.note import Ed25519NoteSigner, VerifierKey, format_vkey
from provenance.ledger.witness.answer import Witness
from provenance.ledger.witness.keys import WitnessKeys
from provenance.ledger.witness.record import WitnessRecord
from provenance.ledger.witness.request import format_request

ROOT = Path(__file__).resolve().parents[3]
NOW = 1_795_000_000
ORIGIN = "log.example/small"
W1 = "witness.example/w1"


@dataclass
class SmallLog:
    """A log in memory: leaves, and the two keys that sign its checkpoints. `fork` shares the keys and not the leaves."""

    origin: str = ORIGIN
    leaves: list[bytes] = field(default_factory=list)
    ed25519: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    ml_dsa_44: MLDSA44PrivateKey = field(default_factory=MLDSA44PrivateKey.generate)

    @property
    def signers(self) -> tuple[Ed25519NoteSigner, MLDSA44Signer]:
        return Ed25519NoteSigner(self.origin, self.ed25519), MLDSA44Signer(self.origin, self.ml_dsa_44)

    @property
    def vkeys(self) -> list[VerifierKey]:
        return [signer.vkey for signer in self.signers]

    def grow(self, size: int, word: str = "leaf") -> SmallLog:
        self.leaves += [leaf_hash(f"{word} {number}".encode()) for number in range(len(self.leaves), size)]
        return self

    def fork(self, at: int, size: int) -> SmallLog:
        """Another history that shares the first `at` leaves."""
        return SmallLog(self.origin, self.leaves[:at], self.ed25519, self.ml_dsa_44).grow(size, "another leaf")

    def root(self, size: int) -> bytes:
        return tree_root(self.leaves[:size])

    def note(self, size: int, *, extensions: tuple[str, ...] = ()) -> str:
        return sign_checkpoint(Checkpoint(self.origin, size, self.root(size), extensions), self.signers)

    def proof(self, old: int, size: int) -> list[bytes]:
        return consistency_proof(old, size, MemoryTree(self.leaves[:size]).read) if 0 < old < size else []

    def request(self, old: int, size: int) -> bytes:
        return format_request(old, self.proof(old, size), self.note(size))


@cache
def witness_keys(name: str) -> WitnessKeys:
    """The same for the same name, in one process."""
    return WitnessKeys(name, Ed25519PrivateKey.generate(), MLDSA44PrivateKey.generate())


def make_witness(folder: Path, *logs: SmallLog, name: str = W1, now: int | None = NOW) -> Witness:
    """A witness that knows `logs`; its clock stands still at `now`, or is the machine's where that is None."""
    folder.mkdir(parents=True, exist_ok=True)
    witness = Witness(
        witness_keys(name),
        WitnessRecord(folder / "witness.db"),
        folder / "equivocations",
        (lambda: int(time.time())) if now is None else lambda: now,
    )
    for vkey in (vkey for log in logs for vkey in log.vkeys):
        witness.record.add_log(vkey)
    return witness


@contextmanager
def serve_app(app: Starlette, port: int = 0) -> Iterator[str]:
    """The URL of `app`, answered by a thread of this process."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=10)


class WitnessProcess:
    """`provenance witness serve` as a process of its own."""

    def __init__(
        self, folder: Path, name: str, *vkeys: VerifierKey | str, program: str | None = None, port: int = 0
    ) -> None:
        self.folder, self.name = folder, name
        start = ["-c", program] if program else ["-m", "provenance"]
        logs = [item for vkey in vkeys for item in ("--log", vkey if isinstance(vkey, str) else format_vkey(vkey))]
        where = ("--port", str(port), "--data-dir", str(folder), "--name", name)
        command = [sys.executable, *start, "witness", "serve", *where]
        self.process = subprocess.Popen(
            [*command, *logs], cwd=ROOT, stderr=subprocess.PIPE, text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)}, start_new_session=True,
        )  # fmt: skip
        self.url, self.vkey_line = self._await_url()

    def _await_url(self) -> tuple[str, str]:
        said: list[str] = []
        assert self.process.stderr is not None
        for line in self.process.stderr:
            said.append(line)
            if found := re.match(r"witness NAME (\S+) (http://\S+)", line):
                return found[2], found[1]
        raise AssertionError(f"the witness did not start:\n{''.join(said)}")

    def again(self) -> WitnessProcess:
        """The same witness at the same address, after it was killed."""
        return WitnessProcess(self.folder, self.name, port=int(self.url.rpartition(":")[2]))

    def kill(self) -> None:
        """As a loss of power does, as far as the process can tell."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=30)
        if self.process.stderr is not None:
            self.process.stderr.close()
