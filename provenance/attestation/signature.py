"""Keys that sign envelopes: Ed25519 and ECDSA P-256 with SHA-256, nothing else.

- `keyid` is the SHA-256 (hex) of the DER SubjectPublicKeyInfo, so nobody can name a key other than by what it is.
- P-256 signatures are DER (RFC 3279, section 2.2.3), as DSSE implementations expect.
- A key of an unknown type fails when it is parsed; there is no algorithm field that a signature could choose.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from provenance.errors import MalformedError, SignatureError

ED25519 = "ed25519"
ECDSA_P256 = "ecdsa-p256-sha256"

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class PublicKey:
    """A verifying key, held as its DER SubjectPublicKeyInfo (`spki`)."""

    spki: bytes

    def __post_init__(self) -> None:
        _ = self._key, self.keyid

    @cached_property
    def keyid(self) -> str:
        """SHA-256 of the DER SubjectPublicKeyInfo, in hex."""
        return hashlib.sha256(self.spki).hexdigest()

    @cached_property
    def algorithm(self) -> str:
        """`ed25519` or `ecdsa-p256-sha256`."""
        return ED25519 if isinstance(self._key, ed25519.Ed25519PublicKey) else ECDSA_P256

    @cached_property
    def pem(self) -> str:
        """The key as PEM text (RFC 7468), as other programs read it."""
        encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key.public_bytes(encoding, form).decode()

    @cached_property
    def _key(self) -> ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey:
        try:
            key = serialization.load_der_public_key(self.spki)
        except (ValueError, UnsupportedAlgorithm) as exc:
            raise MalformedError("not a DER SubjectPublicKeyInfo") from exc
        if isinstance(key, ed25519.Ed25519PublicKey):
            return key
        if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
            return key
        raise MalformedError(f"unknown key type {type(key).__name__}; expected Ed25519 or ECDSA P-256")

    def verify(self, signature: bytes, message: bytes) -> None:
        """Check `signature` over `message`.

        Raises:
            SignatureError: it was not made by this key over these bytes.
        Source: RFC 8032, section 5.1.7; FIPS 186-5, section 6.4.2.
        """
        try:
            if isinstance(self._key, ed25519.Ed25519PublicKey):
                self._key.verify(signature, message)
            else:
                self._key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as exc:
            raise SignatureError(f"the signature is not by {self.algorithm} key {self.keyid[:16]}…") from exc


class Signer(Protocol):
    """What signs: a key in memory, or one that never leaves its device."""

    @property
    def public_key(self) -> PublicKey:
        """The key that verifies what this signs."""

    def sign(self, message: bytes) -> bytes:
        """The signature over `message`."""


@dataclass(frozen=True)
class PrivateKeySigner:
    """A signer whose private key is in this process."""

    private: PrivateKey

    @cached_property
    def public_key(self) -> PublicKey:
        """The key that verifies what this signs."""
        return PublicKey(
            self.private.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )

    def sign(self, message: bytes) -> bytes:
        """The signature over `message`: raw for Ed25519, DER for P-256."""
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            return self.private.sign(message)
        return self.private.sign(message, ec.ECDSA(hashes.SHA256()))
