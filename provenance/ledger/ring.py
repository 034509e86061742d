"""Open the key ring of a data directory, with the passphrase of the settings or the one that lies beside the keys."""

from __future__ import annotations

import secrets
from datetime import datetime
from pathlib import Path

from pydantic import SecretStr

from provenance.errors import SettingsError
from provenance.ledger.keys import KeyRing, create_keys, open_keys
from provenance.ledger.rotate import add_missing, retire_due
from provenance.settings import Settings


def open_ring(settings: Settings, now: datetime) -> KeyRing:
    """The keys of a data directory, made when missing; those whose time has come are retired.

    Raises:
        SettingsError: the passphrase does not open them, or cannot be read or made.
    """
    folder = settings.data_dir / "keys"
    if (folder / "keys.json").exists():
        retire_due(folder, now)
        passphrase = _passphrase(settings, folder).get_secret_value()
        add_missing(folder, passphrase, now)
        return open_keys(folder, passphrase)
    origin = settings.origin or f"provenance.local/{secrets.token_hex(4)}"
    return create_keys(folder, origin, _passphrase(settings, folder).get_secret_value())


def key_passphrase(settings: Settings) -> str:
    """What the private keys of this data directory are encrypted with."""
    return _passphrase(settings, settings.data_dir / "keys").get_secret_value()


def _passphrase(settings: Settings, folder: Path) -> SecretStr:
    if settings.key_passphrase is not None:
        return settings.key_passphrase
    path = folder / "passphrase"
    try:
        if not path.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(32))
        return SecretStr(path.read_text().strip())
    except OSError as exc:
        raise SettingsError(f"the key passphrase in {path} cannot be read or made: {exc.strerror}") from exc
