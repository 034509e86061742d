"""The proof that comes with a release, under log keys that end."""

from __future__ import annotations

from typing import Any

import pytest

from provenance.client.check import check_log_proof
from provenance.errors import InclusionError, ManifestError, SignatureError
from provenance.ledger.merkle import leaf_hash
from provenance.ledger.multiproof import MultiProof, format_multi_proof, make_ranges, multi_proof
from provenance.ledger.note import format_vkey
from tests.evidence_factory import make_log

LOG = make_log()
SIZE = len(LOG.entries)
LEAVES = {index: leaf_hash(LOG.entries[index]) for index in LOG.samples}
RANGES = make_ranges(LOG.samples)
PROOF = format_multi_proof(MultiProof(RANGES, tuple(multi_proof(RANGES, SIZE, LOG.tree().read)), LOG.checkpoint()))


def keys(**changes: Any) -> list[dict[str, Any]]:
    """The log's two keys; `changes` are made to both."""
    signers = (LOG.log, LOG.log_pq)
    return [{"purpose": "log", "state": "active", "vkey": format_vkey(item.vkey)} | changes for item in signers]


@pytest.mark.parametrize("beyond", [0, 1, 1000])
def test_a_revoked_log_key_counts_up_to_its_last_good_size(beyond: int) -> None:
    check_log_proof(PROOF, LEAVES, keys(state="revoked", last_good_size=SIZE + beyond))


@pytest.mark.parametrize("good", [SIZE - 1, 0, None, str(SIZE), True])
def test_a_revoked_log_key_says_nothing_of_greater_trees(good: Any) -> None:
    with pytest.raises(SignatureError, match="no log key"):
        check_log_proof(PROOF, LEAVES, keys(state="revoked", last_good_size=good))
    with pytest.raises(SignatureError, match="no log key"):
        check_log_proof(PROOF, LEAVES, keys(state="revoked"))


@pytest.mark.parametrize("which", [0, 1])
def test_one_key_that_still_signs_is_enough(which: int) -> None:
    known = keys()
    known[which] |= {"state": "revoked", "last_good_size": SIZE - 1}
    check_log_proof(PROOF, LEAVES, known)
    with pytest.raises(SignatureError, match="no log key"):
        check_log_proof(PROOF, LEAVES, [known[which]])


def test_a_retired_key_s_old_signatures_stand() -> None:
    check_log_proof(PROOF, LEAVES, keys(state="retired"))


def test_the_size_that_a_proof_claims_is_the_one_that_was_signed() -> None:
    """A forger who writes a smaller size to come below the last good one breaks the signature."""
    forged = PROOF.replace(f"\n{SIZE}\n", f"\n{SIZE - 1}\n")
    with pytest.raises(SignatureError):
        check_log_proof(forged, LEAVES, keys(state="revoked", last_good_size=SIZE - 1))


@pytest.mark.parametrize("text", ["", "nothing", PROOF[:-90], PROOF.replace("indices", "index")])
def test_what_is_no_proof_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ManifestError, match="not a proof"):
        check_log_proof(text, LEAVES, keys())


def test_other_entries_are_refused() -> None:
    fewer = {index: leaf for index, leaf in LEAVES.items() if index != LOG.samples[0]}
    with pytest.raises(InclusionError):
        check_log_proof(PROOF, fewer, keys())
