"""Take a key into use that lies elsewhere: in a PKCS#11 device, a cloud KMS, Vault. Its private half never comes here.

The device makes the key and gives its public half. Before the log learns of it the key signs a text that nobody could know,
so a URI that leads nowhere, or to another key, is refused while the old key is still in force.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from provenance.attestation.signature import PublicKey
from provenance.canonical import format_base64
from provenance.errors import ConflictError, FieldError, MalformedError, SignatureError
from provenance.ledger.keys import ACTIVE, KeyRecord, format_moment, read_index
from provenance.ledger.private import RemoteSigner
from provenance.ledger.rotate import end_active, write_index

LOG = "log"
CHALLENGE = b"provenance: this key is adopted\n"


def parse_public_pem(data: bytes) -> PublicKey:
    """A public key from PEM (SubjectPublicKeyInfo).

    Raises:
        MalformedError: it is none, or of a kind that signs nothing here.
    """
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as exc:
        expected = "a PEM public key: Ed25519 or ECDSA P-256"
        raise MalformedError(f"public key: expected {expected}", FieldError("public_key", None, expected)) from exc
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return PublicKey(key.public_bytes(encoding, form))


def adopt_key(
    folder: Path,
    purpose: str,
    uri: str,
    public: PublicKey,
    *,
    now: datetime,
    overlap: timedelta,
    introduce: Callable[[Mapping[str, Any]], object],
) -> KeyRecord:
    """Let a key that lies elsewhere take over from the active key of `purpose`; the old one stays valid for `overlap`.

    Args:
        folder: where `keys.json` lies.
        purpose: authority, collector, release or model. Keys of the log itself are files: a checkpoint carries an ML-DSA-44
            line, which no such device makes.
        uri: of `securesystemslib`: `hsm:2?label=...`, `awskms:...`, `gcpkms:...`, `azurekms:...`, `hv:...`.
        public: the key's public half.
        introduce: logs what is said of the new key, signed by the authority that is active now.
    Raises:
        MalformedError: the URI or purpose is none that a key elsewhere may have.
        SignatureError: what the URI leads to does not sign with this key; nothing was changed.
        UnavailableError: the key cannot be reached, or `keys.json` cannot be written.
        NotFoundError, ConflictError: as `end_active`; also ConflictError where the key has served before.
    """
    _check(purpose, uri)
    origin, records = read_index(folder)
    if any(item.keyid == public.keyid for item in records):
        expected = "a key that has served no purpose yet"
        raise ConflictError(f"key {public.keyid[:16]} is on record", FieldError("public_key", public.keyid, expected))
    ended = end_active(records, purpose, now, overlap)
    _prove(public, uri)
    spki, name = format_base64(public.spki), f"{origin}/{purpose}"
    made = KeyRecord(
        purpose, name, public.algorithm, uri, public.keyid, ACTIVE, format_moment(now), None, None, spki
    )  # fmt: skip
    introduce(made.to_public())
    write_index(folder, origin, [*(ended.get(item.keyid, item) for item in records), made])
    return made


def _check(purpose: str, uri: str) -> None:
    scheme = uri.partition(":")[0]
    if purpose == LOG:
        expected = "authority, collector, release or model: keys of the log are files"
        raise MalformedError(f"purpose: expected {expected}", FieldError("purpose", purpose, expected))
    if scheme in {"", "file"} or ":" not in uri:
        expected = "a URI of a key that lies elsewhere, such as hsm:2?label=token"
        raise MalformedError(f"uri: expected {expected}", FieldError("uri", uri, expected))


def _prove(public: PublicKey, uri: str) -> None:
    challenge = CHALLENGE + secrets.token_bytes(32)
    try:
        public.verify(RemoteSigner(public, uri).sign(challenge), challenge)
    except SignatureError as exc:
        raise SignatureError(f"the key that {uri} leads to is not the one of this public half") from exc
