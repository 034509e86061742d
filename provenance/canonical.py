"""Bytes that everybody computes alike: canonical JSON, digests, commitments.

- `canonical_bytes` is RFC 8785 (JCS), byte for byte; what JCS cannot carry is refused, never rounded.
- `parse_json` refuses whatever two parsers could read in two ways: duplicate keys, integers beyond 2^53,
  lone surrogates, NaN, deep nesting. `parse_canonical` refuses all that is not canonical already.
- A digest is written `sha256:<64 lower-case hex digits>`; base64 is the standard alphabet with padding, and must
  encode back to itself (RFC 4648, section 3.5).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterable
from itertools import chain
from typing import Any

import orjson
import rfc8785

from provenance.errors import DigestMismatchError, FieldError, MalformedError

MAX_SAFE_INTEGER = 2**53 - 1
MAX_DEPTH = 64
SALT_BYTES = 32
SHA256_BYTES = 32
PROMPT_DOMAIN = "provenance-ledger/prompt/v1"
COMPLETION_DOMAIN = "provenance-ledger/completion/v1"

_PLAIN_FROM, _PLAIN_BELOW = 1e-4, 1e16
_SAFE_DIGITS = len("-9007199254740991")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_ORJSON_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME


def canonical_bytes(value: Any) -> bytes:
    """The RFC 8785 form of a JSON value: a dict, list, str, bool, None, float, or an int within 2^53.

    A float that JCS writes as an integer beyond 2^53 (1e16, but not 1e21) is refused: `parse_json` would refuse it.

    orjson writes the same bytes ten times as fast, except in the cases that `is_plain` excludes; those go through
    the `rfc8785` package.

    Raises:
        MalformedError: the value holds something that JCS has no bytes for.
    """
    try:
        if is_plain(value):
            return orjson.dumps(value, option=_ORJSON_OPTIONS)
        data = rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, orjson.JSONEncodeError, RecursionError, AttributeError, UnicodeError) as exc:
        raise MalformedError(f"not canonical JSON: {exc}") from exc
    # JCS writes 1e16 as digits, which readers may take for an integer that they cannot hold: read it back.
    json.loads(data, parse_int=_safe_integer)
    return data


def is_plain(value: Any) -> bool:
    """Whether orjson's sorted output of `value` is RFC 8785; so is msgspec's then.

    They differ in: integral floats (`1.0`, `-0.0`), exponents (from 1e16 up, below 1e-4), the order of keys outside
    ASCII (code points here, UTF-16 units there), integers beyond 2^53 (JCS refuses), NaN (orjson says null).
    """
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return True
    if kind is int:
        return bool(-MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER)
    if kind is float:
        return _PLAIN_FROM <= abs(value) < _PLAIN_BELOW and not value.is_integer()
    if kind is dict:
        for key, item in value.items():  # noqa: SIM110 - `all` of a generator takes twice as long
            if not (type(key) is str and key.isascii() and is_plain(item)):
                return False
        return True
    if kind is list:
        return all(map(is_plain, value))
    return False


def parse_canonical(data: bytes) -> Any:
    """Parse JSON that must already stand in its RFC 8785 form.

    Raises:
        MalformedError: it is not JSON, or its canonical form has other bytes.
    """
    value = _load(data)
    if canonical_bytes(value) != data:
        raise MalformedError("the JSON is not in its canonical form (RFC 8785)")
    return value


def parse_json(data: bytes | str) -> Any:
    """Parse JSON strictly; see the module's words for what is refused.

    Raises:
        MalformedError: it is not JSON, or two parsers could disagree about it.
    """
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else bytes(data)
    value = _load(raw)
    try:
        # orjson keeps the last of two equal keys and turns great integers into floats, silently: the slower
        # parser of the standard library tells, and is asked unless the bytes print back to themselves.
        if canonical_bytes(value) == raw:
            return value
    except MalformedError:
        pass
    return json.loads(raw, object_pairs_hook=_unique, parse_int=_safe_integer, parse_float=_finite)


def _load(raw: bytes) -> Any:
    try:
        value = orjson.loads(raw)
    except (orjson.JSONDecodeError, RecursionError) as exc:
        raise MalformedError(f"not JSON: {exc}") from exc
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _depth_exceeds(value, MAX_DEPTH):
        raise MalformedError(f"JSON nested deeper than {MAX_DEPTH} levels")
    return value


def _depth_exceeds(value: Any, limit: int) -> bool:
    layer: list[Any] = [value]
    for _ in range(limit):
        inner = chain.from_iterable(item.values() if isinstance(item, dict) else item for item in layer)
        layer = [item for item in inner if isinstance(item, dict | list)]
        if not layer:
            return False
    return True


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise MalformedError(f"duplicate key {key!r}", FieldError(key, value, "one value for each key"))
        result[key] = value
    return result


def _safe_integer(text: str) -> int:
    # The length first: int() of a million digits takes its time.
    if len(text) > _SAFE_DIGITS or abs(int(text)) > MAX_SAFE_INTEGER:
        raise MalformedError(f"integer {text[:24]} is beyond 2^53", FieldError("", text, "an integer within ±(2^53-1)"))
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise MalformedError(f"number {text[:24]} is too great", FieldError("", text, "a finite double"))
    return value


def sha256_digest(data: bytes) -> str:
    """The digest of `data` as we write digests: `sha256:<hex>`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def format_digest(raw: bytes) -> str:
    """`sha256:<hex>` of 32 bytes that are a SHA-256 already."""
    if len(raw) != SHA256_BYTES:
        raise MalformedError(f"a SHA-256 has {SHA256_BYTES} bytes, not {len(raw)}")
    return "sha256:" + raw.hex()


def parse_digest(text: str) -> bytes:
    """The 32 bytes of a `sha256:<hex>` digest; an unknown algorithm or upper case is refused."""
    if not isinstance(text, str) or not _DIGEST.match(text):
        raise MalformedError(f"not a digest: {text!r:.90}", FieldError("digest", text, "sha256:<64 hex digits>"))
    return bytes.fromhex(text[7:])


def commit(domain: str, salt: bytes, data: bytes) -> str:
    """The salted commitment `SHA-256(domain || 0x00 || salt || data)`: binds to `data`, tells nothing of it."""
    if len(salt) != SALT_BYTES:
        raise MalformedError(f"a salt has {SALT_BYTES} bytes, not {len(salt)}")
    return "sha256:" + hashlib.sha256(domain.encode() + b"\x00" + salt + data).hexdigest()


def verify_commitment(commitment: str, domain: str, salt: bytes, data: bytes) -> None:
    """Check that `commitment` opens to `data` under `salt`.

    Raises:
        DigestMismatchError: it was made of other text, another salt or for another domain.
    """
    made = commit(domain, salt, data)
    if made != commitment:
        raise DigestMismatchError(f"the text opens to {made}, the record commits to {commitment}")


def format_base64(data: bytes) -> str:
    """Standard base64 with padding."""
    return base64.b64encode(data).decode("ascii")


def parse_base64(text: str, what: str = "base64") -> bytes:
    """Decode base64 that must encode back to the same text: no spaces, no missing padding, no stray bits."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError) as exc:
        raise MalformedError(f"{what}: not base64", FieldError(what, text, "standard base64 with padding")) from exc
    if base64.b64encode(data).decode("ascii") != text:
        raise MalformedError(f"{what}: base64 with stray bits", FieldError(what, text, "standard base64 with padding"))
    return data
