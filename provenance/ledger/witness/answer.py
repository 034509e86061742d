"""How a witness answers a log: verify who asks, compare with what was cosigned, record, sign, answer. In this order.

1. The request is malformed: 400. Its log is unknown: 404. No trusted key signed, or a line by one does not verify: 403.
2. The old size is greater than the checkpoint's: 400. It is not the size on record: 409, with that size.
3. The trees are not consistent: 422. Two signed roots of one size are kept as a proof of equivocation, whatever the answer.
4. Else the new tree is on record, on the disk, before its cosignature leaves. If we stop in between, the log asks again, is
   told the size (409), and gets the cosignature for the same tree.

Source: c2sp.org/tlog-witness.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from provenance.errors import ConsistencyError, MalformedError, ProvenanceError, SignatureError
from provenance.ledger.checkpoint import OpenedCheckpoint, open_signed_checkpoint
from provenance.ledger.durable import replace_file
from provenance.ledger.equivocation import accuse, convict, format_equivocation
from provenance.ledger.merkle import verify_consistency
from provenance.ledger.note import Note, NoteSignature, VerifierKey, format_note, format_signature_lines
from provenance.ledger.witness.keys import WitnessKeys
from provenance.ledger.witness.record import Seen, WitnessRecord
from provenance.ledger.witness.request import SIZE_TYPE, AddCheckpoint, parse_request

PLAIN = "text/plain; charset=utf-8"
MAX_PROOFS = 16  # of one log: one convicts, and a log must not fill our disk


@dataclass(frozen=True)
class Answer:
    """Status, body and type of an HTTP answer."""

    status: int
    body: str
    content_type: str = PLAIN


@dataclass(frozen=True)
class Witness:
    """A witness: its keys, its record, the folder of proofs of equivocation, and a clock of POSIX seconds."""

    keys: WitnessKeys
    record: WitnessRecord
    proofs: Path
    clock: Callable[[], int]


def add_checkpoint(witness: Witness, body: bytes) -> Answer:
    """Answer `POST /add-checkpoint`."""
    try:
        asked = parse_request(body)
    except MalformedError as exc:
        return _say(400, exc)
    vkeys = witness.record.list_vkeys(asked.checkpoint.origin)
    if not vkeys:
        return Answer(404, "this witness does not know this log\n")
    try:
        opened = open_signed_checkpoint(asked.note, vkeys)
    except SignatureError as exc:
        return _say(403, exc)
    if asked.old_size > asked.checkpoint.size:
        return Answer(400, f"old size {asked.old_size} is greater than the checkpoint's, {asked.checkpoint.size}\n")
    return _advance(witness, asked, opened, vkeys)


def _advance(witness: Witness, asked: AddCheckpoint, opened: OpenedCheckpoint, vkeys: Sequence[VerifierKey]) -> Answer:
    new = asked.checkpoint
    with witness.record.turn(new.origin) as turn:
        seen = turn.seen
        if seen.note and new.size == seen.size and new.root != seen.root:
            _keep_proof(witness, seen.note, asked.note, vkeys)
        if asked.old_size != seen.size:
            return Answer(409, f"{seen.size}\n", SIZE_TYPE)
        try:
            verify_consistency(seen.size, new.size, asked.proof, seen.root, new.root)
        except ConsistencyError as exc:
            return _say(422, exc)
        # A clock that went back must not make us say that an older tree was the newest at a later time.
        now = max(witness.clock(), seen.signed_at, 1)
        text = opened.note.text
        signers = witness.keys.signers(now)
        ours = tuple(NoteSignature(item.vkey.name, item.vkey.key_id, item.sign(text)) for item in signers)
        note = format_note(Note(text, (*_lines_of(opened), *ours)))
        turn.advance(Seen(new.size, new.root, note, now))
    return Answer(200, format_signature_lines(ours))


def _lines_of(opened: OpenedCheckpoint) -> list[NoteSignature]:
    """The lines that verified, one of each key: a log may not make us keep what we did not check."""
    known = {(vkey.name, vkey.key_id) for vkey in opened.signed_by}
    return [
        *{
            (line.name, line.key_id): line for line in opened.note.signatures if (line.name, line.key_id) in known
        }.values()
    ]


def show_checkpoint(witness: Witness, origin_hash: str) -> Answer:
    """Answer `GET /<SHA-256 of the origin, hex>/checkpoint`: the newest tree, with the log's lines and ours."""
    for origin in witness.record.list_origins():
        if hashlib.sha256(origin.encode()).hexdigest() == origin_hash:
            return Answer(200, witness.record.read(origin).note)
    return Answer(404, "nothing was cosigned for this log\n")


def _keep_proof(witness: Witness, seen: str, shown: str, vkeys: Sequence[VerifierKey]) -> None:
    try:
        proof = accuse(seen, shown, vkeys)
        conviction = convict(proof)
    except ProvenanceError:
        return  # the log's keys changed in between: suspicious, and for its operator to explain, but no proof
    first, second = sorted((conviction.first.root.hex(), conviction.second.root.hex()))
    log = hashlib.sha256(conviction.first.origin.encode()).hexdigest()[:16]
    path = witness.proofs / f"{log}-{conviction.first.size}-{first[:16]}-{second[:16]}.json"
    witness.proofs.mkdir(mode=0o700, exist_ok=True)
    if not path.exists() and len(list(witness.proofs.glob(f"{log}-*"))) < MAX_PROOFS:
        replace_file(path, format_equivocation(proof))


def _say(status: int, exc: ProvenanceError) -> Answer:
    return Answer(status, f"{exc.detail}\n")
