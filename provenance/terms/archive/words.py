"""A changed sentence word by word, as a reader marks it: what stays, what is gone, what is new."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal


@dataclass(frozen=True)
class Span:
    """Words that stay (`same`), are gone (`del`) or are new (`ins`)."""

    kind: Literal["same", "del", "ins"]
    text: str


def mark_words(old: str | None, new: str | None) -> list[Span]:
    """The spans of a change, in reading order; those that are not gone make the new sentence, those not new the old."""
    before, after = (old or "").split(), (new or "").split()
    return list(_spans(before, after))


def _spans(before: list[str], after: list[str]) -> Iterator[Span]:
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            yield Span("same", " ".join(before[a:b]))
            continue
        if b > a:
            yield Span("del", " ".join(before[a:b]))
        if d > c:
            yield Span("ins", " ".join(after[c:d]))
