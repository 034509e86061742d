"""Ask the policies for a student that is trained already: may it be published, or served, for the samples that it learnt from?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlmodel import Session

from provenance.policy.decide import ReleaseDecision
from provenance.policy.gate import decide_recorded
from provenance.policy.lifts import load_lifts
from provenance.policy.verdict import PERMITTING
from provenance.runtime import Runtime
from provenance.store.log import find_content

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
    today = runtime.clock().date()
    return decide_recorded(
        session,
        list_trained(session, release),
        facts,
        action,
        dataset=release["dataset"],
        log_size=release["log_size"],
        held=load_lifts(session, today),
        at=today,
        catalogue=runtime.catalogue,
        pack=runtime.pack,
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
