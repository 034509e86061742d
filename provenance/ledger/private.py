"""Private keys by URI: `file:` is ours, every other scheme is `securesystemslib`'s (cloud KMS, PKCS#11, Vault)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from provenance.attestation.signature import PublicKey
from provenance.errors import FieldError, NotFoundError, ProvenanceError, SettingsError, UnavailableError
from provenance.ledger.note import VerifierKey

PIN = "PROVENANCE_KEY_PIN"


def load_private(folder: Path, uri: str, secret: bytes) -> object:
    """The private key in the encrypted PKCS#8 file that a `file:` URI names, relative to `folder`.

    Raises:
        NotFoundError: the file is missing.
        SettingsError: the passphrase is wrong.
    """
    path = folder / uri.removeprefix("file:")
    try:
        return serialization.load_pem_private_key(path.read_bytes(), secret)
    except FileNotFoundError as exc:
        raise NotFoundError(f"the key file {path} is missing") from exc
    except OSError as exc:
        raise UnavailableError(f"the key file {path} cannot be read: {exc.strerror}") from exc
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise SettingsError(f"the passphrase does not open {path}, or it is not an encrypted PKCS#8 file") from exc


@dataclass(frozen=True)
class RemoteSigner:
    """A signer behind a URI of `securesystemslib`: cloud KMS, PKCS#11, Vault. The private half never comes here.

    A device that asks for a PIN gets `PROVENANCE_KEY_PIN`.
    """

    public_key: PublicKey
    uri: str

    def sign(self, message: bytes) -> bytes:
        """The signature over `message`, made where the key lies.

        Raises:
            UnavailableError: it cannot be reached, or it refuses.
        """
        with self._telling():
            return bytes.fromhex(self._signer.sign(message).signature)

    @cached_property
    def _signer(self) -> Any:
        try:
            remote: Any = import_module("securesystemslib.signer")  # optional, and slow to import
        except ImportError as exc:
            raise UnavailableError(f"opening {self.uri} needs `securesystemslib` (extra `server`)") from exc
        key = remote.SSlibKey.from_crypto(
            serialization.load_der_public_key(self.public_key.spki), keyid=self.public_key.keyid
        )
        with self._telling():
            return remote.Signer.from_priv_key_uri(self.uri, key, _read_pin)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except ProvenanceError:
            raise
        except Exception as exc:  # each device and cloud has errors of its own
            said = str(exc) or type(exc).__name__
            raise UnavailableError(f"the key {self.uri} cannot be used: {said}") from exc


def _read_pin(asked: str) -> str:
    pin = os.environ.get(PIN)
    if not pin:
        raise SettingsError(f"a key asks for its {asked}", FieldError(PIN, None, f"the {asked} of the device"))
    return pin


@dataclass(frozen=True)
class RemoteNoteSigner:
    """Plain Ed25519 note lines by a remote key."""

    vkey: VerifierKey
    uri: str

    def sign(self, text: str) -> bytes:
        """The Ed25519 signature over the text."""
        # DER SubjectPublicKeyInfo of Ed25519 is a fixed prefix and the key (RFC 8410, section 4).
        spki = bytes.fromhex("302a300506032b6570032100") + self.vkey.public_key
        return RemoteSigner(PublicKey(spki), self.uri).sign(text.encode())
