"""One proof for a set of entries: every set of small trees, bent proofs, and what is shared stands there once."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from provenance.errors import InclusionError, MalformedError, ProvenanceError, SignatureError
from provenance.ledger.checkpoint import Checkpoint, sign_checkpoint
from provenance.ledger.merkle import MemoryTree, inclusion_proof, leaf_hash
from provenance.ledger.multiproof import (
    MultiProof,
    format_multi_proof,
    format_ranges,
    make_ranges,
    multi_proof,
    open_multi_proof,
    parse_multi_proof,
    parse_ranges,
    root_from_multi_proof,
    verify_multi_proof,
)
from provenance.ledger.note import Ed25519NoteSigner

LOG = Ed25519NoteSigner("example.com/log", Ed25519PrivateKey.from_private_bytes(b"l" * 32))
LEAVES = [leaf_hash(bytes([number])) for number in range(200)]
TREES = {size: MemoryTree(LEAVES[:size]) for size in range(1, 201)}
Chosen = tuple[int, list[int]]


@st.composite
def chosen_sets(draw: st.DrawFn) -> Chosen:
    """A tree size, and some of its indices in order."""
    size = draw(st.integers(1, 200))
    return size, sorted(draw(st.sets(st.integers(0, size - 1), min_size=1)))


@given(chosen_sets())
def test_a_set_proves_and_no_other_set_does(chosen: Chosen) -> None:
    size, indices = chosen
    tree, ranges = TREES[size], make_ranges(indices)
    path = multi_proof(ranges, size, tree.read)
    leaves = [LEAVES[index] for index in indices]
    verify_multi_proof(leaves, ranges, size, path, tree.root())
    for other in range(size):
        changed = make_ranges(set(indices) ^ {other})
        if changed:
            with pytest.raises(InclusionError):
                verify_multi_proof([LEAVES[i] for item in changed for i in item], changed, size, path, tree.root())


def test_every_set_of_every_small_tree_proves() -> None:
    for size in range(1, 10):
        for mask in range(1, 1 << size):
            indices = [index for index in range(size) if mask >> index & 1]
            ranges = make_ranges(indices)
            path = multi_proof(ranges, size, TREES[size].read)
            verify_multi_proof([LEAVES[i] for i in indices], ranges, size, path, TREES[size].root())


@given(chosen_sets())
def test_what_several_inclusion_proofs_share_stands_there_once(chosen: Chosen) -> None:
    size, indices = chosen
    singly = [item for index in indices for item in inclusion_proof(index, size, TREES[size].read)]
    path = multi_proof(make_ranges(indices), size, TREES[size].read)
    assert len(path) == len(set(path))
    assert set(path) <= set(singly)
    if len(indices) == 1:
        assert sorted(path) == sorted(singly)


def test_the_whole_log_needs_no_hash_and_a_half_needs_one() -> None:
    assert multi_proof([range(128)], 128, TREES[128].read) == []
    assert len(multi_proof([range(64, 128)], 128, TREES[128].read)) == 1


@given(chosen_sets(), st.data())
def test_a_leaf_or_hash_that_was_changed_moved_added_or_dropped_fails(chosen: Chosen, data: st.DataObject) -> None:
    size, indices = chosen
    ranges, root = make_ranges(indices), TREES[size].root()
    path = multi_proof(ranges, size, TREES[size].read)
    leaves = [LEAVES[index] for index in indices]
    bend = data.draw(st.sampled_from(["change", "add", "drop", "swap"]))
    which = data.draw(st.sampled_from([leaves, path] if path else [leaves]))
    at = data.draw(st.integers(0, len(which) - 1))
    if bend == "change":
        which[at] = leaf_hash(b"another")
    elif bend == "add":
        which.insert(at, leaf_hash(b"another"))
    elif bend == "drop":
        which.pop(at)
    elif len(which) > 1:
        which[at], which[at - 1] = which[at - 1], which[at]
    else:
        which[at] = which[at][:-1]
    with pytest.raises(InclusionError):
        verify_multi_proof(leaves, ranges, size, path, root)


@pytest.mark.parametrize("ranges", [[], [range(5, 12)], [range(-1, 2)], [range(11, 12)]])
def test_nothing_proves_about_entries_outside_the_tree(ranges: list[range]) -> None:
    with pytest.raises(MalformedError):
        multi_proof(ranges, 11, TREES[11].read)
    with pytest.raises(MalformedError):
        root_from_multi_proof([LEAVES[0]] * sum(map(len, ranges)), ranges, 11, [])


@given(st.sets(st.integers(0, 2**62), min_size=1))
def test_ranges_parse_back(indices: set[int]) -> None:
    ranges = make_ranges(indices)
    assert parse_ranges(format_ranges(ranges)) == ranges
    assert [index for item in ranges for index in item] == sorted(indices)


@pytest.mark.parametrize(
    "text", ["", "-1", "1,", "3-1", "1-1", "1,2", "1-3,4", "5,1", "1-4,3-6", "01", "1 ,3", "a", "1--2", "9" * 20, "٣"]
)
def test_ranges_have_one_spelling(text: str) -> None:
    with pytest.raises(MalformedError) as caught:
        parse_ranges(text)
    assert caught.value.errors[0].field == "indices"


NOTE = sign_checkpoint(Checkpoint(LOG.name, 11, TREES[11].root()), [LOG])
CHOSEN = (range(1, 4), range(6, 7))
CHOSEN_LEAVES = [LEAVES[index] for item in CHOSEN for index in item]
TEXT = format_multi_proof(MultiProof(CHOSEN, tuple(multi_proof(CHOSEN, 11, TREES[11].read)), NOTE))


def test_the_text_parses_back_and_opens() -> None:
    assert format_multi_proof(parse_multi_proof(TEXT)) == TEXT
    ranges, checkpoint = open_multi_proof(TEXT, CHOSEN_LEAVES, [LOG.vkey])
    assert (ranges, checkpoint.size) == (CHOSEN, 11)
    with pytest.raises(SignatureError):
        open_multi_proof(TEXT, CHOSEN_LEAVES, [])


@given(st.integers(0, len(TEXT) - 1), st.integers(33, 126))
def test_one_changed_character_fails(at: int, code: int) -> None:
    if TEXT[at] != chr(code):
        with pytest.raises(ProvenanceError):
            open_multi_proof(TEXT[:at] + chr(code) + TEXT[at + 1 :], CHOSEN_LEAVES, [LOG.vkey])


@pytest.mark.parametrize(
    "bent",
    [
        "", "\n\n", TEXT.replace("@v1", "@v2"), TEXT.replace("indices 1-3,6\n", ""), TEXT.split("\n\n", maxsplit=1)[0],
        TEXT.replace("indices 1-3,6", "indices 1-3,6\nAAAA"), TEXT.replace("indices 1-3,6", "indices 1-3,99999999999"),
    ],
)  # fmt: skip
def test_what_is_no_proof_is_refused(bent: str) -> None:
    with pytest.raises((MalformedError, InclusionError)):
        open_multi_proof(bent, CHOSEN_LEAVES, [LOG.vkey])
