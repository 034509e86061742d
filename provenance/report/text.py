"""Text that somebody else wrote, made safe to look at.

Escaping keeps it from being markup; marks keep it from lying: a control or bidirectional character that the browser
would obey in silence stands there as its code point.
"""

from __future__ import annotations

import re
import unicodedata

from markupsafe import Markup, escape

# C0 and C1 controls but tab and line feed; soft hyphen; bidirectional, zero-width and invisible operators; line and
# paragraph separators; byte order mark; interlinear annotation; language tags; lone surrogates.
_HOSTILE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f\ud800-\udfff]"
)


def mark_plain(text: str) -> str:
    """The text with each hostile character replaced by `[U+202E]`; fits in an attribute too."""
    return _HOSTILE.sub(lambda match: f"[U+{ord(match[0]):04X}]", text)


def mark_text(text: str) -> Markup:
    """The text escaped, each hostile character a `<span class="mark">` that names itself."""
    parts: list[str] = []
    end = 0
    for match in _HOSTILE.finditer(text):
        character = match[0]
        name = unicodedata.name(character, "control character").lower()
        parts.append(escape(text[end : match.start()]))
        parts.append(Markup('<span class="mark" title="{}">U+{}</span>').format(name, f"{ord(character):04X}"))
        end = match.end()
    parts.append(escape(text[end:]))
    return Markup("").join(parts)
