"""Recall: freeze what a source reached, hold it back at once, follow the acts to the end.

Order: `plan_recall` (changes nothing) -> `open_recall` -> `settle_act`, act by act -> `close_recall`. What is held back
follows from the log's statements alone (`store.recalls.load_held`), so it holds from the entry on, on every process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlmodel import Session

from provenance.canonical import canonical_bytes, sha256_digest
from provenance.errors import AlreadyRecalledError, FieldError, MalformedError
from provenance.ledger.append import Receipt, format_time
from provenance.recall.acts import list_acts
from provenance.recall.addresses import check_addresses
from provenance.recall.reached import find_reach
from provenance.recall.source import check_source, describe_later, describe_source, find_start
from provenance.runtime import Runtime
from provenance.store.log import get_head
from provenance.store.notices import add_notices
from provenance.store.recall_steps import OUTCOMES, RESULTS, Recall, check_reason, find_objection
from provenance.store.recalls import get_recall, list_recalls
from provenance.store.session import read_session, write_session

RUNNING = ("stop", "flag")
COUNTED = ("samples", "tokens", "releases", "runs", "models", "reports")


def plan_recall(session: Session, source: Any) -> dict[str, Any]:
    """What a recall of `source` would reach now; nothing is changed and nothing logged.

    Raises:
        MalformedError: the source has another form.
        NotFoundError: nothing in the record comes from it.
    """
    checked = check_source(source)
    head = get_head(session)
    start = find_start(session, checked, session, head.size)
    reach = find_reach(session, start, head.size)
    return {
        "source": checked,
        "source_text": describe_source(checked),
        "later": describe_later(checked),
        "log_size": head.size,
        "root": f"sha256:{head.root.hex()}",
        "reach_digest": sha256_digest(canonical_bytes(reach)),
        "reach": reach,
    }


def open_recall(
    runtime: Runtime,
    identifier: str,
    source: Any,
    *,
    reason: str,
    actor: str,
    running: str = "stop",
    notify: Sequence[str] = (),
) -> dict[str, Any]:
    """Freeze the reach and hold it back.

    Raises:
        MalformedError: source, reason, `running` or an address has another form.
        NotFoundError: nothing in the record comes from the source.
        AlreadyRecalledError: a recall of the same source is open.
        ConflictError: the Idempotency-Key stands for another request.
    """
    check_reason(reason)
    _one_of("running", running, RUNNING)
    addresses = check_addresses(notify)
    asked: dict[str, Any] = {
        "source": check_source(source),
        "reason": reason,
        "actor": actor,
        "running": running,
        "notify": addresses,
    }
    with read_session(runtime.engine) as session:
        _refuse_twice(session, identifier, asked["source"])
        planned = plan_recall(session, source)
    acts = list_acts(planned["reach"], running=running, notify=addresses)
    content = {
        **planned["reach"],
        "acts": [{"id": a.id, "kind": a.kind, "target": a.target, "text": a.text} for a in acts],
    }
    predicate = {
        "id": identifier, "step": "open", "actor": actor, "at": format_time(runtime.clock()), "reason": reason,
        "running": running, "notify": addresses, "acts": len(acts),
        **{name: planned[name] for name in ("source", "log_size", "root", "reach_digest")},
        "counts": planned["reach"]["counts"],
    }  # fmt: skip
    receipt = runtime.append("recall", predicate, content=content, once=(identifier, asked))
    send_notices(runtime, identifier)
    return {**predicate, "entry": receipt.first_index}


def _refuse_twice(session: Session, identifier: str, source: Mapping[str, Any]) -> None:
    for logged in list_recalls(session):
        recall = logged.recall
        if recall.id != identifier and recall.state == "open" and dict(recall.source) == dict(source):
            expected = "a source that no open recall names"
            raise AlreadyRecalledError(
                f"recall {recall.id} of {describe_source(source)} is open since {recall.opened_at}; nothing was changed",
                FieldError("source", source.get("id"), expected),
            )


def send_notices(runtime: Runtime, identifier: str) -> None:
    """Put what the recall has to tell into the outbox; safe to repeat."""
    with read_session(runtime.engine) as session:
        said = get_recall(session, identifier).entries[0].predicate
    body = {
        "type": "recall.opened",
        "id": identifier,
        "title": f"Recall {identifier}: {describe_source(said['source'])}",
        "source": said["source"],
        "source_text": describe_source(said["source"]),
        **{name: said[name] for name in ("reason", "log_size", "root", "reach_digest", "counts")},
        "opened_by": said["actor"],
        "opened_at": said["at"],
        "url": f"/recalls/{identifier}",
    }
    with write_session(runtime.engine) as session:
        add_notices(session, identifier, said["notify"], body, now=format_time(runtime.clock()))


def settle_act(
    runtime: Runtime,
    identifier: str,
    act: str,
    *,
    result: str,
    actor: str,
    note: str,
    once: tuple[str, Any] | None = None,
) -> Receipt:
    """Say what came of an act: `done`, `waived` (by another person than who opened the recall) or `failed`.

    Raises:
        MalformedError: the result or the note has another form.
        NotFoundError: there is no such recall or act.
        ConflictError: the act is settled, or the recall closed.
        ForbiddenError: who opened a recall cannot waive.
    """
    _one_of("result", result, RESULTS)
    step = {"step": "act", "act": act, "result": result, "actor": actor, "note": check_reason(note, "note")}
    return _take(runtime, identifier, step, once)


def close_recall(
    runtime: Runtime, identifier: str, *, outcome: str, actor: str, reason: str, once: tuple[str, Any] | None = None
) -> Receipt:
    """Close a recall, as another person than who opened it: `upheld` (all acts settled) or `lifted` (a false alarm).

    Raises:
        MalformedError: the outcome or the reason has another form.
        NotFoundError: there is no such recall.
        ConflictError: it is closed, or has acts that nobody settled.
        ForbiddenError: who opened it cannot close it.
    """
    _one_of("outcome", outcome, OUTCOMES)
    step = {"step": "close", "outcome": outcome, "actor": actor, "reason": check_reason(reason)}
    return _take(runtime, identifier, step, once)


def _take(runtime: Runtime, identifier: str, step: Mapping[str, Any], once: tuple[str, Any] | None) -> Receipt:
    with read_session(runtime.engine) as session:
        recall: Recall = get_recall(session, identifier).recall
    objection = find_objection(recall, step)
    if objection is not None:
        raise objection
    said = {"id": identifier, **step, "at": format_time(runtime.clock())}
    return runtime.append("recall", said, once=once)


def _one_of(name: str, value: Any, known: Sequence[str]) -> None:
    if value not in known:
        expected = f"one of {', '.join(known)}"
        raise MalformedError(f"{name}: expected {expected}", FieldError(name, value, expected))
