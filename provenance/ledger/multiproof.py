"""One proof for a set of entries: every node that several inclusion proofs share stands in it once.

- The set is written as ascending ranges, `0-4,7,9-12`, in one spelling; `format_ranges` and `parse_ranges` are inverse.
- The proof is the list of greatest complete or ragged subtrees that hold none of the set, from left to right.
- A verifier brings the leaf hash of every index of the set. One leaf more or fewer, another index or another order
  does not fit, so the proof also says that what was handed over is exactly this set.

The text is ours: C2SP has no multi-proof. Its head and its checkpoint are spelled as in c2sp.org/tlog-proof.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from provenance.canonical import format_base64, parse_base64
from provenance.errors import FieldError, InclusionError, MalformedError
from provenance.ledger.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from provenance.ledger.merkle import HASH_BYTES, Hash, ReadHash, node_hash, range_hash, split_size, tree_root
from provenance.ledger.note import VerifierKey, parse_note

HEADER = "provenance/multiproof@v1"
_RANGES = re.compile(r"\d{1,19}(-\d{1,19})?(,\d{1,19}(-\d{1,19})?)*\Z", re.ASCII)
_EXPECTED = "ascending indices and ranges, such as 0-4,7"


@dataclass(frozen=True)
class MultiProof:
    """A parsed proof, *not verified*; `checkpoint` is the signed note, word for word."""

    ranges: tuple[range, ...]
    path: tuple[Hash, ...]
    checkpoint: str


def make_ranges(indices: Iterable[int]) -> tuple[range, ...]:
    """The ranges of a set of indices, which may come in any order and more than once."""
    found: list[range] = []
    for index in sorted(set(indices)):
        if found and found[-1].stop == index:
            found[-1] = range(found[-1].start, index + 1)
        else:
            found.append(range(index, index + 1))
    return tuple(found)


def format_ranges(ranges: Iterable[range]) -> str:
    """The one spelling of ranges; inverse of `parse_ranges`."""
    last = ((item.start, item.stop - 1) for item in ranges)
    return ",".join(str(first) if first == end else f"{first}-{end}" for first, end in last)


def parse_ranges(text: str) -> tuple[range, ...]:
    """Parse ranges.

    Raises:
        MalformedError: not in the one spelling: out of order, overlapping, adjacent, or a number with a leading zero.
    """
    parts = [item.partition("-") for item in text.split(",")] if _RANGES.match(text) else []
    ranges = tuple(range(int(first), int(last or first) + 1) for first, _, last in parts)
    apart = all(before.stop < after.start for before, after in pairwise(ranges))
    if not ranges or not apart or any(not item for item in ranges) or format_ranges(ranges) != text:
        raise MalformedError(f"indices: expected {_EXPECTED}", FieldError("indices", text[:90], _EXPECTED))
    return ranges


def multi_proof(ranges: Sequence[range], size: int, read: ReadHash) -> list[Hash]:
    """The proof that the leaves of `ranges` stand in the tree of `size` leaves.

    Args:
        ranges: ascending and apart, as `make_ranges` gives them.
        size: the tree size to prove against.
        read: hash of the complete subtree at (level, index).
    Returns:
        Hashes of the subtrees that hold none of the leaves, left to right; at most `2 * log2(size)` a range.
    Raises:
        MalformedError: the set is empty or reaches outside the tree.
    """
    _check_inside(ranges, size)
    return [range_hash(begin, end, read) for begin, end, known in _cover(ranges, size) if not known]


def root_from_multi_proof(leaves: Sequence[Hash], ranges: Sequence[range], size: int, path: Sequence[Hash]) -> Hash:
    """The root that a multi-proof leads to.

    Raises:
        InclusionError: leaves or hashes are left over or missing, or one is not 32 bytes.
    """
    _check_inside(ranges, size)
    if len(leaves) != sum(map(len, ranges)):
        raise InclusionError(f"the proof is about {sum(map(len, ranges))} entries, {len(leaves)} were brought")
    if any(len(item) != HASH_BYTES for item in (*leaves, *path)):
        raise InclusionError(f"a hash does not have {HASH_BYTES} bytes")
    known, unknown = iter(leaves), iter(path)
    parts: dict[tuple[int, int], Hash] = {}
    for begin, end, inside in _cover(ranges, size):
        taken = [item for _, item in zip(range(end - begin), known, strict=False)] if inside else [next(unknown, b"")]
        if not taken[0]:
            raise InclusionError("the proof is too short")
        parts[begin, end] = tree_root(taken) if inside else taken[0]
    if next(unknown, None) is not None:
        raise InclusionError("the proof is too long")
    return _join(0, size, parts)


def verify_multi_proof(
    leaves: Sequence[Hash], ranges: Sequence[range], size: int, path: Sequence[Hash], root: Hash
) -> None:
    """Check that `leaves` are exactly the leaves at `ranges` in the tree of `size` leaves under `root`.

    Args:
        leaves: leaf hashes in ascending order of their indices.
        ranges: which indices, ascending and apart.
        size: the tree size that `root` belongs to.
        path: hashes of the other subtrees, left to right.
        root: the tree's root, from a checkpoint that was verified.
    Raises:
        MalformedError: the set is empty or reaches outside the tree.
        InclusionError: the counts do not fit, or the proof ends in another root.
    """
    computed = root_from_multi_proof(leaves, ranges, size, path)
    if computed != root:
        raise InclusionError(f"the proof ends in root {computed.hex()}, the tree's is {root.hex()}")


def format_multi_proof(proof: MultiProof) -> str:
    """The text of a proof; inverse of `parse_multi_proof`."""
    lines = [HEADER, f"indices {format_ranges(proof.ranges)}", *map(format_base64, proof.path), ""]
    return "".join(f"{line}\n" for line in lines) + proof.checkpoint


def parse_multi_proof(text: str) -> MultiProof:
    """Parse a proof, without verifying it.

    Raises:
        MalformedError: another header, bad indices, a bad hash or checkpoint.
    """
    head, separator, checkpoint = text.partition("\n\n")
    header, *lines = head.split("\n")
    if not separator or header != HEADER or not lines or not lines[0].startswith("indices "):
        raise MalformedError("not a proof for a set of entries", FieldError("proof", text[:90], HEADER))
    path = tuple(parse_base64(line, "proof") for line in lines[1:])
    if any(len(item) != HASH_BYTES for item in path):
        raise MalformedError(f"a proof is made of hashes of {HASH_BYTES} bytes")
    parse_checkpoint(parse_note(checkpoint).text)
    return MultiProof(parse_ranges(lines[0].removeprefix("indices ")), path, checkpoint)


def open_multi_proof(
    text: str, leaves: Sequence[Hash], vkeys: Sequence[VerifierKey]
) -> tuple[tuple[range, ...], Checkpoint]:
    """Verify a proof for leaves: the checkpoint's signatures, then that these are exactly its entries.

    Args:
        text: the multi-proof.
        leaves: leaf hashes that the verifier computed from the entries themselves, in ascending order of index.
        vkeys: the log's keys, and those of witnesses that are known.
    Raises:
        MalformedError: it is malformed, or speaks of entries outside the tree.
        SignatureError: the checkpoint is not signed by the log.
        InclusionError: the leaves are not exactly those of the proof's indices.
    """
    proof = parse_multi_proof(text)
    checkpoint = open_checkpoint(proof.checkpoint, vkeys)
    verify_multi_proof(leaves, proof.ranges, checkpoint.size, proof.path, checkpoint.root)
    return proof.ranges, checkpoint


def _check_inside(ranges: Sequence[range], size: int) -> None:
    if not ranges or ranges[0].start < 0 or ranges[-1].stop > size:
        said = format_ranges(ranges) or "none"
        expected = f"one or more indices below {size}"
        raise MalformedError(f"indices {said:.90}: expected {expected}", FieldError("indices", said[:90], expected))


def _cover(ranges: Sequence[range], size: int) -> Iterator[tuple[int, int, bool]]:
    """The subtrees `[begin, end)` that lie wholly inside the set (True) or wholly outside (False), left to right."""
    starts, stops = [item.start for item in ranges], [item.stop for item in ranges]
    waiting = [(0, size)]
    while waiting:
        begin, end = waiting.pop()
        first, last = bisect_right(stops, begin), bisect_left(starts, end)
        if first == last:
            yield begin, end, False
        elif starts[first] <= begin and end <= stops[first]:
            yield begin, end, True
        else:
            half = begin + split_size(end - begin)
            waiting += [(half, end), (begin, half)]


def _join(begin: int, end: int, parts: dict[tuple[int, int], Hash]) -> Hash:
    """The hash over [begin, end) from the parts that cover it; at most 64 calls deep, as the tree is."""
    if (begin, end) in parts:
        return parts[begin, end]
    half = begin + split_size(end - begin)
    return node_hash(_join(begin, half, parts), _join(half, end, parts))
