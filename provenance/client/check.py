"""What must hold before a release's files are looked at: signature, state, student."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from provenance.attestation.envelope import open_envelope
from provenance.attestation.signature import PublicKey
from provenance.canonical import parse_base64, sha256_digest
from provenance.errors import (
    ConflictError,
    DeniedError,
    DigestMismatchError,
    FieldError,
    InclusionError,
    MalformedError,
    ManifestError,
    NotFoundError,
    SignatureError,
)
from provenance.ledger.checkpoint import parse_checkpoint
from provenance.ledger.multiproof import format_ranges, make_ranges, open_multi_proof, parse_multi_proof
from provenance.ledger.note import parse_note, parse_vkey
from provenance.release.manifest import LOG_PROOF, parse_manifest

if TYPE_CHECKING:
    from provenance.client.client import Client

USABLE_STATES = ("allowed", "partial")
_PATH = re.compile(r"data/[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\.parquet")
Keys = Collection[Mapping[str, Any]]


@dataclass(frozen=True)
class Manifest:
    """The manifest's bytes, and what is read of it."""

    data: bytes
    value: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """The digest that the attestation signs."""
        return sha256_digest(self.data)


def check_manifest(
    data: bytes,
    envelope: bytes,
    keys: Keys,
    client: Client | None,
    student: str | None,
    *,
    reference: str | None,
    ask_entry: bool = False,
) -> tuple[Manifest, Mapping[str, Any] | None]:
    """Check a manifest and its attestation; with a `client`, state and student too, and the answer has what it knows.

    `ask_entry`: the keys are the service's own, so its word on where the release stands in the log counts for revoked ones.

    Raises:
        ManifestError: it is not a release's manifest.
        SignatureError: the attestation is not by a release key.
        DigestMismatchError: the attestation, or the log, speaks of another manifest or other files.
        DeniedError: the release may not be used, or not by this student.
    """
    manifest = Manifest(data, _parse(data))
    named, entry = manifest.value, None
    if ask_entry and client is not None and any(key.get("state") == "revoked" for key in keys):
        entry = client.get(f"/api/v1/releases/{named['id']}").get("entry")
    _check_attestation(manifest, envelope, keys, entry)
    if reference not in (None, named["id"], f"{named['name']}@{named['version']}"):
        raise DigestMismatchError(
            f"asked for release {reference}, got {named['name']}@{named['version']} ({named['id']})"
        )
    known = client.get(f"/api/v1/releases/{named['id']}") if client is not None else None
    if known is not None:
        _check_state(known, manifest)
    _check_student(named.get("student"), student, client)
    return manifest, known


def check_log_proof(text: str, leaves: Mapping[int, bytes], keys: Keys) -> None:
    """Check that the entries of a release, neither more nor less, stand in a log that one of `keys` signs.

    A revoked log key counts for trees up to its last good size, where it has one.

    Args:
        text: the release's `log-proof.txt`.
        leaves: leaf hash of every entry that the release holds, by index.
        keys: as `keys list --json` prints them; those of purpose `log` count.
    Raises:
        SignatureError: no log key is known, or none of them signed the checkpoint.
        InclusionError: the proof is about other entries, or they are not in the log.
        ManifestError: it is no proof.
    """
    indices = sorted(leaves)
    try:
        size = parse_checkpoint(parse_note(parse_multi_proof(text).checkpoint).text).size
    except MalformedError as exc:
        raise ManifestError(f"{LOG_PROOF} is not a proof: {exc.detail}") from exc
    vkeys = [parse_vkey(key["vkey"]) for key in keys if key.get("vkey") and _is_good(key, size - 1)]
    if not vkeys:
        raise SignatureError(f"no log key is known that may sign {size:,} entries: give `keys`, or a service to ask")
    try:
        ranges, checkpoint = open_multi_proof(text, [leaves[index] for index in indices], vkeys)
    except MalformedError as exc:
        raise ManifestError(f"{LOG_PROOF} is not a proof: {exc.detail}") from exc
    if ranges != make_ranges(indices):
        said, held = format_ranges(ranges), format_ranges(make_ranges(indices))
        raise InclusionError(
            f"{LOG_PROOF} is about other entries of {checkpoint.origin}", FieldError("indices", said[:90], held[:90])
        )


def _parse(data: bytes) -> Mapping[str, Any]:
    value = parse_manifest(data)
    files = value["files"]
    if not isinstance(files, list) or not all(isinstance(item, dict) for item in files):
        raise ManifestError("the manifest's files are no list", FieldError("files", files, "a list of files"))
    for item in files:
        path, sizes = item.get("path"), (item.get("size_bytes"), item.get("rows"))
        if not isinstance(path, str) or not _PATH.fullmatch(path) or any(type(size) is not int for size in sizes):
            raise ManifestError(
                "the manifest names a file that no release has", FieldError("files.path", path, "data/*.parquet")
            )
    return value


def _check_attestation(manifest: Manifest, envelope: bytes, keys: Keys, entry: Any) -> None:
    trusted = {}
    for key in keys:
        if key.get("purpose") == "release" and key.get("public_key") and _is_good(key, entry):
            public = PublicKey(parse_base64(key["public_key"], "public_key"))
            trusted[public.keyid] = public
    if not trusted:
        raise SignatureError("no release key is known: give `keys`, or a service to ask")
    statement = open_envelope(envelope, trusted)
    said = {subject.name: f"sha256:{subject.digest.get('sha256')}" for subject in statement.subjects}
    held = {"manifest.json": manifest.digest} | {item["path"]: item.get("digest") for item in manifest.value["files"]}
    if statement.kind != "release":
        raise SignatureError(f"the attestation is a {statement.kind} statement; expected release")
    for name, digest in held.items():
        if said.get(name) != digest:
            raise DigestMismatchError(f"{name} is {digest}; the attestation signs {said.get(name)}")


def _is_good(key: Mapping[str, Any], entry: Any) -> bool:
    """Whether a key may sign what ends with `entry`: a release logged there, or the tree up to it (None: not known)."""
    if key.get("state") != "revoked":
        return True
    good = key.get("last_good_size")
    return type(good) is int and type(entry) is int and entry < good


def _check_state(known: Mapping[str, Any], manifest: Manifest) -> None:
    name, state = f"{manifest.value['name']}@{manifest.value['version']}", known.get("state")
    if state == "building":
        raise ConflictError(f"release {name} is still being built")
    if erased := known.get("erased"):
        raise DeniedError(
            f"release {name} is {state}: it contains erased samples ({erased['samples']}, erasure {erased['erasure']})",
            code=f"release-{state}",
        )
    if state not in USABLE_STATES:
        raise DeniedError(
            f"release {name} is {state}; only {' or '.join(USABLE_STATES)} may be used", code=f"release-{state}"
        )
    if known.get("manifest_digest") not in (None, manifest.digest):
        raise DigestMismatchError(f"manifest.json is {manifest.digest}; the log says {known['manifest_digest']}")


def _check_student(made_for: Any, student: str | None, client: Client | None) -> None:
    if student is None:
        return
    names = set(made_for.values()) if isinstance(made_for, dict) else {made_for}
    names = {name for name in names if isinstance(name, str)}
    if student in names:
        return
    if client is not None:  # the manifest may name the student's id, the caller its name
        try:
            declared = client.get(f"/api/v1/students/{student}")
        except NotFoundError:
            declared = {}
        if declared.get("id") in names:
            return
    shown = ", ".join(sorted(names)) or "nobody"
    raise DeniedError(f"the release was made for {shown}, not for {student}", code="release-for-another-student")
