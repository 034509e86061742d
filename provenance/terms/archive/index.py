"""The index of an archive: what an import found, as one JSON value under one digest, and the files that keep it.

- `texts/<sha256>.md` and `indexes/<sha256>.json` are named by their content; nothing is ever rewritten.
- The newest signed statement names the index that counts. A file that does not hash to its name is refused.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from provenance.canonical import canonical_bytes, parse_digest, parse_json, sha256_digest
from provenance.errors import ConflictError, DigestMismatchError, NotFoundError

RULES = 1  # counted up whenever folding or topics change, so that an index says by which rules it was made
FORM = "provenance-terms-archive/1"
IDENTIFIER = re.compile(r"arc_[0-9a-f]{16}")


def archive_id(first_commit: str) -> str:
    """The name of an archive: from its oldest commit, which stays as it grows."""
    return f"arc_{sha256_digest(first_commit.encode()).removeprefix('sha256:')[:16]}"


def count(index: Mapping[str, Any]) -> dict[str, Any]:
    """The counts that the log keeps of an index."""
    versions = sum(len(item["versions"]) for item in index["documents"])
    reasons = Counter(item["reason"] for item in index["folded"])
    return {
        "commits": index["commits"],
        "fetched": versions + len(index["folded"]),
        "documents": len(index["documents"]),
        "versions": versions,
        "folded": len(index["folded"]),
        "folded_by_reason": dict(sorted(reasons.items())),
        "passages": sum(item["changed_by"] == "provider" for item in index["passages"]),
        "passages_by_archive": sum(item["changed_by"] == "archive" for item in index["passages"]),
        "other_files": index["other_files"],
    }


def list_digests(index: Mapping[str, Any]) -> list[str]:
    """The digests of all texts of an index."""
    return sorted({version["digest"] for document in index["documents"] for version in document["versions"]})


def check_growth(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Check that an archive only grew.

    Raises:
        ConflictError: the new history is shorter, or tells what was recorded otherwise.
    """
    for document in old["documents"]:
        key = (document["service"], document["document"])
        found = next((item for item in new["documents"] if (item["service"], item["document"]) == key), None)
        known = [version["commit"] for version in document["versions"]]
        # Other rules fold otherwise; then only the commits as such can be compared.
        if found is None or (
            old["rules"] == new["rules"] and [v["commit"] for v in found["versions"]][: len(known)] != known
        ):
            raise ConflictError(
                f"{key[0]} / {key[1]}: the history does not go on from what was recorded of {old['id']} "
                f"at {old['source_commit']}; it is older, or was rewritten"
            )
    if new["commits"] < old["commits"]:
        raise ConflictError(
            f"{old['id']} was recorded with {old['commits']} commits; this history has {new['commits']}"
        )


class Shelf:
    """The files of one archive in the data directory."""

    def __init__(self, data_dir: Path, identifier: str) -> None:
        if not IDENTIFIER.fullmatch(identifier):
            raise NotFoundError(f"there is no archive {identifier!r}")
        self._root = data_dir / "terms" / "archives" / identifier

    def keep_text(self, text: bytes) -> str:
        """Keep a text; its digest."""
        return self._keep("texts", "md", text)

    def keep_index(self, index: Mapping[str, Any]) -> str:
        """Keep an index; its digest."""
        return self._keep("indexes", "json", canonical_bytes(index))

    def read_text(self, digest: str) -> bytes:
        """The text of a digest."""
        return self._read("texts", "md", digest)

    def read_index(self, digest: str) -> dict[str, Any]:
        """The index of a digest."""
        index: dict[str, Any] = parse_json(self._read("indexes", "json", digest))
        return index

    def has_text(self, digest: str) -> bool:
        """Whether the text is kept already."""
        return self._path("texts", "md", digest).exists()

    def _path(self, folder: str, ending: str, digest: str) -> Path:
        return self._root / folder / f"{parse_digest(digest).hex()}.{ending}"

    def _keep(self, folder: str, ending: str, data: bytes) -> str:
        digest = sha256_digest(data)
        path = self._path(folder, ending, digest)
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # A crash in between leaves a file of another name, which nobody reads.
            part = path.with_suffix(f".{os.getpid()}.part")
            part.write_bytes(data)
            part.replace(path)
        return digest

    def _read(self, folder: str, ending: str, digest: str) -> bytes:
        try:
            data = self._path(folder, ending, digest).read_bytes()
        except FileNotFoundError as exc:
            raise NotFoundError(f"the archive's file {digest} is not in the data directory") from exc
        if sha256_digest(data) != digest:
            raise DigestMismatchError(f"the archive's file {digest} was changed")
        return data
