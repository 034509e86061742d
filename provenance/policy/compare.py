"""Two answers to one question side by side: what is gone, what is new, and the difference in words. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import date
from typing import Any

from provenance.lineage.inherited import NOTHING, Inheritance
from provenance.policy.decide import decide
from provenance.policy.known import Known

Answer = Mapping[str, Any]
STANDPOINTS = ("as_known_then", "as_known_today", "by_todays_terms")


def compare_what_if(
    sample: Mapping[str, Any],
    student: Mapping[str, Any],
    *,
    action: str,
    at: str | None,
    agreements: Sequence[Mapping[str, Any]],
    then: Known,
    now: Known,
    today: date,
    inherit: Callable[[Known, date | None], Inheritance] = lambda _, __: NOTHING,
) -> dict[str, Any]:
    """One what-if from three standpoints: with what was known then, with what is known now, and by the terms of today.

    `inherit` says what the sample's teacher carries, by what is known and the terms of a day (None: of theirs).
    """
    chosen = ((then, None), (now, None), (now, today))
    answers = {
        name: decide(
            sample,
            student,
            action=action,
            at=at or today,
            terms_of=terms_of,
            today=today,
            agreements=[*agreements, *known.lifts.agreements],
            exceptions=known.lifts.exceptions,
            inheritance=inherit(known, terms_of),
            catalogue=known.catalogue,
            pack=known.pack,
            log_size=known.log_size,
        )
        for name, (known, terms_of) in zip(STANDPOINTS, chosen, strict=True)
    }
    return {"today": today.isoformat(), **compare_standpoints(answers)}


def compare_standpoints(answers: Mapping[str, Answer]) -> dict[str, Any]:
    """The answers by standpoint, and the difference of each to the one before it."""
    steps = itertools.pairwise(STANDPOINTS)
    differences = [{"from": a, "to": b, **compare_answers(answers[a], answers[b])} for a, b in steps]
    return {**answers, "differences": differences, "not_legal_advice": True}


def compare_answers(before: Answer, after: Answer) -> dict[str, Any]:
    """The differences from one answer to another; `text` says them in sentences, none when nothing differs."""
    reasons = _split(
        before["reasons"], after["reasons"], lambda r: (r["rule"], r["effect"], r["document"], r["clause"])
    )
    documents = _split(before["documents"], after["documents"], lambda d: d["id"])
    conditions = _split(before["conditions"], after["conditions"], _condition)
    documents["changed"] = _changed(before["documents"], after["documents"], lambda d: d["id"], "digest")
    conditions["changed"] = _changed(before["conditions"], after["conditions"], _condition, "status")
    unknown = _split(before["unknown"], after["unknown"], str)
    found = {
        "verdict": {"before": before["verdict"], "after": after["verdict"]},
        "reasons": reasons,
        "documents": documents,
        "conditions": conditions,
        "unknown": unknown,
    }
    text = _say(found)
    return {"same": not text, **found, "text": text}


def _condition(item: Mapping[str, Any]) -> Hashable:
    return item["type"], item["document"], item["clause"]


def _split(before: Sequence[Any], after: Sequence[Any], key: Callable[[Any], Hashable]) -> dict[str, list[Any]]:
    old, new = {key(item) for item in before}, {key(item) for item in after}
    return {
        "gone": [item for item in before if key(item) not in new],
        "new": [item for item in after if key(item) not in old],
    }


def _changed(
    before: Sequence[Any], after: Sequence[Any], key: Callable[[Any], Hashable], field: str
) -> list[dict[str, Any]]:
    held = {key(item): item for item in before}
    return [
        {**item, "before": held[key(item)][field], "after": item[field]}
        for item in after
        if key(item) in held and held[key(item)][field] != item[field]
    ]


def _say(found: Mapping[str, Any]) -> list[str]:
    verdict, documents, conditions = found["verdict"], found["documents"], found["conditions"]
    said = []
    if verdict["before"] != verdict["after"]:
        said.append(f"The verdict is {verdict['after']} and was {verdict['before']}.")
    said += [f"{item['id']} does not bind any more." for item in documents["gone"]]
    said += [f"{item['id']} binds now." for item in documents["new"]]
    said += [f"{item['id']} is another version of the record." for item in documents["changed"]]
    said += [f"No longer said ({_where(item)}): {item['text']}" for item in found["reasons"]["gone"]]
    said += [f"Said now ({_where(item)}): {item['text']}" for item in found["reasons"]["new"]]
    said += [f"Condition {item['type']} ({_where(item)}) is gone." for item in conditions["gone"]]
    said += [f"Condition {item['type']} ({_where(item)}) is new: {item['status']}." for item in conditions["new"]]
    said += [
        f"Condition {item['type']} ({_where(item)}) is {item['after']} and was {item['before']}."
        for item in conditions["changed"]
    ]
    said += [f"{name} is not unknown and material any more." for name in found["unknown"]["gone"]]
    said += [f"{name} is unknown and material now." for name in found["unknown"]["new"]]
    return said


def _where(item: Mapping[str, Any]) -> str:
    return " ".join(str(part) for part in (item["document"], item["clause"]) if part) or "our policy"
