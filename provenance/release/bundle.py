"""The evidence bundle: one file with all that a stranger needs to check a sample, a release or a report.

    manifest.json        what is in here, each with digest and size
    manifest.dsse        a statement over manifest.json, signed by the release key
    checkpoint           the log's signed note
    vkeys                the log's verifier keys, one a line
    entries/<index>      raw log entries
    proofs/<index>       their inclusion proofs (.tlog-proof) against the checkpoint
    batches/<index>      JSON: where a sample stands in its signed batch
    openings/<index>     JSON: the words and salts behind a sample's commitments (left out once erased)
    files/<path>         the report, the release's manifest and the like

It is a ZIP with one spelling: stored, names sorted, one date, no extras. Reading writes it again and compares the
bytes, so a changed byte fails wherever it lies, also where no digest looks. Nothing is ever unpacked to a disk.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provenance.attestation.envelope import sign_envelope
from provenance.attestation.signature import Signer
from provenance.attestation.statement import Statement, Subject, format_statement
from provenance.canonical import (
    SALT_BYTES,
    canonical_bytes,
    format_base64,
    parse_base64,
    parse_canonical,
    sha256_digest,
)
from provenance.errors import BundleError, FieldError, NotFoundError, ProvenanceError
from provenance.ledger.durable import replace_file
from provenance.ledger.merkle import Hash

FORMAT = "provenance-bundle/1"
MANIFEST, ENVELOPE, CHECKPOINT, VKEYS = "manifest.json", "manifest.dsse", "checkpoint", "vkeys"
MAX_BYTES = 1 << 30
MAX_MEMBERS = 100_000

_DATE = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644 << 16
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+@-]*(/[A-Za-z0-9_][A-Za-z0-9._+@-]*)*\Z", re.ASCII)
_INDEX = re.compile(r"(0|[1-9]\d{0,18})\Z", re.ASCII)
_SALT = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True)
class BatchPlace:
    """Where a sample stands in its batch: the batch's entry, the position in it, and the proof to its root."""

    batch_index: int
    position: int
    path: Sequence[Hash]


@dataclass(frozen=True)
class Opening:
    """What a sample's two commitments open to."""

    prompt: Any
    completion: Any
    prompt_salt: bytes
    completion_salt: bytes


@dataclass(frozen=True)
class BundleContents:
    """What a bundle holds; indices are log indices."""

    subject: Mapping[str, str]
    log_size: int
    checkpoint: str
    vkeys: Sequence[str]
    entries: Mapping[int, bytes]
    proofs: Mapping[int, str]
    batches: Mapping[int, BatchPlace] = field(default_factory=dict)
    openings: Mapping[int, Opening] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read: its container and digests hold; nothing else was checked."""

    contents: BundleContents
    manifest: bytes
    envelope: bytes


def write_bundle(path: Path, contents: BundleContents, signer: Signer) -> None:
    """Write an evidence bundle; the file appears whole or not at all.

    Args:
        path: where to; an existing file is replaced.
        contents: what goes in.
        signer: the release key's.
    Raises:
        BundleError: a name cannot stand in a bundle.
    """
    replace_file(path, format_bundle(contents, signer))


def format_bundle(contents: BundleContents, signer: Signer) -> bytes:
    """The bytes of an evidence bundle; see `write_bundle`."""
    members = _members_of(contents)
    listed = [
        {"path": name, "digest": sha256_digest(data), "size_bytes": len(data)} for name, data in sorted(members.items())
    ]
    subject = dict(contents.subject)
    said = {"format": FORMAT, "subject": subject, "log_size": contents.log_size, "files": listed}
    manifest = canonical_bytes(said)
    digest = sha256_digest(manifest)
    predicate = {
        "id": f"bundle-{digest[7:23]}",
        "kind": "evidence-bundle",
        "subject": subject,
        "log_size": contents.log_size,
        "files": [{"path": MANIFEST, "digest": digest, "size_bytes": len(manifest)}],
        "previous": None,
    }
    statement = Statement((Subject(MANIFEST, {"sha256": digest.removeprefix("sha256:")}),), "report", predicate)
    envelope = sign_envelope(format_statement(statement), [signer])
    return _format_zip(members | {MANIFEST: manifest, ENVELOPE: envelope})


def read_bundle(path: Path) -> Bundle:
    """Read an evidence bundle and check its container: one spelling, and every digest of its manifest.

    Raises:
        NotFoundError: there is no such file.
        BundleError: it is not a bundle, or any byte of it was changed.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BundleError(f"a bundle of more than {MAX_BYTES} bytes is not read")
        data = path.read_bytes()
    except FileNotFoundError as exc:
        raise NotFoundError(f"there is no file {path}") from exc
    except OSError as exc:
        raise BundleError(f"{path} cannot be read: {exc.strerror}") from exc
    return parse_bundle(data)


def parse_bundle(data: bytes) -> Bundle:
    """Read a bundle from its bytes; see `read_bundle`."""
    members = _parse_zip(data)
    try:
        manifest, envelope = members.pop(MANIFEST), members.pop(ENVELOPE)
    except KeyError as exc:
        raise BundleError(f"the bundle has no {exc.args[0]}") from exc
    try:
        said = parse_canonical(manifest)
        _check_manifest(said, members)
        contents = _contents_of(said, members)
    except BundleError:
        raise
    except (ProvenanceError, KeyError, TypeError, ValueError) as exc:
        raise BundleError(f"the bundle's contents are malformed: {exc}") from exc
    return Bundle(contents, manifest, envelope)


def _members_of(contents: BundleContents) -> dict[str, bytes]:
    members = {
        CHECKPOINT: contents.checkpoint.encode(),
        VKEYS: "".join(f"{item}\n" for item in contents.vkeys).encode(),
    }
    members |= {f"entries/{index}": entry for index, entry in contents.entries.items()}
    members |= {f"proofs/{index}": proof.encode() for index, proof in contents.proofs.items()}
    for index, place in contents.batches.items():
        path = [format_base64(item) for item in place.path]
        body = {"batch_index": place.batch_index, "position": place.position, "path": path}
        members[f"batches/{index}.json"] = canonical_bytes(body)
    for index, opening in contents.openings.items():
        salts = {"prompt_salt": opening.prompt_salt.hex(), "completion_salt": opening.completion_salt.hex()}
        said = {"prompt": opening.prompt, "completion": opening.completion}
        members[f"openings/{index}.json"] = canonical_bytes(said | salts)
    return members | {f"files/{name}": data for name, data in contents.files.items()}


def _contents_of(said: Mapping[str, Any], members: Mapping[str, bytes]) -> BundleContents:
    groups: dict[str, dict[str, bytes]] = {"entries": {}, "proofs": {}, "batches": {}, "openings": {}, "files": {}}
    for name, data in members.items():
        group, _, rest = name.partition("/")
        if name not in (CHECKPOINT, VKEYS):
            groups[group][rest] = data
    return BundleContents(
        subject=said["subject"],
        log_size=said["log_size"],
        checkpoint=members[CHECKPOINT].decode(),
        vkeys=members[VKEYS].decode().splitlines(),
        entries={_index(name): data for name, data in groups["entries"].items()},
        proofs={_index(name): data.decode() for name, data in groups["proofs"].items()},
        batches={_index(name, ".json"): _batch_place(data) for name, data in groups["batches"].items()},
        openings={_index(name, ".json"): _opening(data) for name, data in groups["openings"].items()},
        files=groups["files"],
    )


def _check_manifest(said: Any, members: Mapping[str, bytes]) -> None:
    if said["format"] != FORMAT:
        raise BundleError("unknown format of bundle", FieldError("format", said["format"], FORMAT))
    if type(said["log_size"]) is not int or not isinstance(said["subject"], dict):
        raise BundleError("the manifest's subject or log size is malformed")
    found = [{"path": name, "digest": sha256_digest(data), "size_bytes": len(data)} for name, data in members.items()]
    for listed, actual in zip(said["files"], found, strict=False):
        if listed != actual:
            raise BundleError(
                f"{actual['path']} is not what the manifest lists", FieldError("files", actual, str(listed))
            )
    if len(said["files"]) != len(found):
        raise BundleError(f"the manifest lists {len(said['files'])} files, the bundle holds {len(found)}")


def _index(name: str, suffix: str = "") -> int:
    text = name.removesuffix(suffix)
    if not name.endswith(suffix) or not _INDEX.match(text):
        raise BundleError(f"{name!r} is not named by a log index")
    return int(text)


def _batch_place(data: bytes) -> BatchPlace:
    value = parse_canonical(data)
    numbers = value["batch_index"], value["position"]
    if any(type(item) is not int or item < 0 for item in numbers):
        raise BundleError("a batch place names no indices")
    return BatchPlace(*numbers, tuple(parse_base64(item, "path") for item in value["path"]))


def _opening(data: bytes) -> Opening:
    value = parse_canonical(data)
    salts = value["prompt_salt"], value["completion_salt"]
    if not all(_SALT.match(item) for item in salts):
        raise BundleError(f"a salt is {SALT_BYTES} bytes in hex")
    return Opening(value["prompt"], value["completion"], *map(bytes.fromhex, salts))


def _format_zip(members: Mapping[str, bytes]) -> bytes:
    """The one ZIP of these members; the names are checked, so that nobody's unpacking leaves its folder."""
    if len(members) > MAX_MEMBERS:
        raise BundleError(f"a bundle holds at most {MAX_MEMBERS} files, not {len(members)}")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            if not _NAME.match(name) or ".." in name:
                raise BundleError(f"a file cannot be named {name!r:.90} in a bundle", FieldError("path", name, "a/b.c"))
            info = zipfile.ZipInfo(name, _DATE)
            info.create_system, info.external_attr = 3, _MODE
            archive.writestr(info, members[name])
    return buffer.getvalue()


def _parse_zip(data: bytes) -> dict[str, bytes]:
    """The members of a ZIP in their order, if `_format_zip` writes the very same bytes."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            listed = archive.infolist()
            # Stored members cannot be larger than the file: no bomb. The comparison below covers all else.
            if len(listed) > MAX_MEMBERS or any(
                item.compress_type != zipfile.ZIP_STORED or item.file_size > len(data) for item in listed
            ):
                raise BundleError("not an evidence bundle: compressed, or with too many files")
            members: dict[str, bytes] = {}
            total = 0
            for item in listed:
                total += item.file_size
                if total > len(data):  # overlapping members
                    raise BundleError("not an evidence bundle: its files are larger than itself")
                members[item.filename] = archive.read(item)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, struct.error, RuntimeError, ValueError, EOFError, OSError) as exc:
        # all that zipfile raises on broken headers; NotImplementedError is a RuntimeError
        raise BundleError(f"not an evidence bundle: {exc}") from exc
    if len(members) != len(listed) or _format_zip(members) != data:
        raise BundleError("the bundle's bytes are not the one spelling of its files: something was changed or added")
    return members


def is_bundle(data: bytes) -> bool:
    """Whether this is a ZIP at all: then a failure to read it is a failed verification, not a wrong file."""
    return data[:4] == b"PK\x03\x04"
