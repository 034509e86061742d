"""The offline check: a true bundle passes every step, and each kind of lie fails at the step that is there for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from provenance.attestation.verification import Verification
from provenance.ledger.checkpoint import Checkpoint, Ed25519Cosigner, MLDSA44Signer, sign_checkpoint
from provenance.ledger.note import format_note, format_vkey, parse_note
from provenance.release.bundle import BundleContents, format_bundle
from provenance.verify import verify
from tests.evidence_factory import AT, ORIGIN, REPORT_HTML, Log, make_log, new_signer

SAMPLE = 3  # entries: 0-2 keys, 3-7 samples, 8 batch, 9 decision, 10 release, 11 report
BATCH, DECISION, RELEASE, REPORT = 8, 9, 10, 11


@pytest.fixture
def log() -> Log:
    return make_log()


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., Verification]:
    def write_and_verify(
        log: Log, contents: BundleContents, *, by: str = "release", policy: str | None = None
    ) -> Verification:
        path = tmp_path / "bundle.zip"
        path.write_bytes(format_bundle(contents, log.signers[by]))
        file = None
        if policy is not None:
            file = tmp_path / "policy"
            file.write_text(policy)
        return verify(path, policy=file)

    return write_and_verify


def failed(outcome: Verification) -> list[int]:
    assert outcome.ok is (not any(step.state == "failed" for step in outcome.steps))
    return [step.number for step in outcome.steps if step.state == "failed"]


def without(contents: BundleContents, index: int) -> BundleContents:
    entries = {key: value for key, value in contents.entries.items() if key != index}
    return replace(contents, entries=entries, proofs={key: contents.proofs[key] for key in entries})


def test_a_true_bundle_passes_every_step(log: Log, check: Callable[..., Verification]) -> None:
    outcome = check(log, log.contents())
    assert [step.state for step in outcome.steps] == ["ok"] * 8, outcome.to_json()
    assert outcome.ok
    assert not outcome.pinned
    assert [line for line in outcome.steps[1].notes if "not pinned" in line]


def test_a_bundle_of_some_entries_passes_too(log: Log, check: Callable[..., Verification]) -> None:
    contents = replace(log.contents([0, 1, 2, SAMPLE, BATCH]), subject={"kind": "sample", "id": "3"}, files={})
    outcome = check(log, contents)
    assert outcome.ok
    bare = check(log, replace(log.contents([0, 2, REPORT]), openings={}))
    assert bare.ok
    assert [step.state for step in bare.steps] == ["ok"] * 4 + ["skipped"] * 2 + ["ok"] * 2


# --- 1


def test_a_changed_byte_fails_the_first_step_and_skips_the_others(log: Log, tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    data = bytearray(format_bundle(log.contents(), log.signers["release"]))
    for at in (len(data) // 2, len(data) - 1):
        data[at] ^= 1
        path.write_bytes(data)
        outcome = verify(path)
        assert failed(outcome) == [1]
        assert {step.state for step in outcome.steps[1:]} == {"skipped"}


# --- 2


def test_the_key_that_was_pinned_is_said_to_be(log: Log, check: Callable[..., Verification]) -> None:
    outcome = check(log, log.contents(), policy=log.vkeys()[0] + "\n")
    assert outcome.ok
    assert outcome.pinned
    assert any("pinned by you" in note for note in outcome.steps[1].notes)


def test_another_pinned_key_fails(log: Log, check: Callable[..., Verification]) -> None:
    assert failed(check(log, log.contents(), policy=make_log().vkeys()[0])) == [2]


def test_a_quorum_that_is_not_there_fails(log: Log, check: Callable[..., Verification]) -> None:
    policy = f"log {log.vkeys()[0]}\nwitness W {make_log().vkeys()[1]}\nquorum W\n"
    assert failed(check(log, log.contents(), policy=policy)) == [2]


@pytest.mark.parametrize("line", [0, 1])
def test_either_line_of_the_log_fails_it_when_bent(log: Log, check: Callable[..., Verification], line: int) -> None:
    contents = log.contents()
    note = parse_note(contents.checkpoint)
    lines = list(note.signatures)
    raw = lines[line].signature
    lines[line] = replace(lines[line], signature=bytes([raw[0] ^ 1]) + raw[1:])
    bent = format_note(replace(note, signatures=tuple(lines)))
    proofs = {index: log.proof(index, bent) for index in contents.proofs}
    assert failed(check(log, replace(contents, checkpoint=bent, proofs=proofs))) == [2]


def test_a_checkpoint_signed_by_another_key_fails(log: Log, check: Callable[..., Verification]) -> None:
    other = make_log()
    tree = Checkpoint(log.log.name, len(log.entries), log.tree().root())
    bent = sign_checkpoint(tree, [other.log, MLDSA44Signer(log.log.name, other.log_pq.private)])
    contents = log.contents()
    proofs = {index: log.proof(index, bent) for index in contents.proofs}
    assert failed(check(log, replace(contents, checkpoint=bent, proofs=proofs))) == [2]


def test_a_manifest_about_another_size_fails(log: Log, check: Callable[..., Verification]) -> None:
    assert failed(check(log, replace(log.contents(), log_size=99))) == [2]


# --- 3


def test_a_swapped_entry_fails(log: Log, check: Callable[..., Verification]) -> None:
    contents = log.contents()
    entries = dict(contents.entries) | {DECISION: contents.entries[RELEASE], RELEASE: contents.entries[DECISION]}
    assert 3 in failed(check(log, replace(contents, entries=entries)))


def test_a_missing_proof_fails(log: Log, check: Callable[..., Verification]) -> None:
    contents = log.contents()
    proofs = {index: proof for index, proof in contents.proofs.items() if index != RELEASE}
    assert failed(check(log, replace(contents, proofs=proofs))) == [3]


def test_a_proof_of_another_entry_or_checkpoint_fails(log: Log, check: Callable[..., Verification]) -> None:
    contents = log.contents()
    swapped = dict(contents.proofs) | {RELEASE: contents.proofs[DECISION]}
    assert failed(check(log, replace(contents, proofs=swapped))) == [3]
    again = log.checkpoint()  # ML-DSA-44 is randomised: another note of the same tree
    other = dict(contents.proofs) | {RELEASE: log.proof(RELEASE, again)}
    assert failed(check(log, replace(contents, proofs=other))) == [3]


def test_an_entry_that_was_never_logged_fails(log: Log, check: Callable[..., Verification]) -> None:
    contents = log.contents()
    forged = make_log("deny").entries[DECISION]
    assert 3 in failed(check(log, replace(contents, entries=dict(contents.entries) | {DECISION: forged})))


def test_a_statement_without_its_fields_fails(check: Callable[..., Verification]) -> None:
    log = Log()
    log.say_keys()
    log.say("report", {"id": "rep_1"}, "release")
    contents = replace(log.contents(), files={})
    outcome = check(log, contents)
    assert 3 in failed(outcome)
    assert "kind is missing" in str(outcome.steps[2].error)


# --- 4


def test_an_envelope_by_a_key_of_another_purpose_fails(check: Callable[..., Verification]) -> None:
    log = Log()
    log.say_keys()
    log.say_samples(by="release")
    log.say_report()
    assert 4 in failed(check(log, log.contents()))


def test_an_envelope_by_an_unknown_key_fails(check: Callable[..., Verification]) -> None:
    log = Log()
    log.say_keys()
    log.say_samples(by=new_signer())
    log.say_report()
    assert 4 in failed(check(log, log.contents()))


def test_a_bundle_without_key_statements_fails(log: Log, check: Callable[..., Verification]) -> None:
    outcome = check(log, log.contents([SAMPLE, BATCH, REPORT]))
    assert failed(outcome) == [4]
    assert [outcome.steps[number].state for number in (4, 7)] == ["skipped", "skipped"]


# --- 5


def test_a_sample_without_its_place_or_its_batch_fails(log: Log, check: Callable[..., Verification]) -> None:
    contents = log.contents()
    places = {index: place for index, place in contents.batches.items() if index != SAMPLE}
    assert failed(check(log, replace(contents, batches=places))) == [5]
    assert failed(check(log, without(contents, BATCH))) == [5]


def test_a_sample_at_another_place_of_its_batch_fails(log: Log, check: Callable[..., Verification]) -> None:
    contents = log.contents()
    place = contents.batches[SAMPLE]
    for bent in (
        replace(place, position=1),
        replace(place, batch_index=DECISION),
        replace(place, path=place.path[:-1]),
        replace(place, path=(bytes(32), *place.path[1:])),
    ):
        assert failed(check(log, replace(contents, batches={**contents.batches, SAMPLE: bent}))) == [5]


# --- 6


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": [{"role": "user", "content": "other"}]},
        {"completion": [{"role": "assistant", "content": "other"}]},
        {"prompt_salt": bytes(32)},
        {"completion_salt": bytes(32)},
    ],
)
def test_altered_words_fail(log: Log, check: Callable[..., Verification], change: dict[str, object]) -> None:
    contents = log.contents()
    bent = replace(contents.openings[SAMPLE], **change)  # type: ignore[arg-type]  # one of its fields
    assert failed(check(log, replace(contents, openings={**contents.openings, SAMPLE: bent}))) == [6]


def test_words_of_no_sample_fail(log: Log, check: Callable[..., Verification]) -> None:
    contents = log.contents()
    assert failed(check(log, replace(contents, openings={REPORT: contents.openings[SAMPLE]}))) == [6]


# --- 7


def test_an_altered_report_fails(log: Log, check: Callable[..., Verification]) -> None:
    contents = replace(log.contents(), files={"report.html": REPORT_HTML + b" "})
    assert failed(check(log, contents)) == [7]


def test_a_file_that_no_statement_names_is_said(log: Log, check: Callable[..., Verification]) -> None:
    outcome = check(log, replace(log.contents(), files={"report.html": REPORT_HTML, "note.txt": b"x"}))
    assert outcome.ok
    assert any("named by no logged statement" in note for note in outcome.steps[6].notes)


def test_a_release_without_its_decision_or_on_another_one_fails(check: Callable[..., Verification]) -> None:
    log = make_log()
    assert failed(check(log, without(log.contents(), DECISION))) == [7]
    other = Log()
    other.say_keys()
    other.say_release(other.say_decision(), "dec_2")
    other.say_report()
    assert failed(check(other, other.contents())) == [7]


def test_a_release_on_a_denial_fails(check: Callable[..., Verification]) -> None:
    log = make_log("deny")
    outcome = check(log, log.contents())
    assert failed(outcome) == [7]
    assert "denies" in str(outcome.steps[6].error)


@pytest.mark.parametrize(
    "subject", [{"kind": "report", "id": "rep_2"}, {"kind": "sample", "id": "99"}, {"kind": "run"}]
)
def test_a_bundle_about_something_that_is_not_in_it_fails(
    log: Log, check: Callable[..., Verification], subject: dict[str, str]
) -> None:
    assert failed(check(log, replace(log.contents(), subject=subject))) == [7]


# --- 8


@pytest.mark.parametrize("by", ["collector", "authority"])
def test_a_manifest_signed_by_a_key_of_another_purpose_fails(
    log: Log, check: Callable[..., Verification], by: str
) -> None:
    assert failed(check(log, log.contents(), by=by)) == [8]


def test_a_manifest_signed_by_a_stranger_fails(log: Log, check: Callable[..., Verification]) -> None:
    log.signers["stranger"] = new_signer(curve=True)
    assert failed(check(log, log.contents(), by="stranger")) == [8]


def test_a_manifest_signed_by_an_ended_key_fails(log: Log, check: Callable[..., Verification]) -> None:
    log.say_key("release", log.signers["release"], state="revoked")
    assert failed(check(log, log.contents())) == [8]


# --- revoked log keys


def end_log_key(log: Log, signer: Any, good: int) -> None:
    said = {
        "purpose": "log", "name": "log", "algorithm": "ed25519", "keyid": signer.vkey.key_id.hex(), "state": "revoked",
        "valid_from": AT, "valid_to": AT, "last_good_size": good,
    }  # fmt: skip
    log.say("key", said, "authority")


def sign_as(log: Log, *signers: Any) -> BundleContents:
    """The evidence of the log as it stands, under a checkpoint that these sign."""
    note = sign_checkpoint(Checkpoint(ORIGIN, len(log.entries), log.tree().root()), signers)
    contents = log.contents()
    proofs = {index: log.proof(index, note) for index in contents.entries}
    vkeys = [format_vkey(signer.vkey) for signer in signers]
    return replace(contents, checkpoint=note, proofs=proofs, vkeys=vkeys)


def test_a_revoked_log_key_no_longer_signs_behind_its_last_good_size(
    log: Log, check: Callable[..., Verification]
) -> None:
    before = log.contents()
    end_log_key(log, log.log, good=before.log_size)
    outcome = check(log, sign_as(log, log.log))
    assert failed(outcome) == [4]
    assert "revoked before this size" in str(outcome.steps[3].error)
    assert check(log, before).ok, "what it signed up to that size stands"
    assert check(log, sign_as(log, log.log, log.log_pq)).ok, "the other key of the log vouches for the tree"
    end_log_key(log, log.log_pq, good=before.log_size)
    assert failed(check(log, log.contents())) == [4]


def test_a_witness_does_not_stand_in_for_a_revoked_log_key(log: Log, check: Callable[..., Verification]) -> None:
    witness = Ed25519Cosigner("witness.example", Ed25519PrivateKey.generate(), 1_764_000_000)
    end_log_key(log, log.log, good=len(log.entries))
    assert failed(check(log, sign_as(log, log.log, witness))) == [4]
    assert check(log, sign_as(log, log.log_pq, witness)).ok


def test_a_bundle_of_a_log_that_has_grown_since_still_verifies(log: Log, check: Callable[..., Verification]) -> None:
    contents = log.contents()
    log.say_samples()
    assert check(log, contents).ok
