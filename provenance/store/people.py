"""Whether two acts are one person's: what every rule of a second person turns on, as far as names of tokens can tell."""

from __future__ import annotations

from provenance.store.tokens import TERMINAL_PREFIX


def same_person(one: str, other: str) -> bool:
    """Whether two names of tokens are one person's.

    Names that differ in case or blanks only are. So are all that commands make for themselves at a terminal: a new one at
    each call, and behind all of them whoever sits there.
    """
    return _person(one) == _person(other)


def _person(name: str) -> str:
    plain = " ".join(name.split()).casefold()
    return TERMINAL_PREFIX if plain.startswith(TERMINAL_PREFIX) else plain
