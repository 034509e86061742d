"""What two texts of one document have in common: why their difference is noise, or that words changed.

A text is looked at through ever coarser glasses; the first under which two texts are the same names the reason why the
later one is folded. Under the coarsest there still stands every word in its order, so a changed word is never folded.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Mapping
from types import MappingProxyType

IDENTICAL, UPGRADE, FAILED, REMOVED = "identical", "technical-upgrade", "failed-extraction", "removed"
REASONS: Mapping[str, str] = MappingProxyType(
    {
        IDENTICAL: "the same text again",
        "whitespace": "only spaces, line breaks and invisible characters differ",
        "links": "only where links and pictures lead differs: address, language, tracking parameters",
        "layout": "only the markup differs: headings, lists, tables, emphasis",
        "page": "only the page around the text differs: how long ago it was updated, breadcrumbs, form of a date",
        "punctuation": "only punctuation and capitals differ",
        UPGRADE: "the archive changed its own extraction; the provider's page did not change",
        FAILED: "no terms came: an error page, a redirect or a fragment of the document",
        REMOVED: "the archive took the document out",
    }
)
STUB_WORDS = 60
STUB_SHARE = 0.2
FIRST_STUB_WORDS = 8
CRUMB_CHARACTERS = 48

# Bounded throughout: a text of nothing but brackets must not take a day.
_TARGET = r"\((?:[^()\s]|\([^()\s]{0,200}\)){0,2000}(?:\s{1,5}\"[^\"\n]{0,200}\")?\)"
_IMAGE = re.compile(r"!\[[^\[\]]{0,300}\]" + _TARGET)
_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]{0,100}\]){0,600})\]" + _TARGET)
_INVISIBLE = re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]")
_URL = re.compile(r"(?:https?://|www\.)[^\s<>\])|*]+")
_LOCALE = re.compile(r"/[a-z]{2}(?:[-_][A-Za-z]{2,4})?(?=/|$)")
_TAG = re.compile(r"</?(?:br|p|div|span|b|i|em|strong|u|sup|sub|a|li|ul|ol|table|tr|td|th|hr)\b[^<>]*>", re.IGNORECASE)
_LINE_MARK = re.compile(r"^[ \t]*(?:>[ \t]?)*(?:#{1,6}[ \t]+|[*+•·‣◦-][ \t]+|\d{1,3}[.)][ \t]+)*", re.MULTILINE)
_RULE = re.compile(r"^[ \t]*(?:[-*_=|:][ \t]*){3,}$", re.MULTILINE)
_MARKS = re.compile(r"\\([\\`*_{}\[\]()#+\-.!|<>~&])|[*_`|~]")
_AGO = re.compile(
    r"\b(?:last )?(?:updated|modified|accessed|visited|checked|edited)\b:?\s*(?:on\s+)?"
    r"(?:(?:over |about |almost )?(?:an?|\d+) (?:second|minute|hour|day|week|month|year)s? ago|yesterday|today|this week)",
    re.IGNORECASE,
)
_ACCESSED = re.compile(r"\blast (?:accessed|visited|checked)\b:?\s*(?:on\s+)?\d{4}-\d\d-\d\d", re.IGNORECASE)
_AROUND = re.compile(
    r"\bopens in (?:a )?new (?:tab|window)\b|(?<=\d)previous version\b|^previous versions?$|^skip to (?:main )?content$",
    re.IGNORECASE | re.MULTILINE,
)
_CRUMB = re.compile(r"\s[>›»]\s")
_MONTHS = "january february march april may june july august september october november december".split()
_MONTH = "|".join(f"{name}|{name[:3]}\\.?" for name in _MONTHS)
_DAY_FIRST = re.compile(rf"\b(\d{{1,2}})(?:st|nd|rd|th)? ({_MONTH}),? (\d{{4}})(?!\d)", re.IGNORECASE)
_MONTH_FIRST = re.compile(rf"\b({_MONTH}) (\d{{1,2}})(?:st|nd|rd|th)?,? (\d{{4}})(?!\d)", re.IGNORECASE)
_WORD = re.compile(r"\w+(?:[.'\-/@:]\w+)*")


def explain(old: str, new: str) -> str | None:
    """Why the difference between two texts is noise (one of `REASONS`), or None: words changed."""
    if old == new:
        return IDENTICAL
    old, new = _differing(old, new)
    for reason, see in _GLASSES:
        old, new = see(old), see(new)
        if old == new:
            return reason
    return None


def _differing(old: str, new: str) -> tuple[str, str]:
    """Both texts without the lines that they begin and end with alike: most changes are small, and the rest is dear."""
    before, after = old.splitlines(), new.splitlines()
    most = min(len(before), len(after))
    head = next((at for at in range(most) if before[at] != after[at]), most)
    tail = next((at for at in range(most - head) if before[-1 - at] != after[-1 - at]), most - head)
    return "\n".join(before[head : len(before) - tail]), "\n".join(after[head : len(after) - tail])


def is_stub(new: str, old: str | None) -> bool:
    """Whether a text is no terms at all: next to nothing, where there was a document."""
    if len(new) > STUB_WORDS * 200:
        return False
    count = len(words_of(new))
    if old is None:
        return count < FIRST_STUB_WORDS
    return count < STUB_WORDS and count < STUB_SHARE * len(words_of(old))


def plain(text: str) -> str:
    """The words as a reader of the page sees them: without markup, links' targets and what stands around the terms."""
    for _, see in _GLASSES[:-1]:
        text = see(text)
    return text


def words_of(text: str) -> list[str]:
    """The words of a text, in order; what remains under the coarsest glass."""
    return _see_words(plain(text)).split()


def _see_spaces(text: str) -> str:
    kept = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    lines = (" ".join(line.split()) for line in kept.splitlines())
    return "\n".join(line for line in lines if line)


def _see_links(text: str) -> str:
    text = _LINK.sub(r"\1", _IMAGE.sub("", text))
    return _see_spaces(_URL.sub(_shorten, text))


def _shorten(found: re.Match[str]) -> str:
    address = found.group().rstrip(".,;:!?)'\"")
    rest = found.group()[len(address) :]
    short = re.split(r"[?#]", address, maxsplit=1)[0].removeprefix("https://").removeprefix("http://")
    return _LOCALE.sub("", short.removeprefix("www.")).rstrip("/") + rest


def _see_layout(text: str) -> str:
    text = html.unescape(_TAG.sub(" ", text))
    text = _LINE_MARK.sub("", _RULE.sub("", text))
    return _see_spaces(_MARKS.sub(lambda found: found.group(1) or " ", text))


def _see_page(text: str) -> str:
    text = "\n".join(line for line in text.splitlines() if not _is_crumb(line))
    text = _AROUND.sub(" ", _ACCESSED.sub(" ", _AGO.sub(" ", text)))
    text = _DAY_FIRST.sub(lambda found: _date(found[1], found[2], found[3]), text)
    return _see_spaces(_MONTH_FIRST.sub(lambda found: _date(found[2], found[1], found[3]), text))


def _is_crumb(line: str) -> bool:
    parts = _CRUMB.split(line)
    return len(parts) > 1 and all(len(part) <= CRUMB_CHARACTERS and not part.endswith((".", ";")) for part in parts)


def _date(day: str, month: str, year: str) -> str:
    number = next(at for at, name in enumerate(_MONTHS, 1) if name.startswith(month.lower().rstrip(".")[:3]))
    return f"{year}-{number:02d}-{int(day):02d}"


def _see_words(text: str) -> str:
    return " ".join(word.casefold() for word in _WORD.findall(text))


_GLASSES: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("whitespace", _see_spaces),
    ("links", _see_links),
    ("layout", _see_layout),
    ("page", _see_page),
    ("punctuation", _see_words),
)
