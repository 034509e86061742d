"""What people change: terms and the policy pack. Each act is checked whole, logged, and only then in force.

- One act at a time (`Runtime.governing`): each is checked against what is in force when it is logged.
- Whatever fails leaves the log and what is in force as they were.
- A pack takes two people: one proposes, another approves what the first one and the replay of past decisions said.
"""

from __future__ import annotations

from typing import Any

from sqlmodel import Session

from provenance.canonical import canonical_bytes, sha256_digest
from provenance.errors import ConflictError, FieldError, ForbiddenError, NotFoundError
from provenance.ledger.append import Receipt, format_time, make_draft
from provenance.policy.past import MAX_SHOWN_FLIPS, Replayed, replay_pack, replay_terms
from provenance.policy.proposal import parse_proposal
from provenance.policy.recorded import PROPOSED, find_pack_statement, policy_predicate
from provenance.policy.replay import count_flips
from provenance.runtime import Runtime
from provenance.store.log import find_content, find_statement, get_head
from provenance.store.people import same_person
from provenance.store.session import read_session
from provenance.terms.catalogue import load_catalogue
from provenance.terms.diff import diff_documents
from provenance.terms.record import TermsPlan, plan_terms, sign_terms
from provenance.terms.recorded import find_change, load_recorded


class ReplayChangedError(ConflictError):
    """The past decisions flip otherwise than the approver has seen."""

    code = "replay-changed"
    title = "The replay gives another result than the one that was seen"


def plan(runtime: Runtime, value: Any, *, accept_unsettled: bool = False) -> tuple[TermsPlan, dict[str, Any]]:
    """What recording a terms document would do, and whom it would hit; nothing is recorded."""
    today = runtime.clock().date()
    planned = plan_terms(runtime.catalogue, value, today=today, accept_unsettled=accept_unsettled)
    with read_session(runtime.engine) as session:
        hit = replay_terms(session, before=planned.before, after=planned.after, pack=runtime.pack)
        return planned, hit.describe(session)


def measure_impact(runtime: Runtime, session: Session, identifier: str) -> dict[str, Any]:
    """Whom the newest change of a recorded document hit; a document's first record has no before.

    Raises:
        NotFoundError: the log knows no such document.
    """
    row, start, end, changed = find_change(session, identifier)
    said = {name: row.predicate.get(name) for name in ("provider", "document_digest", "recorded_at", "recorded_by")}
    answer: dict[str, Any] = {
        "id": identifier,
        "entry": row.index,
        **said,
        "changed": changed,
        "changes": [],
        "impact": None,
    }
    try:
        before = load_recorded(session, start)
    except NotFoundError:
        return answer  # the record of terms began with it
    after = load_recorded(session, end)
    old, new = before.find(identifier), after.find(identifier)
    if old and new:
        answer["changes"] = [vars(change) for change in diff_documents(old, new)]
    hit = replay_terms(session, before=before, after=after, pack=runtime.pack)
    return {**answer, "impact": hit.describe(session)}


def record_terms(
    runtime: Runtime, value: Any, *, by: str, accept_unsettled: bool = False, key: str | None = None
) -> Receipt:
    """Record a terms document, which is in force from here on.

    Raises:
        TermsDocumentError: see `plan_terms`.
        ConflictError: it is in force already, or `key` stands for another request.
    """
    request_digest = sha256_digest(canonical_bytes([value, accept_unsettled]))
    with runtime.governing:
        if key is not None and (before := runtime.sequencer.find_replay(key, request_digest)) is not None:
            return before
        now = runtime.clock()
        planned = plan_terms(runtime.catalogue, value, today=now.date(), accept_unsettled=accept_unsettled)
        entries, contents = sign_terms(
            runtime.ring,
            planned.values,
            shipped=runtime.shipped,
            catalogue=planned.after,
            recorded_at=format_time(now),
            recorded_by=by,
        )
        receipt = runtime.sequencer.append(
            make_draft(entries, contents, idempotency_key=key, request_digest=request_digest)
        )
        runtime.use_terms(planned.after)
    return receipt


def propose_pack(
    runtime: Runtime, sources: Any, *, by: str, author: str | None = None, key: str | None = None
) -> Receipt:
    """Log a pack as proposed, with what it would have changed of the past. The pack in force stays so.

    Raises:
        PolicyDocumentError: see `parse_proposal`.
        ConflictError: it is in force already, or `key` stands for another request.
    """
    asked = [sources, author, by]
    with runtime.governing:
        digest = sha256_digest(canonical_bytes(asked))
        if key is not None and (before := runtime.sequencer.find_replay(key, digest)) is not None:
            return before
        proposal = parse_proposal(sources, load_catalogue())
        if proposal.pack.digest == runtime.pack.digest:
            raise ConflictError(f"{proposal.pack.id} is in force already")
        with read_session(runtime.engine) as session:
            replayed, size = replay_pack(session, proposal.pack), get_head(session).size
            flips = replayed.describe(session)["flips"]
        predicate = policy_predicate(
            proposal.pack,
            state=PROPOSED,
            author=author or by,
            at=format_time(runtime.clock()),
            proposed_by=by,
            replaces=runtime.pack.digest,
            cases={"count": proposal.case_count, "digest": proposal.cases_digest},
            replay=describe_replay(replayed, size),
        )
        return runtime.append(
            "policy",
            predicate,
            subjects=[("policy", proposal.pack.digest)],
            content={**proposal.content(), "flips": flips[:MAX_SHOWN_FLIPS]},
            once=(key, asked) if key else None,
        )


def approve_pack(
    runtime: Runtime, identifier: str, *, digest: str, replay_digest: str, by: str, key: str | None = None
) -> Receipt:
    """Put a proposed pack in force: by somebody who is not its author, for the pack and the replay that they have seen.

    Raises:
        NotFoundError: there is no such proposal.
        ForbiddenError: `by` is its author or proposer.
        ConflictError: it is not open any more, or another pack came into force since.
        ReplayChangedError: the replay as of now is not the one that was seen.
        PolicyDocumentError: its cases fail.
    """
    asked = [identifier, digest, replay_digest, by]
    with runtime.governing, read_session(runtime.engine) as session:
        request_digest = sha256_digest(canonical_bytes(asked))
        if key is not None and (before := runtime.sequencer.find_replay(key, request_digest)) is not None:
            return before
        row = find_statement(session, "policy", identifier)
        if row is None:
            raise NotFoundError(f"there is no policy {identifier!r} in the log")
        said = row.predicate
        _check_open(session, runtime, said)
        _check_person(said, by)
        if said["digest"] != digest:
            raise ConflictError("digest: not that of the proposal", FieldError("digest", digest, said["digest"]))
        content = find_content(session, row.index)
        if content is None:
            raise NotFoundError(f"the sources of policy {identifier}, entry {row.index}, are not there any more")
        proposal = parse_proposal({name: content[name] for name in ("rules", "schema", "cases")}, load_catalogue())
        if proposal.pack.digest != digest:
            raise ConflictError(f"the sources of policy {identifier} are not what entry {row.index} says")
        replayed, size = replay_pack(session, proposal.pack), get_head(session).size
        if replayed.digest != replay_digest:
            raise ReplayChangedError(
                f"decisions were made since: the replay now has the digest {replayed.digest}; look at it, then approve that",
                FieldError("replay_digest", replay_digest, replayed.digest),
            )
        predicate = policy_predicate(
            proposal.pack,
            state="approved",
            author=said["author"],
            approver=by,
            at=format_time(runtime.clock()),
            proposed_by=said["proposed_by"],
            replaces=said["replaces"],
            proposal=row.index,
            cases=said["cases"],
            replay=describe_replay(replayed, size),
        )
        receipt = runtime.append(
            "policy",
            predicate,
            subjects=[("policy", digest)],
            content=content,
            once=(key, asked) if key else None,
        )
        runtime.pack = proposal.pack
    return receipt


def describe_replay(replayed: Replayed, log_size: int) -> dict[str, Any]:
    """The replay as a `policy` statement carries it: counts and a digest, the flips are in the content."""
    return {
        "log_size": log_size,
        "decisions": replayed.decisions,
        "not_replayed": len(replayed.not_replayed),
        "totals": count_flips(replayed.flips),
        "digest": replayed.digest,
    }


def _check_open(session: Session, runtime: Runtime, said: dict[str, Any]) -> None:
    if said.get("state") != PROPOSED:
        raise ConflictError(f"policy {said['id']} is not an open proposal: it is {said.get('state')}")
    in_force = find_pack_statement(session)
    if said["replaces"] != runtime.pack.digest or (in_force and in_force.predicate["digest"] != runtime.pack.digest):
        raise ConflictError(
            f"another pack came into force since {said['id']} was proposed; propose it again",
            FieldError("replaces", said["replaces"], runtime.pack.digest),
        )


def _check_person(said: dict[str, Any], by: str) -> None:
    if any(same_person(by, other) for other in (said["author"], said["proposed_by"])):
        raise ForbiddenError(
            f"{by} may not approve {said['id']}: its author is {said['author']}, its proposer {said['proposed_by']}, "
            "and approval is another person's act",
            FieldError("approver", by, "a token of somebody else"),
        )
