"""Proofs of equivocation: they convict who signed two histories, and nobody else."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.errors import ConsistencyError, MalformedError, ProvenanceError, SignatureError
from provenance.ledger.checkpoint import Checkpoint, sign_checkpoint
from provenance.ledger.equivocation import (
    accuse,
    convict,
    format_conviction,
    format_equivocation,
    is_equivocation,
    judge,
    parse_equivocation,
)
from provenance.ledger.merkle import MemoryTree, prefix_path, prefix_root
from tests.ledger.witness.witnesses import SmallLog

LOG = SmallLog().grow(40)
STRANGER = SmallLog().grow(40)


def _read(log: SmallLog, size: int) -> MemoryTree:
    return MemoryTree(log.leaves[:size])


@given(st.data())
def test_a_path_leads_to_the_root_of_every_smaller_tree(data: st.DataObject) -> None:
    new = data.draw(st.integers(2, 40))
    old = data.draw(st.integers(1, new - 1))
    path = prefix_path(old, new, _read(LOG, new).read)
    assert prefix_root(old, new, path, LOG.root(new)) == LOG.root(old)
    bent = [bytes([path[-1][0] ^ 1]) + path[-1][1:]]
    for wrong in ([], path[:-1], [*path, path[0]], [*path[:-1], *bent]):
        with pytest.raises(ConsistencyError):
            prefix_root(old, new, wrong, LOG.root(new))


@given(st.data())
def test_any_two_signed_trees_of_two_histories_convict(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, 38))
    fork = LOG.fork(at, 40)
    one, other = data.draw(st.integers(at + 1, 40)), data.draw(st.integers(at + 1, 40))
    greater, size = (LOG, one) if one > other else (fork, other)
    accusation = accuse(LOG.note(one), fork.note(other), LOG.vkeys, read=_read(greater, size).read)
    again = parse_equivocation(format_equivocation(accusation))
    assert again == accusation
    conviction = convict(again, LOG.vkeys)
    assert conviction.pinned
    assert conviction.keys == tuple(LOG.vkeys)
    assert conviction.should_be == greater.root(min(one, other)) != conviction.first.root


@given(st.data())
def test_an_honest_log_is_never_convicted(data: st.DataObject) -> None:
    one, other = data.draw(st.integers(0, 40)), data.draw(st.integers(0, 40))
    small, great = sorted((one, other))
    accusation = accuse(LOG.note(one), LOG.note(other), LOG.vkeys, read=_read(LOG, great).read)
    assert judge(accusation, LOG.vkeys) is None
    with pytest.raises(ConsistencyError):
        convict(accusation)
    if 0 < small < great:
        path = data.draw(st.lists(st.sampled_from([*accusation.path, b"h" * 32, LOG.root(small)]), max_size=8))
        wrong = replace(accusation, path=tuple(path))
        with suppress(ConsistencyError):  # it shows nothing
            assert judge(wrong) is None


def test_a_consistency_proof_serves_where_there_are_no_tiles() -> None:
    fork = LOG.fork(3, 40)
    for old, new in ((11, 20), (8, 20)):
        assert judge(accuse(LOG.note(old), LOG.note(new), LOG.vkeys, proof=LOG.proof(old, new))) is None
    assert judge(accuse(fork.note(11), LOG.note(20), LOG.vkeys, proof=LOG.proof(11, 20))) is not None
    with pytest.raises(ConsistencyError):  # of a power of two such a proof leaves out what would convict
        judge(accuse(fork.note(8), LOG.note(20), LOG.vkeys, proof=LOG.proof(8, 20)))
    with pytest.raises(ConsistencyError):
        judge(accuse(fork.note(11), LOG.note(20), LOG.vkeys))


def test_nobody_is_accused_with_a_key_that_did_not_sign_both() -> None:
    one, other = LOG.note(10), STRANGER.fork(3, 10).note(10)
    with pytest.raises(SignatureError, match="no one key"):
        convict(accuse(one, other, [*LOG.vkeys, *STRANGER.vkeys]))
    with pytest.raises(SignatureError):
        convict(accuse(STRANGER.note(10), other, STRANGER.vkeys), LOG.vkeys)
    renamed = replace_origin(LOG.fork(3, 10))
    with pytest.raises(SignatureError):
        convict(accuse(one, renamed.note(10), [*LOG.vkeys, *renamed.vkeys]))


def replace_origin(log: SmallLog) -> SmallLog:
    return SmallLog("log.example/other", log.leaves, log.ed25519, log.ml_dsa_44)


def test_a_signed_empty_tree_with_another_root_convicts_itself() -> None:
    note = sign_checkpoint(Checkpoint(LOG.origin, 0, b"r" * 32), LOG.signers)
    assert convict(accuse(note, LOG.note(10), LOG.vkeys)).first.size == 0


def test_a_conviction_says_who_and_what_and_whose_word_the_key_is() -> None:
    accusation = accuse(LOG.note(10), LOG.fork(3, 10).note(10), LOG.vkeys)
    text = format_conviction(convict(accusation))
    assert "log.example/small signed two histories" in text
    assert "not pinned" in text
    assert "pinned by you" in format_conviction(convict(accusation, LOG.vkeys))
    said = convict(accusation, LOG.vkeys).to_json()
    assert (said["proven"], said["pinned"], said["first"]["tree_size"]) == (True, True, 10)


def test_malformed_files_are_refused() -> None:
    good = json.loads(format_equivocation(accuse(LOG.note(10), LOG.fork(3, 10).note(10), LOG.vkeys)))
    assert is_equivocation(json.dumps(good).encode())
    changes = [
        {"format": "provenance-equivocation/2"}, {"first": 1}, {"vkeys": "k"}, {"vkeys": ["k"]}, {"path": ["!"]},
        {"path": ["aGVsbG8="] * 65}, {"more": 1}, {"path": [None]}, {"first": "word"},
    ]  # fmt: skip
    for change in changes:
        with pytest.raises(ProvenanceError):
            convict(parse_equivocation(json.dumps(good | change).encode()))
    for data in (b"[]", b"null", b"{", b"\xff", b'{"format": "provenance-equivocation/1"}'):
        with pytest.raises(MalformedError):
            parse_equivocation(data)
