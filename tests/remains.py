"""Looks for strings in every byte of a folder: raw, inside zstd frames and deflate, Parquet columns, SQLite tables."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import zstandard

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def find_remains(folder: Path, needles: Iterable[str]) -> dict[str, set[str]]:
    """needle -> where it still stands (file and form), for those that do."""
    wanted = {needle: needle.encode() for needle in needles}
    found: dict[str, set[str]] = {}
    for path in sorted(item for item in folder.rglob("*") if item.is_file()):
        for form, data in _forms(path):
            for needle, bare in wanted.items():
                if bare in data:
                    found.setdefault(needle, set()).add(f"{path.relative_to(folder)} ({form})")
    return found


def _forms(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:  # a journal of a running service
        return
    yield "raw", data
    for frame in _unpack_frames(data):
        yield "zstd", frame
    if data[:4] == b"PAR1":
        yield "parquet", repr(pq.ParquetFile(path).read().to_pylist()).encode()
    if data[:2] == b"PK" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from ((f"zip {name}", archive.read(name)) for name in archive.namelist())
    if data[:16] == b"SQLite format 3\0":
        yield from (("table", cell) for cell in _cells(path))
    if data[:4] == b"%PDF":
        yield from (("deflate", part) for part in _inflate(data))


def _unpack_frames(data: bytes) -> Iterator[bytes]:
    """What unpacks from each place where a frame could begin, as far as it goes: also half a frame in a freed page."""
    place = data.find(ZSTD_MAGIC)
    while place >= 0:
        unpacker = zstandard.ZstdDecompressor().decompressobj()
        parts = []
        with suppress(zstandard.ZstdError):
            for start in range(place, len(data), 512):
                parts.append(unpacker.decompress(data[start : start + 512]))
                if unpacker.eof:
                    break
        yield b"".join(parts)
        place = data.find(ZSTD_MAGIC, place + 1)


def _cells(path: Path) -> Iterator[bytes]:
    with tempfile.TemporaryDirectory() as folder:  # a copy: what a kill left in the journal is only read by writing
        for side in ("", "-wal"):
            with suppress(FileNotFoundError):
                shutil.copyfile(f"{path}{side}", f"{folder}/copy{side}")
        with closing(sqlite3.connect(f"{folder}/copy")) as database:
            database.text_factory = bytes
            names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for table in (name.decode() for (name,) in names):
                for row in database.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 - names from the file itself
                    yield from (part for cell in row for part in _bytes_of(cell))


def _bytes_of(cell: Any) -> Iterator[bytes]:
    if isinstance(cell, bytes):
        yield cell
        yield from _unpack_frames(cell)


def _inflate(data: bytes) -> Iterator[bytes]:
    place = data.find(b"stream\n")
    while place >= 0:
        with suppress(zlib.error):
            yield zlib.decompressobj().decompress(data[place + 7 :])
        place = data.find(b"stream\n", place + 1)
