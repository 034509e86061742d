"""Server-sent events as JSON values (HTML Living Standard, section 9.2.6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson


def iterate_events(chunks: Iterable[bytes]) -> Iterator[Any]:
    """The `data` of each event, parsed; comments (keep-alives) are passed over."""
    rest, data = b"", []
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            text = line.removesuffix(b"\r")
            if text.startswith(b"data:"):
                data.append(text[5:].removeprefix(b" "))
            elif not text and data:
                yield orjson.loads(b"\n".join(data))
                data = []
