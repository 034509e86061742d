"""Keys end: a successor is introduced before it takes over, an overlap keeps both, a revoked key's later signatures are void."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from provenance.errors import ConflictError, MalformedError, NotFoundError, SettingsError, UnavailableError
from provenance.ledger.checkpoint import Checkpoint, open_signed_checkpoint, sign_checkpoint
from provenance.ledger.keys import KeyRing, create_keys, format_index, list_public, open_keys, read_index
from provenance.ledger.rotate import add_missing, retire_due, revoke_key, rotate_key

ORIGIN = "provenance.example/rotate"
NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
WEEK = timedelta(days=7)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create_keys(tmp_path / "keys", ORIGIN, "secret", now=NOW)
    return tmp_path / "keys"


class Introduced(list[Mapping[str, Any]]):
    """Takes what would be logged, and looks that the new key has not taken over yet."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def __call__(self, said: Mapping[str, Any]) -> None:
        assert said["keyid"] not in {item["keyid"] for item in list_public(open_ring(self.folder))}
        self.append(said)


def open_ring(folder: Path) -> KeyRing:
    return open_keys(folder, "secret")


def rotate(folder: Path, purpose: str, overlap: timedelta = timedelta(0), day: int = 25) -> Introduced:
    introduced = Introduced(folder)
    now = NOW.replace(day=day)
    made = rotate_key(folder, purpose, "secret", now=now, overlap=overlap, introduce=introduced)
    assert [item.to_public() for item in made] == introduced
    return introduced


def revoke(folder: Path, keyid: str, last_good_size: int = 5, reason: str = "stolen") -> Introduced:
    introduced = Introduced(folder)
    given = {"now": NOW.replace(day=26), "reason": reason, "last_good_size": last_good_size}
    revoke_key(folder, keyid, "secret", introduce=introduced, **given)  # type: ignore[arg-type]  # of three types
    return introduced


def find(folder: Path, keyid: str) -> dict[str, Any]:
    return next(item for item in list_public(open_ring(folder)) if item["keyid"] == keyid)


@pytest.mark.parametrize("purpose", ["authority", "collector", "release", "model"])
def test_without_overlap_the_old_key_is_retired_at_once(folder: Path, purpose: str) -> None:
    old = open_ring(folder).signer(purpose).public_key
    (new,) = rotate(folder, purpose)
    ring = open_ring(folder)
    assert (ring.signer(purpose).public_key.keyid, new["state"]) == (new["keyid"], "active")
    assert (find(folder, old.keyid)["state"], find(folder, old.keyid)["valid_to"]) == (
        "retired",
        "2026-11-25T10:00:00Z",
    )
    assert old.keyid in ring.public_keys


def test_during_an_overlap_checkpoints_carry_the_lines_of_both_and_afterwards_of_the_new_alone(folder: Path) -> None:
    before = open_ring(folder)
    assert len(rotate(folder, "log", WEEK)) == 2
    during = open_ring(folder)
    note = sign_checkpoint(Checkpoint(ORIGIN, 3, bytes(32)), during.log_signers)
    old, new = set(before.vkeys), set(during.vkeys) - set(before.vkeys)
    for pinned in (old, new):  # whoever knows either half
        assert set(open_signed_checkpoint(note, sorted(pinned, key=str)).signed_by) == pinned
    assert (len(old), len(new)) == (2, 2)
    retire_due(folder, NOW.replace(day=25) + WEEK - timedelta(seconds=1))
    assert len(open_ring(folder).log_signers) == 4
    retire_due(folder, NOW.replace(day=25) + WEEK)
    after = open_ring(folder)
    assert {signer.vkey for signer in after.log_signers} == new
    assert set(after.vkeys) == old | new  # old checkpoints stay checkable


def test_an_overlap_is_not_rotated_again_before_it_ended(folder: Path) -> None:
    rotate(folder, "collector", WEEK)
    with pytest.raises(ConflictError, match="overlaps until 2026-12-02"):
        rotate(folder, "collector", WEEK)
    with pytest.raises(NotFoundError, match="witness"):
        rotate(folder, "witness")


def test_a_revoked_key_gets_a_successor_and_keeps_its_last_good_size(folder: Path) -> None:
    old = open_ring(folder).signer("collector").public_key.keyid
    (new,) = revoke(folder, old[:10])
    ring, said = open_ring(folder), find(folder, old)
    assert ring.signer("collector").public_key.keyid == new["keyid"]
    assert (said["state"], said["last_good_size"], said["reason"]) == ("revoked", 5, "stolen")
    assert old not in ring.public_keys
    with pytest.raises(ConflictError, match="revoked before"):
        revoke(folder, old)


def test_of_two_that_overlap_the_one_that_is_not_revoked_stays(folder: Path) -> None:
    old = open_ring(folder).signer("collector").public_key.keyid
    (new,) = rotate(folder, "collector", WEEK)
    assert revoke(folder, new["keyid"]) == []
    assert open_ring(folder).signer("collector").public_key.keyid == old
    retire_due(folder, NOW + timedelta(days=30))
    assert find(folder, old)["state"] == "active"


def test_a_retired_key_can_still_be_revoked(folder: Path) -> None:
    old = open_ring(folder).signer("release").public_key.keyid
    rotate(folder, "release")
    assert revoke(folder, old) == []
    assert find(folder, old)["state"] == "revoked"


@pytest.mark.parametrize("keyid", ["", "0", "ffffffffffff", "x" * 64])
def test_a_key_that_is_not_there_cannot_be_revoked(folder: Path, keyid: str) -> None:
    before = (folder / "keys.json").read_bytes()
    with pytest.raises(NotFoundError):
        revoke(folder, keyid)
    assert (folder / "keys.json").read_bytes() == before


@pytest.mark.parametrize("bad", [{"reason": " "}, {"last_good_size": -1}])
def test_a_revocation_says_why_and_since_when(folder: Path, bad: dict[str, Any]) -> None:
    keyid = open_ring(folder).signer("release").public_key.keyid
    with pytest.raises(MalformedError):
        revoke(folder, keyid, **bad)
    assert find(folder, keyid)["state"] == "active"


def test_a_successor_that_could_not_be_introduced_does_not_take_over(folder: Path) -> None:
    before = (folder / "keys.json").read_bytes()

    def fail(_said: Mapping[str, Any]) -> None:
        raise UnavailableError("the database is away")

    with pytest.raises(UnavailableError):
        rotate_key(folder, "authority", "secret", now=NOW, overlap=WEEK, introduce=fail)
    assert (folder / "keys.json").read_bytes() == before
    assert len(rotate(folder, "authority", WEEK)) == 1  # and again it works


def test_a_log_that_is_older_than_a_purpose_gets_its_key_once_and_keeps_all_others(folder: Path) -> None:
    origin, records = read_index(folder)
    older = [item for item in records if item.purpose != "model"]
    (folder / "keys.json").write_bytes(format_index(origin, older))
    with pytest.raises(SettingsError):
        add_missing(folder, "wrong", NOW)
    assert read_index(folder)[1] == tuple(older)
    for _ in range(2):
        add_missing(folder, "secret", NOW + WEEK)
    *kept, made = read_index(folder)[1]
    assert kept == older
    assert (made.purpose, made.algorithm, made.valid_from) == ("model", "ecdsa-p256-sha256", "2026-12-01T10:00:00Z")
    assert open_ring(folder).signer("model").public_key.keyid == made.keyid


def test_a_key_that_ended_is_not_missing(folder: Path) -> None:
    old = open_ring(folder).signer("model").public_key.keyid
    revoke(folder, old)
    before = read_index(folder)
    add_missing(folder, "secret", NOW + WEEK)
    assert read_index(folder) == before
