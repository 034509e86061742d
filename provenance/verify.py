"""Check an evidence bundle offline, or convict a log by a proof of fraud: no service, no database, no network. Readable alone.

 1. Container and digests: the file has its one spelling, and everything in it the digest that the manifest lists.
 2. Checkpoint: every signature line by a known key verifies, Ed25519 and ML-DSA-44; the log's own is among them.
 3. Entries: each is a statement of its kind and stands in the tree of that checkpoint, at its index.
 4. Keys: entry 0 introduces the authority key, which signs the statements that introduce all others; every envelope is
    signed by a key of the purpose its kind asks for, on record before it and not ended before it. A revoked key's
    signatures, under envelopes and checkpoints, count up to its last good size.
 5. Batches: each sample stands in a batch that its collector signed.
 6. Words: prompts and completions open the commitments of their samples.
 7. References: the subject is among the entries; files have the digests that statements name; a release rests on a
    decision that is here and allows as many samples as it released.
 8. Manifest: signed by the release key.

A step that fails hides no other. What a bundle cannot show: whether the log has two faces (ask a witness, or pin its
key and compare checkpoints), and statements that were left out, such as a later recall or revocation of a key.

A proof of equivocation is no bundle: it holds two checkpoints that one key signed and that cannot both be. See `convict`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from provenance.attestation.envelope import parse_entry, read_envelope, verify_envelope
from provenance.attestation.keychain import Keychain
from provenance.attestation.predicates import check_predicate
from provenance.attestation.statement import Statement, iterate_digests, parse_statement
from provenance.attestation.verification import Nothing, Step, Verification, fail_first, format_verification, run_steps
from provenance.attestation.words import DOMAINS, verify_words
from provenance.canonical import parse_digest, sha256_digest
from provenance.errors import (
    DigestMismatchError,
    InclusionError,
    MalformedError,
    NotFoundError,
    SignatureError,
    VerificationError,
)
from provenance.ledger.checkpoint import cosigned_at, open_signed_checkpoint, parse_checkpoint
from provenance.ledger.equivocation import MAX_BYTES, Conviction, convict_file, format_conviction
from provenance.ledger.merkle import leaf_hash, verify_inclusion
from provenance.ledger.note import parse_note, parse_vkey
from provenance.ledger.policy import TrustPolicy, parse_policy
from provenance.ledger.proof import parse_proof
from provenance.release.bundle import Bundle, BundleContents, is_bundle, read_bundle

EXIT_DONE, EXIT_BAD_INPUT, EXIT_NOT_FOUND, EXIT_FAILED = 0, 3, 4, 6


def verify(path: str | Path, *, policy: str | Path | None = None) -> Verification:
    """Check an evidence bundle.

    Args:
        path: the bundle.
        policy: a tlog-policy file, or one of verifier keys; without it the keys that came with the bundle are used, and
            the outcome says `pinned: false`.
    Returns:
        Every step with its outcome; `ok` sums them up.
    Raises:
        NotFoundError: there is no such file.
        MalformedError: the policy is malformed, or the file is no bundle at all.
    """
    trust = _read_policy(Path(policy)) if policy is not None else None
    try:
        bundle = read_bundle(Path(path))
    except MalformedError as exc:
        if not is_bundle(_read_start(Path(path), 4)):
            raise
        return Verification(tuple(fail_first(_TITLES, exc.detail)), pinned=trust is not None)
    steps = _Steps(bundle, trust)
    return Verification(tuple(steps.run()), trust is not None, bundle.contents.subject)


def convict(path: str | Path, *, policy: str | Path | None = None) -> Conviction | None:
    """Check a proof of equivocation.

    Args:
        path: the file.
        policy: as for `verify`; without it the conviction is of whoever holds the keys that the file names.
    Returns:
        What it proves; None where the file does not say that it is such a proof.
    Raises:
        NotFoundError: there is no such file.
        MalformedError: it is one, and proves nothing.
    """
    trusted = _read_policy(Path(policy)).logs if policy is not None else None
    return convict_file(_read_start(Path(path), MAX_BYTES + 1), trusted)


def _read_policy(path: Path) -> TrustPolicy:
    try:
        return parse_policy(_read_start(path, -1).decode())
    except UnicodeError as exc:
        raise MalformedError(f"{path} cannot be read as text: {exc}") from exc


def _read_start(path: Path, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(size)
    except FileNotFoundError as exc:
        raise NotFoundError(f"there is no file {path}") from exc
    except OSError as exc:
        raise MalformedError(f"{path} cannot be read: {exc.strerror}") from exc


class _Steps:
    """The checks over one bundle. Each returns notes, or raises what is wrong; numbers as in the module's list."""

    def __init__(self, bundle: Bundle, trust: TrustPolicy | None) -> None:
        self.bundle, self.trust = bundle, trust
        self.contents: BundleContents = bundle.contents
        self.statements: dict[int, Statement] = {}
        self.keychain: Keychain | None = None
        self.signed_by: set[str] = set()

    def run(self) -> Iterator[Step]:
        first = (self.container, self.checkpoint, self.entries, self.signatures)
        return run_steps(_TITLES, (*first, self.batches, self.words, self.references, self.manifest))

    # 1
    def container(self) -> list[str]:
        """`read_bundle` has compared every byte and digest already; say what there is."""
        held = self.contents
        subject = f"{held.subject.get('kind')} {held.subject.get('id')}"
        return [f"about {subject}", f"{len(held.entries)} entries, {len(held.proofs)} proofs, {len(held.files)} files"]

    # 2
    def checkpoint(self) -> list[str]:
        sent = [parse_vkey(text) for text in self.contents.vkeys]
        pinned = self.trust.vkeys if self.trust else []
        opened = open_signed_checkpoint(self.contents.checkpoint, [*pinned, *sent])
        if self.trust:
            self.trust.check(opened.signed_by)
        own = (vkey for vkey in opened.signed_by if vkey.name == opened.checkpoint.origin)
        self.signed_by = {vkey.key_id.hex() for vkey in own}  # a witness does not stand in for a revoked log key
        if opened.checkpoint.size != self.contents.log_size:
            raise VerificationError(
                f"the manifest speaks of {self.contents.log_size} entries, the checkpoint of {opened.checkpoint.size}"
            )
        notes = [f"{opened.checkpoint.origin}, {opened.checkpoint.size} entries, root {opened.checkpoint.root.hex()}"]
        for vkey in opened.signed_by:
            trusted = "pinned by you" if vkey in pinned else "sent with the bundle, not pinned"
            when = cosigned_at(opened, vkey)
            stated = f", which saw it at {when:%Y-%m-%d %H:%M:%SZ}" if when else ""
            algorithm = _ALGORITHMS[vkey.signature_type]
            notes.append(f"{algorithm} line by {vkey.name}, key {vkey.key_id.hex()}{stated}: {trusted}")
        if unknown := len(opened.note.signatures) - len(opened.signed_by):
            notes.append(f"{unknown} lines by keys that are not known here were not checked")
        return notes

    # 3
    def entries(self) -> list[str]:
        held = self.contents
        tree = parse_checkpoint(parse_note(held.checkpoint).text)
        if held.entries.keys() != held.proofs.keys():
            odd = min(held.entries.keys() ^ held.proofs.keys())
            raise InclusionError(f"entry {odd} has no proof, or its proof no entry")
        for index, entry in sorted(held.entries.items()):
            proof = parse_proof(held.proofs[index])
            if proof.index != index or proof.checkpoint != held.checkpoint:
                raise InclusionError(f"the proof of entry {index} is for another index or checkpoint")
            try:
                verify_inclusion(leaf_hash(entry), index, tree.size, proof.path, tree.root)
            except InclusionError as exc:
                raise InclusionError(f"entry {index} is not in the log: {exc.detail}") from exc
            self.statements[index] = statement = parse_entry(entry)
            check_predicate(statement.kind, statement.predicate)
        return [f"{len(held.entries)} entries stand in the tree of {tree.size}"]

    # 4
    def signatures(self) -> list[str]:
        chain, signed = Keychain(), 0
        statements = sorted(self._all_statements().items())
        for index, statement in statements:  # first: a revocation reaches back to its last good size
            if statement.kind == "key":
                chain.take(index, statement.predicate, read_envelope(self.contents.entries[index]))
                signed += 1
        for index, statement in statements:
            if statement.kind not in ("key", "sample"):  # a sample is signed through its batch, step 5
                chain.check(index, statement.kind, read_envelope(self.contents.entries[index]))
                signed += 1
        if self.signed_by and self.signed_by <= (void := chain.void_log_keys(self.contents.log_size)):
            raise SignatureError(
                f"only log keys that were revoked before this size sign the checkpoint: {', '.join(void)}"
            )
        if not chain.keys:
            raise SignatureError("the bundle holds no statement that introduces the authority key")
        self.keychain = chain
        purposes = ", ".join(sorted({item.purpose for item in chain.keys.values()}))
        return [f"{signed} envelopes are signed by keys of the right purpose", f"keys on record: {purposes}"]

    # 5
    def batches(self) -> list[str]:
        samples = [index for index, statement in self._all_statements().items() if statement.kind == "sample"]
        if not samples:
            raise Nothing("no samples in this bundle")
        for index in samples:
            if index not in self.contents.batches:
                raise VerificationError(f"the bundle does not say in which batch sample {index} stands")
            place = self.contents.batches[index]
            batch = self._statement(place.batch_index, "batch", f"sample {index} stands in its batch")
            count = batch.predicate["count"]
            if place.batch_index - count + place.position != index:
                raise InclusionError(f"sample {index} does not stand at position {place.position} of its batch")
            leaf, root = leaf_hash(self.contents.entries[index]), parse_digest(batch.predicate["root"])
            verify_inclusion(leaf, place.position, count, place.path, root)
        if self.keychain is None:
            raise Nothing("the batches hold these samples, but step 4 did not verify who signed them")
        return [f"{len(samples)} samples stand in batches that a collector signed"]

    # 6
    def words(self) -> list[str]:
        if not self.contents.openings:
            raise Nothing("no words in this bundle: erased, withheld, or not about samples")
        for index, opening in self.contents.openings.items():
            said = self._statement(index, "sample", "words are opened").predicate
            try:
                for half in DOMAINS:
                    verify_words(said, half, getattr(opening, f"{half}_salt"), getattr(opening, half))
            except DigestMismatchError as exc:
                raise DigestMismatchError(f"sample {index}: {exc.detail}") from exc
        return [f"the words of {len(self.contents.openings)} samples open their commitments"]

    # 7
    def references(self) -> list[str]:
        statements = self._all_statements()
        self._check_subject(statements)
        named = {digest for statement in statements.values() for digest in iterate_digests(statement.predicate)}
        listed = dict(_files_in(statements.values()))
        unnamed = 0
        for path, data in self.contents.files.items():
            digest = sha256_digest(data)
            if listed.get(path, digest) != digest:
                raise DigestMismatchError(f"files/{path} is {digest}; the statement that names it says {listed[path]}")
            unnamed += digest not in named
        decisions = sum(self._check_release(item.predicate) for item in statements.values() if item.kind == "release")
        notes = [f"{len(self.contents.files) - unnamed} files have the digest that a logged statement names"]
        if unnamed:
            notes.append(f"{unnamed} files are named by no logged statement, only by the manifest (step 8)")
        if decisions:
            notes.append(f"{decisions} releases rest on a decision that is here and allows what they hold")
        recalls = sum(item.kind == "recall" for item in statements.values())
        return [*notes, f"{recalls} recalls are among the entries"] if recalls else notes

    # 8
    def manifest(self) -> list[str]:
        if self.keychain is None:
            raise Nothing("step 4 did not establish the keys")
        envelope = read_envelope(self.bundle.envelope)
        (signed_by, *_) = verify_envelope(envelope, self.keychain.of_purpose("release"))
        statement = parse_statement(envelope.payload)
        digest = sha256_digest(self.bundle.manifest)
        says = [subject.digest.get("sha256") for subject in statement.subjects]
        if statement.kind != "report" or says != [digest.removeprefix("sha256:")]:
            raise DigestMismatchError(f"the signed statement is not about this manifest, which is {digest}")
        return [f"signed by release key {signed_by[:16]}…"]

    def _all_statements(self) -> dict[int, Statement]:
        if self.statements.keys() != self.contents.entries.keys():  # step 3 stopped early; this one goes on
            self.statements = {index: parse_entry(entry) for index, entry in self.contents.entries.items()}
        return self.statements

    def _statement(self, index: int, kind: str, why: str) -> Statement:
        statement = self._all_statements().get(index)
        if statement is None or statement.kind != kind:
            raise VerificationError(f"{why}: entry {index} should be a {kind} statement, and is not in the bundle")
        return statement

    def _check_subject(self, statements: Mapping[int, Statement]) -> None:
        kind, name = self.contents.subject["kind"], self.contents.subject["id"]
        if kind == "sample":
            if not name.isdigit() or int(name) not in statements:
                raise VerificationError(f"the bundle is about sample {name}, which is not among its entries")
            self._statement(int(name), "sample", "the bundle's subject")
        elif all(item.kind != kind or item.predicate.get("id") != name for item in statements.values()):
            raise VerificationError(f"the bundle is about {kind} {name}, and no entry in it says so")

    def _check_release(self, release: Mapping[str, Any]) -> bool:
        named = release["decision"]
        why = f"release {release['id']} rests on a decision"
        decision = self._statement(named["index"], "decision", why).predicate
        if decision["id"] != named["id"]:
            raise VerificationError(f"{why}: entry {named['index']} is {decision['id']}, not {named['id']}")
        # The decision's own verdict is that of its strictest class; the others may go out.
        allowed = sum(samples for _, verdict, samples, _ in decision["classes"] if verdict in _RELEASABLE)
        if release["counts"]["released"] > allowed:
            raise VerificationError(
                f"{why} that denies it: {release['counts']['released']} samples are released, "
                f"{decision['id']} allows {allowed}"
            )
        return True


def _files_in(statements: Any) -> Iterator[tuple[str, str]]:
    for statement in statements:
        if statement.kind in ("report", "release"):
            yield from ((item["path"], item["digest"]) for item in statement.predicate["files"])


_TITLES = (
    "Container and digests",
    "Checkpoint signatures",
    "Entries are in the log",
    "Keys and envelopes",
    "Samples stand in their signed batch",
    "Words match their commitments",
    "References hold",
    "Manifest signature",
)
_RELEASABLE = ("allow", "allow-with-conditions")
_ALGORITHMS = {0x01: "Ed25519", 0x04: "Ed25519 cosignature", 0x06: "ML-DSA-44"}


def run(path: Path, policy: Path | None, *, as_json: bool) -> int:
    """Check a file, print the outcome: 0 a bundle that verifies, 6 one that fails or a log that is convicted."""
    outcome = convict(path, policy=policy) or verify(path, policy=policy)
    if as_json:
        sys.stdout.write(json.dumps(outcome.to_json(), indent=1) + "\n")
    elif isinstance(outcome, Conviction):
        sys.stdout.write(format_conviction(outcome))
    else:
        sys.stdout.write(format_verification(outcome, colour=sys.stdout.isatty()))
    return EXIT_DONE if isinstance(outcome, Verification) and outcome.ok else EXIT_FAILED


def main(argv: Sequence[str] | None = None) -> int:
    """The command: as `run`, with 3 for no bundle, a proof that proves nothing or a bad policy, and 4 for no such file."""
    parser = argparse.ArgumentParser(prog="provenance verify", description="Check evidence offline.")
    parser.add_argument("bundle", type=Path, help="an evidence bundle, or a proof of equivocation")
    parser.add_argument("--policy", type=Path, help="tlog-policy file, or verifier keys, one a line")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
    arguments = parser.parse_args(argv)
    try:
        return run(arguments.bundle, arguments.policy, as_json=arguments.json)
    except (NotFoundError, MalformedError) as exc:
        sys.stderr.write(f"{exc.detail}\n")
        return EXIT_NOT_FOUND if isinstance(exc, NotFoundError) else EXIT_BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
