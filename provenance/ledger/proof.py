"""The `.tlog-proof` text: an entry's index, its inclusion proof and the checkpoint it leads to, in one file.

`extra` is carried and never trusted: no signature covers it.

Source: c2sp.org/tlog-proof@v1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from provenance.canonical import format_base64, parse_base64
from provenance.errors import FieldError, InclusionError, MalformedError
from provenance.ledger.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint, parse_decimal
from provenance.ledger.merkle import HASH_BYTES, Hash, verify_inclusion
from provenance.ledger.note import VerifierKey, parse_note

HEADER = "c2sp.org/tlog-proof@v1"
MAX_PATH = 63


@dataclass(frozen=True)
class TlogProof:
    """A parsed proof, *not verified*; `checkpoint` is the signed note, word for word."""

    index: int
    path: tuple[Hash, ...]
    checkpoint: str
    extra: bytes | None = None


def format_proof(proof: TlogProof) -> str:
    """The text of a proof; inverse of `parse_proof`."""
    extra = [] if proof.extra is None else [f"extra {format_base64(proof.extra)}"]
    lines = [HEADER, *extra, f"index {proof.index}", *map(format_base64, proof.path), ""]
    return "".join(f"{line}\n" for line in lines) + proof.checkpoint


def parse_proof(text: str) -> TlogProof:
    """Parse a proof, without verifying it.

    Raises:
        MalformedError: another header, a bad index, hash or checkpoint.
    """
    head, separator, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if not separator or lines.pop(0) != HEADER or not lines:
        raise MalformedError("not a transparency log proof", FieldError("proof", text[:90], HEADER))
    extra: bytes | None = None
    if lines[0].startswith("extra "):
        extra = parse_base64(lines.pop(0).removeprefix("extra "), "extra")
    if not lines or not lines[0].startswith("index "):
        raise MalformedError("the proof names no index", FieldError("index", lines[:1], "index <decimal>"))
    index = parse_decimal(lines[0].removeprefix("index "), "index")
    path = tuple(parse_base64(line, "inclusion proof") for line in lines[1:])
    if len(path) > MAX_PATH or any(len(item) != HASH_BYTES for item in path):
        raise MalformedError(f"an inclusion proof is up to {MAX_PATH} hashes of {HASH_BYTES} bytes")
    parse_checkpoint(parse_note(checkpoint).text)
    return TlogProof(index, path, checkpoint, extra)


def verify_proof(text: str, leaf: Hash, vkeys: Sequence[VerifierKey]) -> tuple[int, Checkpoint]:
    """Verify a proof for a leaf: the checkpoint's signatures, then the inclusion.

    Args:
        text: the `.tlog-proof`.
        leaf: the leaf hash that the verifier computed from the entry itself.
        vkeys: the log's keys, and those of witnesses that are known.
    Returns:
        The entry's index, and the checkpoint that it stands in.
    Raises:
        MalformedError: it is malformed.
        SignatureError: the checkpoint is not signed by the log.
        InclusionError: the leaf is not in the tree at that index.
    """
    proof = parse_proof(text)
    checkpoint = open_checkpoint(proof.checkpoint, vkeys)
    if proof.index >= checkpoint.size:
        raise InclusionError(f"index {proof.index} is outside a tree of {checkpoint.size} leaves")
    verify_inclusion(leaf, proof.index, checkpoint.size, proof.path, checkpoint.root)
    return proof.index, checkpoint
