"""Record samples: bind the terms in force, commit to the words, sign the batch, append.

Order of use: `parse_samples` -> `Recorder.record` -> a `Receipt`. What is recorded is never more than what was handed in
and what the catalogue of terms says of that day; a gap in the catalogue loses no sample.

Samples with the same facts have the same fact class and terms, so both are made once for each and remembered.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import orjson

from provenance import __version__
from provenance.attestation.envelope import parse_entry
from provenance.attestation.facts import fact_class_digest, sample_facts
from provenance.attestation.statement import Statement, Subject, format_statement
from provenance.canonical import COMPLETION_DOMAIN, PROMPT_DOMAIN, SALT_BYTES, canonical_bytes, commit, sha256_digest
from provenance.capture.opened import check_belongs
from provenance.capture.sample import Sample
from provenance.errors import FieldError, MalformedError
from provenance.ledger.append import Draft, Receipt, format_time, make_draft
from provenance.ledger.keys import KeyRing
from provenance.ledger.merkle import leaf_hash, tree_root
from provenance.ledger.sign import sign_entry
from provenance.terms.catalogue import Catalogue
from provenance.terms.resolve import resolve_terms

EVIDENCE_BY_SOURCE = {
    "import": "claimed",
    "api": "declared",
    "sdk": "declared",
    "cli": "declared",
    "gateway": "recorded",
}
MAX_REMEMBERED_CLASSES = 10_000  # a hostile pipeline could make one of each sample


@dataclass(frozen=True)
class _Class:
    """What all samples with the same facts share."""

    digest: str
    terms: list[dict[str, str]]


@dataclass
class _Capture:
    """One pipeline's stay at one door; its entry is appended right before its first samples."""

    predicate: dict[str, Any]
    logged: bool = False


@dataclass
class Recorder:
    """Makes entries of samples. `append` and `find_replay` are the sequencer's."""

    append: Callable[[Draft], Receipt]
    ring: KeyRing
    catalogue: Catalogue
    clock: Callable[[], datetime]
    collector_name: str = "service"
    find_replay: Callable[[str, str], Receipt | None] | None = None
    stay: str = field(default_factory=lambda: secrets.token_hex(16))  # the same in all processes of one service
    _classes: dict[bytes, _Class] = field(default_factory=dict)
    _captures: dict[tuple[str, str], _Capture] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def use_terms(self, catalogue: Catalogue) -> None:
        """Bind the samples from here on to the terms of another catalogue."""
        # The new memory comes second: whoever still sees the old catalogue puts what it bound into the old memory.
        self.catalogue = catalogue
        self._classes = {}

    def record(
        self,
        samples: Sequence[Sample],
        *,
        source: str,
        idempotency_key: str | None = None,
        capture: Mapping[str, Any] | None = None,
    ) -> Receipt:
        """Append `samples` and the collector's attestation over them; returns once they are durable.

        `source` says through which door they came: import | api | sdk | cli | gateway. It sets their evidence grade.

        `capture` is the generation run that the samples belong to, as it was logged; by default the pipeline's stay at this
        door is one.

        The receipt counts the samples and the batch entry, which stands at `first_index + count - 1`.

        Raises:
            MalformedError: no sample, or one that the capture does not name.
            StatementError: a sample whose facts do not fit into an entry.
            ConflictError: the Idempotency-Key stands for another request, or the capture was closed.
        """
        if not samples:
            raise MalformedError("there is no sample to record", FieldError("samples", 0, "at least one sample"))
        # Salts differ at each try, so a request is known by what it says, not by its entries.
        request = _request_digest(samples, source, capture) if idempotency_key else None
        if idempotency_key and request and self.find_replay:
            receipt = self.find_replay(idempotency_key, request)
            if receipt is not None:
                return receipt
        if capture is not None:
            check_belongs(samples, capture)
            named = {capture["dataset"]: _Capture(dict(capture), logged=True)}
            return self.append(self._draft(samples, source, named, (idempotency_key, request)))
        captures = {name: self._capture(name, source) for name in {sample.dataset for sample in samples}}
        draft = self._draft(samples, source, captures, (idempotency_key, request))
        for name in captures:  # after the draft: a request that is refused leaves nothing in the log
            self.open_capture(name, source=source)
        return self.append(draft)

    def open_capture(self, dataset: str, *, source: str, details: Mapping[str, Any] | None = None) -> str:
        """The id of this service's capture for `dataset` and `source`; a `capture` entry the first time."""
        capture = self._capture(dataset, source, details)
        with self._lock:
            if not capture.logged:
                # Another process of this service may have opened it: under this key it is logged once.
                name = f"capture:{capture.predicate['id']}"
                entry = sign_entry(self.ring, "capture", capture.predicate)
                self.append(make_draft([entry], idempotency_key=name, request_digest=sha256_digest(name.encode())))
                capture.logged = True
        return str(capture.predicate["id"])

    def _capture(self, dataset: str, source: str, details: Mapping[str, Any] | None = None) -> _Capture:
        with self._lock:
            if (dataset, source) not in self._captures:
                predicate = {
                    "id": f"cap_{sha256_digest(canonical_bytes([self.stay, dataset, source]))[7:23]}",
                    "dataset": dataset,
                    "collector": self.collector_name,
                    "source": source,
                    "opened_at": format_time(self.clock()),
                    "code": {"name": "provenance", "version": __version__},
                    **(details or {}),
                }
                self._captures[dataset, source] = _Capture(predicate)
            return self._captures[dataset, source]

    def _draft(
        self,
        samples: Sequence[Sample],
        source: str,
        captures: Mapping[str, _Capture],
        request: tuple[str | None, str | None],
    ) -> Draft:
        shared = {"evidence": EVIDENCE_BY_SOURCE[source], "logged_at": format_time(self.clock())}
        salts = os.urandom(2 * SALT_BYTES * len(samples))
        statements, contents = [], []
        for position, sample in enumerate(samples):
            start = position * 2 * SALT_BYTES
            pair = (salts[start : start + SALT_BYTES], salts[start + SALT_BYTES : start + 2 * SALT_BYTES])
            capture = captures[sample.dataset].predicate["id"]
            statement, content = self._state(sample, pair, {"capture": capture, **shared})
            statements.append(statement)
            contents.append(content)
        entries = [format_statement(statement) for statement in statements]
        leaves = [leaf_hash(entry) for entry in entries]
        envelope, batch = self._sign_batch(leaves, str(captures[samples[0].dataset].predicate["id"]))
        return make_draft(
            [*entries, envelope],
            contents,
            statements=[*statements, batch],
            leaves=[*leaves, leaf_hash(envelope)],
            idempotency_key=request[0],
            request_digest=request[1],
        )

    def _state(self, sample: Sample, salts: tuple[bytes, bytes], shared: Mapping[str, str]) -> tuple[Statement, bytes]:
        """What the entry says of a sample, and the words beside it."""
        predicate: dict[str, Any] = msgspec.to_builtins(sample)
        prompt, completion = predicate.pop("prompt"), predicate.pop("completion")
        prompt_bytes, completion_bytes = canonical_bytes(prompt), canonical_bytes(completion)
        commitment = commit(COMPLETION_DOMAIN, salts[1], completion_bytes)
        predicate |= shared
        predicate["prompt_commitment"] = commit(PROMPT_DOMAIN, salts[0], prompt_bytes)
        predicate["completion_commitment"] = commitment
        predicate["size_bytes"] = {"prompt": len(prompt_bytes), "completion": len(completion_bytes)}
        known = self._class_of(predicate)
        predicate["fact_class"], predicate["terms"] = known.digest, known.terms
        words = {
            "prompt": prompt,
            "completion": completion,
            "prompt_salt": salts[0].hex(),
            "completion_salt": salts[1].hex(),
        }
        subject = Subject("sample", {"sha256": commitment.removeprefix("sha256:")})
        return Statement((subject,), "sample", predicate), orjson.dumps(words)

    def _class_of(self, predicate: Mapping[str, Any]) -> _Class:
        facts = sample_facts(predicate)
        key = orjson.dumps(facts)
        classes = self._classes
        known = classes.get(key)
        if known is None:
            binding = resolve_terms(facts, self.catalogue)
            terms = [{"id": document.id, "digest": document.digest} for document in binding.documents]
            known = _Class(fact_class_digest(facts), terms)
            if len(classes) >= MAX_REMEMBERED_CLASSES:
                classes.clear()
            classes[key] = known
        return known

    def _sign_batch(self, leaves: Sequence[bytes], capture: str) -> tuple[bytes, Statement]:
        root = f"sha256:{tree_root(leaves).hex()}"
        predicate = {"capture": capture, "collector": self.collector_name, "count": len(leaves), "root": root}
        envelope = sign_entry(self.ring, "batch", predicate, subjects=[("batch", root)])
        return envelope, parse_entry(envelope)


def _request_digest(samples: Sequence[Sample], source: str, capture: Mapping[str, Any] | None) -> str:
    named = [] if capture is None else [capture["id"]]
    return sha256_digest(canonical_bytes([source, [msgspec.to_builtins(sample) for sample in samples], *named]))
