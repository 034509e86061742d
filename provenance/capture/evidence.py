"""The evidence of one sample, whole: entry, batch, proofs, keys, words. What `web/static/verify.js` reads."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from sqlmodel import Session

from provenance.ledger.keys import KeyRing
from provenance.ledger.prove import Prover
from provenance.store.log import find_content, list_statements, read_entry, read_statement
from provenance.store.samples import get_sample

KEY_FACTS = ("purpose", "keyid", "algorithm", "public_key", "state", "last_good_size")


def sample_evidence(session: Session, ring: KeyRing, index: int, prover: Prover | None = None) -> dict[str, Any]:
    """Evidence that lets anybody check a sample without this service; `prover`, if given, covers its batch entry.

    Raises:
        NotFoundError: entry `index` is no sample.
    """
    row, prover = get_sample(session, index), prover or Prover(session)
    count = read_statement(session, row.batch_index).predicate["count"]
    position, path = prover.batch_path(index, row.batch_index, count)
    return {
        "index": index,
        "entry": _base64(read_entry(session, index)),
        "batch": {
            "index": row.batch_index,
            "entry": _base64(read_entry(session, row.batch_index)),
            "position": position,
            "path": [_base64(value) for value in path],
        },
        "proof": prover.proof_text(index),
        "batch_proof": prover.proof_text(row.batch_index),
        "vkeys": ring.vkey_lines,
        "keys": [
            {name: key.predicate[name] for name in KEY_FACTS if name in key.predicate}
            for key in list_statements(session, "key")
        ],
        "opening": find_content(session, index),
    }


def _base64(data: bytes) -> str:
    return b64encode(data).decode()
