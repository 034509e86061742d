"""Proofs out of the database: every index of logs of many sizes proves, and nothing outside of them does."""

from __future__ import annotations

import pytest

from provenance.attestation.envelope import open_envelope
from provenance.errors import InclusionError, MalformedError, NotFoundError
from provenance.ledger.append import make_draft
from provenance.ledger.merkle import leaf_hash, tree_root, verify_consistency, verify_inclusion
from provenance.ledger.multiproof import make_ranges, open_multi_proof
from provenance.ledger.proof import verify_proof
from provenance.ledger.prove import Prover
from provenance.store.log import read_entry
from provenance.store.samples import get_sample
from provenance.store.session import read_session
from provenance.terms.catalogue import Catalogue
from tests.store.logs import Log, check_log, make_samples, raw_sample


@pytest.fixture
def roots(sqlite_log: Log) -> dict[int, bytes]:
    """A log of 600 entries, and the roots that it had on the way."""
    for number in range(6):
        sqlite_log.sequencer.append(make_draft([sqlite_log.access(f"{number}-{part}") for part in range(100)]))
    leaves = [leaf_hash(entry) for entry in check_log(sqlite_log.engine, sqlite_log.ring)]
    return {size: tree_root(leaves[:size]) for size in (1, 2, 3, 100, 255, 256, 257, 300, 512, 599, 600)}


def test_every_index_proves(sqlite_log: Log, roots: dict[int, bytes]) -> None:
    with read_session(sqlite_log.engine) as session:
        prover = Prover(session)
        for index in range(600):
            leaf = leaf_hash(read_entry(session, index))
            verify_inclusion(leaf, index, 600, prover.inclusion(index), roots[600])
        with pytest.raises(InclusionError):
            verify_inclusion(leaf_hash(b"another"), 5, 600, prover.inclusion(5), roots[600])


def test_every_older_tree_is_a_prefix(sqlite_log: Log, roots: dict[int, bytes]) -> None:
    with read_session(sqlite_log.engine) as session:
        prover = Prover(session)
        for size, root in roots.items():
            verify_consistency(size, 600, prover.consistency(size), root, roots[600])


@pytest.mark.parametrize("index", [-1, 600, 2**70])
def test_there_is_no_proof_of_an_entry_that_is_not_there(sqlite_log: Log, roots: dict[int, bytes], index: int) -> None:
    with read_session(sqlite_log.engine) as session:
        with pytest.raises(NotFoundError):
            Prover(session).inclusion(index)
        with pytest.raises(NotFoundError):
            Prover(session).proof_text(index)
        with pytest.raises(MalformedError):
            Prover(session).consistency(601)
    assert roots


def test_the_proof_file_leads_from_the_entry_to_the_signature(log: Log) -> None:
    log.append(*"abcdefg")
    with read_session(log.engine) as session:
        text, entry = Prover(session).proof_text(4), read_entry(session, 4)
    index, checkpoint = verify_proof(text, leaf_hash(entry), log.ring.vkeys)
    assert (index, checkpoint.size) == (4, 7)
    with pytest.raises(InclusionError):
        verify_proof(text, leaf_hash(entry + b" "), log.ring.vkeys)


def test_a_sample_proves_to_be_in_its_batch(log: Log, catalogue: Catalogue) -> None:
    recorder = log.recorder(catalogue)
    for count in (1, 3, 5):
        recorder.record(make_samples(*[raw_sample() for _ in range(count)]), source="api")
    with read_session(log.engine) as session:
        prover = Prover(session)
        batches = {1: 2, 3: 6, 5: 12}  # entry 0 opens the capture
        for count, batch_index in batches.items():
            batch = open_envelope(read_entry(session, batch_index), log.ring.public_keys_of("collector"))
            assert batch.predicate["count"] == count
            root = bytes.fromhex(batch.predicate["root"].removeprefix("sha256:"))
            for index in range(batch_index - count, batch_index):
                assert get_sample(session, index).batch_index == batch_index
                position, path = prover.batch_path(index, batch_index, count)
                verify_inclusion(leaf_hash(read_entry(session, index)), position, count, path, root)


def test_one_proof_for_many_entries(log: Log) -> None:
    log.append(*"abcdefghijk")
    ranges = make_ranges([0, 3, 4, 9])
    with read_session(log.engine) as session:
        text = Prover(session).multi_proof_text(ranges)
        leaves = [leaf_hash(read_entry(session, index)) for index in (0, 3, 4, 9)]
        with pytest.raises(MalformedError):
            Prover(session).multi_proof_text([range(5, 12)])
    assert open_multi_proof(text, leaves, log.ring.vkeys)[0] == ranges
    with pytest.raises(InclusionError):
        open_multi_proof(text, [*leaves[:3], leaf_hash(b"another")], log.ring.vkeys)
