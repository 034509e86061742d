"""Makes a small real log, with keys, samples, a batch, a decision, a release and a report, and evidence out of it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from provenance.attestation.envelope import sign_envelope
from provenance.attestation.signature import PrivateKeySigner
from provenance.attestation.statement import Statement, Subject, format_statement
from provenance.canonical import (
    COMPLETION_DOMAIN,
    PROMPT_DOMAIN,
    canonical_bytes,
    commit,
    format_base64,
    format_digest,
    sha256_digest,
)
from provenance.ledger.checkpoint import Checkpoint, MLDSA44Signer, sign_checkpoint
from provenance.ledger.merkle import MemoryTree, inclusion_proof, leaf_hash
from provenance.ledger.note import Ed25519NoteSigner, format_vkey
from provenance.ledger.proof import TlogProof, format_proof
from provenance.release.bundle import BatchPlace, BundleContents, Opening

ORIGIN = "log.example/provenance"
AT = "2026-11-24T10:00:00Z"
DIGEST = "sha256:" + "d" * 64
REPORT_HTML = b"<!doctype html><title>report</title>"
PROMPTS = [[{"role": "user", "content": f"2+{number}? \u00e9\U0001f600"}] for number in range(5)]
COMPLETIONS = [[{"role": "assistant", "content": f"{2 + number}", "score": 0.1 * number}] for number in range(5)]


def new_signer(curve: bool = False) -> PrivateKeySigner:
    return PrivateKeySigner(ec.generate_private_key(ec.SECP256R1()) if curve else Ed25519PrivateKey.generate())


def salt(number: int, half: int) -> bytes:
    return bytes([number, half]) * 16


@dataclass
class Log:
    """A log in a list. Every part can be replaced before it is appended, to make evidence that lies."""

    entries: list[bytes] = field(default_factory=list)
    signers: dict[str, PrivateKeySigner] = field(
        default_factory=lambda: {name: new_signer(name == "release") for name in ("authority", "collector", "release")}
    )
    log: Ed25519NoteSigner = field(default_factory=lambda: Ed25519NoteSigner(ORIGIN, Ed25519PrivateKey.generate()))
    log_pq: MLDSA44Signer = field(default_factory=lambda: MLDSA44Signer(ORIGIN, MLDSA44PrivateKey.generate()))
    samples: list[int] = field(default_factory=list)
    batch_index: int = -1

    def say(self, kind: str, predicate: Mapping[str, Any], by: PrivateKeySigner | str) -> int:
        digest = sha256_digest(canonical_bytes(dict(predicate))).removeprefix("sha256:")
        statement = Statement((Subject(kind, {"sha256": digest}),), kind, predicate)
        signer = self.signers[by] if isinstance(by, str) else by
        self.entries.append(sign_envelope(format_statement(statement), [signer]))
        return len(self.entries) - 1

    def say_key(self, purpose: str, signer: PrivateKeySigner, by: str = "authority", state: str = "active") -> int:
        key = signer.public_key
        predicate = {
            "purpose": purpose, "name": purpose, "algorithm": key.algorithm, "keyid": key.keyid, "state": state,
            "public_key": format_base64(key.spki), "valid_from": AT, "valid_to": None if state == "active" else AT,
        }  # fmt: skip
        return self.say("key", predicate, by)

    def say_keys(self) -> None:
        for purpose, signer in self.signers.items():
            self.say_key(purpose, signer)

    def say_samples(self, count: int = 5, by: PrivateKeySigner | str = "collector") -> None:
        first = len(self.entries)
        self.entries += [sample_entry(number) for number in range(count)]
        self.samples = list(range(first, first + count))
        root = MemoryTree([leaf_hash(entry) for entry in self.entries[first:]]).root()
        said = {"capture": "cap", "collector": "worker", "count": count, "root": format_digest(root)}
        self.batch_index = self.say("batch", said, by)

    def say_decision(self, verdict: str = "allow") -> int:
        said: dict[str, Any] = {
            "id": "dec_1", "action": "train", "student": {"id": "st"}, "selection": None, "log_size": 9,
            "policy": {"digest": DIGEST, "packs": []}, "terms_digest": None, "verdict": verdict, "counts": None, "classes": [[DIGEST[:23], verdict, 3, 30]], "answer_digest": DIGEST,
        }  # fmt: skip
        return self.say("decision", said, "authority")

    def say_release(self, decision: int, decision_id: str = "dec_1") -> int:
        said = {
            "id": "rel_1", "name": "math@1", "dataset": "math", "student": "st", "log_size": 9, "state": "allowed",
            "decision": {"id": decision_id, "index": decision}, "counts": {"selected": 3, "released": 3, "quarantined": 0}, "files": [], "manifest_digest": DIGEST,
            "conditions": [],
        }  # fmt: skip
        return self.say("release", said, "release")

    def say_report(self, data: bytes = REPORT_HTML) -> int:
        listed = [{"path": "report.html", "digest": sha256_digest(data), "size_bytes": len(data)}]
        said = {
            "id": "rep_1", "kind": "audit-pack", "subject": {"kind": "release", "id": "rel_1"}, "log_size": 9,
            "files": listed, "previous": None,
        }  # fmt: skip
        return self.say("report", said, "release")

    def tree(self) -> MemoryTree:
        return MemoryTree([leaf_hash(entry) for entry in self.entries])

    def checkpoint(self) -> str:
        return sign_checkpoint(Checkpoint(ORIGIN, len(self.entries), self.tree().root()), [self.log, self.log_pq])

    def vkeys(self) -> list[str]:
        return [format_vkey(self.log.vkey), format_vkey(self.log_pq.vkey)]

    def proof(self, index: int, checkpoint: str) -> str:
        path = inclusion_proof(index, len(self.entries), self.tree().read)
        return format_proof(TlogProof(index, tuple(path), checkpoint))

    def place(self, index: int) -> BatchPlace:
        count = len(self.samples)
        first = self.batch_index - count
        batch = MemoryTree([leaf_hash(entry) for entry in self.entries[first : self.batch_index]])
        return BatchPlace(self.batch_index, index - first, tuple(inclusion_proof(index - first, count, batch.read)))

    def opening(self, number: int) -> Opening:
        return Opening(PROMPTS[number], COMPLETIONS[number], salt(number, 1), salt(number, 2))

    def contents(self, indices: Sequence[int] | None = None) -> BundleContents:
        chosen = range(len(self.entries)) if indices is None else indices
        checkpoint = self.checkpoint()
        samples = [index for index in self.samples if index in chosen]
        return BundleContents(
            subject={"kind": "report", "id": "rep_1"},
            log_size=len(self.entries),
            checkpoint=checkpoint,
            vkeys=self.vkeys(),
            entries={index: self.entries[index] for index in chosen},
            proofs={index: self.proof(index, checkpoint) for index in chosen},
            batches={index: self.place(index) for index in samples},
            openings={index: self.opening(index - self.samples[0]) for index in samples},
            files={"report.html": REPORT_HTML},
        )

    def evidence(self, number: int) -> dict[str, Any]:
        """What `GET /samples/{index}/evidence.json` answers for the sample of that number."""
        index, checkpoint = self.samples[number], self.checkpoint()
        place, opening = self.place(index), self.opening(number)
        return {
            "index": index,
            "entry": encode(self.entries[index]),
            "batch": {
                "index": self.batch_index,
                "entry": encode(self.entries[self.batch_index]),
                "position": place.position,
                "path": [encode(item) for item in place.path],
            },
            "proof": self.proof(index, checkpoint),
            "batch_proof": self.proof(self.batch_index, checkpoint),
            "vkeys": self.vkeys(),
            "keys": [
                {"purpose": purpose, "keyid": signer.public_key.keyid, "algorithm": signer.public_key.algorithm,
                 "public_key": encode(signer.public_key.spki), "state": "active"}
                for purpose, signer in self.signers.items()
            ],
            "opening": {
                "prompt": opening.prompt, "completion": opening.completion,
                "prompt_salt": opening.prompt_salt.hex(), "completion_salt": opening.completion_salt.hex(),
            },
        }  # fmt: skip


def encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def sample_entry(number: int) -> bytes:
    prompt = commit(PROMPT_DOMAIN, salt(number, 1), canonical_bytes(PROMPTS[number]))
    completion = commit(COMPLETION_DOMAIN, salt(number, 2), canonical_bytes(COMPLETIONS[number]))
    predicate: dict[str, Any] = {
        "capture": "cap", "dataset": "math", "teacher": {"provider": "openai", "model": "m"}, "role": "generator",
        "generated_at": AT, "account": None, "terms": [], "prompt_commitment": prompt,
        "completion_commitment": completion, "parameters": None, "usage": None, "request_id": None,
        "prompt_origin": None, "source_dataset": None, "parents": [], "evidence": "declared", "fact_class": DIGEST,
        "external_id": str(number), "logged_at": AT,
    }  # fmt: skip
    subject = Subject("sample", {"sha256": completion.removeprefix("sha256:")})
    return format_statement(Statement((subject,), "sample", predicate))


def make_log(verdict: str = "allow") -> Log:
    """A log of 12 entries: three keys, five samples, their batch, a decision, a release, a report."""
    log = Log()
    log.say_keys()
    log.say_samples()
    log.say_release(log.say_decision(verdict))
    log.say_report()
    return log
