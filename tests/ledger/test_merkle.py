"""The Merkle tree against the plain definition of RFC 9162, and its proofs against every way to bend them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.errors import ConsistencyError, InclusionError, MalformedError
from provenance.ledger.merkle import (
    EMPTY_ROOT,
    MemoryTree,
    RightEdge,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    tree_root,
    verify_consistency,
    verify_inclusion,
)

MAX = 70
LEAVES = [leaf_hash(str(number).encode()) for number in range(600)]


def plain_root(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 9162, section 2.1.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return node_hash(plain_root(leaves[:half]), plain_root(leaves[half:]))


def plain_path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 9162, section 2.1.3.1, word for word."""
    if len(leaves) == 1:
        return []
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    if index < half:
        return [*plain_path(index, leaves[:half]), plain_root(leaves[half:])]
    return [*plain_path(index - half, leaves[half:]), plain_root(leaves[:half])]


def flip(data: bytes, bit: int) -> bytes:
    raw = bytearray(data)
    raw[bit // 8 % len(raw)] ^= 1 << bit % 8
    return bytes(raw)


def test_a_leaf_cannot_pose_as_a_node() -> None:
    assert leaf_hash(b"x") == hashlib.sha256(b"\x00x").digest()
    assert node_hash(b"a", b"b") == hashlib.sha256(b"\x01ab").digest()
    assert tree_root([]) == EMPTY_ROOT == hashlib.sha256(b"").digest()


@pytest.mark.parametrize("size", range(MAX))
def test_every_root_and_every_proof_follows_the_definition(size: int) -> None:
    leaves = LEAVES[:size]
    tree = MemoryTree(leaves)
    assert tree.root() == tree_root(leaves) == plain_root(leaves)
    for index in range(size):
        proof = inclusion_proof(index, size, tree.read)
        assert proof == plain_path(index, leaves)
        verify_inclusion(leaves[index], index, size, proof, tree.root())


def test_a_proof_against_an_older_size_reads_a_newer_tree() -> None:
    tree = MemoryTree(LEAVES)
    for size in (1, 2, 3, 255, 256, 257, 300):
        for index in (0, size // 2, size - 1):
            proof = inclusion_proof(index, size, tree.read)
            verify_inclusion(LEAVES[index], index, size, proof, plain_root(LEAVES[:size]))


def test_every_prefix_of_every_size_is_consistent() -> None:
    tree = MemoryTree(LEAVES)
    roots = [plain_root(LEAVES[:size]) for size in range(MAX)]
    for new in range(MAX):
        for old in range(new + 1):
            proof = consistency_proof(old, new, tree.read)
            verify_consistency(old, new, proof, roots[old], roots[new])
            if old != new:
                with pytest.raises(ConsistencyError):
                    verify_consistency(old, new, proof, flip(roots[old], 9), roots[new])
                if old:
                    with pytest.raises(ConsistencyError):
                        verify_consistency(old, new, proof, roots[old], flip(roots[new], 9))


@given(st.lists(st.integers(0, 90), max_size=8))
def test_growing_in_steps_is_growing_at_once(steps: list[int]) -> None:
    edge, done = RightEdge(), 0
    nodes: dict[tuple[int, int], bytes] = {}
    for step in steps:
        step = min(step, len(LEAVES) - done)  # noqa: PLW2901  # cut to what is left
        for level, first, hashes in edge.extend(LEAVES[done : done + step]):
            for offset, value in enumerate(hashes):
                assert nodes.setdefault((level, first + offset), value) == value
        done += step
        edge = RightEdge(edge.size, edge.hashes)  # as a writer takes it up again
        assert edge.root() == tree_root(LEAVES[:done])
    for (level, index), value in nodes.items():
        assert value == plain_root(LEAVES[index << level : (index + 1) << level])
    assert len(nodes) == sum(done >> level for level in range(done.bit_length()))


@given(st.integers(1, 600).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))), st.randoms())
def test_one_flipped_bit_fails(place: tuple[int, int], rng: random.Random) -> None:
    size, index = place
    tree = MemoryTree(LEAVES[:size])
    proof = inclusion_proof(index, size, tree.read)
    root, leaf = tree.root(), LEAVES[index]
    bit = rng.randrange(256)
    for at in range(len(proof)):
        bent = [*proof[:at], flip(proof[at], bit), *proof[at + 1 :]]
        with pytest.raises(InclusionError):
            verify_inclusion(leaf, index, size, bent, root)
    for bad in (
        (flip(leaf, bit), index, size, proof, root),
        (leaf, index, size, proof, flip(root, bit)),
        (leaf, index, size, [*proof, root], root),
        (leaf, size, size, proof, root),
        (leaf, -1, size, proof, root),
        (leaf[:31], index, size, proof, root),
        *([(leaf, index, size, proof[:-1], root), (leaf, index ^ 1, size, proof, root)] if proof else []),
    ):
        with pytest.raises(InclusionError):
            verify_inclusion(*bad)


@given(st.integers(2, 600).flatmap(lambda size: st.tuples(st.integers(1, size - 1), st.just(size))), st.randoms())
def test_a_bent_consistency_proof_fails(sizes: tuple[int, int], rng: random.Random) -> None:
    old, new = sizes
    read = MemoryTree(LEAVES).read
    old_root, new_root = tree_root(LEAVES[:old]), tree_root(LEAVES[:new])
    proof = consistency_proof(old, new, read)
    verify_consistency(old, new, proof, old_root, new_root)
    at, bit = rng.randrange(len(proof)), rng.randrange(256)
    for bent in (
        [*proof[:at], flip(proof[at], bit), *proof[at + 1 :]],
        proof[:-1],
        [*proof, new_root],
        [],
        [item[:31] for item in proof],
    ):
        with pytest.raises(ConsistencyError):
            verify_consistency(old, new, bent, old_root, new_root)
    with pytest.raises(ConsistencyError):
        verify_consistency(new, old, proof, new_root, old_root)


def test_the_empty_tree_is_a_prefix_of_every_tree_with_an_empty_proof() -> None:
    verify_consistency(0, 0, [], EMPTY_ROOT, EMPTY_ROOT)
    verify_consistency(0, 5, [], EMPTY_ROOT, tree_root(LEAVES[:5]))
    with pytest.raises(ConsistencyError):
        verify_consistency(0, 5, [EMPTY_ROOT], EMPTY_ROOT, tree_root(LEAVES[:5]))
    with pytest.raises(ConsistencyError):
        verify_consistency(0, 5, [], tree_root(LEAVES[:1]), tree_root(LEAVES[:5]))


def test_what_no_tree_has_is_refused() -> None:
    tree = MemoryTree(LEAVES[:5])
    for index, size in ((5, 5), (-1, 5), (0, 0)):
        with pytest.raises(MalformedError):
            inclusion_proof(index, size, tree.read)
    with pytest.raises(MalformedError):
        consistency_proof(6, 5, tree.read)
    for size, hashes in ((3, LEAVES[:1]), (-1, []), (1, [b"short"])):
        with pytest.raises(MalformedError):
            RightEdge(size, hashes)


def test_a_copied_edge_grows_apart() -> None:
    edge = RightEdge(1, LEAVES[:1])
    edge.copy().extend(LEAVES[1:4])
    assert (edge.size, edge.root()) == (1, LEAVES[0])
