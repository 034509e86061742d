"""What would unblock: changes of the student's own facts, statements, agreements, each judged again before it is offered.

- Smallest first: a name, a notice, a statement, a narrower offer, another version of the terms, an agreement.
- `verdict_after` is what a re-run gave. A change that helps nothing is not offered.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from provenance.policy.judge import Outcome
from provenance.policy.verdict import PERMITTING, VERDICTS, Verdict, strictest
from provenance.terms.places import EU

EXAMPLE_DIGEST = "sha256:" + "0" * 64
_ORDINARY_PLACES = ("US", "GB", "CH", "JP", "KR", "CA", "AU", "IN", "BR", "SG")


@dataclass(frozen=True)
class Judge:
    """What a re-run gave: the verdict, and how many conditions are left unmet or unknown."""

    verdict: Verdict
    left: int


@dataclass(frozen=True)
class Change:
    """A change to the question: new student facts, or an agreement that would have to be made."""

    change: str
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    agreements: tuple[Mapping[str, Any], ...] = ()


Again = Callable[[Mapping[str, Any], Sequence[Mapping[str, Any]]], Judge]


def find_remedies(
    sample: Mapping[str, Any],
    student: Mapping[str, Any],
    action: str,
    outcome: Outcome,
    again: Again,
    *,
    at: dt.date | None = None,
    versions: Iterable[tuple[Change, Judge]] = (),
) -> list[dict[str, Any]]:
    """Changes that improve the outcome, each with the verdict that it really leads to.

    `versions` are other versions of the terms with what each led to, asked for only where the use is blocked.
    """
    now = Judge(outcome.verdict, outcome.left)
    if now.verdict in PERMITTING and now.left == 0:
        return []
    papers = list(_paper_changes(student, outcome))
    everything = list(_narrower_uses(student, action, outcome))
    own = [*papers, *([_together(papers)] if len(papers) > 1 else []), *everything]
    own += [_together([*papers, narrower]) for narrower in everything if papers and action in ("publish", "serve")]
    offered = [found for change in own if (found := _try(change, student, now, again)) is not None]
    if now.verdict in PERMITTING:
        return offered
    for change, after in versions:
        if after.verdict in PERMITTING:
            offered.append({"change": change.change, "text": change.text, "verdict_after": after.verdict})
            break
    if any(remedy["verdict_after"] in PERMITTING for remedy in offered):
        return offered
    agreement = _agreement(sample, student, action, outcome, at)
    for change in [] if agreement is None else [agreement, *([_together([*papers, agreement])] if papers else [])]:
        found = _try(change, student, now, again)
        if found is not None:
            offered.append(found)
            if found["verdict_after"] in PERMITTING:
                break
    return offered


def _try(change: Change, student: Mapping[str, Any], now: Judge, again: Again) -> dict[str, Any] | None:
    after = again({**student, **change.facts}, change.agreements)
    better = VERDICTS.index(after.verdict) < VERDICTS.index(now.verdict)
    same_but_fewer_left = after.verdict == now.verdict and after.verdict in PERMITTING and after.left < now.left
    if not better and not same_but_fewer_left:
        return None
    return {"change": change.change, "text": change.text, "verdict_after": after.verdict}


def _paper_changes(student: Mapping[str, Any], outcome: Outcome) -> Iterable[Change]:
    """Changes that leave the student what it is: name, notices, licence, places, a statement."""
    fixes = [condition.fix for condition in outcome.conditions if condition.status in ("unmet", "unknown")]
    yield from _rename(student, [fix["prefix"] for fix in fixes if "prefix" in fix])
    yield from _add_notices(student, [fix["notice"] for fix in fixes if "notice" in fix])
    yield from _release_under(student, [fix["licence"] for fix in fixes if "licence" in fix])
    if "competes_with" in outcome.unknown:
        text = "State with whom the student competes; if with nobody, the bars on competing models do not reach it."
        yield Change("competes_with = []", text, {"competes_with": []})
    yield from _leave_places(student, [fix["territories-without"] for fix in fixes if "territories-without" in fix])


def _narrower_uses(student: Mapping[str, Any], action: str, outcome: Outcome) -> Iterable[Change]:
    """Changes of what the student is for."""
    limits = {"non-commercial", "non-production", "commercial-permission"}
    limited = any(c.type in limits and c.status in ("unmet", "unknown") for c in outcome.conditions)
    if limited and _is_not(student, "use", "research"):
        yield Change("use = research", "Use the student for research only.", {"use": "research"})
    if action != "publish" and _is_not(student, "distribution", "none"):
        text = "Keep the student in the house: neither distribute nor offer it."
        yield Change("distribution = none", text, {"distribution": "none"})


def _is_not(student: Mapping[str, Any], fact: str, value: str) -> bool:
    return bool(student.get(fact) != value)


def _rename(student: Mapping[str, Any], prefixes: Sequence[str]) -> Iterable[Change]:
    longest = max(dict.fromkeys(prefixes), key=len, default=None)
    if longest is None:
        return
    name = student.get("name")
    own = name.rsplit("/", 1)[-1] if isinstance(name, str) and name != "unknown" else "student"
    renamed = f"{longest.replace(' ', '-')}-{own}"
    yield Change(
        f"name = {renamed}",
        f'Rename the student to "{renamed}", so that its name begins as the terms ask.',
        {"name": renamed},
    )


def _add_notices(student: Mapping[str, Any], notices: Sequence[str]) -> Iterable[Change]:
    wanted = list(dict.fromkeys(notices))
    if wanted:
        held = student.get("notices")
        kept = held if isinstance(held, list) else []
        shown = "; ".join(f'"{text}"' for text in wanted)
        yield Change("notices + " + "; ".join(wanted), f"Show with the model: {shown}.", {"notices": [*kept, *wanted]})


def _release_under(student: Mapping[str, Any], licences: Sequence[str]) -> Iterable[Change]:
    wanted = list(dict.fromkeys(licences))
    if len(wanted) == 1 and student.get("release_license") != wanted[0]:
        text = f"Release the student under {wanted[0]}, so that its use restrictions bind later users."
        yield Change(f"release_license = {wanted[0]}", text, {"release_license": wanted[0]})


def _leave_places(student: Mapping[str, Any], barred: Sequence[str]) -> Iterable[Change]:
    out = {place for item in barred for place in item.split(",")}
    territories = student.get("territories")
    if not out or not isinstance(territories, list):
        return
    groups = {"EU": EU}
    kept = [place for place in territories if place not in out and not groups.get(place, frozenset()) & out]
    kept = [place for place in kept if place not in ("WORLD", "EEA")] or [p for p in _ORDINARY_PLACES if p not in out]
    text = f"Offer the student in {', '.join(kept)} only, outside the places for which the terms give no rights."
    yield Change("territories = " + ", ".join(kept), text, {"territories": kept})


def _together(changes: Sequence[Change]) -> Change:
    facts = {name: value for change in changes for name, value in change.facts.items()}
    return Change(
        change=" and ".join(change.change for change in changes),
        text="All of these: " + " ".join(change.text for change in changes),
        facts=facts,
        agreements=tuple(agreement for change in changes for agreement in change.agreements),
    )


def _agreement(
    sample: Mapping[str, Any], student: Mapping[str, Any], action: str, outcome: Outcome, at: dt.date | None
) -> Change | None:
    """An agreement with every provider whose text stands in the way, written as narrowly as the question."""
    teacher = sample["teacher"]
    developer = student.get("developer") or {}
    day = str(sample.get("generated_at") or "")[:10]
    names = (
        teacher.get("model"),
        teacher.get("route"),
        developer.get("name") if developer != "unknown" else None,
        student.get("name"),
        day,
    )
    if any(value in (None, "unknown", "") for value in names):
        return None
    blamed = [r["document"] for r in outcome.reasons if r["effect"] != "permit"]
    providers = [d.provider for d in outcome.documents if d.id in blamed] or [teacher["provider"].lower()]
    if any(reason["rule"] == "terms.nothing-on-record" for reason in outcome.reasons):
        providers.append(teacher["provider"].lower())
    partners = list(dict.fromkeys(providers))
    model = teacher.get("served_model") if teacher.get("served_model") not in (None, "unknown") else teacher["model"]
    agreements = tuple(
        {
            "provider": provider,
            "parties": [developer["name"]],
            "models": [str(model).lower().rsplit("/", 1)[-1], str(teacher["model"]).lower().rsplit("/", 1)[-1]],
            "routes": [teacher["route"]],
            "actions": [action],
            "students": [student["name"]],
            "document_digest": EXAMPLE_DIGEST,
            "valid_from": day,
            "valid_to": max(day, at.isoformat()) if at else day,
        }
        for provider in partners
    )
    text = f"Make an agreement with {', '.join(partners)} that names this model, route, student and {action}."
    return Change("agreement with " + ", ".join(partners), text, agreements=agreements)


Weighed = tuple[str, Mapping[str, Any], int, int, Verdict]


def find_drops(classes: Sequence[Weighed]) -> list[dict[str, Any]]:
    """Leaving out what is denied, then what is denied or open: weight, and the verdict of what stays."""
    found: list[dict[str, Any]] = []
    for dropped in (("deny",), ("deny", "review")):
        out = [item for item in classes if item[4] in dropped]
        kept = [item for item in classes if item[4] not in dropped]
        if out and kept and all(remedy["classes"] != [item[0] for item in out] for remedy in found):
            found.append(_drop(out, kept, sum(item[3] for item in classes)))
    return found


def _drop(out: Sequence[Weighed], kept: Sequence[Weighed], all_tokens: int) -> dict[str, Any]:
    samples = sum(item[2] for item in out)
    share = round(sum(item[3] for item in out) / all_tokens, 6) if all_tokens else 0.0
    teachers = sorted({f"{item[1]['teacher']['provider']}/{item[1]['teacher']['model']}" for item in out})
    return {
        "change": f"drop {len(out)} of {len(out) + len(kept)} fact classes",
        "text": f"Leave out {samples} samples of {', '.join(teachers)} ({share:.1%} of tokens).",
        "verdict_after": strictest(item[4] for item in kept),
        "samples": samples,
        "tokens_share": share,
        "classes": [item[0] for item in out],
    }
