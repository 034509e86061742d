"""Whether a release that waits for a second person was approved: by the service's word, or by the signed entry beside a copy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provenance.attestation.envelope import open_envelope
from provenance.attestation.signature import PublicKey
from provenance.canonical import parse_base64
from provenance.client.check import Keys, Manifest
from provenance.errors import DeniedError, ProvenanceError

APPROVAL = "approval.json"
_CODE = "release-awaits-approval"


def check_approval(manifest: Manifest, known: Mapping[str, Any] | None, entry: bytes | None, keys: Keys) -> None:
    """Check that a release which waits for a second person was approved.

    Args:
        known: the release as the service shows it; None without a service.
        entry: the approval's entry of the log, where the copy has one; what counts without a service.
        keys: those that are trusted; those of purpose `authority` sign approvals.
    Raises:
        DeniedError: it was not, as far as anybody can tell.
    """
    asked = manifest.value.get("approval")
    said = (known or {}).get("approval")
    if known is not None and (asked is not None or said is not None):
        state = said.get("state") if isinstance(said, Mapping) else None
        if state != "approved":
            raise _refusal(manifest, "it awaits the approval of a second person")
    elif known is None and asked is not None:
        if entry is None:
            raise _refusal(manifest, f"a second person must approve it, and the copy has no {APPROVAL}")
        if (why := _find_flaw(manifest, asked, entry, keys)) is not None:
            raise _refusal(manifest, f"a second person must approve it, and {APPROVAL} does not say so: {why}")


def _find_flaw(manifest: Manifest, asked: Any, entry: bytes, keys: Keys) -> str | None:
    trusted = {}
    for key in keys:
        if key.get("purpose") == "authority" and key.get("public_key") and key.get("state") != "revoked":
            public = PublicKey(parse_base64(key["public_key"], "public_key"))
            trusted[public.keyid] = public
    if not trusted:
        return "no authority key is known"
    try:
        statement = open_envelope(entry, trusted)
    except ProvenanceError as exc:
        return exc.detail
    said = statement.predicate
    if statement.kind != "approval":
        return f"it is a statement of kind {statement.kind}"
    if (said.get("id"), said.get("manifest_digest")) != (manifest.value["id"], manifest.digest):
        return "it is about another release"
    requester = asked.get("requested_by") if isinstance(asked, Mapping) else None
    if not isinstance(requester, str) or _plain(said.get("actor")) == _plain(requester):
        return "nobody but the one who asked for it approved it"
    return None


def _plain(name: Any) -> str:
    return " ".join(str(name).split()).casefold()


def _refusal(manifest: Manifest, why: str) -> DeniedError:
    name = f"{manifest.value['name']}@{manifest.value['version']}"
    return DeniedError(f"release {name} may not be used yet: {why}", code=_CODE)
