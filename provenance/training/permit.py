"""Ask the policies for a student that is trained already: may it be published, or served, for the samples that it learnt from?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlmodel import Session

from provenance.policy.decide import ReleaseDecision, decide_classes
from provenance.policy.lifts import load_lifts
from provenance.policy.verdict import PERMITTING
from provenance.runtime import Runtime
from provenance.store.log import find_content
from provenance.store.recalls import load_held

BLOCKING = frozenset({"unmet", "unknown"})


def ask_for_model(
    runtime: Runtime,
    session: Session,
    release: Mapping[str, Any],
    facts: Mapping[str, Any],
    action: str,
    *,
    remedies: bool = True,
) -> ReleaseDecision:
    """What today's policies, agreements and exceptions answer for a student with these facts; nothing is stored.

    Where the release's own answer is no longer kept, no class is known, and that is `review`.
    """
    trained_on = list_trained(session, release)
    today = runtime.clock().date()
    held = load_lifts(session, today)
    return decide_classes(
        trained_on,
        facts,
        action,
        at=today,
        agreements=held.agreements,
        exceptions=held.exceptions,
        dataset=release["dataset"],
        catalogue=runtime.catalogue,
        pack=runtime.pack,
        log_size=release["log_size"],
        recalls=load_held(session).classes_of(release["dataset"], [item[0] for item in trained_on]),
        remedies=remedies,
    )


def check_conditions(
    runtime: Runtime, session: Session, release: Mapping[str, Any], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Whether a model could be published on the day of its registration, as that says it: verdict, and conditions that block.

    It is what the samples bring. What base and earlier generations bring is asked with it when it is published.
    """
    answer = ask_for_model(runtime, session, release, facts, "publish", remedies=False).answer
    names = ("type", "status", "document", "clause")
    blocking = [{name: item[name] for name in names} for item in answer["conditions"] if item["status"] in BLOCKING]
    return {"verdict": answer["verdict"], "blocking": blocking, "policy": answer["policy"]["digest"]}


def list_trained(session: Session, release: Mapping[str, Any]) -> Sequence[tuple[str, Mapping[str, Any], int, int]]:
    """The fact classes that a release let through: digest, facts, samples, tokens."""
    content = find_content(session, release["decision"]["entry"]) if release["decision"] else None
    return [
        (item["fact_class"], item["facts"], item["samples"], item["tokens"])
        for item in (content["classes"] if content else ())
        if item["answer"]["verdict"] in PERMITTING
    ]
