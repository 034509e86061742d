"""Record samples: bind the terms in force, commit to the words, sign the batch, append.

Order of use: `parse_samples` -> `Recorder.record` -> a `Receipt`. What is recorded is never more than what was handed in
and what the catalogue of terms says of that day; a gap in the catalogue loses no sample.

Samples with the same facts have the same fact class and terms: their `Binding` is made once and remembered.
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
from msgspec import Raw

from provenance import __version__
from provenance.attestation.envelope import parse_entry
from provenance.attestation.facts import fact_class_digest, sample_facts
from provenance.attestation.statement import Statement
from provenance.canonical import SALT_BYTES, canonical_bytes, sha256_digest
from provenance.capture.entry import Binding, FactsKey, Stamp, facts_key, write_entry, write_sample
from provenance.capture.opened import check_belongs
from provenance.capture.sample import Sample
from provenance.errors import FieldError, MalformedError
from provenance.ledger.append import Draft, Receipt, format_time, make_draft
from provenance.ledger.keys import KeyRing
from provenance.ledger.merkle import leaf_hash, tree_root
from provenance.ledger.sign import sign_entry
from provenance.store.samples_index import SampleGroup, SampleLine, count_tokens
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
    _bindings: dict[FactsKey, Binding] = field(default_factory=dict)
    _captures: dict[tuple[str, str], _Capture] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def use_terms(self, catalogue: Catalogue) -> None:
        """Bind the samples from here on to the terms of another catalogue."""
        # The new memory comes second: whoever still sees the old catalogue puts what it bound into the old memory.
        self.catalogue = catalogue
        self._bindings = {}

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
        evidence, logged_at = EVIDENCE_BY_SOURCE[source], format_time(self.clock())
        stamps = {name: Stamp(item.predicate["id"], evidence, logged_at) for name, item in captures.items()}
        salts = os.urandom(2 * SALT_BYTES * len(samples))
        entries, contents, group = [], [], SampleGroup()
        for position, sample in enumerate(samples):
            at = position * 2 * SALT_BYTES
            pair = salts[at : at + SALT_BYTES], salts[at + SALT_BYTES : at + 2 * SALT_BYTES]
            binding = self._bind(sample, evidence)
            entry, words, completion_bytes = write_entry(sample, stamps[sample.dataset], binding, pair)
            entries.append(entry)
            contents.append(words)
            group.facts[binding.fact_class] = binding.facts
            group.lines.append(_line_of(sample, binding, completion_bytes))
        leaves = [leaf_hash(entry) for entry in entries]
        envelope, batch = self._sign_batch(leaves, stamps[samples[0].dataset].capture)
        return make_draft(
            [*entries, envelope],
            contents,
            said=[group, batch],
            leaves=[*leaves, leaf_hash(envelope)],
            idempotency_key=request[0],
            request_digest=request[1],
        )

    def _bind(self, sample: Sample, evidence: str) -> Binding:
        key = facts_key(sample, evidence)
        bindings = self._bindings
        known = bindings.get(key)
        if known is None:
            facts = sample_facts({**msgspec.to_builtins(sample), "evidence": evidence})
            bound = resolve_terms(facts, self.catalogue)
            terms = [{"id": document.id, "digest": document.digest} for document in bound.documents]
            known = Binding(facts, fact_class_digest(facts), Raw(canonical_bytes(terms)))
            if len(bindings) >= MAX_REMEMBERED_CLASSES:
                bindings.clear()
            bindings[key] = known
        return known

    def _sign_batch(self, leaves: Sequence[bytes], capture: str) -> tuple[bytes, Statement]:
        root = f"sha256:{tree_root(leaves).hex()}"
        predicate = {"capture": capture, "collector": self.collector_name, "count": len(leaves), "root": root}
        envelope = sign_entry(self.ring, "batch", predicate, subjects=[("batch", root)])
        return envelope, parse_entry(envelope)


def _line_of(sample: Sample, binding: Binding, completion_bytes: int) -> SampleLine:
    counted = None if sample.usage is None else sample.usage.output_tokens
    tokens = count_tokens(counted, completion_bytes)
    return SampleLine(
        sample.dataset,
        binding.fact_class,
        sample.generated_at,
        tokens,
        sample.external_id,
        sample.teacher.weights_digest,
        sample.parents,
    )


def _request_digest(samples: Sequence[Sample], source: str, capture: Mapping[str, Any] | None) -> str:
    said = b",".join(map(write_sample, samples))
    named = b"" if capture is None else b"," + canonical_bytes(capture["id"])
    return sha256_digest(b"[%b,[%b]%b]" % (canonical_bytes(source), said, named))
