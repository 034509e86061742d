"""Which sentences changed between two texts of a document, old words beside new ones, as far as they touch a topic.

- A sentence that only moved, or that is only cut differently, did not change: it is looked for in the whole other text.
- Numbers of clauses before a sentence are not its words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from provenance.canonical import canonical_bytes, sha256_digest
from provenance.terms.archive.fold import plain
from provenance.terms.archive.topics import join_topics

ALIKE = 0.45
MAX_SENTENCE_CHARACTERS = 4000
_END = re.compile(r"(?<=[.!?;])\s+(?=[A-Z“\"(\[•])|(?<=;)\s+(?:and|or)\s+(?=\()|\s+[•·]\s+|\n")
_NUMBER = re.compile(
    r"^(?:(?:section|article|clause)\s+)?\(?(?:\d+(?:\.\d+)*|[A-Za-z](?:\.\d+)*|[ivxIVX]{1,5})(?:[.)]+\s+|\s+(?=[A-Z“\"])(?<=\d\s))"
)
_WORD = re.compile(r"\w+(?:['’\-]\w+)*")


@dataclass(frozen=True)
class Passage:
    """One sentence that changed: `old` is None where it is new, `new` is None where it is gone."""

    old: str | None
    new: str | None
    topics: Sequence[str]

    @property
    def id(self) -> str:
        """Its name, from its words alone: the same change in two documents is one passage."""
        words = [_key(self.old or ""), _key(self.new or "")]
        return f"psg_{sha256_digest(canonical_bytes(words)).removeprefix('sha256:')[:16]}"


@dataclass(frozen=True)
class Sentences:
    """The sentences of one text, by the words that they are compared by, and these words in one line."""

    by_key: dict[str, str]
    counts: Counter[str]
    words: str


def split_sentences(text: str) -> Sentences:
    """The sentences of a text."""
    shown = [part.strip()[:MAX_SENTENCE_CHARACTERS] for part in _END.split(plain(text)) if part.strip()]
    keys = [_key(sentence) for sentence in shown]
    by_key = {key: sentence for key, sentence in zip(keys, shown, strict=True) if key}
    return Sentences(by_key, Counter(filter(None, keys)), f" {' '.join(keys)} ")


def find_passages(before: Sentences, after: Sentences) -> Iterator[Passage]:
    """The sentences that touch a topic and changed from one text to the next, in the order of the texts."""
    gone = [key for key in before.by_key if key not in after.by_key]
    come = [key for key in after.by_key if key not in before.by_key]
    partners = _pair(gone, come, before, after)
    for key in come:
        old = partners.get(key)
        yield from _passage(before, after, old, key)
    paired = set(partners.values())
    for key in gone:
        if key not in paired:
            yield from _passage(before, after, key, None)


def _passage(before: Sentences, after: Sentences, old: str | None, new: str | None) -> Iterator[Passage]:
    kept = old is None or f" {old} " in after.words
    known = new is None or f" {new} " in before.words
    if kept and known:
        return
    shown = (before.by_key[old] if old else None, after.by_key[new] if new else None)
    topics = join_topics(*shown)
    if topics:
        yield Passage(*shown, topics)


def _pair(gone: list[str], come: list[str], before: Sentences, after: Sentences) -> dict[str, str]:
    """For each new sentence its older form, those that share a topic and are the most alike first; each is used once."""
    old = {key: set(join_topics(before.by_key[key])) for key in gone}
    new = {key: set(join_topics(after.by_key[key])) for key in come}
    rated = sorted(
        ((bool(old[a] & new[b]), _likeness(a, b), a, b) for a in gone for b in come if old[a] or new[b]), reverse=True
    )
    partners: dict[str, str] = {}
    used: set[str] = set()
    for _, likeness, a, b in rated:
        if likeness >= ALIKE and a not in used and b not in partners:
            partners[b] = a
            used.add(a)
    return partners


def _likeness(old: str, new: str) -> float:
    before, after = old.split(), new.split()
    shared = sum((Counter(before) & Counter(after)).values())
    if 2 * shared < ALIKE * (len(before) + len(after)):  # an upper bound that costs little
        return 0.0
    return SequenceMatcher(None, before, after, autojunk=False).ratio()


def _key(sentence: str) -> str:
    return " ".join(word.casefold().replace("’", "'") for word in _WORD.findall(_NUMBER.sub("", sentence)))
