"""Whether two acts are one person's: what every rule of a second person turns on."""

from __future__ import annotations


def same_person(one: str, other: str) -> bool:
    """Whether two names of tokens are one person's; names that differ in case or blanks only are."""
    return " ".join(one.split()).casefold() == " ".join(other.split()).casefold()
