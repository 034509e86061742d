"""Signed notes: text, an empty line, signature lines.

- The parser is strict: UTF-8, no control characters but newline, every line of the signature block well-formed.
- A key is known by its name *and* its 4-byte id; a line by an unknown key is ignored, one by a known key must verify.
- This module verifies plain Ed25519 lines (type 0x01). Cosignatures (0x04, 0x06) sign a checkpoint and not a text, so
  `checkpoint` hands in its own `verify`.

Source: c2sp.org/signed-note@v1.0.0.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from provenance.canonical import format_base64, parse_base64
from provenance.errors import CheckpointError, FieldError, MalformedError, SignatureError

ED25519 = 0x01
ED25519_COSIGNATURE = 0x04
ML_DSA_44_COSIGNATURE = 0x06

MAX_SIGNATURES = 100  # as golang.org/x/mod/sumdb/note; the specification asks for 16 at least
MAX_NOTE_BYTES = 1_000_000

_KEY_BYTES = {ED25519: 32, ED25519_COSIGNATURE: 32, ML_DSA_44_COSIGNATURE: 1312}
_KEY_ID_BYTES = 4
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f]")
_KEY_ID = re.compile(r"[0-9a-f]{8}\Z")
_DASH = "\u2014 "


@dataclass(frozen=True)
class VerifierKey:
    """A public key under the name by which notes refer to it (a *vkey*)."""

    name: str
    signature_type: int
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """`SHA-256(name || 0x0A || type || public key)[:4]`."""
        material = self.name.encode() + b"\n" + bytes([self.signature_type]) + self.public_key
        return hashlib.sha256(material).digest()[:_KEY_ID_BYTES]


@dataclass(frozen=True)
class NoteSignature:
    """One signature line: the key's name and id, and the signature's bytes."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True)
class Note:
    """A parsed note, *not verified*; `text` ends in a newline."""

    text: str
    signatures: tuple[NoteSignature, ...]


class NoteSigner(Protocol):
    """What signs note texts under a verifier key."""

    @property
    def vkey(self) -> VerifierKey:
        """The key that verifies what this signs."""

    def sign(self, text: str) -> bytes:
        """The signature's bytes, without the key id."""


VerifySignature = Callable[[VerifierKey, str, bytes], None]


def parse_vkey(text: str) -> VerifierKey:
    """Parse `<name>+<key id, hex>+<base64(type || public key)>`.

    Raises:
        MalformedError: an unknown type, a wrong length, or a key id that is not this key's.
    """
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")
    if not _is_name(name) or not _KEY_ID.match(key_id):
        raise MalformedError("not a verifier key", FieldError("vkey", text, "<name>+<8 hex digits>+<base64>"))
    material = parse_base64(encoded, "vkey")
    if not material or len(material) - 1 != _KEY_BYTES.get(material[0]):
        raise MalformedError("unknown type or length of verifier key", FieldError("vkey", text, "Ed25519 or ML-DSA-44"))
    vkey = VerifierKey(name, material[0], material[1:])
    if vkey.key_id.hex() != key_id:
        raise MalformedError(f"the key id should be {vkey.key_id.hex()}", FieldError("vkey", text, "its own key id"))
    return vkey


def format_vkey(vkey: VerifierKey) -> str:
    """The text form of a verifier key; inverse of `parse_vkey`."""
    return f"{vkey.name}+{vkey.key_id.hex()}+{format_base64(bytes([vkey.signature_type]) + vkey.public_key)}"


def check_key_name(name: str) -> None:
    """Refuse a name that no note can carry: empty, or with a space, a plus or a control character.

    Raises:
        MalformedError: the name is such.
    """
    if not _is_name(name):
        raise MalformedError(f"not a key name: {name!r:.90}", FieldError("name", name, "no spaces, no '+', not empty"))


def _is_name(name: str) -> bool:
    return bool(name) and name.isprintable() and "+" not in name and not any(map(str.isspace, name))


def parse_note(data: bytes | str) -> Note:
    """Parse a signed note, without verifying it.

    Raises:
        CheckpointError: it is not a note, or any of its lines is malformed.
    """
    text = _decode(data)
    body, separator, block = text.rpartition("\n\n")
    if not separator or not block.endswith("\n"):
        raise CheckpointError("not a signed note: expected text, an empty line, and signature lines, each ended")
    lines = block[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise CheckpointError(f"a note with {len(lines)} signatures; at most {MAX_SIGNATURES} are read")
    return Note(body + "\n", tuple(map(_parse_line, lines)))


def _decode(data: bytes | str) -> str:
    if len(data) > MAX_NOTE_BYTES:
        raise CheckpointError(f"a note of {len(data)} bytes; at most {MAX_NOTE_BYTES} are read")
    try:
        text = data.encode().decode() if isinstance(data, str) else data.decode()
    except UnicodeError as exc:
        raise CheckpointError("the note is not UTF-8") from exc
    if _CONTROL.search(text):
        raise CheckpointError("the note holds a control character")
    return text


def _parse_line(line: str) -> NoteSignature:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space or not _is_name(name):
        raise CheckpointError("not a signature line", FieldError("signature", line, "— <name> <base64>"))
    try:
        raw = parse_base64(encoded, "signature")
    except MalformedError as exc:
        raise CheckpointError(f"signature line of {name}: {exc.detail}") from exc
    if len(raw) <= _KEY_ID_BYTES:
        raise CheckpointError(f"signature line of {name} is too short")
    return NoteSignature(name, raw[:_KEY_ID_BYTES], raw[_KEY_ID_BYTES:])


def format_note(note: Note) -> str:
    """The text form of a note; inverse of `parse_note`."""
    return f"{note.text}\n{format_signature_lines(note.signatures)}"


def format_signature_lines(signatures: Sequence[NoteSignature]) -> str:
    """Signature lines alone, each ended."""
    return "".join(f"{_DASH}{item.name} {format_base64(item.key_id + item.signature)}\n" for item in signatures)


def sign_note(text: str, signers: Sequence[NoteSigner]) -> str:
    """The note of `text` with a line by each of `signers`.

    Raises:
        CheckpointError: the text cannot stand in a note, or nobody signs.
    """
    if not text.endswith("\n") or _CONTROL.search(text) or not signers:
        raise CheckpointError("a note needs text that ends in a newline, no control characters, and a signer")
    lines = (NoteSignature(item.vkey.name, item.vkey.key_id, item.sign(text)) for item in signers)
    return format_note(Note(text, tuple(lines)))


def verify_ed25519(vkey: VerifierKey, text: str, signature: bytes) -> None:
    """Verify a plain Ed25519 line (type 0x01) over a note's text.

    Raises:
        SignatureError: the key has another type, or the signature is not by it.
    """
    if vkey.signature_type != ED25519:
        raise SignatureError(f"key type 0x{vkey.signature_type:02x} does not sign plain notes")
    try:
        Ed25519PublicKey.from_public_bytes(vkey.public_key).verify(signature, text.encode())
    except InvalidSignature as exc:
        raise SignatureError(f"the Ed25519 line of {vkey.name} does not verify") from exc


def open_note(
    data: bytes | str, vkeys: Sequence[VerifierKey], *, verify: VerifySignature = verify_ed25519
) -> tuple[Note, tuple[VerifierKey, ...]]:
    """Parse a note and verify every line by a key of `vkeys`.

    Args:
        data: the note.
        vkeys: the keys that we know.
        verify: checks one signature over the text; by default for Ed25519 lines.
    Returns:
        The note, and the keys that signed it: at least one.
    Raises:
        CheckpointError: it is malformed.
        SignatureError: no line is by a known key, or one that is does not verify.
    Source: c2sp.org/signed-note@v1.0.0, "Signatures".
    """
    note = parse_note(data)
    known = {(vkey.name, vkey.key_id): vkey for vkey in vkeys}
    signed: dict[tuple[str, bytes], VerifierKey] = {}
    for line in note.signatures:
        vkey = known.get((line.name, line.key_id))
        if vkey is not None:
            verify(vkey, note.text, line.signature)
            signed[line.name, line.key_id] = vkey
    if not signed:
        raise SignatureError("no signature line is by a known key")
    return note, tuple(signed.values())


@dataclass(frozen=True)
class Ed25519NoteSigner:
    """Signs texts with plain Ed25519 lines."""

    name: str
    private: Ed25519PrivateKey

    @property
    def vkey(self) -> VerifierKey:
        """The key that verifies what this signs."""
        return VerifierKey(self.name, ED25519, self.private.public_key().public_bytes_raw())

    def sign(self, text: str) -> bytes:
        """The Ed25519 signature over the text's UTF-8 bytes."""
        return self.private.sign(text.encode())
