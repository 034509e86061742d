"""The keys of a log, one purpose each, and the register that keeps it from signing two trees.

- `log` signs checkpoints (Ed25519 and ML-DSA-44), `collector` batches and captures, `authority` governance and
  the other keys' statements, `release` (P-256) manifests, reports and what is said of models, `model` (P-256) the folders
  of models, in a form that others verify. No key serves two purposes.
- `keys.json` names every key there ever was: its URI, public half, state and times. Private halves are opened by URI:
  `file:` is an encrypted PKCS#8 file in the folder; any other scheme goes to `securesystemslib` (KMS, PKCS#11, Vault).
- Files are written once, mode 0600, in a folder of mode 0700, and never overwritten; `keys.json` comes last, so a crash
  leaves at most an unused key file.

Order of use: `create_keys` once, `open_keys` at every start, `SignOnce` before every checkpoint; `rotate` ends keys.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from provenance.attestation.signature import ECDSA_P256, ED25519, PrivateKey, PrivateKeySigner, PublicKey, Signer
from provenance.canonical import format_base64, parse_base64, parse_json
from provenance.errors import ConflictError, FieldError, MalformedError, NotFoundError, SettingsError, UnavailableError
from provenance.ledger.checkpoint import MLDSA44Signer
from provenance.ledger.durable import write_new
from provenance.ledger.note import ED25519 as NOTE_ED25519
from provenance.ledger.note import Ed25519NoteSigner, NoteSigner, VerifierKey, check_key_name, format_vkey, parse_vkey
from provenance.ledger.private import RemoteNoteSigner, RemoteSigner, load_private
from provenance.ledger.signonce import SignOnce

__all__ = [
    "KeyRecord", "KeyRing", "SignOnce", "create_keys", "has_keys", "list_public", "open_keys", "read_index",
]  # fmt: skip

ML_DSA_44 = "ml-dsa-44"
INDEX = "keys.json"
FORMAT = "provenance-keys/1"
ACTIVE, RETIRED, REVOKED = "active", "retired", "revoked"

NEW_KEYS = (
    ("authority", ED25519),
    ("log", ED25519),
    ("log", ML_DSA_44),
    ("collector", ED25519),
    ("release", ECDSA_P256),
    ("model", ECDSA_P256),
)


@dataclass(frozen=True)
class KeyRecord:
    """One line of `keys.json`: all of a key but its private half. Log keys have a `vkey`, others a `public_key`."""

    purpose: str
    name: str
    algorithm: str
    uri: str
    keyid: str
    state: str
    valid_from: str
    valid_to: str | None = None
    vkey: str | None = None
    public_key: str | None = None
    last_good_size: int | None = None
    reason: str | None = None

    def to_public(self) -> dict[str, Any]:
        """What `keys list --json` and `key` statements say of this key."""
        half = {"vkey": self.vkey} if self.vkey else {"public_key": self.public_key}
        names = ("purpose", "name", "algorithm", "keyid", "state", "valid_from", "valid_to")
        ended = {name: getattr(self, name) for name in ("last_good_size", "reason") if getattr(self, name) is not None}
        return {name: getattr(self, name) for name in names} | half | ended


@dataclass(frozen=True)
class KeyRing:
    """The keys of one log, opened: records of all, signers of the active ones."""

    origin: str
    records: tuple[KeyRecord, ...]
    signers: Mapping[str, Signer]
    log_signers: tuple[NoteSigner, ...]

    def signer(self, purpose: str) -> Signer:
        """The signer of the active key of `purpose`: collector, authority, release or model.

        Raises:
            NotFoundError: there is none.
        """
        if purpose not in self.signers:
            raise NotFoundError(f"no active {purpose} key; there are {', '.join(sorted(self.signers))}")
        return self.signers[purpose]

    @cached_property
    def vkeys(self) -> tuple[VerifierKey, ...]:
        """The log's verifier keys, retired ones too: old checkpoints stay checkable."""
        return tuple(parse_vkey(item.vkey) for item in self.records if item.vkey and item.state != REVOKED)

    @property
    def vkey_lines(self) -> list[str]:
        """The same as text, for files and answers."""
        return [format_vkey(vkey) for vkey in self.vkeys]

    @cached_property
    def public_keys(self) -> dict[str, PublicKey]:
        """keyid -> key of all envelope keys that were never revoked."""
        known = (item for item in self.records if item.public_key and item.state != REVOKED)
        return {item.keyid: PublicKey(parse_base64(str(item.public_key))) for item in known}

    def public_keys_of(self, purpose: str) -> dict[str, PublicKey]:
        """keyid -> key of one purpose."""
        wanted = {item.keyid for item in self.records if item.purpose == purpose}
        return {keyid: key for keyid, key in self.public_keys.items() if keyid in wanted}


def create_keys(folder: Path, origin_name: str, passphrase: str | bytes, *, now: datetime | None = None) -> KeyRing:
    """Make the keys of a new log.

    Args:
        folder: where they will lie; made with mode 0700.
        origin_name: the log's origin, also the name of its keys; no spaces, no plus.
        passphrase: encrypts the private halves; not empty.
        now: when they begin to be valid.
    Raises:
        ConflictError: the folder has keys already; nothing was changed.
        UnavailableError: the folder cannot be written.
        MalformedError: the origin cannot be a key's name.
        SettingsError: the passphrase is empty.
    """
    check_key_name(origin_name)
    secret = open_secret(passphrase)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        if has_keys(folder):
            raise ConflictError(f"{folder / INDEX} exists; keys are never overwritten")
        started = format_moment(now or datetime.now(UTC))
        records = [make_key(folder, origin_name, kind, secret, started) for kind in NEW_KEYS]
        write_new(folder / INDEX, format_index(origin_name, records))
    except OSError as exc:
        raise UnavailableError(f"keys cannot be written to {folder}: {exc.strerror or exc}") from exc
    return open_keys(folder, passphrase)


def has_keys(folder: Path) -> bool:
    """Whether `create_keys` has finished in this folder."""
    return (folder / INDEX).exists()


def open_keys(folder: Path, passphrase: str | bytes) -> KeyRing:
    """Open the keys of a log.

    Args:
        folder: where `keys.json` lies.
        passphrase: what the `file:` keys were encrypted with.
    Raises:
        NotFoundError: there is no `keys.json`, or a key file that it names is missing.
        SettingsError: the passphrase is wrong.
        MalformedError: `keys.json` or a key file is not what we write.
    """
    origin, records = read_index(folder)
    secret = open_secret(passphrase)
    active = [item for item in records if item.state == ACTIVE]
    signers = {item.purpose: _open_signer(folder, item, secret) for item in active if item.public_key}
    log_signers = tuple(_open_log_signer(folder, origin, item, secret) for item in active if item.vkey)
    if not log_signers:
        raise MalformedError(f"{folder / INDEX} names no active log key")
    return KeyRing(origin, records, signers, log_signers)


def list_public(ring: KeyRing) -> list[dict[str, Any]]:
    """What anybody may know of the keys, as `keys list --json` prints it and `key` statements say it.

    The authority's come first: its statement is entry 0 of the log, and signs those of the others.
    """
    return [item.to_public() for item in sorted(ring.records, key=lambda item: item.purpose != "authority")]


def read_index(folder: Path) -> tuple[str, tuple[KeyRecord, ...]]:
    """The origin and key records of `keys.json`; no private key is opened.

    Raises:
        NotFoundError: there is none.
        MalformedError: it is not what we write.
    """
    try:
        value = parse_json((folder / INDEX).read_bytes())
        if value["format"] != FORMAT:
            raise MalformedError(f"unknown format of {INDEX}", FieldError("format", value["format"], FORMAT))
        return value["origin"], tuple(KeyRecord(**item) for item in value["keys"])
    except FileNotFoundError as exc:
        raise NotFoundError(f"there are no keys in {folder}: {INDEX} is missing") from exc
    except OSError as exc:
        raise UnavailableError(f"{folder / INDEX} cannot be read: {exc.strerror}") from exc
    except (KeyError, TypeError) as exc:
        raise MalformedError(f"{folder / INDEX} is not a key index: {exc}") from exc


def open_secret(passphrase: str | bytes) -> bytes:
    """The passphrase as bytes, not empty."""
    secret = passphrase.encode() if isinstance(passphrase, str) else passphrase
    if not secret:
        raise SettingsError("the passphrase of the keys is empty", FieldError("passphrase", None, "not empty"))
    return secret


def format_moment(moment: datetime) -> str:
    """RFC 3339 in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_index(origin: str, records: Sequence[KeyRecord]) -> bytes:
    """The bytes of `keys.json`."""
    lines = [{name: value for name, value in vars(item).items() if value is not None} for item in records]
    return json.dumps({"format": FORMAT, "origin": origin, "keys": lines}, indent=1, ensure_ascii=False).encode()


def make_key(folder: Path, origin: str, kind: tuple[str, str], secret: bytes, started: str) -> KeyRecord:
    """Generate a key, write its private half, and say all else about it."""
    purpose, algorithm = kind
    private: PrivateKey | MLDSA44PrivateKey
    if algorithm == ML_DSA_44:
        private = MLDSA44PrivateKey.generate()
    elif algorithm == ECDSA_P256:
        private = ec.generate_private_key(ec.SECP256R1())
    else:
        private = Ed25519PrivateKey.generate()
    if purpose == "log":
        signer = _log_signer(origin, private)
        keyid, halves = signer.vkey.key_id.hex(), {"vkey": format_vkey(signer.vkey)}
    else:
        public = _envelope_signer(private).public_key
        keyid, halves = public.keyid, {"public_key": format_base64(public.spki)}
    name = f"{purpose}-{algorithm}-{keyid[:8]}.pem"
    encryption = serialization.BestAvailableEncryption(secret)
    pem = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    write_new(folder / name, pem)
    shown = origin if purpose == "log" else f"{origin}/{purpose}"
    vkey, public_key = halves.get("vkey"), halves.get("public_key")
    return KeyRecord(purpose, shown, algorithm, f"file:{name}", keyid, ACTIVE, started, None, vkey, public_key)


def _envelope_signer(private: object) -> PrivateKeySigner:
    if not isinstance(private, PrivateKey):
        raise MalformedError(f"a {type(private).__name__} does not sign envelopes")
    return PrivateKeySigner(private)


def _log_signer(origin: str, private: object) -> NoteSigner:
    if isinstance(private, MLDSA44PrivateKey):
        return MLDSA44Signer(origin, private)
    if isinstance(private, Ed25519PrivateKey):
        return Ed25519NoteSigner(origin, private)
    raise MalformedError(f"a {type(private).__name__} does not sign checkpoints")


def _open_signer(folder: Path, record: KeyRecord, secret: bytes) -> Signer:
    public = PublicKey(parse_base64(str(record.public_key), "public_key"))
    if not record.uri.startswith("file:"):
        return RemoteSigner(public, record.uri)
    signer = _envelope_signer(load_private(folder, record.uri, secret))
    if signer.public_key != public:
        raise MalformedError(f"{record.uri} is not the {record.purpose} key that {INDEX} names")
    return signer


def _open_log_signer(folder: Path, origin: str, record: KeyRecord, secret: bytes) -> NoteSigner:
    vkey = parse_vkey(str(record.vkey))
    if record.uri.startswith("file:"):
        signer = _log_signer(origin, load_private(folder, record.uri, secret))
    elif vkey.signature_type == NOTE_ED25519:
        signer = RemoteNoteSigner(vkey, record.uri)
    else:
        raise SettingsError(f"an ML-DSA-44 key is opened from a file, not from {record.uri.partition(':')[0]}:")
    if signer.vkey != vkey:
        raise MalformedError(f"{record.uri} is not the log key that {INDEX} names")
    return signer
