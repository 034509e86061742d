"""Whom a verifier trusts: logs, witnesses and a quorum, as a tlog-policy file says it.

A file of bare verifier keys (one a line) is read too: each is a log's, and no witness is asked for.

Source: c2sp.org/tlog-policy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field

from provenance.errors import FieldError, MalformedError, SignatureError
from provenance.ledger.note import ED25519, ED25519_COSIGNATURE, ML_DSA_44_COSIGNATURE, VerifierKey, parse_vkey

NO_QUORUM = "none"

_LOG_TYPES = (ED25519, ML_DSA_44_COSIGNATURE)
_WITNESS_TYPES = (ED25519_COSIGNATURE, ML_DSA_44_COSIGNATURE)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")


@dataclass
class TrustPolicy:
    """Logs, witnesses and groups by name; `quorum` names the one that must have cosigned, `urls` where witnesses answer."""

    logs: list[VerifierKey] = field(default_factory=list)
    witnesses: dict[str, VerifierKey] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)
    groups: dict[str, tuple[int, Sequence[str]]] = field(default_factory=dict)
    quorum: str = ""

    @property
    def vkeys(self) -> list[VerifierKey]:
        """Every key that the policy knows."""
        return [*self.logs, *self.witnesses.values()]

    def check(self, signed_by: Iterable[VerifierKey]) -> None:
        """Check that a log and the quorum are among the keys that signed.

        Raises:
            SignatureError: no line is by a log of the policy, or the quorum is not met.
        """
        signed = set(signed_by)
        if not signed.intersection(self.logs):
            raise SignatureError("no line is by a log that the policy names")
        if not self.is_met(signed):
            raise SignatureError(f"the quorum {self.quorum!r} of the policy is not met by the witnesses that cosigned")

    def is_met(self, signed: Set[VerifierKey]) -> bool:
        """Whether these keys are a quorum, whatever log they speak of."""
        return self.quorum == NO_QUORUM or self._is_met(self.quorum, signed)

    def _is_met(self, name: str, signed: Set[VerifierKey]) -> bool:
        if name in self.witnesses:
            return self.witnesses[name] in signed
        threshold, members = self.groups[name]
        return sum(self._is_met(member, signed) for member in members) >= threshold


def parse_policy(text: str) -> TrustPolicy:
    """Parse a tlog-policy file, or a list of verifier keys.

    Raises:
        MalformedError: an unknown line, a name used twice or not defined before, a duplicate key, a key of the wrong
            type, a group's member that is in another group too, no quorum or two, a control character.
    """
    if _CONTROL.search(text):
        raise MalformedError("the policy holds a control character", FieldError("policy", None, "tabs and newlines"))
    lines = [line.strip(" \t") for line in text.split("\n")]  # of white space, space and tab alone separate
    rows = [re.split("[ \t]+", line) for line in lines if line and not line.startswith("#")]
    if rows and all(len(row) == 1 for row in rows):
        return TrustPolicy(logs=[parse_vkey(row[0]) for row in rows], quorum=NO_QUORUM)
    policy = TrustPolicy()
    for row in rows:
        _take(policy, row)
    if not policy.quorum:
        raise MalformedError("the policy has no quorum line", FieldError("quorum", None, "quorum <name> or none"))
    if not policy.logs:
        raise MalformedError("the policy names no log", FieldError("log", None, "log <vkey>"))
    return policy


def _take(policy: TrustPolicy, row: Sequence[str]) -> None:
    match row:
        case ["log", vkey] | ["log", vkey, _]:
            policy.logs.append(_fresh(policy, vkey, _LOG_TYPES))
        case ["witness", name, vkey, *url] if len(url) <= 1:
            _check_free(policy, name)
            policy.witnesses[name] = _fresh(policy, vkey, _WITNESS_TYPES)
            policy.urls.update((name, item) for item in url)
        case ["group", name, threshold, *members]:
            _check_free(policy, name)
            taken = {member for _, group in policy.groups.values() for member in group}
            for member in members:
                _check_known({*policy.witnesses, *policy.groups} - taken, member)
            policy.groups[name] = (_threshold(threshold, members), tuple(members))
        case ["quorum", name] if not policy.quorum:
            if name != NO_QUORUM:
                _check_known({*policy.witnesses, *policy.groups}, name)
            policy.quorum = name
        case _:
            raise MalformedError("unknown line in the policy", FieldError("policy", " ".join(row), "log, witness, …"))


def _fresh(policy: TrustPolicy, text: str, types: Sequence[int]) -> VerifierKey:
    vkey = parse_vkey(text)
    if vkey.signature_type not in types:
        expected = " or ".join(f"type 0x{item:02x}" for item in types)
        raise MalformedError(f"a key of another use; expected {expected}", FieldError("vkey", text, expected))
    if any(vkey.public_key == other.public_key for other in policy.vkeys):
        raise MalformedError("the policy names one key twice", FieldError("vkey", text, "different keys"))
    return vkey


def _check_free(policy: TrustPolicy, name: str) -> None:
    if name == NO_QUORUM or name in policy.witnesses or name in policy.groups:
        raise MalformedError(f"the policy uses the name {name!r} twice", FieldError("name", name, "a new name"))


def _check_known(known: Set[str], name: str) -> None:
    if name not in known:
        expected = "defined above, and in no other group"
        raise MalformedError(
            f"the policy does not define {name!r} before, or uses it twice", FieldError("name", name, expected)
        )


def _threshold(text: str, members: Sequence[str]) -> int:
    words = {"any": 1, "all": len(members)}
    value = words[text] if text in words else int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= value <= len(members) or len(set(members)) != len(members):
        raise MalformedError("a group needs 1 to all of its members", FieldError("group", text, "any, all or a count"))
    return value
