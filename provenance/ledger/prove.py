"""Proofs out of the database's tiles: a few small reads each, whatever the size of the log."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from sqlmodel import Session

from provenance.errors import NotFoundError
from provenance.ledger.merkle import Hash, MemoryTree, consistency_proof, inclusion_proof, leaf_hash
from provenance.ledger.multiproof import MultiProof, format_multi_proof, multi_proof
from provenance.ledger.proof import TlogProof, format_proof
from provenance.ledger.tiles import TileHashes
from provenance.store.log import get_head, iterate_entries, load_tile


class Prover:
    """Makes proofs against the head of one snapshot; tiles are read once for many proofs."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.head = get_head(session)
        self._hashes = TileHashes(self.head.size, partial(load_tile, session))

    def inclusion(self, index: int) -> list[Hash]:
        """The inclusion proof of entry `index`, lowest sibling first.

        Raises:
            NotFoundError: the log is not that long.
        """
        if not 0 <= index < self.head.size:
            raise NotFoundError(f"there is no entry {index} in a log of {self.head.size}")
        return inclusion_proof(index, self.head.size, self._hashes.read)

    def proof_text(self, index: int) -> str:
        """The `.tlog-proof` of entry `index`: index, siblings, checkpoint."""
        return format_proof(TlogProof(index, tuple(self.inclusion(index)), self.head.checkpoint))

    def multi_proof_text(self, ranges: Sequence[range]) -> str:
        """The proof for all entries of `ranges` at once: indices, the other subtrees, checkpoint.

        Raises:
            MalformedError: the set is empty, or reaches outside the log.
        """
        path = multi_proof(ranges, self.head.size, self._hashes.read)
        return format_multi_proof(MultiProof(tuple(ranges), tuple(path), self.head.checkpoint))

    def consistency(self, old_size: int) -> list[Hash]:
        """The proof that the log of `old_size` entries is a prefix of this one."""
        return consistency_proof(old_size, self.head.size, self._hashes.read)

    def batch_path(self, index: int, batch_index: int, count: int) -> tuple[int, list[Hash]]:
        """Position of sample `index` in its batch, and its inclusion proof in the batch's own tree."""
        first = batch_index - count
        leaves = [leaf_hash(entry) for _, entry in iterate_entries(self.session, first, batch_index)]
        position = index - first
        return position, inclusion_proof(position, count, MemoryTree(leaves).read)
