"""One governance statement of each kind that has rows of its own, for tests of the index."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session, select

from provenance.attestation.predicates import FORMS
from provenance.ledger.append import format_time, make_draft
from provenance.ledger.sign import sign_entry
from provenance.store.session import read_session
from provenance.store.tables import FactClass
from provenance.terms.catalogue import Catalogue
from tests.store.logs import NOW, Log, digest_of, make_samples, raw_sample

AT = format_time(NOW)


def say(log: Log, kind: str, /, **predicate: Any) -> int:
    """Append one statement; its index."""
    return log.sequencer.append(make_draft([sign_entry(log.ring, kind, predicate)])).first_index


def class_digests(session: Session) -> list[str]:
    """The digests of all fact classes, oldest first."""
    return list(session.exec(select(FactClass.digest).order_by(FactClass.id)))  # type: ignore[arg-type]  # a column at run time


def decision(identifier: str, digests: list[str]) -> dict[str, Any]:
    """A stored decision that denies each of these classes."""
    return {
        "id": identifier,
        "action": "train",
        "student": {"id": "stu_1", "digest": digest_of("student")},
        "selection": {"dataset": "math", "filter": {}},
        "log_size": 5,
        "policy": {"digest": digest_of("policy"), "packs": {}},
        "terms_digest": digest_of("terms"),
        "verdict": "deny",
        "counts": {"samples": 3, "tokens": 9},
        "classes": [[digest, "deny", 1, 3] for digest in digests],
        "answer_digest": digest_of("answer"),
    }


def release(identifier: str, version: int) -> dict[str, Any]:
    """A release of decision `dec_1`."""
    return {
        "id": identifier,
        "name": "math",
        "version": version,
        "dataset": "math",
        "student": "stu_1",
        "decision": {"id": "dec_1", "index": 9},
        "log_size": 5,
        "state": "allowed",
        "counts": {"selected": 6, "released": 0, "quarantined": 6},
        "files": [],
        "manifest_digest": digest_of("manifest"),
        "conditions": [],
    }


def run(phase: str, **more: Any) -> dict[str, Any]:
    """One phase of run `run_1`."""
    return {"id": "run_1", "phase": phase, "release": "rel_1", "student": "stu_1", "recipe": "sft", "at": AT} | more


def model(name: str) -> dict[str, Any]:
    """What is said of model `mod_1`."""
    return {
        "id": "mod_1", "provider": "acme", "name": name, "revision": None, "weights_digest": digest_of(name),
        "kind": "trained", "license": None, "parents": [], "run": "run_1", "conditions": [],
    }  # fmt: skip


def report(identifier: str) -> dict[str, Any]:
    """A report about the run."""
    subject = {"kind": "run", "id": "run_1"}
    return {"id": identifier, "kind": "recall", "subject": subject, "log_size": 5, "files": [], "previous": None}


EXAMPLES: dict[str, Any] = {
    "str": "x", "int": 1, "bool": True, "list": [], "map": {}, "any": None, "digest": digest_of("any"),
    "day": "2026-11-24", "time": AT, "files": [], "verdict": "deny", "grade": "claimed", "state": "active",
    "purpose": "log", "agreement-step": "made", "exception-step": "request", "recall-step": "open",
}  # fmt: skip
KINDS_WITHOUT_ROWS = sorted(
    FORMS.keys() - {"sample", "batch", "student", "decision", "release", "run", "model", "report"}
)


def example(kind: str, **changes: Any) -> dict[str, Any]:
    """A predicate of a kind by its form alone: every field there, null where it may be."""
    fields = [item.partition(":") for item in FORMS[kind].split()]
    return {name: None if form.endswith("?") else EXAMPLES[form] for name, _, form in fields} | changes


def fill(log: Log, catalogue: Catalogue) -> None:
    """Something of everything: samples of several classes in two datasets, and all that follows them."""
    recorder = log.recorder(catalogue)
    samples = [
        raw_sample(),
        raw_sample(teacher__model="gpt-4o-mini", usage=None),
        raw_sample(
            dataset="code", external_id="x-1", generated_at="2026-11-20T10:00:00.250+02:00", parameters={"t": 1.0}
        ),
        raw_sample(teacher={"provider": "nobody", "model": "unheard-of", "route": "weights"}, account=None),
    ]
    recorder.record(make_samples(*samples), source="api", idempotency_key="k1")
    recorder.record(make_samples(raw_sample(), raw_sample(generated_in="DE")), source="import")
    log.append("x", "y")
    say(log, "student", id="stu_1", facts={"name": "acme-1b"}, digest=digest_of("student"))
    say(log, "student", id="stu_1", facts={"name": "acme-1b-v2"}, digest=digest_of("student 2"))
    with read_session(log.engine) as session:
        digests = [digest[: len("sha256:") + 16] for digest in class_digests(session)]
    say(log, "decision", **decision("dec_1", digests))
    for version in (1, 2):
        say(log, "release", **release(f"rel_{version}", version))
    for phase in ("plan", "start"):
        say(log, "run", **run(phase))
    say(log, "run", **run("end", model="mod_1"))
    for name in ("acme-1b", "acme-1b-renamed"):
        say(log, "model", **model(name))
    say(log, "report", **report("rep_1"))
    recorder.record(make_samples(raw_sample(external_id="x-2")), source="gateway")
    for kind in KINDS_WITHOUT_ROWS:
        for name in ("one", "two", "one"):  # said twice of the same
            say(log, kind, **example(kind, **({"id": name} if "id:str" in FORMS[kind] else {})))
