"""Which key stood for what, and when: the authority introduces, and no signature reaches outside of its key's time."""

from __future__ import annotations

import pytest

from provenance.attestation.envelope import parse_entry, read_envelope
from provenance.attestation.keychain import Keychain
from provenance.attestation.predicates import check_predicate
from provenance.errors import SignatureError, StatementError
from tests.evidence_factory import AT, Log, make_log, new_signer


def read_chain(log: Log, start: int = 0) -> Keychain:
    """What a verifier does with a log's envelopes."""
    chain = Keychain()
    for index, entry in list(enumerate(log.entries))[start:]:
        statement = parse_entry(entry)
        check_predicate(statement.kind, statement.predicate)
        if statement.kind == "key":
            chain.take(index, statement.predicate, read_envelope(entry))
        elif statement.kind != "sample":
            chain.check(index, statement.kind, read_envelope(entry))
    return chain


def test_each_purpose_has_the_key_that_the_authority_introduced() -> None:
    log = make_log()
    chain = read_chain(log)
    for purpose, signer in log.signers.items():
        assert chain.of_purpose(purpose) == {signer.public_key.keyid: signer.public_key}


def test_a_key_that_another_one_introduced_fails() -> None:
    log = Log()
    log.say_key("authority", log.signers["authority"])
    log.say_key("collector", log.signers["collector"], by="collector")
    with pytest.raises(SignatureError, match="entry 1"):
        read_chain(log)


def test_a_second_authority_that_introduces_itself_fails() -> None:
    log = make_log()
    log.signers["usurper"] = new_signer()
    log.say_key("authority", log.signers["usurper"], by="usurper")
    with pytest.raises(SignatureError, match="authority"):
        read_chain(log)
    with pytest.raises(SignatureError, match="entry 0"):
        read_chain(log, start=len(log.entries) - 1)


def test_the_first_key_is_an_authority_and_no_other() -> None:
    log = Log()
    log.say_key("collector", log.signers["collector"], by="collector")
    with pytest.raises(SignatureError, match="entry 0"):
        read_chain(log)


def test_a_key_signs_nothing_before_it_is_on_record() -> None:
    log = Log()
    log.say_key("authority", log.signers["authority"])
    log.say_report()
    log.say_key("release", log.signers["release"])
    with pytest.raises(SignatureError, match="release key"):
        read_chain(log)


@pytest.mark.parametrize("state", ["retired", "revoked"])
def test_a_key_signs_nothing_after_it_ended_and_what_it_signed_before_stands(state: str) -> None:
    log = make_log()
    log.say_key("collector", log.signers["collector"], state=state)
    assert read_chain(log).of_purpose("collector") == {}
    log.say_samples()
    with pytest.raises(SignatureError, match="collector key"):
        read_chain(log)


def test_a_key_that_ended_does_not_come_back() -> None:
    log = make_log()
    for state in ("revoked", "active", "retired"):
        log.say_key("collector", log.signers["collector"], state=state)
    chain = read_chain(log)
    assert chain.keys[log.signers["collector"].public_key.keyid].ended == 12


def test_the_authority_introduces_its_successor() -> None:
    log, new = make_log(), new_signer()
    log.say_key("authority", new)
    log.say_key("authority", log.signers["authority"], state="retired")
    log.signers["authority"] = new
    log.say_decision()
    assert list(read_chain(log).of_purpose("authority")) == [new.public_key.keyid]


def test_a_key_under_another_id_is_refused() -> None:
    log = make_log()
    said = dict(parse_entry(log.entries[1]).predicate) | {"keyid": "0" * 64}
    log.say("key", said, "authority")
    with pytest.raises(StatementError, match="not the one"):
        read_chain(log)


def revoke(log: Log, purpose: str, good: object) -> int:
    """Say that a key is revoked with a last good size; signed by the authority."""
    introduced = next(said for entry in log.entries if (said := parse_entry(entry).predicate).get("purpose") == purpose)
    return log.say("key", {**introduced, "state": "revoked", "valid_to": AT, "last_good_size": good}, "authority")


def check_all(log: Log) -> Keychain:
    """All key statements first, then all others, as a verifier does."""
    chain = Keychain()
    entries = [(index, parse_entry(entry), entry) for index, entry in enumerate(log.entries)]
    for index, statement, entry in entries:
        if statement.kind == "key":
            chain.take(index, statement.predicate, read_envelope(entry))
    for index, statement, entry in entries:
        if statement.kind not in ("key", "sample"):
            chain.check(index, statement.kind, read_envelope(entry))
    return chain


def test_what_a_revoked_key_signed_below_its_last_good_size_stands() -> None:
    log = make_log()
    revoke(log, "collector", log.batch_index + 1)
    assert check_all(log).of_purpose("collector") == {}


def test_what_a_stolen_key_signed_before_its_revocation_is_void_since_the_last_good_size() -> None:
    log = make_log()
    good = len(log.entries)
    log.say_samples()  # by the thief
    assert check_all(log)
    revoke(log, "collector", good)
    with pytest.raises(SignatureError, match=f"entry {log.batch_index} "):
        check_all(log)


def test_the_authority_s_successor_stands_though_a_stolen_key_introduced_it() -> None:
    log, new = make_log(), new_signer()
    good = len(log.entries)
    log.say_key("authority", new)
    thief, log.signers["authority"] = log.signers["authority"], new
    revoke(log, "authority", good)
    log.say_decision()
    assert check_all(log)
    log.say_key("collector", new_signer(), by=thief)  # type: ignore[arg-type]  # `say` takes a signer
    with pytest.raises(SignatureError, match="authority"):
        check_all(log)


@pytest.mark.parametrize("good", [-1, 10**6, "5", 1.5, True])
def test_a_last_good_size_that_cannot_be_is_refused(good: object) -> None:
    log = make_log()
    revoke(log, "collector", good)
    with pytest.raises(StatementError, match="last_good_size"):
        check_all(log)
