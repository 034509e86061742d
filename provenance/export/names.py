"""Names that other systems can carry: whatever stands in a name of ours, these hold only letters, digits, `_`, `-` and `.`.

- `local_name` is the part of a qualified name after its colon: a kind and its keys, joined by hyphens. It is a local part
  in PROV-N and Turtle, an NCName in XML, and a path segment of an IRI, each without escapes of its own.
- `encode` writes all but `A-Z a-z 0-9 _ -` as a dot and two hexadecimal digits for each byte of UTF-8, so that two keys
  never share a name, and `decode` gives the key back.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

SITE = "https://provenance-ledger.dev/"
VOCABULARY = f"{SITE}ns#"


def encode(text: str) -> str:
    """Text as a part of a name."""
    return quote(text, safe="").replace(".", "%2E").replace("~", "%7E").replace("%", ".")


def decode(name: str) -> str:
    """The text that `encode` made a name of."""
    return unquote(name.replace(".", "%"), errors="strict")


def local_name(kind: str, *keys: str) -> str:
    """The local part of a thing's qualified name."""
    return "-".join((kind, *map(encode, keys)))


def log_namespace(origin: str) -> str:
    """The namespace of everything that one log tells of: ids hold within their log."""
    return f"{SITE}log/{quote(origin, safe='')}/"
