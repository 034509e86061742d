"""Countries and the groups that terms and rules name.

Membership is as of 2026; a group is expanded to its members when it is compared, so "EU" and "DE" meet.
"""

from __future__ import annotations

from collections.abc import Iterable

# ISO 3166-1 alpha-2, and the codes that stand beside it in use (EU and UK by the ISO's own reservation, EL, XK).
COUNTRIES = frozenset(
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC "
    "CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD "
    "GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH "
    "KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW "
    "MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC "
    "SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY "
    "UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW EU UK EL XK".split()
)
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
