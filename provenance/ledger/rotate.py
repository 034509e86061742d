"""End keys: rotation with overlap, revocation with the last size that was good.

- A new key is introduced by a `key` statement, signed by the authority that is active before, and only then takes over in
  `keys.json`. If we stop between the two, a key is on record that nobody uses; doing it again makes another.
- During an overlap both keys sign and verify: checkpoints carry the lines of both, so whoever pinned the old one has time.
- A revoked key's signatures are good below `last_good_size` and nowhere else, also those that are in the log already.

The statement that ends a key is logged at the next start (`runtime`), signed by the authority that is active then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from provenance.errors import ConflictError, FieldError, MalformedError, NotFoundError, UnavailableError
from provenance.ledger.durable import replace_file
from provenance.ledger.keys import (
    ACTIVE,
    INDEX,
    NEW_KEYS,
    RETIRED,
    REVOKED,
    KeyRecord,
    format_index,
    format_moment,
    make_key,
    open_keys,
    open_secret,
    read_index,
)

Introduce = Callable[[Mapping[str, Any]], object]


@dataclass(frozen=True)
class _Place:
    """Where keys lie, and what new ones are made with."""

    folder: Path
    origin: str
    records: Sequence[KeyRecord]
    secret: bytes
    started: str


def rotate_key(
    folder: Path, purpose: str, passphrase: str | bytes, *, now: datetime, overlap: timedelta, introduce: Introduce
) -> list[KeyRecord]:
    """Replace the newest active key or keys of `purpose`; the old ones stay valid for `overlap`.

    Args:
        folder: where `keys.json` lies.
        purpose: authority, log, collector, release or model.
        passphrase: encrypts the new private halves.
        now: from when on the new keys are valid.
        overlap: how long the old keys go on; nothing ends them at once.
        introduce: logs what is said of a new key, signed by the authority that is active now.
    Returns:
        The new keys.
    Raises:
        NotFoundError: no active key has this purpose.
        ConflictError: an overlap of this purpose still goes on.
        UnavailableError: the folder cannot be written; the old keys stay in force.
    """
    origin, records = read_index(folder)
    ended = end_active(records, purpose, now, overlap)
    place = _Place(folder, origin, records, open_secret(passphrase), format_moment(now))
    return _replace(place, ended, introduce)


def end_active(records: Sequence[KeyRecord], purpose: str, now: datetime, overlap: timedelta) -> dict[str, KeyRecord]:
    """The active keys of `purpose` by id, as they stand once they end `overlap` from `now`.

    Raises:
        NotFoundError: no active key has this purpose.
        ConflictError: an overlap of this purpose still goes on.
    """
    old = [item for item in records if item.purpose == purpose and item.state == ACTIVE]
    if not old:
        known = ", ".join(sorted({item.purpose for item in records if item.state == ACTIVE}))
        raise NotFoundError(f"no active key has the purpose {purpose!r}", FieldError("purpose", purpose, known))
    if ending := next((item for item in old if item.valid_to), None):
        raise ConflictError(
            f"the {purpose} key was rotated before and overlaps until {ending.valid_to}; revoke the old key to end that",
            FieldError("purpose", purpose, "a purpose without an overlap"),
        )
    state = ACTIVE if overlap else RETIRED
    return {item.keyid: replace(item, state=state, valid_to=format_moment(now + overlap)) for item in old}


def revoke_key(
    folder: Path,
    keyid: str,
    passphrase: str | bytes,
    *,
    now: datetime,
    reason: str,
    last_good_size: int,
    introduce: Introduce,
) -> list[KeyRecord]:
    """Revoke a key: what it signed at or behind index `last_good_size` is void. A successor is made where none is active.

    Args:
        keyid: of the key; eight or more of its first characters are enough.
        last_good_size: the size of the log up to which its signatures are good.
    Returns:
        The new keys: none, or the successor.
    Raises:
        NotFoundError: no key has this id.
        ConflictError: it was revoked before.
        MalformedError: the reason is empty, or the size negative.
    """
    for name, wrong, expected in (
        ("reason", not reason.strip(), "why the key is revoked"),
        ("last_good_size", last_good_size < 0, "a size of the log"),
    ):
        if wrong:
            raise MalformedError(f"{name}: expected {expected}", FieldError(name, None, expected))
    origin, records = read_index(folder)
    key = _find(records, keyid)
    ended = replace(key, state=REVOKED, valid_to=format_moment(now), last_good_size=last_good_size, reason=reason)
    alike = [
        item for item in records if (item.purpose, item.algorithm, item.state) == (key.purpose, key.algorithm, ACTIVE)
    ]
    if key.state != ACTIVE or len(alike) > 1:
        write_index(folder, origin, [ended if item is key else _lasting(item, alike) for item in records])
        return []
    place = _Place(folder, origin, records, open_secret(passphrase), format_moment(now))
    return _replace(place, {key.keyid: ended}, introduce)


def retire_due(folder: Path, now: datetime) -> None:
    """Retire the keys whose overlap is over."""
    origin, records = read_index(folder)
    over = format_moment(now)
    due = [item for item in records if item.state == ACTIVE and item.valid_to is not None and item.valid_to <= over]
    if due:
        write_index(folder, origin, [replace(item, state=RETIRED) if item in due else item for item in records])


def add_missing(folder: Path, passphrase: str | bytes, now: datetime) -> None:
    """Make the keys of purposes that came after this log began; the next start says in the log what they are.

    If we stop before the index is written, a key file is left that nobody names; the next start makes another.
    """
    origin, records = read_index(folder)
    known = {item.purpose for item in records}
    missing = [kind for kind in NEW_KEYS if kind[0] not in known]
    if missing:
        open_keys(folder, passphrase)  # a wrong passphrase is refused before anything is encrypted with it
        secret, started = open_secret(passphrase), format_moment(now)
        write_index(folder, origin, [*records, *(make_key(folder, origin, kind, secret, started) for kind in missing)])


def _lasting(item: KeyRecord, alike: Sequence[KeyRecord]) -> KeyRecord:
    # Of two that overlap the other one is revoked: this one stays, also if it was the old one.
    return replace(item, valid_to=None) if item in alike else item


def _find(records: Sequence[KeyRecord], keyid: str) -> KeyRecord:
    expected = "the keyid of one key, or its first characters, at least 8"
    found = [item for item in records if item.keyid == keyid or (len(keyid) >= 8 and item.keyid.startswith(keyid))]
    if len(found) != 1:
        raise NotFoundError(f"{len(found)} keys have the id {keyid!r}", FieldError("keyid", keyid, expected))
    if found[0].state == REVOKED:
        raise ConflictError(f"key {keyid} was revoked before", FieldError("keyid", keyid, "a key that was not revoked"))
    return found[0]


def _replace(place: _Place, ended: Mapping[str, KeyRecord], introduce: Introduce) -> list[KeyRecord]:
    """Make a successor for each of `ended`, have it introduced, and only then let it take over."""
    try:
        kinds = [(item.purpose, item.algorithm) for item in ended.values()]
        made = [make_key(place.folder, place.origin, kind, place.secret, place.started) for kind in kinds]
    except OSError as exc:
        raise UnavailableError(f"keys cannot be written to {place.folder}: {exc.strerror or exc}") from exc
    for key in made:
        introduce(key.to_public())
    write_index(place.folder, place.origin, [*(ended.get(item.keyid, item) for item in place.records), *made])
    return made


def write_index(folder: Path, origin: str, records: Sequence[KeyRecord]) -> None:
    """Write `keys.json` anew.

    Raises:
        UnavailableError: it cannot be written; what was there stays.
    """
    try:
        replace_file(folder / INDEX, format_index(origin, records))
    except OSError as exc:
        raise UnavailableError(f"keys cannot be written to {folder}: {exc.strerror or exc}") from exc
