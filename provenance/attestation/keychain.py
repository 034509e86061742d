"""Which key stood for which purpose, and when: read from the `key` statements of a log.

- Entry 0 introduces the authority key and is signed by it. Nothing stands before it, and its index is under the log's
  root, so nobody can put another first.
- The authority signs the statements of all other keys, and of its own successor.
- A key signs entries behind the statement that introduces it, and before the one that retires or revokes it.
- A revocation may name a last good size: from that index on its signatures are void, also before the revocation itself. Only the
  statements of keys that an authority signed until then stand, as its successor is among them: check all `key` statements
  first (`take`), then all others (`check`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from provenance.attestation.envelope import Envelope, verify_envelope
from provenance.attestation.predicates import signing_purpose
from provenance.attestation.signature import PublicKey
from provenance.canonical import parse_base64
from provenance.errors import SignatureError, StatementError

ACTIVE = "active"


def _read_end(index: int, said: Mapping[str, Any]) -> int | None:
    """The first index that the key of a statement no longer signs, or None while it goes on."""
    if said["state"] == ACTIVE:
        return None
    good = said.get("last_good_size")
    if good is None:
        return index
    if type(good) is not int or not 0 <= good <= index or said["state"] != "revoked":
        raise StatementError(
            f"entry {index}: last_good_size is {good!r}; expected a size of the log before a revocation"
        )
    return good


@dataclass
class KnownKey:
    """A key on record: since which entry, and from which entry on it no longer signs."""

    purpose: str
    key: PublicKey
    since: int
    ended: int | None = None

    def signs_at(self, index: int) -> bool:
        """Whether it may sign the entry at `index`."""
        return self.since < index and (self.ended is None or index < self.ended)


@dataclass
class Keychain:
    """The envelope keys of one log, by keyid, and where revoked log keys end. Hand it a log's envelopes in order."""

    keys: dict[str, KnownKey] = field(default_factory=dict)
    log_ends: dict[str, int] = field(default_factory=dict)

    def take(self, index: int, said: Mapping[str, Any], envelope: Envelope) -> None:
        """Add what a `key` statement introduces or ends, if the authority signed it.

        Args:
            index: the entry's.
            said: the statement's predicate, checked against its form.
            envelope: the entry, parsed.
        Raises:
            StatementError: it names another key than it carries.
            SignatureError: it is not signed by the authority, or is first without being entry 0.
        """
        text = said.get("public_key")
        key = PublicKey(parse_base64(text, "public_key")) if text else None
        if key is not None and key.keyid != said["keyid"]:
            raise StatementError(f"entry {index} names key {said['keyid'][:16]}…, which is not the one that it carries")
        if self.keys:
            self.check(index, "key", envelope)
        elif index != 0 or said["purpose"] != "authority" or key is None:
            raise SignatureError(f"entry 0 must introduce the authority key; the first key statement is entry {index}")
        else:
            verify_envelope(envelope, {key.keyid: key})
        known = self.keys.get(said["keyid"])
        end = _read_end(index, said)
        if said["purpose"] == "log" and said["state"] == "revoked" and end is not None:
            self.log_ends[said["keyid"]] = min(end, self.log_ends.get(said["keyid"], end))
        if known is not None and end is not None:
            known.ended = end if known.ended is None else min(known.ended, end)
        elif known is None and key is not None:
            self.keys[key.keyid] = KnownKey(said["purpose"], key, index, end)

    def check(self, index: int, kind: str, envelope: Envelope) -> None:
        """Check that the entry at `index` is signed by a key of the purpose that its kind asks for.

        Raises:
            SignatureError: it is not, or only by a key that was not on record yet or had ended.
        """
        purpose = signing_purpose(kind)
        able = {
            item.key.keyid: item.key for item in self.keys.values() if item.purpose == purpose and item.signs_at(index)
        }
        try:
            verify_envelope(envelope, able)
        except SignatureError as exc:
            raise SignatureError(f"entry {index} ({kind}) is not signed by the {purpose} key: {exc.detail}") from exc

    def void_log_keys(self, size: int) -> set[str]:
        """Ids of the revoked log keys whose line under a checkpoint of `size` entries says nothing."""
        return {keyid for keyid, end in self.log_ends.items() if size > end}

    def of_purpose(self, purpose: str) -> dict[str, PublicKey]:
        """keyid -> key of those that stand for `purpose` and have not ended."""
        return {keyid: item.key for keyid, item in self.keys.items() if item.purpose == purpose and item.ended is None}
