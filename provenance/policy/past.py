"""Ask stored decisions again: all of them under a changed pack, the latest ones under changed terms, one in three lights.

- Decisions are read one by one from the log's content, checked against the digest that their entry commits to.
- A pack is replayed under the terms, agreements and exceptions that each decision knew, so the rules make the flips.
- Terms are replayed under one pack before and after, so the terms make the flips.
- What cannot be asked again (its content was erased) is counted and named, never passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from typing import Any

from sqlmodel import Session

from provenance.canonical import canonical_bytes, sha256_digest
from provenance.errors import DigestMismatchError, NotFoundError, ProvenanceError
from provenance.lineage.inherit import inherit_classes
from provenance.lineage.inherited import Inheritance
from provenance.policy.compare import compare_standpoints
from provenance.policy.known import Known
from provenance.policy.lifts import load_lifts
from provenance.policy.pack import Pack
from provenance.policy.replay import Flip, PastDecision, count_flips, find_flips, judge_again
from provenance.store.history import find_statement_of, iterate_history
from provenance.store.log import find_content
from provenance.store.releases import name_releases
from provenance.store.tables import StatementRow
from provenance.terms.catalogue import Catalogue
from provenance.terms.days import parse_day
from provenance.terms.recorded import load_recorded

MAX_SHOWN_FLIPS = 1000
Said = dict[str, Any]


@dataclass
class Replayed:
    """What asking again gave; `flips` holds the first ones, `totals` counts all."""

    decisions: int = 0
    samples: int = 0
    flips: list[Flip] = field(default_factory=list)
    not_replayed: list[dict[str, str]] = field(default_factory=list)

    def describe(self, session: Session) -> Said:
        """As JSON: totals, who is hit, and the flips with the releases that were made of them."""
        releases = name_releases(session, {flip.decision for flip in self.flips})
        shown = [_show(flip, releases) for flip in self.flips[:MAX_SHOWN_FLIPS]]
        hit = {(flip.dataset, flip.fact_class): flip.samples for flip in self.flips}
        return {
            "decisions": self.decisions,
            "decisions_hit": len({flip.decision for flip in self.flips}),
            "totals": count_flips(self.flips),
            "samples": sum(hit.values()),
            "students": sorted({flip.student for flip in self.flips}),
            "releases": sorted({name for names in releases.values() for name in names}),
            "flips": shown,
            "flips_left_out": len(self.flips) - len(shown),
            "not_replayed": self.not_replayed,
            "digest": self.digest,
        }

    @property
    def digest(self) -> str:
        """What an approval names: which decisions flip how, and which could not be asked."""
        said = [[f.decision, f.fact_class, f.before, f.after, f.samples, f.tokens] for f in self.flips]
        return sha256_digest(canonical_bytes([said, self.not_replayed]))


def _show(flip: Flip, releases: Mapping[str, Sequence[str]]) -> Said:
    return {**asdict(flip), "rules": list(flip.rules), "releases": list(releases.get(flip.decision, ()))}


def replay_pack(session: Session, pack: Pack) -> Replayed:
    """All past decisions under another pack, each under the terms that were on record for it."""
    catalogues: dict[str, Catalogue] = {}

    def again(past: PastDecision, row: StatementRow) -> list[Flip]:
        known = row.predicate["terms_digest"]
        if known not in catalogues:
            catalogue = load_recorded(session, row.index)
            if catalogue.digest != known:
                raise DigestMismatchError("the terms that it was decided by cannot be rebuilt from the log")
            catalogues[known] = catalogue
        now = judge_again(past, catalogue=catalogues[known], pack=pack)
        return find_flips(past, [verdict for *_, verdict in past.classes], now)

    return _replay(session, iterate_history(session, "decision"), again)


def replay_terms(session: Session, *, before: Catalogue, after: Catalogue, pack: Pack) -> Replayed:
    """The latest decision on each (data set, selection, student, action), under the terms before and after."""

    def again(past: PastDecision, _: StatementRow) -> list[Flip]:
        old = judge_again(past, catalogue=before, pack=pack)
        return find_flips(past, [item.verdict for item in old.classes], judge_again(past, catalogue=after, pack=pack))

    latest: dict[str, int] = {}
    for row in iterate_history(session, "decision"):
        said = row.predicate
        asked = [said["selection"]["dataset"], said["selection"]["filter"], said["student"]["id"], said["action"]]
        latest[canonical_bytes(asked).decode()] = row.index
    return _replay(session, iterate_history(session, "decision", only=frozenset(latest.values())), again)


def _replay(
    session: Session, rows: Iterator[StatementRow], again: Callable[[PastDecision, StatementRow], list[Flip]]
) -> Replayed:
    found = Replayed()
    for row in rows:
        try:
            past = read_past(session, row)
            found.flips.extend(again(past, row))
        except ProvenanceError as exc:
            found.not_replayed.append({"decision": row.key, "why": exc.detail})
            continue
        found.decisions += 1
        found.samples += sum(samples for _, _, samples, _, _ in past.classes)
    return found


def read_past(session: Session, row: StatementRow) -> PastDecision:
    """A stored decision as it was asked and answered.

    Raises:
        NotFoundError: its answer, or the student's facts, are not there any more.
        DigestMismatchError: the answer is not the one that its entry commits to.
    """
    said, content = row.predicate, read_answer(session, row)
    student = find_statement_of(session, "student", said["student"]["id"], digest=said["student"]["digest"])
    if student is None:
        raise NotFoundError(f"the student of decision {row.key} is not on record as it was then")
    day = parse_day(said["decided_at"])
    held = load_lifts(session, day, log_size=said["log_size"])
    dataset, digests = said["selection"]["dataset"], [item["fact_class"] for item in content["classes"]]

    def inherit(catalogue: Catalogue, terms_of: date | None) -> Mapping[str, Inheritance]:
        return inherit_classes(session, dataset, digests, said["log_size"], catalogue, terms_of=terms_of)

    return PastDecision(
        id=said["id"],
        action=said["action"],
        student=student.predicate["facts"],
        classes=[
            (item["fact_class"], item["facts"], item["samples"], item["tokens"], item["answer"]["verdict"])
            for item in content["classes"]
        ],
        agreements=held.agreements,
        exceptions=held.exceptions,
        at=day,
        entry=row.index,
        dataset=dataset,
        student_id=said["student"]["id"],
        inherit=inherit,
    )


def read_answer(session: Session, row: StatementRow) -> Said:
    """The whole answer of a stored decision, as its entry commits to it."""
    content = find_content(session, row.index)
    if content is None:
        raise NotFoundError(f"the answer of decision {row.key}, entry {row.index}, is not there any more")
    if sha256_digest(canonical_bytes(content)) != row.predicate["answer_digest"]:
        raise DigestMismatchError(f"the answer of decision {row.key} is not what entry {row.index} says")
    return content


def compare_past(session: Session, row: StatementRow, *, now: Known, today: date) -> Said:
    """A stored decision in three lights: as it was known then, as known today, and by the terms of today."""
    past, stored = read_past(session, row), read_answer(session, row)
    held = load_lifts(session, parse_day(row.predicate["decided_at"]), log_size=now.log_size)
    again = replace(past, agreements=held.agreements, exceptions=held.exceptions)
    known = judge_again(again, catalogue=now.catalogue, pack=now.pack)
    current = judge_again(again, catalogue=now.catalogue, pack=now.pack, terms_of=today)
    answers = {
        "as_known_then": {**stored["answer"], "remedies": []},
        "as_known_today": {**known.answer, "log_size": now.log_size},
        "by_todays_terms": {**current.answer, "log_size": now.log_size},
    }
    compared = compare_standpoints(answers)
    first = [verdict for *_, verdict in past.classes]
    steps = (find_flips(past, first, known), find_flips(past, [item.verdict for item in known.classes], current))
    for difference, flips in zip(compared["differences"], steps, strict=True):
        difference["flips"] = count_flips(flips)
    return {"id": past.id, "decided_at": row.predicate["decided_at"], "today": today.isoformat(), **compared}
