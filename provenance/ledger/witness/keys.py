"""The keys of a witness: one name, an Ed25519 key (0x04) and an ML-DSA-44 key (0x06), for cosignatures and nothing else.

Private halves are encrypted PKCS#8 files, written once; `witness.json` names them and comes last, so a crash leaves at
most an unused file. A witness gets no new keys: with other keys it is another witness.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from provenance.canonical import parse_json
from provenance.errors import FieldError, MalformedError, NotFoundError, UnavailableError
from provenance.ledger.checkpoint import Ed25519Cosigner, MLDSA44Signer
from provenance.ledger.durable import write_new
from provenance.ledger.note import NoteSigner, VerifierKey, check_key_name
from provenance.ledger.private import load_private

INDEX = "witness.json"
FORMAT = "provenance-witness/1"
MAX_NAME_BYTES = 255


@dataclass(frozen=True)
class WitnessKeys:
    """An opened witness: its name and its two private keys."""

    name: str
    ed25519: Ed25519PrivateKey
    ml_dsa_44: MLDSA44PrivateKey

    def signers(self, timestamp: int) -> Sequence[NoteSigner]:
        """What cosigns, stating `timestamp` (POSIX, not 0)."""
        return (
            Ed25519Cosigner(self.name, self.ed25519, timestamp),
            MLDSA44Signer(self.name, self.ml_dsa_44, timestamp),
        )

    @property
    def vkeys(self) -> list[VerifierKey]:
        """The keys that verify its cosignatures."""
        return [signer.vkey for signer in self.signers(1)]


def create_witness(folder: Path, name: str, passphrase: bytes) -> WitnessKeys:
    """Make the keys of a new witness.

    Args:
        folder: where they will lie; made with mode 0700.
        name: its name in cosignatures, a URL without a scheme as a rule.
        passphrase: encrypts the private halves.
    Raises:
        ConflictError: there is a witness in the folder.
        MalformedError: the name cannot stand in a cosignature.
        UnavailableError: the folder cannot be written.
    """
    check_key_name(name)
    if len(name.encode()) > MAX_NAME_BYTES:
        raise MalformedError("the witness's name is too long", FieldError("name", name, f"{MAX_NAME_BYTES} bytes"))
    keys = WitnessKeys(name, Ed25519PrivateKey.generate(), MLDSA44PrivateKey.generate())
    privates: tuple[Ed25519PrivateKey | MLDSA44PrivateKey, ...] = (keys.ed25519, keys.ml_dsa_44)
    files = {f"{vkey.key_id.hex()}.pem": key for vkey, key in zip(keys.vkeys, privates, strict=True)}
    index = {"format": FORMAT, "name": name, "keys": [f"file:{file}" for file in files]}
    encryption = serialization.BestAvailableEncryption(passphrase)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        for file, key in files.items():
            pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
            write_new(folder / file, pem)
        write_new(folder / INDEX, json.dumps(index, indent=1).encode())
    except OSError as exc:
        raise UnavailableError(f"keys cannot be written to {folder}: {exc.strerror or exc}") from exc
    return keys


def open_witness(folder: Path, passphrase: bytes) -> WitnessKeys:
    """Open the keys of a witness.

    Raises:
        NotFoundError: there is no witness in the folder, or a key file is missing.
        SettingsError: the passphrase is wrong.
        MalformedError: the files are not what we write.
    """
    index = _read_index(folder)
    ed25519, ml_dsa_44 = (load_private(folder, uri, passphrase) for uri in index["keys"])
    if not isinstance(ed25519, Ed25519PrivateKey) or not isinstance(ml_dsa_44, MLDSA44PrivateKey):
        raise MalformedError(f"{folder / INDEX} does not name an Ed25519 and an ML-DSA-44 key")
    keys = WitnessKeys(index["name"], ed25519, ml_dsa_44)
    if [f"file:{vkey.key_id.hex()}.pem" for vkey in keys.vkeys] != index["keys"]:
        raise MalformedError(f"the key files in {folder} are not those of {index['name']}")
    return keys


def has_witness(folder: Path) -> bool:
    """Whether `create_witness` has finished in this folder."""
    return (folder / INDEX).exists()


def _read_index(folder: Path) -> dict[str, Any]:
    try:
        index: dict[str, Any] = parse_json((folder / INDEX).read_bytes())
        if index["format"] != FORMAT or len(index["keys"]) != 2 or not isinstance(index["name"], str):
            raise MalformedError(f"{folder / INDEX} has another format", FieldError("format", index["format"], FORMAT))
    except FileNotFoundError as exc:
        raise NotFoundError(f"there is no witness in {folder}; `provenance witness serve` makes one") from exc
    except OSError as exc:
        raise UnavailableError(f"{folder / INDEX} cannot be read: {exc.strerror}") from exc
    except (KeyError, TypeError) as exc:
        raise MalformedError(f"{folder / INDEX} is not a witness's index: {exc}") from exc
    return index
