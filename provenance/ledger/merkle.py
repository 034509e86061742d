"""The Merkle tree of RFC 9162 (and RFC 6962): hashes, roots, proofs, and the right edge that grows.

- A leaf is `SHA-256(0x00 || entry)`, an interior node `SHA-256(0x01 || left || right)`: neither can pose as the other.
- `(level, index)` names the complete subtree over the leaves `[index << level, (index + 1) << level)`; its hash never
  changes once the tree covers it. A proof is made of such hashes alone: `read(level, index)` hands them out, from an
  array, a table or tile files alike.
- The ragged right end of a tree (sizes that are no power of two) is folded from complete subtrees, in `range_hash`.

Order of use: `RightEdge.extend` when appending, `inclusion_proof` and `consistency_proof` when asked, `verify_*` by
everybody who does not trust the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

from provenance.errors import ConsistencyError, InclusionError, MalformedError

HASH_BYTES = 32

Hash = bytes
ReadHash = Callable[[int, int], Hash]

EMPTY_ROOT: Hash = sha256(b"").digest()


def leaf_hash(entry: bytes) -> Hash:
    """The leaf hash of an entry.

    Source: RFC 9162, section 2.1.1.
    """
    return sha256(b"\x00" + entry).digest()


def node_hash(left: Hash, right: Hash) -> Hash:
    """The hash of an interior node.

    Source: RFC 9162, section 2.1.1.
    """
    return sha256(b"\x01" + left + right).digest()


def tree_root(leaves: Sequence[Hash]) -> Hash:
    """The Merkle tree hash over leaf hashes (not entries); of none, `SHA-256("")`.

    Source: RFC 9162, section 2.1.1.
    """
    edge = RightEdge()
    edge.extend(leaves)
    return edge.root()


class Nodes(NamedTuple):
    """Complete subtrees that stand side by side: `hashes[i]` is the one at `(level, first + i)`."""

    level: int
    first: int
    hashes: list[Hash]


class RightEdge:
    """The roots of the complete subtrees that a tree of `size` leaves is made of, greatest first.

    That is all a writer keeps to append (at most 64 hashes): one for each bit that is set in `size`.
    """

    def __init__(self, size: int = 0, hashes: Iterable[Hash] = ()) -> None:
        """Take up the edge of a tree that was stored.

        Raises:
            MalformedError: the count of hashes is not the count of bits set in `size`.
        """
        levels = [level for level in reversed(range(size.bit_length())) if size >> level & 1]
        listed = list(hashes)
        if size < 0 or len(listed) != len(levels) or any(len(item) != HASH_BYTES for item in listed):
            raise MalformedError(f"the edge of a tree of {size} leaves has {len(levels)} hashes, not {len(listed)}")
        self.size = size
        self._by_level = dict(zip(levels, listed, strict=True))

    @property
    def hashes(self) -> tuple[Hash, ...]:
        """The edge's hashes, greatest subtree first: what to store with `size`."""
        return tuple(self._by_level[level] for level in sorted(self._by_level, reverse=True))

    def extend(self, leaves: Sequence[Hash]) -> list[Nodes]:
        """Append leaf hashes.

        Args:
            leaves: leaf hashes in their order.
        Returns:
            Every complete subtree that is new, lowest level first; level 0 are the leaves themselves.
        """
        grown: list[Nodes] = []
        level, index, nodes = 0, self.size, list(leaves)
        while nodes:
            grown.append(Nodes(level, index, nodes))
            if index & 1:  # the first new node is a right child: its left sibling waits on the edge
                nodes = [self._by_level.pop(level), *nodes]
            if len(nodes) & 1:
                self._by_level[level] = nodes[-1]
            pairs = zip(nodes[0::2], nodes[1::2], strict=False)
            nodes = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
            level, index = level + 1, index >> 1
        self.size += len(leaves)
        return grown

    def root(self) -> Hash:
        """The root of the tree as it stands."""
        return _fold(self.hashes)

    def copy(self) -> RightEdge:
        """An edge of its own, to try an append on."""
        return RightEdge(self.size, self.hashes)


class MemoryTree:
    """All complete subtrees of a list of leaf hashes in memory; for batches and tests, not for a log."""

    def __init__(self, leaves: Sequence[Hash]) -> None:
        edge = RightEdge()
        self.size = len(leaves)
        self._levels = [nodes.hashes for nodes in edge.extend(leaves)]
        self._root = edge.root()

    def read(self, level: int, index: int) -> Hash:
        """The hash of the complete subtree at `(level, index)`."""
        return self._levels[level][index]

    def root(self) -> Hash:
        """The root over all leaves."""
        return self._root


def inclusion_proof(index: int, size: int, read: ReadHash) -> list[Hash]:
    """The proof that leaf `index` stands in the tree of `size` leaves.

    Args:
        index: 0-based, less than `size`.
        size: the tree size to prove against; the log may be greater by now.
        read: hash of the complete subtree at (level, index).
    Returns:
        Sibling hashes, lowest first.
    Raises:
        MalformedError: `index` is outside the tree.
    Source: RFC 9162, section 2.1.3.1.
    """
    if not 0 <= index < size:
        raise MalformedError(f"index {index} is outside a tree of {size} leaves")
    proof: list[Hash] = []
    node, last, level = index, size - 1, 0
    while last:
        sibling = node ^ 1
        if sibling < last:
            proof.append(read(level, sibling))
        elif sibling == last:  # the last node of a level may be ragged
            proof.append(range_hash(sibling << level, size, read))
        # else: the node itself is the last of its level, without a sibling, and moves up as it is
        node, last, level = node >> 1, last >> 1, level + 1
    return proof


def consistency_proof(old_size: int, new_size: int, read: ReadHash) -> list[Hash]:
    """The proof that the tree of `old_size` leaves is a prefix of that of `new_size`.

    Args:
        old_size: 0 to `new_size`; for 0 and for equal sizes the proof is empty.
        new_size: the greater tree's size.
        read: hash of the complete subtree at (level, index).
    Raises:
        MalformedError: `old_size` is greater than `new_size` or negative.
    Source: RFC 9162, section 2.1.4.1.
    """
    if not 0 <= old_size <= new_size:
        raise MalformedError(f"no tree of {old_size} leaves is a prefix of one of {new_size}")
    if old_size == 0:
        return []
    return _subproof(old_size, 0, new_size, read, known=True)


def _subproof(old: int, begin: int, end: int, read: ReadHash, *, known: bool) -> list[Hash]:
    """SUBPROOF(m, D[begin:end], b) of RFC 9162, section 2.1.4.1; `old` counts from `begin`."""
    if old == end - begin:
        return [] if known else [range_hash(begin, end, read)]
    half = split_size(end - begin)
    if old <= half:
        return [*_subproof(old, begin, begin + half, read, known=known), range_hash(begin + half, end, read)]
    return [
        *_subproof(old - half, begin + half, end, read, known=False),
        range_hash(begin, begin + half, read),
    ]


def split_size(count: int) -> int:
    """The greatest power of two below `count`: where a tree of `count` leaves is divided.

    Source: RFC 9162, section 2.1.1.
    """
    return 1 << (count - 1).bit_length() - 1


def range_hash(begin: int, end: int, read: ReadHash) -> Hash:
    """The tree hash over leaves [begin, end), where `begin` starts a subtree that is wide enough."""
    parts: list[Hash] = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        parts.append(read(level, begin >> level))
        begin += 1 << level
    return _fold(parts)


def _fold(parts: Sequence[Hash]) -> Hash:
    """The root over complete subtrees of falling size: the smallest are joined first."""
    if not parts:
        return EMPTY_ROOT
    root = parts[-1]
    for left in reversed(parts[:-1]):
        root = node_hash(left, root)
    return root


def root_from_inclusion(leaf: Hash, index: int, size: int, proof: Sequence[Hash]) -> Hash:
    """The root that an inclusion proof leads to.

    Raises:
        InclusionError: the index is outside the tree, or the proof has the wrong length.
    Source: RFC 9162, section 2.1.3.2, steps 1 to 4.
    """
    if not 0 <= index < size:
        raise InclusionError(f"index {index} is outside a tree of {size} leaves")
    if any(len(item) != HASH_BYTES for item in (leaf, *proof)):
        raise InclusionError(f"a hash of the proof does not have {HASH_BYTES} bytes")
    node, last, root = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise InclusionError("the proof is too long")
        if node & 1 or node == last:
            root = node_hash(sibling, root)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            root = node_hash(root, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise InclusionError("the proof is too short")
    return root


def verify_inclusion(leaf: Hash, index: int, size: int, proof: Sequence[Hash], root: Hash) -> None:
    """Check that `leaf` stands at `index` in the tree of `size` leaves under `root`.

    Args:
        leaf: leaf hash, 32 bytes (not the entry).
        index: 0-based, less than `size`.
        size: the tree size that `root` belongs to.
        proof: sibling hashes, lowest first.
        root: the tree's root, from a checkpoint that was verified.
    Raises:
        InclusionError: the proof has the wrong length or ends in another root.
    Source: RFC 9162, section 2.1.3.2.
    """
    computed = root_from_inclusion(leaf, index, size, proof)
    if computed != root:
        raise InclusionError(f"the proof ends in root {computed.hex()}, the tree's is {root.hex()}")


def verify_consistency(old_size: int, new_size: int, proof: Sequence[Hash], old_root: Hash, new_root: Hash) -> None:
    """Check that the tree under `old_root` is a prefix of the tree under `new_root`.

    Args:
        old_size: leaves under `old_root`; 0 takes the empty root and an empty proof, as C2SP witnesses must.
        new_size: leaves under `new_root`, not fewer.
        proof: hashes, lowest first.
        old_root: root of the smaller tree.
        new_root: root of the greater tree.
    Raises:
        ConsistencyError: the sizes shrink, or the proof does not lead to both roots.
    Source: RFC 9162, section 2.1.4.2.
    """
    if not 0 <= old_size <= new_size:
        raise ConsistencyError(f"a tree of {old_size} leaves cannot grow into one of {new_size}")
    if any(len(item) != HASH_BYTES for item in (old_root, new_root, *proof)):
        raise ConsistencyError(f"a hash of the proof does not have {HASH_BYTES} bytes")
    if old_size in (0, new_size):
        expected = EMPTY_ROOT if old_size == 0 else new_root
        if proof or old_root != expected or (new_size == 0 and new_root != EMPTY_ROOT):
            raise ConsistencyError("trees of these sizes take an empty proof and these roots do not agree")
        return
    old_computed, new_computed = _roots_from_consistency(old_size, new_size, proof, old_root)
    if old_computed != old_root or new_computed != new_root:
        raise ConsistencyError(
            f"the proof leads to roots {old_computed.hex()} and {new_computed.hex()}, "
            f"the trees' are {old_root.hex()} and {new_root.hex()}"
        )


def _roots_from_consistency(old: int, new: int, proof: Sequence[Hash], old_root: Hash) -> tuple[Hash, Hash]:
    """Both roots that the proof leads to; RFC 9162, section 2.1.4.2, steps 2 to 6."""
    path = list(proof)
    if old & (old - 1) == 0:  # the old tree is a complete subtree of the new one: its root starts the path
        path.insert(0, old_root)
    if not path:
        raise ConsistencyError("the proof is empty")
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old_computed = new_computed = path[0]
    for item in path[1:]:
        if last == 0:
            raise ConsistencyError("the proof is too long")
        if node & 1 or node == last:
            old_computed, new_computed = node_hash(item, old_computed), node_hash(item, new_computed)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new_computed = node_hash(new_computed, item)
        node, last = node >> 1, last >> 1
    if last:
        raise ConsistencyError("the proof is too short")
    return old_computed, new_computed
