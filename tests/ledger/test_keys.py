"""The keys of a log: made once, opened by passphrase, rotated, never overwritten."""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from provenance.attestation.predicates import check_predicate
from provenance.canonical import parse_base64
from provenance.errors import ConflictError, MalformedError, NotFoundError, SettingsError, UnavailableError
from provenance.ledger.checkpoint import Checkpoint, open_signed_checkpoint, sign_checkpoint
from provenance.ledger.keys import KeyRing, create_keys, has_keys, list_public, open_keys

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
ORIGIN = "example.com/log"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def ring(folder: Path) -> KeyRing:
    return create_keys(folder, ORIGIN, "secret", now=NOW)


def test_every_purpose_has_its_own_key(ring: KeyRing, folder: Path) -> None:
    assert has_keys(folder)
    assert [(item["purpose"], item["algorithm"]) for item in list_public(ring)] == [
        ("authority", "ed25519"),
        ("log", "ed25519"),
        ("log", "ml-dsa-44"),
        ("collector", "ed25519"),
        ("release", "ecdsa-p256-sha256"),
        ("model", "ecdsa-p256-sha256"),
    ]
    for purpose in ("authority", "collector", "release", "model"):
        signer = ring.signer(purpose)
        ring.public_keys_of(purpose)[signer.public_key.keyid].verify(signer.sign(b"x"), b"x")
    assert len(ring.public_keys) == 4
    with pytest.raises(NotFoundError):
        ring.signer("log")


def test_the_log_signs_with_both_of_its_keys(ring: KeyRing) -> None:
    note = sign_checkpoint(Checkpoint(ORIGIN, 0, bytes(32)), ring.log_signers)
    assert open_signed_checkpoint(note, ring.vkeys).signed_by == ring.vkeys
    assert len(ring.vkeys) == 2


def test_what_is_listed_is_what_a_key_statement_says(ring: KeyRing) -> None:
    for item in list_public(ring):
        check_predicate("key", item)
        assert ("vkey" in item) != ("public_key" in item)
        assert (item["valid_from"], item["valid_to"], item["state"]) == ("2026-11-24T10:00:00Z", None, "active")
    assert "uri" not in json.dumps(list_public(ring))


def test_opening_again_gives_the_same_keys(ring: KeyRing, folder: Path) -> None:
    again = open_keys(folder, b"secret")
    assert list_public(again) == list_public(ring)
    assert again.signer("release").public_key == ring.signer("release").public_key


def test_private_halves_are_encrypted_and_for_their_owner_alone(ring: KeyRing, folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = list(folder.iterdir())
    assert len(files) == 7
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        if path.suffix == ".pem":
            assert b"ENCRYPTED" in path.read_bytes()
            with pytest.raises(TypeError):
                load_pem_private_key(path.read_bytes(), None)


def test_keys_are_never_overwritten(ring: KeyRing, folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ConflictError):
        create_keys(folder, ORIGIN, "other")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_creation_that_was_cut_off_can_be_done_again(folder: Path) -> None:
    folder.mkdir()
    (folder / "passphrase").write_text("kept")
    (folder / "collector-ed25519-00000000.pem").write_text("left behind")
    create_keys(folder, ORIGIN, "secret")
    assert (folder / "passphrase").read_text() == "kept"


@pytest.mark.parametrize("passphrase", ["wrong", "secret "])
def test_a_wrong_passphrase_is_named(ring: KeyRing, folder: Path, passphrase: str) -> None:
    with pytest.raises(SettingsError, match="passphrase"):
        open_keys(folder, passphrase)


def test_an_empty_passphrase_is_refused(folder: Path) -> None:
    with pytest.raises(SettingsError):
        create_keys(folder, ORIGIN, "")
    assert not has_keys(folder)


def test_a_missing_key_file_is_named(ring: KeyRing, folder: Path) -> None:
    (lost,) = folder.glob("collector-*.pem")
    lost.unlink()
    with pytest.raises(NotFoundError, match=lost.name):
        open_keys(folder, "secret")
    with pytest.raises(NotFoundError):
        open_keys(folder / "elsewhere", "secret")


def test_a_key_file_that_was_swapped_is_refused(ring: KeyRing, folder: Path) -> None:
    (one,), (other,) = folder.glob("collector-*.pem"), folder.glob("authority-*.pem")
    one.write_bytes(other.read_bytes())
    with pytest.raises(MalformedError):
        open_keys(folder, "secret")


def test_a_damaged_index_is_refused(ring: KeyRing, folder: Path) -> None:
    for text in ("{}", '{"format":"provenance-keys/2","origin":"x","keys":[]}', '{"format":"provenance-keys/1"}', "["):
        (folder / "keys.json").write_text(text)
        with pytest.raises(MalformedError):
            open_keys(folder, "secret")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="file"):
        create_keys(tmp_path / "file" / "keys", ORIGIN, "secret")


def test_an_origin_that_no_note_can_carry_is_refused(folder: Path) -> None:
    with pytest.raises(MalformedError):
        create_keys(folder, "two words", "secret")
    assert not folder.exists()


def test_a_key_elsewhere_is_opened_through_securesystemslib(
    ring: KeyRing, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sslib = pytest.importorskip("securesystemslib.signer")
    private = ring.signer("collector").private  # type: ignore[attr-defined]  # it is in memory here

    class Elsewhere(sslib.Signer):  # type: ignore[misc, name-defined]  # imported at run time
        public_key = None

        @classmethod
        def from_priv_key_uri(cls, uri: str, key: object, handler: object = None) -> Elsewhere:
            assert uri == "elsewhere:slot-1"
            return cls()

        def sign(self, payload: bytes) -> object:
            return sslib.Signature("id", private.sign(payload).hex())

    monkeypatch.setitem(sslib.SIGNER_FOR_URI_SCHEME, "elsewhere", Elsewhere)
    index = json.loads((folder / "keys.json").read_text())
    for item in index["keys"]:
        if item["purpose"] == "collector":
            item["uri"] = "elsewhere:slot-1"
    (folder / "keys.json").write_text(json.dumps(index))
    signer = open_keys(folder, "secret").signer("collector")
    signer.public_key.verify(signer.sign(b"x"), b"x")
    assert parse_base64(next(item for item in list_public(ring) if item["purpose"] == "collector")["public_key"])


def test_an_unknown_scheme_says_so_when_it_is_used(ring: KeyRing, folder: Path) -> None:
    text = (folder / "keys.json").read_text()
    (name,) = (path.name for path in folder.glob("release-*.pem"))
    (folder / "keys.json").write_text(text.replace(f"file:{name}", "nowhere:1"))
    with pytest.raises(UnavailableError, match="nowhere:1"):
        open_keys(folder, "secret").signer("release").sign(b"x")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder_is_named(folder: Path) -> None:
    folder.mkdir(mode=0o500)
    with pytest.raises(UnavailableError):
        create_keys(folder, ORIGIN, "secret")
