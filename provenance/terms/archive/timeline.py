"""The timeline of an archive: versions by document, what was folded and why, and the passages that changed.

Memory is flat: of each document its last text is held, the texts of versions are handed to `keep` as they come.
Nothing here is a fact about terms. It says what was fetched when, and what a person should read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from provenance.canonical import sha256_digest
from provenance.terms.archive import fold
from provenance.terms.archive.beside import find_stated_day
from provenance.terms.archive.history import Fetched, History
from provenance.terms.archive.index import FORM, RULES, archive_id
from provenance.terms.archive.passages import Passage, Sentences, find_passages, split_sentences

Name = tuple[str, str]
Keep = Callable[[str, bytes], None]


@dataclass
class _Document:
    text: str | None = None
    sentences: Sentences | None = None
    versions: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Timeline:
    """What is gathered while the texts go by."""

    keep: Keep
    documents: dict[Name, _Document] = field(default_factory=dict)
    folded: list[dict[str, Any]] = field(default_factory=list)
    passages: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, item: Fetched) -> None:
        """Take one fetched text: a version, or folded into the one before it."""
        document = self.documents.setdefault((item.service, item.document), _Document())
        text = None if item.text is None else item.text.decode()
        reason = _explain(item, text, document.text)
        if reason is not None:
            self.folded.append({**_place(item), "reason": reason})
        else:
            document.versions.append(self._make_version(item, document, text or ""))
        if text is None or reason == fold.FAILED:
            return  # the next text is compared with the last one that was terms
        self._compare(item, document, text, reason)

    def _make_version(self, item: Fetched, document: _Document, text: str) -> dict[str, Any]:
        data = text.encode()
        digest = sha256_digest(data)
        self.keep(digest, data)
        stated = find_stated_day(text)
        known = document.versions[-1]["stated_day"] if document.versions else None
        # Words that change under an unchanged date were changed silently: all that is known is when they were seen.
        begins = item.fetched_at[:10] if stated in {None, known} else stated
        return {
            **_place(item), "begins": begins, "stated_day": stated, "digest": digest, "size_bytes": len(data),
        }  # fmt: skip

    def _compare(self, item: Fetched, document: _Document, text: str, reason: str | None) -> None:
        if document.text is not None and reason in {None, fold.UPGRADE}:
            before = document.sentences or split_sentences(document.text)
            after = split_sentences(text)
            for passage in find_passages(before, after):
                self._add_passage(item, passage, by_provider=reason is None)
            document.sentences = after
        elif reason != fold.IDENTICAL:
            document.sentences = None
        document.text = text

    def _add_passage(self, item: Fetched, passage: Passage, *, by_provider: bool) -> None:
        found = self.passages.setdefault(
            passage.id,
            {
                "id": passage.id, "topics": list(passage.topics), "old": passage.old, "new": passage.new,
                "changed_by": "provider" if by_provider else "archive", "places": [],
            },
        )  # fmt: skip
        if by_provider:
            found["changed_by"] = "provider"
        found["places"].append(_place(item))


def build_timeline(texts: Iterable[Fetched], keep: Keep) -> Timeline:
    """The timeline of fetched texts, which come in order."""
    timeline = Timeline(keep)
    for item in texts:
        timeline.add(item)
    return timeline


def make_index(history: History, timeline: Timeline, name: str) -> dict[str, Any]:
    """The index of an archive that was read to its end; `name` is what its reader calls it."""
    documents = [
        {"service": service, "document": document, "versions": item.versions}
        for (service, document), item in sorted(timeline.documents.items())
    ]
    return {
        "form": FORM,
        "rules": RULES,
        "id": archive_id(history.first),
        "name": name,
        "first_commit": history.first,
        "source_commit": history.repository.head,
        "commits": len(history.commits),
        "other_files": history.other_files,
        "documents": documents,
        "folded": timeline.folded,
        "passages": list(timeline.passages.values()),
    }


def _explain(item: Fetched, text: str | None, before: str | None) -> str | None:
    if text is None:
        return fold.REMOVED
    if fold.is_stub(text, before):
        return fold.FAILED
    if before is None:
        return None
    return fold.UPGRADE if item.is_upgrade else fold.explain(before, text)


def _place(item: Fetched) -> dict[str, Any]:
    return {
        "service": item.service, "document": item.document, "fetched_at": item.fetched_at, "commit": item.commit,
    }  # fmt: skip
