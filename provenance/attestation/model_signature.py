"""The OpenSSF model-signing bundle: one signature over every file of a model's folder, in the spelling of others.

- A Sigstore bundle (v0.3) with a DSSE envelope with an in-toto statement, signed by a P-256 key without certificate or
  transparency log: `python -m model_signing verify key --signature model.sig --public_key key.pem FOLDER` checks it.
- The statement names every file with its digest; its one subject is the digest over all of them. A file that was changed,
  added or taken away fails. The signature's own name is left out of the count, and by that verifier's default so are git's files.
- The bundle names its key by the digest of the key's PEM text, as that verifier does, and not by our `keyid`.

Written here, as the package would bring sigstore, pydantic and a network client for what is thirty lines of JSON; the tests
hold it against the package itself.

Source: OpenSSF model-signing 1.1, `model_signing/_signing`; Sigstore bundle v0.3; DSSE v1.0.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from provenance.attestation.envelope import PAYLOAD_TYPE, pae
from provenance.attestation.signature import ECDSA_P256, PublicKey, Signer
from provenance.attestation.statement import STATEMENT_TYPE, parse_in_toto
from provenance.canonical import canonical_bytes, format_base64, parse_base64, parse_digest, parse_json
from provenance.errors import FieldError, MalformedError, ProvenanceError, SignatureError, StatementError

SIGNATURE = "model.sig"
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"


@dataclass(frozen=True)
class SignedModel:
    """What a bundle says: the model's name, the digest over all its files, and each file's."""

    name: str
    root: str
    files: Mapping[str, str]


def format_model_signature(name: str, files: Mapping[str, str], signer: Signer) -> bytes:
    """The bundle of a model's folder.

    Args:
        name: of the model; it informs and is not checked.
        files: path (relative, with `/`) -> `sha256:<hex>`, one or more.
        signer: of the key for models, P-256.
    Raises:
        StatementError: there is no file, or the key is of another kind.
    """
    if not files:
        raise StatementError("a model has at least one file", FieldError("files", [], "one or more"))
    if signer.public_key.algorithm != ECDSA_P256:
        raise StatementError(
            "a model is signed by a P-256 key", FieldError("key", signer.public_key.algorithm, ECDSA_P256)
        )
    payload = canonical_bytes(_statement(name, files))
    signature = {"keyid": "", "sig": format_base64(signer.sign(pae(PAYLOAD_TYPE, payload)))}
    body = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": _hint(signer.public_key)}, "tlogEntries": []},
        "dsseEnvelope": {"payload": format_base64(payload), "payloadType": PAYLOAD_TYPE, "signatures": [signature]},
    }
    return canonical_bytes(body)


def open_model_signature(data: bytes, key: PublicKey) -> SignedModel:
    """What a bundle says of a model, if `key` signed it; whether the files are so is for the caller to see.

    Raises:
        StatementError: it is not a bundle of this kind, or its files do not add up to its subject.
        SignatureError: it was not signed by `key`.
    """
    try:
        return _open(parse_json(data), key)
    except (SignatureError, StatementError):
        raise
    except (ProvenanceError, KeyError, TypeError, ValueError) as exc:
        raise StatementError(f"not a model-signing bundle: {exc}") from exc


def _open(body: Any, key: PublicKey) -> SignedModel:
    envelope = body["dsseEnvelope"]
    if body["mediaType"] != MEDIA_TYPE or envelope["payloadType"] != PAYLOAD_TYPE:
        raise StatementError("not a model-signing bundle", FieldError("mediaType", body["mediaType"], MEDIA_TYPE))
    if body["verificationMaterial"]["publicKey"]["hint"] != _hint(key):
        raise SignatureError(f"the bundle is by another key than {key.keyid[:16]}…")
    (signature,) = envelope["signatures"]
    payload = parse_base64(envelope["payload"], "payload")
    key.verify(parse_base64(signature["sig"], "signatures.sig"), pae(PAYLOAD_TYPE, payload))
    return _read(payload)


def _read(payload: bytes) -> SignedModel:
    statement = parse_in_toto(payload)
    (subject,) = statement.subjects
    predicate = statement.predicate
    files = {str(item["name"]): f"sha256:{item['digest']}" for item in predicate["resources"]}
    if statement.predicate_type != PREDICATE_TYPE or predicate["serialization"] != _SERIALIZATION:
        raise StatementError(
            "another way of signing a model", FieldError("predicateType", statement.predicate_type, PREDICATE_TYPE)
        )
    if len(files) != len(predicate["resources"]) or any(
        item["algorithm"] != "sha256" for item in predicate["resources"]
    ):
        raise MalformedError("a file is named twice, or by another digest than SHA-256")
    if _root(files) != subject.digest.get("sha256"):
        raise StatementError("the files do not add up to the subject of the statement")
    return SignedModel(subject.name, f"sha256:{_root(files)}", files)


_SERIALIZATION = {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": [SIGNATURE]}


def _statement(name: str, files: Mapping[str, str]) -> dict[str, Any]:
    resources = [
        {"name": path, "algorithm": "sha256", "digest": parse_digest(files[path]).hex()} for path in _order(files)
    ]
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": _root(files)}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {"serialization": _SERIALIZATION, "resources": resources},
    }


def _order(files: Mapping[str, str]) -> list[str]:
    """By the parts of the path, as that signer orders them: the subject's digest depends on it."""
    return sorted(files, key=PurePosixPath)


def _root(files: Mapping[str, str]) -> str:
    return hashlib.sha256(b"".join(parse_digest(files[path]) for path in _order(files))).hexdigest()


def _hint(key: PublicKey) -> str:
    return hashlib.sha256(key.pem.encode()).hexdigest()
