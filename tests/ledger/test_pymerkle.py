"""Another implementation grows the same trees: pymerkle's roots are ours, and its proofs verify under our root."""

from __future__ import annotations

from typing import Any

import pytest

from provenance.ledger.merkle import (
    MemoryTree,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    tree_root,
    verify_consistency,
)

pytestmark = pytest.mark.external
pymerkle = pytest.importorskip("pymerkle")

ENTRIES = [str(number).encode() for number in range(40)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]


def foreign_tree() -> Any:
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    for entry in ENTRIES:
        tree.append_entry(entry)
    return tree


def test_roots_agree_at_every_size() -> None:
    tree = foreign_tree()
    for size in range(1, len(ENTRIES) + 1):
        assert tree.get_root(size) == tree_root(LEAVES[:size])


def test_its_inclusion_proofs_hold_our_hashes_and_verify_under_our_root() -> None:
    tree, ours = foreign_tree(), MemoryTree(LEAVES)
    for size in range(1, len(ENTRIES) + 1):
        for index in range(size):
            proof = tree.prove_inclusion(index + 1, size)
            pymerkle.verify_inclusion(LEAVES[index], tree_root(LEAVES[:size]), proof)
            made = [LEAVES[index], *inclusion_proof(index, size, ours.read)]
            assert sorted(proof.path) == sorted(made)


def test_proofs_between_its_roots_verify_both_ways() -> None:
    tree, ours, size = foreign_tree(), MemoryTree(LEAVES), len(ENTRIES)
    for old in range(1, size):
        old_root, new_root = tree.get_root(old), tree.get_root(size)
        verify_consistency(old, size, consistency_proof(old, size, ours.read), old_root, new_root)
        proof = tree.prove_consistency(old, size)
        pymerkle.verify_consistency(tree_root(LEAVES[:old]), ours.root(), proof)
