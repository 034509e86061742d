"""Publish the log to a target by comparing with what stands there: objects first, in the log's order, the checkpoint last.

- Published is what the data directory's `log/checkpoint` names: it is durable, and witnesses let it go.
- What stands at the target must be a prefix of this log: its checkpoint by origin, signature and root, its newest tiles by
  their bytes. Anything else stops publication until a person has looked (`FatalError`); nothing of it is overwritten.
- A publication that broke off is taken up by a binary search over the tiles: groups of them are complete from the left.
  Nothing is listed, and no note of ours is needed. Two that publish write the same bytes; the checkpoint is swapped.

Source: c2sp.org/tlog-tiles.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

from sqlalchemy import Engine
from sqlmodel import Session

from provenance.errors import FatalError, MalformedError, ProvenanceError, UnavailableError, VerificationError
from provenance.ledger.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from provenance.ledger.merkle import range_hash, tree_root
from provenance.ledger.note import parse_note, parse_vkey
from provenance.ledger.publish import VKEYS, read_checkpoint
from provenance.ledger.target import Target
from provenance.ledger.tiles import TILE_WIDTH, Tile, TileHashes, format_entry_bundle, format_tile_path, tile_width
from provenance.store.log import get_head, iterate_entries, load_tile
from provenance.store.session import read_session

STATE = ".mirror.json"
GROUP = 16  # bundles that are written side by side; a publication that broke off goes on at the start of such a group
WRITERS, MAX_TURNS, MAX_BACK_OFF = 8, 5, 300
_log = logging.getLogger(__name__)


def mirror_log(
    engine: Engine, target: Target, note: str, vkeys: Sequence[str], *, stopping: Callable[[], bool] = lambda: False
) -> int:
    """Publish up to `note`; the answer is the tree size that is published then.

    Args:
        engine: the database whose log this is; sessions are short, so that an upload of hours holds none open.
        target: where to.
        note: the checkpoint to publish, signed, durable, and let go by witnesses where there are some.
        vkeys: the log's verifier keys, as text.
        stopping: asked between groups; then the publication breaks off.
    Raises:
        FatalError: what stands there is not a prefix of this log; nothing was written.
        UnavailableError: the target does not answer, or `stopping`; what was written stands.
        OSError: the folder cannot be written.
    """
    wanted = parse_checkpoint(parse_note(note).text)
    for _ in range(MAX_TURNS):
        found = target.read_checkpoint()  # before any session: what was published is in every later snapshot
        since = 0
        if found is not None:
            published = _check_published(engine, found.data, vkeys)
            since = published.size
            if since > wanted.size or (since == wanted.size and not _says_more(note, found.data)):
                return since
        if found is None or since < wanted.size:
            _write_tree(engine, target, since, wanted.size, stopping)
            target.write(VKEYS, "".join(f"{vkey}\n" for vkey in vkeys).encode())
        if target.swap_checkpoint(note.encode(), found):
            return wanted.size
    raise UnavailableError("others publish there all the time; it is tried again")


def _check_published(engine: Engine, data: bytes, vkeys: Sequence[str]) -> Checkpoint:
    """The published checkpoint, after it was found to be of this log and a prefix of it.

    Raises:
        FatalError: it is not.
    """
    try:
        published = open_checkpoint(data.decode(), [parse_vkey(vkey) for vkey in vkeys])
    except (UnicodeError, MalformedError, VerificationError) as exc:
        raise _stop(f"the checkpoint that is published is not signed by this log: {exc}") from exc
    with read_session(engine) as session:
        head = get_head(session)
        if published.origin != head.origin:
            raise _stop(f"the log {published.origin} is published there, this is {head.origin}")
        if published.size > head.size:
            raise _stop(
                f"{published.size} entries are published, this log has {head.size}: an old copy of it, or another one"
            )
        if published.root != _root_at(session, published.size):
            raise _stop(f"the {published.size} entries that are published are not those of this log: it forked")
    return published


def _stop(said: str) -> FatalError:
    return FatalError(f"publication stops: {said}. Nothing there is overwritten; look, then publish elsewhere")


def _root_at(session: Session, size: int) -> bytes:
    hashes = TileHashes(size, partial(load_tile, session))
    return range_hash(0, size, hashes.read) if size else tree_root([])


def _says_more(note: str, published: bytes) -> bool:
    """Whether a note over the same tree has other lines than what stands there, and not fewer: cosignatures are kept."""
    return note.encode() != published and len(parse_note(note).signatures) >= len(
        parse_note(published.decode()).signatures
    )


def _write_tree(engine: Engine, target: Target, since: int, size: int, stopping: Callable[[], bool]) -> None:
    first, full = since // TILE_WIDTH, size // TILE_WIDTH
    number = _find_missing(engine, target, first, full)
    number = max(first, number // GROUP * GROUP)
    with ThreadPoolExecutor(WRITERS) as pool:
        while number < full:
            if stopping():
                raise UnavailableError("publication broke off as the service ends; it goes on with the next start")
            end = min(full, (number // GROUP + 1) * GROUP)
            tiles = [tile for bundle in range(number, end) for tile in list_full(bundle)]
            _write_tiles(engine, target, tiles, pool)
            number = end
        _write_tiles(engine, target, list_partial(size, since), pool)


def _write_tiles(engine: Engine, target: Target, tiles: Sequence[Tile], pool: ThreadPoolExecutor) -> None:
    with read_session(engine) as session:
        objects = [(format_tile_path(tile), _read_tile(session, tile)) for tile in tiles]
    for done in [pool.submit(target.write, name, data) for name, data in objects]:
        done.result()


def _read_tile(session: Session, tile: Tile) -> bytes:
    if tile.level is not None:
        return load_tile(session, tile.level, tile.index, tile.width)
    start = tile.index * TILE_WIDTH
    return format_entry_bundle([entry for _, entry in iterate_entries(session, start, start + tile.width)])


def _find_missing(engine: Engine, target: Target, low: int, high: int) -> int:
    """The first bundle from `low` to `high` whose tile is not there.

    Raises:
        FatalError: a tile that is there is not ours.
    """
    at = low  # most often nothing is there
    while low < high:
        name = format_tile_path(Tile(0, at))
        stored = target.read(name)
        if stored is None:
            high = at
        else:
            with read_session(engine) as session:
                if stored != load_tile(session, 0, at, TILE_WIDTH):
                    raise _stop(f"{name} there holds other hashes than this log's")
            low = at + 1
        at = (low + high) // 2
    return low


def list_full(bundle: int) -> Iterator[Tile]:
    """What a log can publish for good once a bundle is complete: it, its tile, and those above that this one completes."""
    yield Tile(None, bundle)
    level, index = 0, bundle
    while True:
        yield Tile(level, index)
        if (index + 1) % TILE_WIDTH:
            return
        level, index = level + 1, index // TILE_WIDTH


def list_partial(size: int, since: int) -> list[Tile]:
    """The partial tiles of a tree that a tree of `since` leaves did not have, and its partial bundle."""
    tiles = []
    for level in range((size.bit_length() + 7) // 8):
        index = (size >> 8 * level) // TILE_WIDTH
        width = tile_width(level, index, size)
        if width and width != tile_width(level, index, since):
            tiles += [Tile(None, index, width)] * (level == 0) + [Tile(level, index, width)]
    return tiles


@dataclass(frozen=True)
class MirrorState:
    """How far publication to the target is: `behind_since` and `retry_at` are POSIX; `stopped` waits for a person."""

    url: str = ""
    published_size: int | None = None
    published_at: int | None = None
    behind_since: int | None = None
    failures: int = 0
    retry_at: int = 0
    problem: str | None = None
    stopped: bool = False

    @property
    def said(self) -> str:
        """The state in words."""
        size = "nothing" if self.published_size is None else f"{self.published_size:,} entries"
        return f"{size} published at {self.url}{f'; {self.problem}' if self.problem else ''}"


def read_state(folder: Path, url: str) -> MirrorState:
    """The state beside the published files; a fresh one where there is none, or it is of another target."""
    try:
        state = MirrorState(**json.loads((folder / STATE).read_text()))
    except (OSError, ValueError, TypeError):
        return MirrorState(url)
    return state if state.url == url else MirrorState(url)


@dataclass
class Mirror:
    """Keeps a target at what is published in `folder`. A failure is tried again after 1, 2, 4 ... 300 seconds."""

    engine: Engine
    folder: Path
    target: Target
    url: str
    vkeys: Callable[[], Sequence[str]]
    now: Callable[[], int]
    ending: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.state = replace(read_state(self.folder, self.url), stopped=False, failures=0, retry_at=0)

    def act(self) -> float | None:
        """Publish what is new; the answer is after how many seconds to try again, None where nothing is left."""
        state, now, note = self.state, self.now(), read_checkpoint(self.folder)
        if note is None or state.stopped:
            return None
        if now < state.retry_at:
            return float(state.retry_at - now)
        try:
            size = mirror_log(self.engine, self.target, note, self.vkeys(), stopping=self.ending.is_set)
        except (ProvenanceError, OSError) as exc:
            return self._fail(exc, now)
        self._keep(MirrorState(self.url, published_size=size, published_at=self.now()))
        return None

    def _fail(self, exc: Exception, now: int) -> float | None:
        state, stopped = self.state, isinstance(exc, FatalError)
        problem = exc.detail if isinstance(exc, ProvenanceError) else str(exc)
        if problem != state.problem:
            _log.log(logging.ERROR if stopped else logging.WARNING, "publication to %s: %s", self.url, problem)
        wait = min(2 ** min(state.failures, 9), MAX_BACK_OFF)
        self._keep(
            replace(
                state, problem=problem, stopped=stopped, failures=state.failures + 1, retry_at=now + wait,
                behind_since=state.behind_since or now,
            )
        )  # fmt: skip
        return None if stopped else float(wait)

    def _keep(self, state: MirrorState) -> None:
        """Written whole, not fsynced: losing it is harmless, the target tells again how far it is."""
        self.state = state
        temporary = self.folder / f"{STATE}.new"
        temporary.write_text(json.dumps(asdict(state), indent=1))
        temporary.replace(self.folder / STATE)
