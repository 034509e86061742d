"""A log as the service makes it, a copy of it for each fault, and the three statements that hold after any fault."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from sqlalchemy import Engine

from provenance.attestation.envelope import parse_entry
from provenance.capture.record import Recorder
from provenance.capture.sample import Sample, parse_samples
from provenance.ledger.append import Draft, Receipt, make_draft
from provenance.ledger.audit import audit_log
from provenance.ledger.checkpoint import open_checkpoint
from provenance.ledger.keys import KeyRing, SignOnce, create_keys, list_public, open_keys
from provenance.ledger.keys import read_index as read_keys
from provenance.ledger.merkle import HASH_BYTES, leaf_hash, tree_root
from provenance.ledger.note import parse_vkey
from provenance.ledger.publish import publish
from provenance.ledger.sequencer import Sequencer
from provenance.ledger.sign import sign_entry
from provenance.ledger.tiles import TILE_WIDTH, Tile, format_tile_path, list_tiles, parse_entry_bundle
from provenance.store.log import iterate_entries
from provenance.store.migrate import upgrade
from provenance.store.reindex import reindex
from provenance.store.session import make_engine, read_session, write_session
from provenance.terms.catalogue import Catalogue, load_catalogue
from tests.store.logs import ORIGIN, PASSPHRASE, Log, open_log, read_index, rebuild_tiles

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
NEAR_A_TILE = 250  # entries in the last tile of the base: the next append finishes it and begins another


def samples_of(names: Iterable[str]) -> list[Sample]:
    """A sample for each name, which is its `external_id`."""
    teacher = {"provider": "p", "model": "m", "route": "weights"}
    lines = [
        json.dumps(
            {
                "dataset": "d",
                "teacher": teacher,
                "generated_at": "2026-11-20T10:00:00Z",
                "prompt": f"question {name}",
                "completion": f"answer {name}",
                "external_id": name,
            }
        )
        for name in names
    ]
    return parse_samples("\n".join(lines).encode(), now=NOW, lines=True)


@dataclass(frozen=True)
class Place:
    """Where a log lies."""

    data_dir: Path
    url: str

    @property
    def published(self) -> Path:
        return self.data_dir / "log"


def make_base(place: Place, fill: int = NEAR_A_TILE) -> None:
    """A log with its keys and samples on an empty database, `fill` entries in its last tile; all of it published."""
    folder = place.data_dir / "keys"
    folder.mkdir(parents=True)
    upgrade(place.url)
    (folder / "passphrase").write_text(PASSPHRASE)
    ring = create_keys(folder, ORIGIN, PASSPHRASE)
    log = open_log(place.url, folder)
    keys = list_public(ring)  # the authority key introduces itself first, then all others
    log.sequencer.append(make_draft([sign_entry(ring, "key", key) for key in keys]))
    names = [f"base-{number}" for number in range(fill - len(keys) - 2)]  # a capture and a batch come with them
    log.recorder(load_catalogue()).record(samples_of(names), source="api")
    publish_log(log, place)
    log.close()


class Keys:
    """What is dear to open and the same for every copy of a base."""

    def __init__(self, data_dir: Path) -> None:
        keys = data_dir / "keys"
        self.ring: KeyRing = open_keys(keys, (keys / "passphrase").read_text().strip())

    @cached_property
    def catalogue(self) -> Catalogue:
        """The terms that travel with the package."""
        return load_catalogue()


def open_writer(place: Place, keys: Keys) -> Log:
    """A writer on the log at `place`."""
    engine = make_engine(place.url)
    sign_once = SignOnce(place.data_dir / "keys" / "signed")
    return Log(engine, keys.ring, sign_once, Sequencer(engine, keys.ring, sign_once, lambda: NOW))


def draft_of(keys: Keys, names: Iterable[str], key: str | None = None) -> list[Draft]:
    """What a recorder would append for these samples: their capture, then they and their batch."""
    drafts: list[Draft] = []

    def take(draft: Draft) -> Receipt:
        drafts.append(draft)
        return Receipt(0, len(draft.entries), 0, "")

    Recorder(take, keys.ring, keys.catalogue, lambda: NOW).record(samples_of(names), source="api", idempotency_key=key)
    return drafts


def access_draft(keys: Keys, target: str) -> Draft:
    """A small governance entry."""
    said = {"actor": "test", "act": "look", "target": target, "reason": None, "at": "2026-11-24T10:00:00Z"}
    return make_draft([sign_entry(keys.ring, "access", said)])


def publish_log(log: Log, place: Place) -> int:
    """Publish what is durable; the answer is the size."""
    with read_session(log.engine) as session:
        return publish(session, place.published, log.ring.vkey_lines)


def check_place(place: Place, acknowledged: Mapping[int, str], *, rows: bool = True) -> dict[int, str]:
    """The three statements: the log verifies whole, each acknowledged sample is there, none is there twice.

    With `rows`, its index rows are those that its entries alone make. The answer is the `external_id` of each sample, by index.
    """
    vkeys = [parse_vkey(item.vkey) for item in read_keys(place.data_dir / "keys")[1] if item.vkey]
    signed = SignOnce(place.data_dir / "keys" / "signed").last()
    engine = make_engine(place.url)
    try:
        with read_session(engine) as session:
            outcome = audit_log(session, vkeys, signed=signed)
            entries = list(iterate_entries(session))
        assert outcome.ok, outcome.to_json()
        if rows:
            _check_rows(engine)
    finally:
        engine.dispose()
    assert [index for index, _ in entries] == list(range(outcome.size))
    found = {}
    for index, entry in entries:
        statement = parse_entry(entry)
        if statement.kind == "sample":
            found[index] = str(statement.predicate["external_id"])
    assert {index: found.get(index) for index in acknowledged} == dict(acknowledged)
    twice = [name for name, count in Counter(found.values()).items() if count > 1]
    assert not twice
    return found


def _check_rows(engine: Engine) -> None:
    with write_session(engine) as session:
        live = read_index(session)
        reindex(session)
        assert read_index(session) == live
        session.rollback()


def copy_files(base: Place, data_dir: Path) -> Path:
    """A copy of the base's data directory."""
    return Path(shutil.copytree(base.data_dir, data_dir))


def read_acknowledged(path: Path) -> dict[int, str]:
    """What was acknowledged: index -> `external_id`, from lines that were written once the receipt had come."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {int(index): name for index, name in (line.split(" ", 1) for line in lines)}


def write_acknowledged(path: Path, first_index: int, names: Iterable[str]) -> None:
    """Note a receipt outside the log, at once."""
    with path.open("a") as file:
        file.write("".join(f"{first_index + at} {name}\n" for at, name in enumerate(names)))


def check_published(folder: Path) -> int:
    """What an outsider reads verifies at this moment; the answer is the size, or -1 before the first publication.

    A partial tile may have grown into the full one that took its place; then its beginning is what the checkpoint names.
    """
    if not (folder / "checkpoint").exists():
        return -1
    vkeys = [parse_vkey(line) for line in (folder / "vkey").read_text().splitlines()]
    checkpoint = open_checkpoint((folder / "checkpoint").read_text(), vkeys)
    leaves: list[bytes] = []
    for number in range((checkpoint.size + TILE_WIDTH - 1) // TILE_WIDTH):
        width = min(TILE_WIDTH, checkpoint.size - number * TILE_WIDTH)
        data, found = _read_tile(folder, Tile(None, number, width))
        leaves += [leaf_hash(entry) for entry in parse_entry_bundle(data, found)[:width]]
    assert tree_root(leaves) == checkpoint.root
    rebuilt = rebuild_tiles(leaves)
    for tile in list_tiles(checkpoint.size):
        data, _ = _read_tile(folder, tile)
        assert data[: tile.width * HASH_BYTES] == rebuilt[tile.level or 0, tile.index]
    return checkpoint.size


def _read_tile(folder: Path, tile: Tile) -> tuple[bytes, int]:
    whole = Tile(tile.level, tile.index)
    for item in (tile, whole):
        path = folder / format_tile_path(item)
        if path.exists():
            return path.read_bytes(), item.width
    raise AssertionError(f"{format_tile_path(tile)} is named by the checkpoint and is not there")
