"""The evidence of one sample is enough to check it without the service."""

from __future__ import annotations

from base64 import b64decode

import pytest

from provenance.attestation.envelope import open_envelope, parse_entry
from provenance.attestation.signature import PublicKey
from provenance.canonical import COMPLETION_DOMAIN, PROMPT_DOMAIN, canonical_bytes, parse_digest, verify_commitment
from provenance.capture.evidence import sample_evidence
from provenance.errors import NotFoundError
from provenance.ledger.append import make_draft
from provenance.ledger.keys import list_public
from provenance.ledger.merkle import leaf_hash, verify_inclusion
from provenance.ledger.note import parse_vkey
from provenance.ledger.proof import verify_proof
from provenance.ledger.sign import sign_entry
from provenance.store.session import read_session
from provenance.terms.catalogue import Catalogue
from tests.store.logs import Log, make_samples, raw_sample


def test_evidence_checks_with_nothing_but_itself(log: Log, catalogue: Catalogue) -> None:
    log.sequencer.append(make_draft([sign_entry(log.ring, "key", key) for key in list_public(log.ring)]))
    receipt = log.recorder(catalogue).record(make_samples(*[raw_sample()] * 5), source="api")
    index = receipt.first_index + 3
    with read_session(log.engine) as session:
        evidence = sample_evidence(session, log.ring, index)
    entry, batch = b64decode(evidence["entry"]), b64decode(evidence["batch"]["entry"])
    vkeys = [parse_vkey(text) for text in evidence["vkeys"]]
    assert verify_proof(evidence["proof"], leaf_hash(entry), vkeys)[0] == index
    assert verify_proof(evidence["batch_proof"], leaf_hash(batch), vkeys)[0] == receipt.first_index + 5
    collector = {
        key["keyid"]: PublicKey(b64decode(key["public_key"]))
        for key in evidence["keys"]
        if key["purpose"] == "collector"
    }
    signed = open_envelope(batch, collector).predicate
    path = [b64decode(value) for value in evidence["batch"]["path"]]
    root = parse_digest(signed["root"])
    verify_inclusion(leaf_hash(entry), evidence["batch"]["position"], signed["count"], path, root)
    said, words = parse_entry(entry).predicate, evidence["opening"]
    for half, domain in (("prompt", PROMPT_DOMAIN), ("completion", COMPLETION_DOMAIN)):
        salt = bytes.fromhex(words[f"{half}_salt"])
        verify_commitment(said[f"{half}_commitment"], domain, salt, canonical_bytes(words[half]))


def test_there_is_no_evidence_of_what_is_no_sample(sqlite_log: Log) -> None:
    sqlite_log.append("a")
    for index in (0, 1, -1, 2**70):
        with read_session(sqlite_log.engine) as session, pytest.raises(NotFoundError):
            sample_evidence(session, sqlite_log.ring, index)
