"""May a model be published? Two questions, and the stricter answer holds.

 1. The gate: the action `publish`, for the samples that the model was trained on, by today's policies, for the student as
    declared and as it is to be published (name and notices).
 2. The lineage: what reached the model by its base or by earlier generations, which no question about samples sees. A
    document that the gate has judged is not judged twice: agreements and exceptions are the gate's.

An unmet condition is `deny`, an unknown one `review`; nothing here turns a no into a yes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session

from provenance.errors import DeniedError, FieldError, MalformedError
from provenance.policy.taint import TAINTED, find_taint
from provenance.policy.verdict import PERMITTING, Verdict, strictest
from provenance.runtime import Runtime
from provenance.store.log import get_statement
from provenance.store.releases import TAKEN, get_release
from provenance.store.runs import get_run
from provenance.training.permit import ask_for_model

BLOCKED = "publication-not-allowed"
VERDICTS: Mapping[str, Verdict] = {"unmet": "deny", "unknown": "review"}


@dataclass(frozen=True)
class Judged:
    """The answer to both questions; `facts` are the student's, with the name and the notices that were asked about."""

    answer: Mapping[str, Any]
    facts: Mapping[str, Any]
    taint: Mapping[str, Any]

    @property
    def permits(self) -> bool:
        """Whether the model may go out."""
        return self.answer["verdict"] in PERMITTING


def judge_publication(
    runtime: Runtime,
    session: Session,
    model: Mapping[str, Any],
    *,
    name: str | None = None,
    notices: Sequence[str] = (),
) -> Judged:
    """What policies and lineage answer today; nothing is stored.

    Args:
        model: as `get_model` shows it; one that was trained here.
        name: under which it is to be published; as declared where none is given.
        notices: that are shown with it, beside those that were declared.
    Raises:
        MalformedError: it was not trained here.
    """
    if not model.get("run") or not model.get("release"):
        expected = "a model that a run of this record made"
        raise MalformedError(f"model {model['id']}: expected {expected}", FieldError("model", model["kind"], expected))
    release, run = get_release(session, model["release"]), get_run(session, model["run"])
    declared = get_statement(session, "student", run["student"]).predicate["facts"]
    facts = _as_published(declared, name, notices)
    gate = ask_for_model(runtime, session, release, facts, "publish").answer
    taint = find_taint(session, f"model:{model['id']}", runtime.catalogue, today=runtime.clock().date(), facts=facts)
    judged = {item["id"] for item in gate["documents"]}
    return Judged(_join(gate, [item for item in taint["items"] if _is_news(item, judged)]), facts, taint)


def refuse_taken(session: Session, model: Mapping[str, Any]) -> None:
    """A model that a recall reached, or whose release was taken back, is not given out, whatever policies say.

    Raises:
        DeniedError: with the reason.
    """
    if model["recall"]:
        raise DeniedError(f"model {model['id']} is held back by recall {model['recall']}", code=BLOCKED)
    release = get_release(session, model["release"])
    if release["state"] in TAKEN:
        why = f"recall {release['recall']}" if release["recall"] else "its withdrawal, or an erasure of its samples"
        raise DeniedError(
            f"release {release['name']}@{release['version']}, which model {model['id']} was trained on, is "
            f"{release['state']}: {why}",
            code=BLOCKED,
        )


def refuse_blocked(judged: Judged, model: Mapping[str, Any]) -> None:
    """Stop where the answer is no.

    Raises:
        DeniedError: with the answer, and what would change it first.
    """
    if judged.permits:
        return
    verdict = judged.answer["verdict"]
    blocking = list_blocking(judged.answer)
    first = next(iter(judged.answer["remedies"]), None)
    detail = f"model {model['id']} may not be published as {judged.facts['name']}: {verdict}"
    detail += "".join(f"; {text}" for text in blocking[:3])
    detail += f"; what would help: {first['text']} (then {first['verdict_after']})" if first else ""
    raise DeniedError(detail, judged.answer, code=BLOCKED)


def list_blocking(answer: Mapping[str, Any]) -> list[str]:
    """What stands against publishing, in words: unmet and unknown conditions, and the reasons beside them."""
    said = [
        f"{item['status']}: {item['requirement']} ({item['document']} {item['clause']})"
        for item in answer["conditions"]
        if item["status"] in VERDICTS
    ]
    asked = [item["requirement"].lower() for item in answer["conditions"]]
    held = [
        f"{item['text']} ({item['document']})" if item["document"] else item["text"]
        for item in answer["reasons"]
        if item["effect"] in VERDICTS.values() and not any(text in item["text"].lower() for text in asked)
    ]
    unknown = [f"not known: {', '.join(answer['unknown'])}"] if answer["unknown"] else []
    return list(dict.fromkeys([*said, *held, *unknown]))


def _as_published(facts: Mapping[str, Any], name: str | None, notices: Sequence[str]) -> dict[str, Any]:
    """The student's facts as they will be: what goes into the folder is a fact, also where none was declared."""
    held = facts.get("notices")
    shown = [*(held if isinstance(held, list) else ()), *notices]
    told = {"notices": shown} if notices or isinstance(held, list) else {}
    return {**facts, **({"name": name} if name is not None else {}), **told}


def _is_news(item: Mapping[str, Any], judged: set[str]) -> bool:
    """Whether the gate, which sees the samples of this release and no more, has not judged this."""
    of_samples = item["direct"] and any(step.startswith("fact-class:") for step in item["path"])
    return not of_samples and (item["document"] is None or item["document"] not in judged)


def _join(gate: Mapping[str, Any], carried: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    blocking = [VERDICTS[item["status"]] for item in carried if item["status"] in VERDICTS]
    reasons = [
        {
            "rule": "lineage", "effect": VERDICTS[item["status"]], "document": item["document"], "clause": item["clause"],
            "route": item["route"], "text": item["text"], "facts": {"way": " → ".join(item["path_text"])},
        }
        for item in carried
        if item["kind"] in TAINTED and item["status"] in VERDICTS
    ]  # fmt: skip
    asked = [item for item in carried if item["kind"] not in (*TAINTED, "licence")]
    conditions = [
        {"type": item["type"], "requirement": item["text"], **{n: item[n] for n in ("status", "document", "clause")}}
        for item in asked
    ]
    verdict = strictest([gate["verdict"], *blocking])
    if conditions and verdict == "allow":
        verdict = "allow-with-conditions"
    remedies = [
        item | {"verdict_after": strictest([item["verdict_after"], *blocking])}
        for item in gate["remedies"]
        if not item["change"].startswith("drop ")  # it has learnt from them: leaving samples out comes too late
    ]
    remedies += [_remedy(item, gate, carried) for item in asked if item["status"] in VERDICTS and item["fix"]]
    return {
        **gate,
        "verdict": verdict,
        "conditions": [*gate["conditions"], *(item for item in conditions if item not in gate["conditions"])],
        "reasons": [*gate["reasons"], *reasons],
        "remedies": remedies,
    }


def _remedy(item: Mapping[str, Any], gate: Mapping[str, Any], carried: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What would meet one condition that the lineage brings; all others stay as they are."""
    (name, value), *_ = item["fix"].items()
    words = {"prefix": "Begin its name with", "notice": "Show the notice", "licence": "Release it under"}
    others = [VERDICTS[each["status"]] for each in carried if each is not item and each["status"] in VERDICTS]
    after = strictest([gate["verdict"], "allow-with-conditions", *others])
    text = f'{words.get(name, name)} "{value}", as {item["document"]} asks.'
    return {"change": f"{name} = {value}", "text": text, "verdict_after": after}
