"""Whom a verifier trusts: logs, witnesses and a quorum, as a tlog-policy file says it.

A file of bare verifier keys (one a line) is read too: each is a log's, and no witness is asked for.

Source: c2sp.org/tlog-policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field

from provenance.errors import FieldError, MalformedError, SignatureError
from provenance.ledger.note import VerifierKey, parse_vkey

NO_QUORUM = "none"


@dataclass
class TrustPolicy:
    """Logs, witnesses and groups by name; `quorum` names the one that must have cosigned."""

    logs: list[VerifierKey] = field(default_factory=list)
    witnesses: dict[str, VerifierKey] = field(default_factory=dict)
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
        if self.quorum != NO_QUORUM and not self._is_met(self.quorum, signed):
            raise SignatureError(f"the quorum {self.quorum!r} of the policy is not met by the witnesses that cosigned")

    def _is_met(self, name: str, signed: set[VerifierKey]) -> bool:
        if name in self.witnesses:
            return self.witnesses[name] in signed
        threshold, members = self.groups[name]
        return sum(self._is_met(member, signed) for member in members) >= threshold


def parse_policy(text: str) -> TrustPolicy:
    """Parse a tlog-policy file, or a list of verifier keys.

    Raises:
        MalformedError: an unknown line, a name used twice or not defined before, a duplicate key, no quorum or two.
    """
    lines = [line.strip(" \t") for line in text.splitlines()]
    rows = [line.replace("\t", " ").split() for line in lines if line and not line.startswith("#")]
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
            policy.logs.append(_fresh(policy, vkey))
        case ["witness", name, vkey] | ["witness", name, vkey, _]:
            _check_free(policy, name)
            policy.witnesses[name] = _fresh(policy, vkey)
        case ["group", name, threshold, *members]:
            _check_free(policy, name)
            policy.groups[name] = (_threshold(threshold, members), tuple(members))
            for member in members:
                _check_known({*policy.witnesses, *policy.groups} - {name}, member)
        case ["quorum", name] if not policy.quorum:
            if name != NO_QUORUM:
                _check_known({*policy.witnesses, *policy.groups}, name)
            policy.quorum = name
        case _:
            raise MalformedError("unknown line in the policy", FieldError("policy", " ".join(row), "log, witness, …"))


def _fresh(policy: TrustPolicy, text: str) -> VerifierKey:
    vkey = parse_vkey(text)
    if any(vkey.public_key == other.public_key for other in policy.vkeys):
        raise MalformedError("the policy names one key twice", FieldError("vkey", text, "different keys"))
    return vkey


def _check_free(policy: TrustPolicy, name: str) -> None:
    if name == NO_QUORUM or name in policy.witnesses or name in policy.groups:
        raise MalformedError(f"the policy uses the name {name!r} twice", FieldError("name", name, "a new name"))


def _check_known(known: Set[str], name: str) -> None:
    if name not in known:
        raise MalformedError(f"the policy does not define {name!r} before", FieldError("name", name, "defined above"))


def _threshold(text: str, members: Sequence[str]) -> int:
    words = {"any": 1, "all": len(members)}
    value = words[text] if text in words else int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= value <= len(members) or len(set(members)) != len(members):
        raise MalformedError("a group needs 1 to all of its members", FieldError("group", text, "any, all or a count"))
    return value
