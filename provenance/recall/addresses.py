"""Whom to tell: a webhook (`https://...`) or a mailbox (`mailto:...`)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from provenance.errors import FieldError, MalformedError

MAX_ADDRESSES = 50
WEBHOOK = "https://HOST/PATH (http only to this machine)"
EXPECTED = f"{WEBHOOK} or mailto:NAME@HOST"
_MAILBOX = re.compile(r"mailto:[A-Za-z0-9.!#$&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?\Z")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def check_addresses(addresses: Sequence[str]) -> list[str]:
    """The addresses, each once.

    Raises:
        MalformedError: one is no webhook or mailbox, or there are too many.
    """
    if len(addresses) > MAX_ADDRESSES:
        expected = f"at most {MAX_ADDRESSES} addresses"
        raise MalformedError(f"notify: expected {expected}", FieldError("notify", len(addresses), expected))
    for place, address in enumerate(addresses):
        if not (_MAILBOX.match(address) or _is_webhook(address)):
            raise MalformedError(
                f"notify[{place}]: expected {EXPECTED}", FieldError(f"notify[{place}]", address, EXPECTED)
            )
    return list(dict.fromkeys(addresses))


def check_webhook(field: str, address: str) -> str:
    """An address that messages may be posted to.

    Raises:
        MalformedError: it is none.
    """
    if not _is_webhook(address):
        raise MalformedError(f"{field}: expected {WEBHOOK}", FieldError(field, address[:500], WEBHOOK))
    return address


def is_mailbox(address: str) -> bool:
    """Whether an address that was checked is a mailbox."""
    return address.startswith("mailto:")


def _is_webhook(address: str) -> bool:
    if len(address) > 500 or not address.isascii() or not address.isprintable() or " " in address:
        return False
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)
