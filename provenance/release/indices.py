"""The entries of releases as runs of neighbours, one run in memory at a time, and what two of them have in common.

They are read from the proof that lies beside the manifest: it names exactly the entries of a release and stays where data was
withdrawn or erased. What is read is held to the digest of the set that the log commits to.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from provenance.errors import DigestMismatchError, NotFoundError

Change = Literal["added", "removed", "same"]
Run = tuple[int, int]
CHANGES: tuple[Change, ...] = ("added", "removed", "same")
_LINE = b"indices "
_RUN = re.compile(rb"(\d{1,19})(?:-(\d{1,19}))?")
_AT_ONCE = 4096


def read_runs(proof: Path, digest: str) -> Iterator[Run]:
    """First and last index of each run that a log proof names, ascending.

    Raises:
        NotFoundError: the file is not there.
        DigestMismatchError: at its end, where the set is not the one of `digest`.
    """
    try:
        with proof.open("rb") as file:
            file.readline()
            line = file.readline()
    except OSError as exc:
        raise NotFoundError(f"the proof of the release's entries cannot be read: {exc.strerror}") from exc
    hashed, comma = hashlib.sha256(b"["), b""
    for match in _RUN.finditer(line, len(_LINE)):
        first, last = int(match[1]), int(match[2] or match[1])
        for start in range(first, last + 1, _AT_ONCE):
            numbers = range(start, min(last + 1, start + _AT_ONCE))
            hashed.update(comma + ",".join(map(str, numbers)).encode())
            comma = b","
        yield first, last
    hashed.update(b"]")
    if (found := f"sha256:{hashed.hexdigest()}") != digest:
        raise DigestMismatchError(f"{proof.name} names the set {found}; the log says {digest}")


def merge_runs(before: Iterable[Run], after: Iterable[Run]) -> Iterator[tuple[Change, int, int]]:
    """What became of each stretch of indices: `added`, `removed` or `same`, ascending; reads both to their ends."""
    left, right = iter(before), iter(after)
    old, new = next(left, None), next(right, None)
    while old is not None and new is not None:
        if old[1] < new[0]:
            yield "removed", *old
            old = next(left, None)
        elif new[1] < old[0]:
            yield "added", *new
            new = next(right, None)
        elif old[0] < new[0]:
            yield "removed", old[0], new[0] - 1
            old = (new[0], old[1])
        elif new[0] < old[0]:
            yield "added", new[0], old[0] - 1
            new = (old[0], new[1])
        else:
            last = min(old[1], new[1])
            yield "same", old[0], last
            old = (last + 1, old[1]) if last < old[1] else next(left, None)
            new = (last + 1, new[1]) if last < new[1] else next(right, None)
    while old is not None:
        yield "removed", *old
        old = next(left, None)
    while new is not None:
        yield "added", *new
        new = next(right, None)


@dataclass
class Tally:
    """How many entries changed how, and one page of them by index; `more` says that others come after it."""

    counts: dict[Change, int] = field(default_factory=lambda: dict.fromkeys(CHANGES, 0))
    rows: list[tuple[int, Change]] = field(default_factory=list)
    more: bool = False


def tally(merged: Iterable[tuple[Change, int, int]], wanted: Iterable[Change], after: int, limit: int) -> Tally:
    """Count all of `merged`, and keep the first `limit` indices beyond `after` whose change is one of `wanted`."""
    found, chosen = Tally(), frozenset(wanted)
    for change, first, last in merged:
        found.counts[change] += last - first + 1
        if change in chosen and last > after and not found.more:
            start = max(first, after + 1)
            stop = min(last + 1, start + limit - len(found.rows))
            found.rows.extend((index, change) for index in range(start, stop))
            found.more = stop <= last
    return found
