"""The words of a sample, prompt and completion, against the salted commitments of its statement."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from provenance.canonical import COMPLETION_DOMAIN, PROMPT_DOMAIN, canonical_bytes, verify_commitment

DOMAINS = MappingProxyType({"prompt": PROMPT_DOMAIN, "completion": COMPLETION_DOMAIN})


def verify_words(said: Mapping[str, Any], half: str, salt: bytes, words: Any) -> None:
    """Check that `words` are what a sample's predicate commits to.

    Args:
        said: the predicate.
        half: `prompt` or `completion`.
        salt: of that half, 32 bytes.
        words: its messages.
    Raises:
        DigestMismatchError: they are others.
        MalformedError: they are no JSON, or the salt has another length.
    """
    verify_commitment(said[f"{half}_commitment"], DOMAINS[half], salt, canonical_bytes(words))
