"""The body of `add-checkpoint`: the size a witness is known to hold, a consistency proof, the checkpoint.

The log writes it, the witness reads it. The parser is strict; what it lets through is well-formed, and *not verified*.

Source: c2sp.org/tlog-witness, "add-checkpoint".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from provenance.canonical import format_base64, parse_base64
from provenance.errors import CheckpointError, FieldError
from provenance.ledger.checkpoint import Checkpoint, parse_checkpoint, parse_decimal
from provenance.ledger.merkle import HASH_BYTES, Hash
from provenance.ledger.note import parse_note

PATH = "/add-checkpoint"
SIZE_TYPE = "text/x.tlog.size"
MAX_PROOF = 63
MAX_REQUEST_BYTES = 256 * 1024  # 63 hashes and more than fifty ML-DSA-44 lines


@dataclass(frozen=True)
class AddCheckpoint:
    """A parsed request: `note` is the checkpoint's signed note, word for word, `checkpoint` what it says."""

    old_size: int
    proof: tuple[Hash, ...]
    note: str
    checkpoint: Checkpoint


def format_request(old_size: int, proof: Sequence[Hash], note: str) -> bytes:
    """The body that asks a witness, which holds `old_size`, to cosign `note`."""
    return "".join(f"{line}\n" for line in (f"old {old_size}", *map(format_base64, proof), "")).encode() + note.encode()


def parse_request(body: bytes) -> AddCheckpoint:
    """Parse a request; inverse of `format_request`.

    Raises:
        MalformedError: it is not one, or its checkpoint is malformed.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as exc:
        raise CheckpointError("the request is not UTF-8") from exc
    head, separator, note = text.partition("\n\n")
    old, *lines = head.split("\n")
    if not separator or not old.startswith("old "):
        raise CheckpointError("not an add-checkpoint request", FieldError("old", old, "old <size>, proof, empty line"))
    if len(lines) > MAX_PROOF:
        raise CheckpointError(f"{len(lines)} lines of proof; at most {MAX_PROOF} are read")
    proof = tuple(parse_base64(line, "consistency proof") for line in lines)
    if any(len(item) != HASH_BYTES for item in proof):
        raise CheckpointError(f"a line of the consistency proof does not have {HASH_BYTES} bytes")
    old_size = parse_decimal(old.removeprefix("old "), "old size")
    return AddCheckpoint(old_size, proof, note, parse_checkpoint(parse_note(note).text))
