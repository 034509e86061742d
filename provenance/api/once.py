"""Acts on what exists already, under an Idempotency-Key: asked again, the first answer is given before anything is checked."""

from __future__ import annotations

from typing import Any

from provenance.api.deps import make_id
from provenance.canonical import canonical_bytes, sha256_digest
from provenance.ledger.append import Receipt
from provenance.runtime import Runtime

Once = tuple[str, Any]


def once_of(prefix: str, key: str | None, asked: Any) -> Once | None:
    """What `Runtime.append` takes as `once`; None without a key."""
    return None if key is None else (make_id(prefix, key), asked)


def find_done(runtime: Runtime, once: Once | None) -> Receipt | None:
    """The receipt of the same request, where it was answered before.

    Raises:
        ConflictError: the key stands for another request.
    """
    return None if once is None else runtime.sequencer.find_replay(once[0], sha256_digest(canonical_bytes(once[1])))
