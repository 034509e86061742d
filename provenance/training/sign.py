"""Sign a finished model's folder, so that whoever gets it can check every file with OpenSSF's own verifier.

The folder is read again here: what is signed is what lies there, and not what the training process said of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from provenance.attestation.model_signature import SIGNATURE, format_model_signature
from provenance.attestation.signature import Signer
from provenance.canonical import sha256_digest
from provenance.errors import DigestMismatchError
from provenance.ledger.publish import write_file
from provenance.training.files import list_files


def sign_model(folder: Path, files: Sequence[dict[str, Any]], name: str, signer: Signer) -> dict[str, Any]:
    """Write `model.sig` beside the model's folder; the answer is what the model's registration says of it.

    Raises:
        DigestMismatchError: the folder holds other files than `files`; nothing is signed.
        MalformedError: it holds a link.
    """
    found = list_files(folder)
    if found != list(files):
        odd = sorted({item["path"] for item in (*found, *files) if item not in found or item not in files})
        raise DigestMismatchError(f"the model's folder is not what the run reported: {', '.join(odd)}")
    data = format_model_signature(name, {item["path"]: item["digest"] for item in found}, signer)
    write_file(folder.parent / SIGNATURE, data)
    return {"path": SIGNATURE, "digest": sha256_digest(data), "keyid": signer.public_key.keyid}
