"""Countries and the groups that terms and rules name.

Membership is as of 2026; a group is expanded to its members when it is compared, so "EU" and "DE" meet.
"""

from __future__ import annotations

from collections.abc import Iterable

EU = frozenset("AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO SK SI ES SE".split())
EEA = EU | {"IS", "LI", "NO"}
# Country Group D:5 of the US Export Administration Regulations, and Macau (regulation notes US-EXP/2).
EXPORT_CONCERN = frozenset("AF BY MM CF CN CD CU CY ER HT IR IQ KP LB LY MO NI RU SO SS SD SY VE ZW".split())
_GROUPS = {"EU": EU, "EEA": EEA, "UK": frozenset({"GB"}), "EL": frozenset({"GR"})}
WORLD = frozenset({"WW", "WORLD", "WORLDWIDE", "GLOBAL", "*"})


def expand_places(places: Iterable[str]) -> frozenset[str]:
    """The countries that codes and groups stand for; an unknown code stands for itself."""
    found: set[str] = set()
    for place in places:
        code = place.strip().upper()
        found |= _GROUPS.get(code, frozenset({code}))
    return frozenset(found)


def overlapping_places(places: Iterable[str], excluded: Iterable[str]) -> list[str]:
    """The countries of `places` that are excluded, sorted; a worldwide offer reaches all of them."""
    barred = expand_places(excluded)
    offered = expand_places(places)
    return sorted(barred if offered & WORLD else offered & barred)
