"""Checkpoints: what a log says about its tree, and the three kinds of line that sign it.

- The text is origin, tree size, root hash (c2sp.org/tlog-checkpoint). Extension lines are read, never written.
- The log signs twice: plain Ed25519 (0x01), which every client reads, and ML-DSA-44 (0x06), which stands when Ed25519
  has fallen. Both carry the origin as key name. Witnesses cosign with 0x06 or timestamped Ed25519 (0x04).
- A cosignature is 8 bytes of POSIX time, big-endian, then the raw signature over a message that names that time. The
  log states time 0: it makes no statement about when it saw its own tree.
- ML-DSA-44 signs origin, size and root, not the text: extension lines are outside of it.

Source: c2sp.org/tlog-checkpoint, c2sp.org/tlog-cosignature.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from provenance.canonical import format_base64, parse_base64
from provenance.errors import CheckpointError, FieldError, MalformedError, SignatureError
from provenance.ledger.merkle import HASH_BYTES
from provenance.ledger.note import (
    ED25519,
    ED25519_COSIGNATURE,
    ML_DSA_44_COSIGNATURE,
    Note,
    NoteSigner,
    VerifierKey,
    open_note,
    sign_note,
    verify_ed25519,
)

MAX_SIZE = 2**63 - 1
MAX_TIMESTAMP = 2**63 - 1

_MIN_LINES = 3
_YEAR_10000 = 253_402_300_800
_MAX_DIGITS = len(str(MAX_SIZE))
_MAX_OPAQUE = 255
_LABEL = b"subtree/v1\n\0"
_COSIGNATURE_BYTES = {ED25519_COSIGNATURE: 8 + 64, ML_DSA_44_COSIGNATURE: 8 + 2420}


@dataclass(frozen=True)
class Checkpoint:
    """A log's tree at one size."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()


@dataclass(frozen=True)
class OpenedCheckpoint:
    """A checkpoint whose known lines verified: `signed_by` are those keys, `note` holds the unknown lines too."""

    checkpoint: Checkpoint
    note: Note
    signed_by: tuple[VerifierKey, ...]


def format_checkpoint(checkpoint: Checkpoint) -> str:
    """The note text of a checkpoint; inverse of `parse_checkpoint`.

    Raises:
        CheckpointError: a value cannot stand in a checkpoint.
    """
    lines = (checkpoint.origin, str(checkpoint.size), format_base64(checkpoint.root), *checkpoint.extensions)
    text = "".join(f"{line}\n" for line in lines)
    parse_checkpoint(text)
    return text


def parse_checkpoint(text: str) -> Checkpoint:
    """Parse the note text of a checkpoint.

    Raises:
        CheckpointError: fewer than three lines, an empty line, a size with leading zeroes, a root of another length.
    Source: c2sp.org/tlog-checkpoint, "Note text".
    """
    lines = text.split("\n")
    if lines.pop() != "" or len(lines) < _MIN_LINES or not all(lines):
        raise CheckpointError("a checkpoint is three lines or more, none empty, each ended by a newline")
    origin, size_text, root_text, *extensions = lines
    size = parse_decimal(size_text, "tree size")
    try:
        root = parse_base64(root_text, "root hash")
    except MalformedError as exc:
        raise CheckpointError(exc.detail, *exc.errors) from exc
    if len(root) != HASH_BYTES:
        raise CheckpointError("the root hash has another length", FieldError("root", root_text, "32 bytes in base64"))
    return Checkpoint(origin, size, root, tuple(extensions))


def parse_decimal(text: str, what: str) -> int:
    """A decimal that prints back to itself: ASCII digits, no sign, no leading zero, within 63 bits.

    Raises:
        CheckpointError: it does not.
    """
    if not (
        text.isascii()
        and text.isdigit()
        and len(text) <= _MAX_DIGITS
        and str(int(text)) == text
        and int(text) <= MAX_SIZE
    ):
        raise CheckpointError(f"{what}: not a decimal: {text!r:.40}", FieldError(what, text, "digits, no leading zero"))
    return int(text)


def sign_checkpoint(checkpoint: Checkpoint, signers: Sequence[NoteSigner]) -> str:
    """The signed note of a checkpoint.

    The caller has asked the sign-once register before: a log that signs two roots for one size is a fork.

    Args:
        checkpoint: without extension lines, as ML-DSA-44 would not cover them.
        signers: the log's, for plain and cosignature lines alike.
    Raises:
        CheckpointError: a value cannot stand in a checkpoint, or nobody signs.
    """
    if checkpoint.extensions:
        raise CheckpointError("we sign no extension lines: an ML-DSA-44 line would not cover them")
    return sign_note(format_checkpoint(checkpoint), signers)


def open_checkpoint(note: bytes | str, vkeys: Sequence[VerifierKey]) -> Checkpoint:
    """Parse a checkpoint and verify it; see `open_signed_checkpoint`."""
    return open_signed_checkpoint(note, vkeys).checkpoint


def open_signed_checkpoint(note: bytes | str, vkeys: Sequence[VerifierKey]) -> OpenedCheckpoint:
    """Parse a checkpoint and verify every line by a known key; one at least must be the log's own.

    Args:
        note: the signed note.
        vkeys: the keys that we know; the log's are those whose name is the origin.
    Returns:
        The checkpoint, its note, and the keys that signed it.
    Raises:
        CheckpointError: it is malformed.
        SignatureError: a line by a known key does not verify, or none is by the log.
    """
    opened, signed_by = open_note(note, vkeys, verify=verify_checkpoint_signature)
    checkpoint = parse_checkpoint(opened.text)
    if all(vkey.name != checkpoint.origin for vkey in signed_by):
        raise SignatureError(f"no line is by a known key of the log {checkpoint.origin}; a witness alone is not enough")
    return OpenedCheckpoint(checkpoint, opened, signed_by)


def cosigned_at(opened: OpenedCheckpoint, vkey: VerifierKey) -> datetime | None:
    """When the cosigner `vkey`, one of `signed_by`, says that it saw this tree; None if it says no time."""
    wanted = (line for line in opened.note.signatures if (line.name, line.key_id) == (vkey.name, vkey.key_id))
    line = next(wanted)
    seconds = 0 if vkey.signature_type == ED25519 else int.from_bytes(line.signature[:8], "big")
    return datetime.fromtimestamp(seconds, UTC) if 0 < seconds < _YEAR_10000 else None


def verify_checkpoint_signature(vkey: VerifierKey, text: str, signature: bytes) -> None:
    """Verify one line of a checkpoint, of any of the three types.

    Raises:
        CheckpointError: the text is no checkpoint.
        SignatureError: the line is not by this key.
    """
    if vkey.signature_type == ED25519:
        verify_ed25519(vkey, text, signature)
    else:
        verify_cosignature(vkey, text, signature)


def ed25519_message(text: str, timestamp: int) -> bytes:
    """The message of an Ed25519 cosignature: two header lines, then the checkpoint's whole text.

    Source: c2sp.org/tlog-cosignature, "Ed25519 signed message".
    """
    return f"cosignature/v1\ntime {timestamp}\n{text}".encode()


def ml_dsa_44_message(name: str, checkpoint: Checkpoint, timestamp: int) -> bytes:
    """The message of an ML-DSA-44 cosignature: the structure `cosigned_message`, from leaf 0 to the tree's size.

    Args:
        name: the cosigner's key name.
        checkpoint: what is cosigned.
        timestamp: POSIX time; 0 states none.
    Raises:
        CheckpointError: a name does not fit into 255 bytes.
    Source: c2sp.org/tlog-cosignature, "ML-DSA-44 signed message"; RFC 8446, section 3.
    """
    start, end = 0, checkpoint.size
    names = _opaque(name) + struct.pack(">Q", timestamp) + _opaque(checkpoint.origin)
    return _LABEL + names + struct.pack(">QQ", start, end) + checkpoint.root


def _opaque(text: str) -> bytes:
    raw = text.encode()
    if not 1 <= len(raw) <= _MAX_OPAQUE:
        raise CheckpointError(f"a name of {len(raw)} bytes; a cosignature takes 1 to 255")
    return bytes([len(raw)]) + raw


def verify_cosignature(vkey: VerifierKey, text: str, signature: bytes) -> int:
    """Verify a cosignature line over a checkpoint's text.

    Returns:
        The POSIX time that the cosigner states; 0 is none.
    Raises:
        CheckpointError: the text is no checkpoint.
        SignatureError: another key type or length, or a signature that is not by this key.
    """
    if len(signature) != _COSIGNATURE_BYTES.get(vkey.signature_type):
        raise SignatureError(f"the line of {vkey.name} is no cosignature of key type 0x{vkey.signature_type:02x}")
    timestamp = int.from_bytes(signature[:8], "big")
    if timestamp > MAX_TIMESTAMP:
        raise SignatureError(f"the cosignature of {vkey.name} states an impossible time")
    checkpoint = parse_checkpoint(text)
    try:
        if vkey.signature_type == ED25519_COSIGNATURE:
            ed25519 = Ed25519PublicKey.from_public_bytes(vkey.public_key)
            ed25519.verify(signature[8:], ed25519_message(text, timestamp))
        else:
            ml_dsa = MLDSA44PublicKey.from_public_bytes(vkey.public_key)
            ml_dsa.verify(signature[8:], ml_dsa_44_message(vkey.name, checkpoint, timestamp))
    except InvalidSignature as exc:
        raise SignatureError(f"the cosignature of {vkey.name} does not verify") from exc
    return timestamp


@dataclass(frozen=True)
class MLDSA44Signer:
    """Signs checkpoints with ML-DSA-44 lines: the log itself (time 0), or a cosigner that states a time."""

    name: str
    private: MLDSA44PrivateKey
    timestamp: int = 0

    @property
    def vkey(self) -> VerifierKey:
        """The key that verifies what this signs."""
        return VerifierKey(self.name, ML_DSA_44_COSIGNATURE, self.private.public_key().public_bytes_raw())

    def sign(self, text: str) -> bytes:
        """The `timestamped_signature` over the checkpoint that `text` is."""
        message = ml_dsa_44_message(self.name, parse_checkpoint(text), self.timestamp)
        return struct.pack(">Q", self.timestamp) + self.private.sign(message)


@dataclass(frozen=True)
class Ed25519Cosigner:
    """Signs checkpoints with timestamped Ed25519 lines, as witnesses of the public network do."""

    name: str
    private: Ed25519PrivateKey
    timestamp: int

    @property
    def vkey(self) -> VerifierKey:
        """The key that verifies what this signs."""
        return VerifierKey(self.name, ED25519_COSIGNATURE, self.private.public_key().public_bytes_raw())

    def sign(self, text: str) -> bytes:
        """The `timestamped_signature` over the checkpoint's text."""
        return struct.pack(">Q", self.timestamp) + self.private.sign(ed25519_message(text, self.timestamp))
