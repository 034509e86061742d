"""Equivocation: two checkpoints that one key signed and that cannot both be, in one file that convicts offline.

- Of one size: their roots differ.
- Of two sizes: the greater tree is shown to have another root at the smaller size. `path` proves that out of the greater
  tree (`merkle.prefix_root`). That a consistency proof is missing proves nothing: it may only have been withheld.

One and the same key must have signed both, so that nobody is accused with a key that he never had. The file names keys
for whoever has none: then it convicts the holder of that key, and only a key pinned beforehand says which log that is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from provenance.canonical import format_base64, parse_base64, parse_json
from provenance.errors import ConsistencyError, FieldError, MalformedError, SignatureError, VerificationError
from provenance.ledger.checkpoint import Checkpoint, open_signed_checkpoint, parse_checkpoint
from provenance.ledger.merkle import EMPTY_ROOT, Hash, ReadHash, prefix_path, prefix_root
from provenance.ledger.note import VerifierKey, format_vkey, parse_note, parse_vkey

FORMAT = "provenance-equivocation/1"
MAX_PATH = 64
MAX_BYTES = 1 << 20
_FIELDS = {"format", "vkeys", "first", "second", "path"}


@dataclass(frozen=True)
class Equivocation:
    """What accuses a log: two signed notes, the smaller tree first, the keys that signed them, and the path between."""

    first: str
    second: str
    vkeys: tuple[VerifierKey, ...]
    path: tuple[Hash, ...] = ()


@dataclass(frozen=True)
class Conviction:
    """What was proved: `keys` signed both checkpoints; `should_be` is the root of the second tree at the first's size."""

    first: Checkpoint
    second: Checkpoint
    keys: tuple[VerifierKey, ...]
    should_be: Hash
    pinned: bool

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        first, second = self.first, self.second
        return {
            "proven": True, "pinned": self.pinned, "origin": first.origin, "vkeys": [*map(format_vkey, self.keys)],
            "first": {"tree_size": first.size, "root": first.root.hex()},
            "second": {"tree_size": second.size, "root": second.root.hex()},
            "root_of_second_at_first": self.should_be.hex(),
        }  # fmt: skip


def format_equivocation(proof: Equivocation) -> bytes:
    """The file of a proof; inverse of `parse_equivocation`."""
    value = {
        "format": FORMAT, "vkeys": [*map(format_vkey, proof.vkeys)], "first": proof.first, "second": proof.second,
        "path": [*map(format_base64, proof.path)],
    }  # fmt: skip
    return json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"


def is_equivocation(data: bytes) -> bool:
    """Whether a file says that it is such a proof; nothing was checked."""
    return data.lstrip()[:1] == b"{" and FORMAT.encode() in data[:200]


def parse_equivocation(data: bytes) -> Equivocation:
    """Parse a proof, without verifying it.

    Raises:
        MalformedError: it is not one.
    """
    value = parse_json(data)
    if not isinstance(value, dict) or value.keys() != _FIELDS or value["format"] != FORMAT:
        raise MalformedError("not a proof of equivocation", FieldError("format", str(value)[:90], FORMAT))
    lists, texts = (value["vkeys"], value["path"]), (value["first"], value["second"])
    if not all(isinstance(item, list) and len(item) <= MAX_PATH for item in lists) or not all(
        isinstance(item, str) for item in (*texts, *value["vkeys"], *value["path"])
    ):
        raise MalformedError("not a proof of equivocation", FieldError("vkeys, first, second, path", None, "texts"))
    vkeys, path = map(parse_vkey, value["vkeys"]), (parse_base64(item, "path") for item in value["path"])
    return Equivocation(*texts, tuple(vkeys), tuple(path))


def accuse(
    one: str, other: str, vkeys: Sequence[VerifierKey], *, read: ReadHash | None = None, proof: Sequence[Hash] = ()
) -> Equivocation:
    """Put two notes of one log into the order of a proof; `judge` says whether they prove anything.

    Args:
        one: a signed checkpoint.
        other: another one, in any order.
        vkeys: the log's keys.
        read: complete subtrees of the greater tree, out of which the path is made.
        proof: or a consistency proof (RFC 9162) between the two.
    Raises:
        CheckpointError: a note is malformed.
        MalformedError: `read` does not hold that tree.
    """
    first, second = sorted((one, other), key=lambda note: _parse(note).size)
    old, new = _parse(first), _parse(second)
    path = tuple(proof)
    if read is not None and 0 < old.size < new.size:
        path = tuple(prefix_path(old.size, new.size, read))
    elif proof and old.size & (old.size - 1) == 0:
        path = (old.root, *proof)  # what such a proof leaves out; it can then only show that the old root is right
    return Equivocation(first, second, tuple(vkeys), path)


def _parse(note: str) -> Checkpoint:
    return parse_checkpoint(parse_note(note).text)


def judge(proof: Equivocation, trusted: Sequence[VerifierKey] | None = None) -> Conviction | None:
    """Find out whether the two checkpoints can both be.

    Args:
        proof: the parsed file.
        trusted: the log's keys, if the verifier has them; else those in the file, and the conviction is not pinned.
    Returns:
        The conviction; None where the smaller tree is shown to be a prefix of the greater one.
    Raises:
        CheckpointError: a checkpoint is malformed.
        SignatureError: no one key of the log signed both.
        ConsistencyError: the path shows neither.
    """
    vkeys = proof.vkeys if trusted is None else tuple(trusted)
    first, second = (open_signed_checkpoint(note, vkeys) for note in (proof.first, proof.second))
    old, new = first.checkpoint, second.checkpoint
    keys = tuple(key for key in first.signed_by if key in second.signed_by and key.name == old.origin)
    if old.origin != new.origin or not keys:
        raise SignatureError("no one key of one log signed both checkpoints")
    if old.size == new.size:
        should_be = new.root
    elif old.size == 0:
        should_be = EMPTY_ROOT
    else:
        should_be = prefix_root(old.size, new.size, proof.path, new.root)
    return Conviction(old, new, keys, should_be, trusted is not None) if should_be != old.root else None


def convict(proof: Equivocation, trusted: Sequence[VerifierKey] | None = None) -> Conviction:
    """Check that `proof` proves that a log has two faces; as `judge`, but the two being consistent is an error too."""
    conviction = judge(proof, trusted)
    if conviction is None:
        raise ConsistencyError("the two checkpoints are consistent: this proves no fraud")
    return conviction


def convict_file(data: bytes, trusted: Sequence[VerifierKey] | None = None) -> Conviction | None:
    """What a file proves; None where it does not say that it is such a proof.

    Raises:
        MalformedError: it says so, and proves nothing.
    """
    if not is_equivocation(data):
        return None
    if len(data) > MAX_BYTES:
        raise MalformedError(f"a proof of equivocation has at most {MAX_BYTES:,} bytes")
    try:
        return convict(parse_equivocation(data), trusted)
    except VerificationError as exc:
        expected = "two checkpoints that one key of the log signed, and that cannot both be"
        raise MalformedError(f"it proves no equivocation: {exc.detail}", FieldError("file", None, expected)) from exc


def format_conviction(conviction: Conviction) -> str:
    """The outcome for people."""
    old, new = conviction.first, conviction.second
    who = ", ".join(f"{key.name} (key {key.key_id.hex()})" for key in conviction.keys)
    trust = "pinned by you" if conviction.pinned else "sent with the proof, not pinned: it convicts whoever holds them"
    return (
        f"EQUIVOCATION PROVEN: {old.origin} signed two histories\n"
        f"  signed both      {who}; keys {trust}\n"
        f"  first checkpoint   {old.size:,} entries, root {old.root.hex()}\n"
        f"  second checkpoint  {new.size:,} entries, root {new.root.hex()}\n"
        f"  of its first {old.size:,} entries the second has the root {conviction.should_be.hex()}\n"
    )
